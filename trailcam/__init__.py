"""
Wi-Fi trail cameras, freed from the vendor's phone app.

The public API is small: L{trailcam.client.Camera} talks to one camera,
L{trailcam.library.sync} brings its pictures home, and
L{trailcam.service.CameraService} does both for as long as a Twisted
application runs.
"""

from trailcam._version import __version__

__all__ = ["__version__"]
