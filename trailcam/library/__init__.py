"""
Pictures at home: files in folders by camera and day, and an index of them.

L{Library} is the door; what is behind it blocks, and knows no reactor.
"""

from trailcam.library.browse import CameraSummary, Filter, Page
from trailcam.library.library import Library
from trailcam.library.medium import Medium
from trailcam.library.quota import Quota
from trailcam.library.records import RescanReport, Source, StoredFile
from trailcam.library.visits import Outcome, Visit

__all__ = [
    "CameraSummary",
    "Filter",
    "Library",
    "Medium",
    "Outcome",
    "Page",
    "Quota",
    "RescanReport",
    "Source",
    "StoredFile",
    "Visit",
]
