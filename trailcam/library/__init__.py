"""
Pictures at home: files in folders by camera and day, and an index of them.

L{Library} is the door; what is behind it blocks, and knows no reactor.
"""

from trailcam.library.library import Library
from trailcam.library.records import RescanReport, Source, StoredFile
from trailcam.library.visits import Outcome, Visit

__all__ = ["Library", "Outcome", "RescanReport", "Source", "StoredFile", "Visit"]
