"""The HTTP API, of live."""

from __future__ import annotations

from trailcam.web.context import Context
from trailcam.web.routes import Route

__all__ = ["live_routes"]


def live_routes(context: Context) -> list[Route]:
    """The paths."""
    return []
