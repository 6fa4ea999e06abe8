"""How the cameras of a station are just now, for whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeAlias

from twisted.internet.defer import Deferred

from trailcam.cameraservice import CameraService
from trailcam.errors import (
    CameraBusy,
    LibraryError,
    LoginRefused,
    NoCameraAnswered,
    RadioError,
    TrailcamError,
)
from trailcam.happenings import Happening, NewMedia, PhaseBegan, Transferring, VisitEnded
from trailcam.health import MISSED, SEEN, assess
from trailcam.library import Library
from trailcam.library.visits import Visit

__all__ = ["CONNECTED", "CameraState", "StatusBoard", "Trouble", "Watcher"]

#: In these phases a session stands.
CONNECTED = ("login", "information", "syncing", "showing")

#: What kind of trouble a camera is in.
Trouble: TypeAlias = Literal["login", "radio", "silent", "busy", "library", "other"]
_TROUBLES: tuple[tuple[type[TrailcamError], Trouble], ...] = (
    (LoginRefused, "login"),
    (RadioError, "radio"),
    (NoCameraAnswered, "silent"),
    (CameraBusy, "busy"),
    (LibraryError, "library"),
)


@dataclass(frozen=True)
class CameraState:
    """
    How a camera is.

    @ivar phase: what a visit or a live view is at, as in L{PhaseBegan}; C{None} while neither
        goes on.
    @ivar since: when that began, or ended; aware; C{None}: before we were started.
    @ivar lost: whether the session was lost in the middle; it is called again.
    @ivar port: our source port, while a session stands, or was lost.
    @ivar remembered: whether it is the one that was remembered.
    @ivar transfer: how far the transfer is, while there is one.
    @ivar waiting: whether a visit is wanted that has not begun.
    @ivar waits_for: which other camera is visited meanwhile, as far as that is known.
    @ivar viewers: how many watch the live view.
    @ivar due: when the next visit begins; aware; C{None} while there is none to come.
    @ivar trouble: what kind of trouble the last visit met; C{None} when there was none.
    @ivar why: the same in a line for a person.
    @ivar failures: how many visits have failed in a row.
    @ivar last_seen: when a visit last went well; aware.
    @ivar last_visit: how it went.
    @ivar battery: in percent; this and what follows are as it last said.
    @ivar card_free_mb: what is free on its card.
    @ivar temperature: in degrees Celsius.
    @ivar clock_drift: by how many seconds its clock was ahead of ours.
    """

    name: str
    phase: str | None = None
    since: datetime | None = None
    lost: bool = False
    port: int | None = None
    remembered: bool = False
    transfer: Transferring | None = None
    waiting: bool = False
    waits_for: str | None = None
    viewers: int = 0
    due: datetime | None = None
    trouble: Trouble | None = None
    why: str | None = None
    failures: int = 0
    last_seen: datetime | None = None
    last_visit: Visit | None = None
    battery: int | None = None
    card_free_mb: int | None = None
    temperature: float | None = None
    clock_drift: float | None = None

    @property
    def missing(self) -> bool:
        """Whether it could not be visited several times in a row."""
        return self.failures >= MISSED

    @property
    def word(self) -> str:
        """
        All that in one word: the phase, or else C{waiting}, C{refused} (the login), C{missing},
        C{failed} (the last visit), C{new} (never visited) or C{asleep}.
        """
        if self.phase is not None:
            return self.phase
        found = (
            (self.waiting, "waiting"),
            (self.trouble == "login", "refused"),
            (self.missing, "missing"),
            (self.trouble is not None, "failed"),
            (self.last_visit is None, "new"),
        )
        return next((word for holds, word in found if holds), "asleep")


class Watcher(Protocol):
    """Who wants to know when something has changed. Neither may raise, or take long."""

    def changed(self, camera: str) -> None:
        """This camera is not as it was: its newest state can be read."""

    def arrived(self, what: NewMedia) -> None:
        """A picture or video is home."""


@dataclass
class _Known:
    """
    What the board knows of a camera.

    @ivar wishes: how many visits are wanted by hand that are not over.
    @ivar visits: the last ones, latest first.
    @ivar recalled: whether those before our time are among them.
    """

    phase: str | None = None
    since: datetime | None = None
    transfer: Transferring | None = None
    wishes: int = 0
    visits: tuple[Visit, ...] = ()
    recalled: bool = False


class StatusBoard:
    """
    Hears what happens, and remembers how things stand: one entry for each camera, whatever
    happens.
    """

    def __init__(self, *, wall_clock: Callable[[], float] = time.time) -> None:
        """@param wall_clock: the time in seconds since 1970, in UTC."""
        self._wall_clock = wall_clock
        self._known: dict[str, _Known] = {}
        self._watchers: list[Watcher] = []

    def state(self, service: CameraService) -> CameraState:
        """How a camera is now."""
        name = str(service.name)
        known, health = self._of(name), assess(self._of(name).visits)
        trouble, why = _trouble(service.error, known.visits)
        waiting = self._waits(service, known)
        there = service.camera.session is not None
        connected = known.phase in CONNECTED
        return CameraState(
            name,
            phase=known.phase,
            since=known.since,
            lost=connected and not there,
            port=service.camera.local_port or None if connected else None,
            remembered=connected and service.camera.remembered,
            transfer=known.transfer,
            waiting=waiting,
            waits_for=self._busy_one(name) if waiting else None,
            viewers=service.viewers,
            due=service.due,
            trouble=trouble,
            why=why,
            failures=health.failures,
            last_seen=health.last_seen,
            last_visit=next(iter(known.visits), None),
            battery=health.battery,
            card_free_mb=health.card_free_mb,
            temperature=health.temperature,
            clock_drift=health.clock_drift,
        )

    def most_free(self, name: str) -> int:
        """The most that was free on a camera's card at its last visits, in MB; 0: unknown."""
        return max((visit.card_free_mb or 0 for visit in self._of(name).visits), default=0)

    def recall(self, library: Library, name: str) -> Deferred[None]:
        """
        Learn what is known of a camera from before, unless it was done.

        @param library: open.
        @return: fails with L{LibraryError}.
        """
        return Deferred.fromCoroutine(self._recall(library, name))

    async def _recall(self, library: Library, name: str) -> None:
        if self._of(name).recalled:
            return
        before = await library.visits(name, SEEN)
        known = self._of(name)
        told = {visit.began for visit in known.visits}
        older = [visit for visit in before if visit.began not in told]
        known.visits, known.recalled = (*known.visits, *older)[:SEEN], True
        self._tell(name)

    def visit(self, service: CameraService) -> None:
        """Visit a camera because somebody wants it, and know that it waits until it is over."""
        known = self._of(str(service.name))

        def over(_: object) -> None:
            known.wishes -= 1
            self._tell(str(service.name))

        known.wishes += 1
        service.visit_now()  # the log tells how it went; the next joins it
        service.visit().addBoth(over)
        self._tell(str(service.name))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """
        Be told what changes. What changes without a happening, like L{CameraState.due}, is not
        told: look at it now and then.

        @return: what ends it.
        """
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        known = self._of(what.camera)
        match what:
            case NewMedia():
                for watcher in list(self._watchers):
                    watcher.arrived(what)
                return
            case PhaseBegan():
                known.phase, known.since, known.transfer = what.phase, what.when, None
            case Transferring():
                known.transfer = what
            case VisitEnded():
                known.visits = (what.visit, *known.visits)[:SEEN]
        self._tell(what.camera)

    def _of(self, name: str) -> _Known:
        return self._known.setdefault(name, _Known())

    def _tell(self, name: str) -> None:
        for watcher in list(self._watchers):
            watcher.changed(name)

    def _waits(self, service: CameraService, known: _Known) -> bool:
        """Whether a visit is wanted, by somebody or by the clock, that has not begun."""
        if known.phase is not None and known.phase != "showing":
            return False
        now = datetime.fromtimestamp(self._wall_clock(), UTC)
        return known.wishes > 0 or (service.due is not None and service.due <= now)

    def _busy_one(self, name: str) -> str | None:
        others = (other for other, known in self._known.items() if known.phase is not None)
        return next((other for other in others if other != name), None)


def _trouble(
    error: TrailcamError | None, visits: tuple[Visit, ...]
) -> tuple[Trouble | None, str | None]:
    """What is wrong, of which kind: what the service knows, or else the last visit."""
    if error is not None:
        kinds = (trouble for kind, trouble in _TROUBLES if isinstance(error, kind))
        return next(kinds, "other"), str(error)
    counted = (visit for visit in visits if visit.outcome != "interrupted")
    last = next(counted, None)
    if last is None or last.outcome == "ok":
        return None, None
    return "other", last.why or "it could not be visited"
