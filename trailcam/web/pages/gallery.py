"""The gallery: all pictures, by day, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import groupby

from trailcam.library import Filter, Library, Medium
from trailcam.web.api.filters import query_of, read_filter
from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked
from trailcam.web.routes import Route
from trailcam.web.templating import page

__all__ = ["PAGE", "Day", "gallery_routes"]

#: So many pictures a page has.
PAGE = 60


@dataclass(frozen=True)
class Day:
    """
    Pictures that follow each other and were taken on one day.

    @ivar day: by the camera's clock; C{None} where no time is known.
    @ivar count: how many there are of that day, on other pages too; C{None} where it is not known.
    """

    day: date | None
    media: list[Medium]
    count: int | None


def gallery_routes(context: Context) -> list[Route]:
    """The paths."""

    async def gallery(asked: Asked) -> Answer:
        library = await context.open_library()
        wanted, before = await read_filter(asked, library, lenient=True), asked.query("before")
        found = await library.browse(wanted, before, PAGE)
        trash = await library.browse(Filter(removed=True), limit=1)
        return page(
            asked,
            "gallery.html",
            title="Pictures",
            here="pictures",
            days=await _by_day(library, wanted, found.media),
            cameras=await library.cameras(),
            wanted=wanted,
            narrowed=wanted != Filter(),
            query=query_of(wanted),
            before=before,
            older=found.next and query_of(wanted, before=found.next),
            has_trash=bool(trash.media),
        )

    return [Route("GET", "/", gallery)]


async def _by_day(library: Library, wanted: Filter, media: Sequence[Medium]) -> list[Day]:
    days = [(day, list(some)) for day, some in groupby(media, _day_of)]
    known = [day for day, _ in days if day is not None]
    counts = {}
    if known:  # only these are counted, however many years there are
        narrower = replace(wanted, first_day=min(known), last_day=max(known))
        counts = dict(await library.days(narrower))
    return [Day(day, some, counts.get(day) if day else None) for day, some in days]


def _day_of(medium: Medium) -> date | None:
    return medium.taken.wall.date() if medium.taken else None
