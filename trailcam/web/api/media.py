"""The HTTP API, of media: pictures and videos at home."""

from __future__ import annotations

from trailcam.errors import WrongRequest
from trailcam.web.api.filters import FILTERS, read_filter
from trailcam.web.api.values import Json, medium_json
from trailcam.web.context import Context, medium_id
from trailcam.web.http import Answer, Asked, json_answer
from trailcam.web.routes import Route

__all__ = ["media_routes"]

#: So many come at once, unless another number is asked for; and the most that can be.
_USUAL, _MOST = 60, 500


def media_routes(context: Context) -> list[Route]:
    """The paths."""
    own = _Media(context)
    one = "/api/v1/media/{id:id}"
    return [
        Route("GET", "/api/v1/media", own.list),
        Route("GET", "/api/v1/days", own.days),
        Route("GET", one, own.show),
        Route("PATCH", one, own.change),
        Route("DELETE", one, own.remove),
        Route("POST", f"{one}/restore", own.restore),
        Route("GET", f"{one}/neighbours", own.neighbours),
    ]


class _Media:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def list(self, asked: Asked) -> Answer:
        """A page of them."""
        asked.check_names(*FILTERS, "before", "limit")
        limit = asked.number("limit", 1, _MOST) or _USUAL
        library = await self._context.open_library()
        filter = await read_filter(asked, library)
        page = await library.browse(filter, asked.query("before"), limit)
        return json_answer({"media": [medium_json(each) for each in page.media],
                            "next": page.next})  # fmt: skip

    async def days(self, asked: Asked) -> Answer:
        """How many there are of each day."""
        asked.check_names(*FILTERS)
        library = await self._context.open_library()
        days = await library.days(await read_filter(asked, library))
        return json_answer({"days": [{"day": day.isoformat(), "count": n} for day, n in days]})

    async def show(self, asked: Asked) -> Answer:
        """One of them."""
        return json_answer(medium_json(await self._context.medium(asked)))

    async def change(self, asked: Asked) -> Answer:
        """Mark it, or write of it."""
        favourite, note = _changes(asked.json())
        library, id = await self._context.open_library(), medium_id(asked)
        if note is not None:  # first: it may be refused
            await library.set_note(id, note)
        if favourite is not None:
            await library.set_favourite(id, favourite)
        return await self.show(asked)

    async def remove(self, asked: Asked) -> Answer:
        """Move it into the trash, if it is not there."""
        library = await self._context.open_library()
        await library.remove(medium_id(asked))
        return Answer(status=204)

    async def restore(self, asked: Asked) -> Answer:
        """Have it back from the trash, if it is there."""
        library = await self._context.open_library()
        await library.restore(medium_id(asked))
        return await self.show(asked)

    async def neighbours(self, asked: Asked) -> Answer:
        """The next newer and the next older one."""
        asked.check_names(*FILTERS)
        library = await self._context.open_library()
        filter = await read_filter(asked, library)
        newer, older = await library.neighbours(medium_id(asked), filter)
        return json_answer({"newer": newer, "older": older})


def _changes(body: Json) -> tuple[bool | None, str | None]:
    """
    What to change: whether it is a favourite, its note.

    @raise WrongRequest: when that is not what the body says.
    """
    unknown = sorted(set(body) - {"favourite", "note"})
    if unknown or not body:
        raise WrongRequest("favourite and note can be changed, and nothing else: give one or both")
    favourite, note = body.get("favourite"), body.get("note")
    if "favourite" in body and not isinstance(favourite, bool):
        raise WrongRequest("favourite must be true or false")
    if "note" in body and not isinstance(note, str):
        raise WrongRequest("note must be text")
    return favourite, note
