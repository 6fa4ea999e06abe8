"""The HTTP API, of cameras."""

from __future__ import annotations

from trailcam.web.api.states import camera_json, look_back
from trailcam.web.api.values import visit_json
from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked, Refused, json_answer
from trailcam.web.routes import Route

__all__ = ["camera_routes"]

#: So many visits are told unless it is said, and at most.
_VISITS, _MOST_VISITS = 50, 1000
#: An outage lasts so many seconds unless it is said, and at most.
_OUTAGE, _LONGEST_OUTAGE = 8, 600


def camera_routes(context: Context) -> list[Route]:
    """The paths."""
    own = _Cameras(context)
    one = "/api/v1/cameras/{name:name}"
    return [
        Route("GET", "/api/v1/cameras", own.all),
        Route("GET", one, own.one),
        Route("GET", f"{one}/visits", own.visits),
        Route("POST", f"{one}/visit", own.visit),
        Route("POST", f"{one}/outage", own.outage),
    ]


class _Cameras:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def all(self, asked: Asked) -> Answer:
        """How all of them are, in the order of C{tap.conf}."""
        await look_back(self._context)
        states = map(self._context.board.state, self._context.cameras.values())
        return json_answer({"cameras": [camera_json(state, self._context) for state in states]})

    async def one(self, asked: Asked) -> Answer:
        """How one is."""
        return await self._tell(asked)

    async def visits(self, asked: Asked) -> Answer:
        """Its last visits, latest first."""
        service = self._context.camera(asked)
        asked.check_names("limit")
        limit = asked.number("limit", 1, _MOST_VISITS) or _VISITS
        library = await self._context.open_library()
        visits = await library.visits(str(service.name), limit)
        return json_answer({"visits": [visit_json(visit) for visit in visits]})

    async def visit(self, asked: Asked) -> Answer:
        """Visit it now, or when it is its turn."""
        self._context.board.visit(self._context.camera(asked))
        return await self._tell(asked, 202)

    async def outage(self, asked: Asked) -> Answer:
        """Have its radio fall silent, if it is a simulated camera."""
        name = str(self._context.camera(asked).name)
        asked.check_names("seconds")
        seconds = asked.number("seconds", 1, _LONGEST_OUTAGE) or _OUTAGE
        fall_silent = self._context.outages.get(name)
        if fall_silent is None:
            raise Refused(404, f"{name} is a real camera: only a simulated one can fall silent")
        fall_silent(seconds)
        return json_answer({"seconds": seconds}, 202)

    async def _tell(self, asked: Asked, status: int = 200) -> Answer:
        state = self._context.board.state(self._context.camera(asked))
        if status == 200:
            await look_back(self._context)
            state = self._context.board.state(self._context.camera(asked))
        return json_answer(camera_json(state, self._context), status)
