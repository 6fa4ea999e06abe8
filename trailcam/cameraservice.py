"""
A service for each camera, which visits it whenever it is due and shows its live view:
for C{twistd trailcam} and for other applications.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from trailcam.client import Camera
from trailcam.commands import DeviceInformation, MediaFile
from trailcam.config import CameraConfig
from trailcam.errors import LibraryError, LoginRefused, TrailcamError
from trailcam.happenings import (
    CameraBack,
    Happening,
    Listener,
    Listeners,
    NewMedia,
    PhaseBegan,
    Transferring,
    VisitEnded,
)
from trailcam.health import SEEN, Limits, assess, news
from trailcam.library import StoredFile
from trailcam.library.sync import Observer, SyncReport
from trailcam.library.visits import Visit
from trailcam.libraryservice import LibraryService
from trailcam.logs import make_logger
from trailcam.radio.station import Radios
from trailcam.stay import Stay
from trailcam.target import Policy
from trailcam.visit import CameraVisit
from trailcam.waiting import when_over
from trailcam.worker import Worker

if TYPE_CHECKING:
    from trailcam.livehub import LiveHub
    from trailcam.showing import Showing

__all__ = ["CameraService", "LibraryService", "LogListener"]

#: The clock on the wall may be set: so often, in seconds, it is looked whether a visit is due.
LOOK = 60.0


class _Quiet:
    """An observer that wants to know nothing."""

    def informed(self, information: DeviceInformation) -> None: ...
    def found(self, new: int, known: int) -> None: ...
    def stored(self, file: StoredFile) -> None: ...
    def failed(self, file: MediaFile, why: str) -> None: ...


class LogListener:
    """Tells what happens in the log."""

    log = make_logger(__name__)

    def happened(self, what: Happening) -> None:
        """What is the story of one visit is told there already."""
        tell = self.log.warn
        if isinstance(what, PhaseBegan | Transferring | NewMedia | VisitEnded):
            tell = self.log.debug
        elif isinstance(what, CameraBack):
            tell = self.log.info
        tell("{what}", what=str(what))


class CameraService(Service):
    """
    Visits one camera whenever it is due: wake, join, fetch what is new, let it sleep; and shows
    its live view to whoever wants to see it.

    It can be added to any C{MultiService}; stopping it says CLOSE to the camera, and
    puts the radios back.

    @ivar config: which camera, and when.
    @ivar camera: the client; its source port is remembered.
    @ivar last: the report of the last visit that succeeded; C{None} before.
    @ivar error: why the last visit failed; C{None} when it did not.
    @ivar due: when the next visit begins; aware; C{None} while there is none to come.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        config: CameraConfig,
        library: LibraryService,
        *,
        policy: Policy | None = None,
        state: Path | None = None,
        observer: Observer | None = None,
        connected: Callable[[Camera], None] = lambda camera: None,
        worker: Worker | None = None,
        radios: Radios | None = None,
        listener: Listener | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        @param library: shared with other cameras.
        @param state: where the source port is remembered.
        @param observer: is told of every file.
        @param connected: is told when a session stands; it must not stop this service
            before it has returned.
        @param worker: does what touches the disk; C{None}: the reactor's threads.
        @param radios: shared with other cameras; C{None}: its own.
        @param listener: is told what happens; C{None}: the log.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self.setName(config.name)
        self._reactor = reactor
        self.config = config
        self._library = library
        self._worker = worker
        self._observer = observer or _Quiet()
        self._connected = connected
        self._radios = radios or Radios(reactor, state=state)
        self._own_radios = radios is None
        self._listener = Listeners(listener or LogListener())
        self._wall_clock = wall_clock
        self._visiting: Deferred[Any] | None = None
        self._waiting: list[Deferred[Any]] = []
        self._showing: Showing | None = None
        self._stopped = False
        self._planning: Deferred[None] | None = None
        self._next: IDelayedCall | None = None
        self._past = _Past()
        self.last: SyncReport | None = None
        self.error: TrailcamError | None = None
        self.due: datetime | None = None
        self._told: datetime | None = None
        self.camera = Camera(
            reactor,
            config.target,
            user=config.user,
            password=config.password,
            zone=config.zone,
            policy=policy,
            state=state,
            worker=worker,
            wall_clock=wall_clock,
        )

    def startService(self) -> None:
        """Begin with what is due: a visit at once, unless one went well not long ago."""
        super().startService()
        self._stopped = False
        self._past, self.error = _Past(), None
        self._planning = Deferred.fromCoroutine(self._recall())
        # If the library cannot be used, the visit says so.
        self._planning.addErrback(lambda failure: None).addBoth(self._plan)

    def stopService(self) -> Deferred[Any]:
        """
        Interrupt a visit, end the live view; fires when the camera was told and the radios are as
        they were.
        """
        super().stopService()
        self._stopped = True
        if self._planning is not None:
            self._planning.cancel()
        self._plan()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._visiting is not None:  # first: it may be waiting for the live view to end
            over = when_over(self._visiting)
            self._visiting.cancel()
            await over
        if self._showing is not None:
            await self._showing.close()
        await self.camera.close()
        if self._own_radios:
            await self._radios.close()

    def visit(self) -> Deferred[SyncReport]:
        """
        Visit the camera now, or as soon as the live view is over.

        @return: fires with what came home; joins a visit that is going on.
        """
        waiting: Deferred[SyncReport] = Deferred()
        self._waiting.append(waiting)
        if self._visiting is None:
            self._visiting = Deferred.fromCoroutine(self._visit())
            self._library.keep_open_for(self._visiting)
            self._visiting.addBoth(self._visited)
        return waiting

    def visit_now(self) -> None:
        """Visit the camera because somebody wants it; the log tells how it went."""
        if self._visiting is not None:
            self.log.info("{name}: a visit is going on already", name=self.name)
            return
        if self._showing is not None and self._showing.stays:
            self.log.info("{name}: it is visited when the live view is over", name=self.name)
        self.visit().addCallbacks(self._tell, self._complain)

    # -- the live view -----------------------------------------------------

    @property
    def live(self) -> LiveHub:
        """
        The live view: its first viewer brings the camera as a visit does, and some seconds after
        the last one has left it is let go.

        Viewers are told what is in the way: L{CameraBusy <trailcam.errors.CameraBusy>} while a
        visit is going on, and L{LiveViewOver <trailcam.errors.LiveViewOver>} after the
        configuration's C{live_limit}. A visit that is due meanwhile is made afterwards.
        """
        if self._showing is None:
            from trailcam.showing import Showing  # which needs PyAV, and that is heavy

            self._showing = Showing(
                self._reactor, self.camera, self.config, self._radios,
                make_stay=self._make_stay, why_not=self._why_no_live_view, worker=self._worker,
            )  # fmt: skip
        return self._showing.hub

    @property
    def viewers(self) -> int:
        """How many watch the live view."""
        return 0 if self._showing is None else self._showing.hub.viewers

    def _make_stay(self) -> Stay:
        return Stay(
            self._reactor, self.camera, self.config, self._radios, connected=self._connected,
            tell=self._listener.happened, wall_clock=self._wall_clock,
        )  # fmt: skip

    def _why_no_live_view(self) -> str | None:
        if self._stopped:
            return "the station is being stopped: there is no live view any more"
        if self._visiting is not None:
            return "a visit is going on: the live view can begin when it is over"
        return None

    # -- a visit -----------------------------------------------------------

    async def _visit(self) -> SyncReport:
        await self._library.ready()
        if self._showing is not None:
            await self._showing.over()
        visit = CameraVisit(
            self._reactor,
            self.camera,
            self.config,
            self._library.library,
            self._radios,
            self._observer,
            connected=self._connected,
            tell=self._listener.happened,
            wall_clock=self._wall_clock,
        )
        try:
            report = await visit.begin()
        except BaseException as error:
            await self._remember(visit.record(Failure()))
            if not isinstance(error, CancelledError):
                self._library.tidy()  # a full disk may be what was in the way
            raise
        await self._remember(visit.record(report))
        self._library.tidy()
        return report

    async def _remember(self, visit: Visit) -> None:
        """Write it down, and tell what it brought to light."""
        self._listener.happened(VisitEnded(visit.camera, visit))
        try:
            await self._library.library.record_visit(visit)
            visits = await self._library.library.visits(visit.camera, SEEN)
        except LibraryError as error:
            self.log.warn("{name}: the visit is not written down: {why}", name=self.name,
                          why=str(error))  # fmt: skip
            return
        self._past = replace(self._past, battery=assess(visits).battery)
        for what in news(visits, Limits(self.config.battery_low, self.config.card_low)):
            self._listener.happened(what)

    def _visited(self, result: SyncReport | Failure) -> None:
        self._visiting = None
        self._past = replace(self._past, ended=self._reactor.seconds())
        if not isinstance(result, Failure):
            self.last, self.error = result, None
        elif isinstance(result.value, TrailcamError):
            self.error = result.value
        elif not result.check(CancelledError):
            self.error = TrailcamError(result.getErrorMessage())
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:  # else whoever asked has given up
                each.callback(result)
        if self._planning is None:
            self._plan()

    # -- by itself ---------------------------------------------------------

    async def _recall(self) -> None:
        """When the last visit went well, in an earlier life; what did not is tried again."""
        await self._library.ready()
        visits = await self._library.library.visits(self.config.name, SEEN)
        well = next((visit for visit in visits if visit.outcome == "ok"), None)
        # A visit that somebody wanted may be over meanwhile.
        if well is not None and self.config.repeats and self._past.ended is None:
            ago = (self._now() - well.ended).total_seconds()
            self._past = _Past(self._reactor.seconds() - ago, assess(visits).battery)

    def _plan(self, _: object = None) -> None:
        """Begin the next visit, or wait for it; called whenever something has changed."""
        if self._next is not None and self._next.active():
            self._next.cancel()
        self._planning = self._next = self.due = None
        if not self.running:
            return
        if isinstance(self.error, LoginRefused):
            self.log.error("{name}: not called again until the password is mended and this "
                           "service restarted", name=self.name)  # fmt: skip
            return
        now = self._now()
        last = None
        if self._past.ended is not None:
            # As long ago as it is by a clock that nobody sets.
            last = now - timedelta(seconds=self._reactor.seconds() - self._past.ended)
        self.due = self.config.schedule.next(now, last, self._past.battery)
        if self.due is None:
            return
        left = (self.due - now).total_seconds()
        if left <= 0:
            self.visit_now()
        else:
            self._tell_when(self.due)
            self._next = self._reactor.callLater(min(left, LOOK), self._plan)

    def _tell_when(self, due: datetime) -> None:
        """Once for each visit, however often it is looked whether it is due."""
        if self._told is None or abs(due - self._told) > timedelta(minutes=1):
            self._told = due
            self.log.info("{name}: next visit {due:%Y-%m-%d %H:%M}", name=self.name,
                          due=due.astimezone())  # fmt: skip

    def _tell(self, report: SyncReport) -> None:
        self.log.info(
            "{name}: {new} new, {skipped} here already, {failed} failed, in {seconds:.1f} s",
            name=self.name, new=report.new, skipped=report.skipped, failed=report.failed,
            seconds=report.seconds,
        )  # fmt: skip

    def _complain(self, failure: Failure) -> None:
        if failure.check(TrailcamError):
            self.log.error("{name}: {why}", name=self.name, why=str(failure.value))
        elif not failure.check(CancelledError):
            self.log.failure("{name}: a visit ended in a fault of ours", failure, name=self.name)

    def _now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self._wall_clock())


@dataclass(frozen=True)
class _Past:
    """
    What of earlier visits decides when the next is due.

    @ivar ended: when the last one ended, in the reactor's seconds; C{None}: never.
    @ivar battery: the camera's, in percent; C{None} where it is not known.
    """

    ended: float | None = None
    battery: int | None = None
