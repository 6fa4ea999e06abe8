"""The pages of the cameras."""

from __future__ import annotations

from trailcam.web.context import Context
from trailcam.web.routes import Route

__all__ = ["camera_page_routes"]


def camera_page_routes(context: Context) -> list[Route]:
    """The paths."""
    return []
