"""The page of a camera's live view."""

from __future__ import annotations

from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked
from trailcam.web.routes import Route
from trailcam.web.templating import page

__all__ = ["live_page_routes"]


def live_page_routes(context: Context) -> list[Route]:
    """The path."""

    async def live(asked: Asked) -> Answer:
        """The page; it is static/live.js that calls the camera, not loading the page."""
        service = context.camera(asked)
        minutes = f"{service.config.live_limit / 60:g}"
        return page(asked, "live.html", title=f"{service.name}, live", camera=service.name,
                    minutes=minutes)  # fmt: skip

    return [Route("GET", "/cameras/{name:name}/live", live)]
