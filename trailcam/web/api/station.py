"""The HTTP API, of station."""

from __future__ import annotations

from trailcam.web.context import Context
from trailcam.web.routes import Route

__all__ = ["station_routes"]


def station_routes(context: Context) -> list[Route]:
    """The paths."""
    return []
