"""The pages of the cameras: all of them as they are now, and each with its visits."""

from __future__ import annotations

from dataclasses import dataclass

from trailcam.board import CameraState
from trailcam.errors import LibraryError
from trailcam.library import CameraSummary, Visit
from trailcam.web.api.states import advice_of, look_back, mark_of, note_of, text_of
from trailcam.web.charts import battery_chart, card_chart, segments
from trailcam.web.context import Context
from trailcam.web.http import Answer, Asked
from trailcam.web.routes import Route
from trailcam.web.templating import page

__all__ = ["Shown", "camera_page_routes"]

#: So many visits are shown one by one, so many when more are wanted, and so many in charts.
_LISTED, _MORE, _DRAWN = 10, 100, 1000


@dataclass(frozen=True)
class Shown:
    """
    A camera, as templates need it.

    @ivar text: how it is, in a few words; C{mark} is their colour, C{note} what is to be added.
    @ivar pictures: how many there are of it, and the newest; C{None} where there are none.
    @ivar simulated: whether its radio can be made to fall silent.
    @ivar most_free: the most that was free on its card at its last visits, in MB.
    @ivar low_battery: whether the battery is below C{battery_low} of C{tap.conf}.
    @ivar low_card: whether the card has less free than C{card_low} says.
    """

    state: CameraState
    text: str
    mark: str
    note: str
    advice: tuple[str, ...]
    pictures: CameraSummary | None
    simulated: bool
    most_free: int
    low_battery: bool
    low_card: bool

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
        state, config = board.state(service), service.config
        return Shown(
            state,
            text_of(state),
            mark_of(state),
            note_of(state),
            advice_of(state),
            pictures,
            name in self._context.outages,
            board.most_free(name),
            state.battery is not None and state.battery < config.battery_low,
            state.card_free_mb is not None and state.card_free_mb < config.card_low,
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
