"""One picture, with all that is known of it; and those in the trash."""

from __future__ import annotations

from trailcam.library import Filter
from trailcam.web.api.filters import query_of, read_filter
from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked
from trailcam.web.routes import Route
from trailcam.web.templating import page

__all__ = ["medium_routes"]


def medium_routes(context: Context) -> list[Route]:
    """The paths."""
    own = _Pages(context)
    return [
        Route("GET", "/media/{id:id}", own.medium),
        Route("GET", "/trash", own.trash),
    ]


class _Pages:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def medium(self, asked: Asked) -> Answer:
        """A picture as a page."""
        library = await self._context.open_library()
        wanted = await read_filter(asked, library, lenient=True)
        medium = await self._context.medium(asked)
        newer = older = None
        if medium.removed is None:
            newer, older = await library.neighbours(medium.id, wanted)
        return page(
            asked,
            "medium.html",
            title=f"{'Photo' if medium.file.is_photo else 'Video'} {medium.id}",
            here="pictures",
            medium=medium,
            newer=newer,
            older=older,
            query=query_of(wanted),
        )

    async def trash(self, asked: Asked) -> Answer:
        """What was deleted and can be had back."""
        library = await self._context.open_library()
        found = await library.browse(Filter(removed=True), asked.query("before"))
        older = found.next and query_of(Filter(), before=found.next)
        return page(asked, "trash.html", title="Recently deleted", here="pictures",
                    media=found.media, older=older)  # fmt: skip
