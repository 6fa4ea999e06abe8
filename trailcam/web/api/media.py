"""The HTTP API, of media."""

from __future__ import annotations

from trailcam.web.context import Context
from trailcam.web.routes import Route

__all__ = ["media_routes"]


def media_routes(context: Context) -> list[Route]:
    """The paths."""
    return []
