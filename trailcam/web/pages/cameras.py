"""The pages of the cameras: all of them as they are now, and each with its visits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from trailcam.board import CameraState
from trailcam.errors import LibraryError
from trailcam.library import CameraSummary, Visit
from trailcam.web.api.states import advice_of, look_back, mark_of, note_of, text_of
from trailcam.web.charts import battery_chart, card_chart, segments
from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked
from trailcam.web.routes import Route
from trailcam.web.templating import add_filter, page

__all__ = ["Shown", "camera_page_routes", "clock", "duration", "from_now", "megabytes"]

#: So many visits are shown one by one, so many when more are wanted, and so many in charts.
_LISTED, _MORE, _DRAWN = 10, 100, 1000
#: What is told from afar: seconds in it, and from how many of them on.
_UNITS = ((86400.0, 2 * 86400.0, "days"), (3600.0, 5400.0, "h"), (60.0, 0.0, "min"))


@dataclass(frozen=True)
class Shown:
    """
    A camera, as templates need it.

    @ivar text: how it is, in a few words; C{mark} is their colour, C{note} what is to be added.
    @ivar pictures: how many there are of it, and the newest; C{None} where there are none.
    @ivar simulated: whether its radio can be made to fall silent.
    @ivar most_free: the most that was ever seen free on its card in MB.
    """

    state: CameraState
    text: str
    mark: str
    note: str
    advice: tuple[str, ...]
    pictures: CameraSummary | None
    simulated: bool
    most_free: int

    @property
    def visiting(self) -> bool:
        """Whether a visit is going on, or will."""
        return self.state.waiting or self.state.phase not in (None, "showing")


def camera_page_routes(context: Context) -> list[Route]:
    """The paths."""
    own = _Pages(context)
    return [Route("GET", "/cameras", own.all), Route("GET", "/cameras/{name:name}", own.one)]


class _Pages:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def all(self, asked: Asked) -> Answer:
        """All cameras."""
        problem = await look_back(self._context)
        shown = await self._shown(list(self._context.cameras), problem)
        return page(
            asked, "cameras.html", title="Cameras", here="cameras", cameras=shown, problem=problem
        )

    async def one(self, asked: Asked) -> Answer:
        """One camera, with its visits."""
        name = str(self._context.camera(asked).name)
        problem = await look_back(self._context)
        (shown,) = await self._shown([name], problem)
        visits = await self._visits(name) if problem is None else []
        listed = _MORE if asked.choice("visits", "all") else _LISTED
        return page(
            asked,
            "camera.html",
            title=name,
            here="cameras",
            camera=shown,
            problem=problem,
            visits=[(visit, segments(visit)) for visit in visits[:listed]],
            more=listed == _LISTED < len(visits),
            battery=battery_chart(visits),
            card=card_chart(visits),
        )

    async def _shown(self, names: list[str], problem: str | None) -> list[Shown]:
        found = {} if problem is not None else await self._pictures()
        return [self._show(name, found.get(name)) for name in names]

    def _show(self, name: str, pictures: CameraSummary | None) -> Shown:
        board, service = self._context.board, self._context.cameras[name]
        state = board.state(service)
        return Shown(
            state,
            text_of(state),
            mark_of(state),
            note_of(state),
            advice_of(state),
            pictures,
            name in self._context.outages,
            board.most_free(name),
        )

    async def _pictures(self) -> dict[str, CameraSummary]:
        """What there is of each camera; of several of one name that with the newest picture."""
        try:
            found = await (await self._context.open_library()).cameras()
        except LibraryError:
            return {}
        found.sort(key=lambda each: each.newest.fetched_at)
        return {each.name: each for each in found if each.name is not None}

    async def _visits(self, name: str) -> list[Visit]:
        try:
            return await (await self._context.open_library()).visits(name, _DRAWN)
        except LibraryError:
            return []


@add_filter
def from_now(when: datetime, now: datetime | None = None) -> str:
    """
    C{in 23 min (14:05)}, C{2 days ago (18 May, 07:14)}, by the station's clock; when time goes by,
    C{static/cameras.js} says it by the browser's.

    @param when: aware.
    @param now: C{None} for now.
    """
    away = (when - (now or datetime.now(UTC))).total_seconds()
    seconds = abs(away)
    if seconds < 45:
        return "in a moment" if away > 0 else "just now"
    size, _, unit = next(each for each in _UNITS if seconds >= each[1])
    text = f"{max(1, round(seconds / size))} {unit}"
    at = f"{when.astimezone():%H:%M}" if seconds < 43200 else clock(when)
    return f"in {text} ({at})" if away > 0 else f"{text} ago ({at})"


@add_filter
def clock(when: datetime) -> str:
    """C{18 May, 07:14}: by the station's clock."""
    local = when.astimezone()
    return f"{local.day} {local:%b}, {local:%H:%M}"


@add_filter
def duration(seconds: float) -> str:
    """C{0.4 s}, C{41 s} or C{2 min 5 s}."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@add_filter
def megabytes(count: float) -> str:
    """C{850 MB} or C{12.3 GB}: of a card."""
    return f"{count:.0f} MB" if count < 1000 else f"{count / 1000:.1f} GB"
