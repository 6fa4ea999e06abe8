"""The pages that people see: each is whole without JavaScript, and says what to do."""

from __future__ import annotations

import trailcam.web.pages.words  # noqa: F401 - templates use its filters
from trailcam.web.context import Context
from trailcam.web.gate import Gate
from trailcam.web.pages.cameras import camera_page_routes
from trailcam.web.pages.gallery import gallery_routes
from trailcam.web.pages.live import live_page_routes
from trailcam.web.pages.login import login_routes
from trailcam.web.pages.medium import medium_routes
from trailcam.web.routes import Route

__all__ = ["page_routes"]


def page_routes(context: Context, gate: Gate) -> list[Route]:
    """The paths of all pages."""
    return [
        *gallery_routes(context),
        *medium_routes(context),
        *camera_page_routes(context),
        *live_page_routes(context),
        *login_routes(context, gate),
    ]
