"""The pages of the gallery."""

from __future__ import annotations

from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked
from trailcam.web.routes import Route
from trailcam.web.templating import page

__all__ = ["gallery_routes"]


def gallery_routes(context: Context) -> list[Route]:
    """The paths."""

    async def gallery(asked: Asked) -> Answer:
        library = await context.open_library()
        found = await library.browse()
        return page(asked, "gallery.html", title="Pictures", media=found.media)

    return [Route("GET", "/", gallery)]
