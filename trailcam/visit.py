"""
One visit to a camera: a stay with it that brings home what is new.

A visit is a coroutine, and that is its state machine, as L{trailcam.stay} says:
what a visit adds to a stay is L{CameraVisit._work}.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TwistedTimeout
from twisted.python.failure import Failure

from trailcam.client import Camera
from trailcam.commands import DeviceInformation, MediaFile, optional_integer
from trailcam.config import CameraConfig
from trailcam.errors import CameraLost
from trailcam.happenings import Happening, NewMedia, Transferring
from trailcam.library import Library, StoredFile
from trailcam.library.sync import Observer, SyncReport, sync
from trailcam.library.visits import Outcome, Visit
from trailcam.radio.station import Radios
from trailcam.stay import ARRIVING, LEAVING, Stay

__all__ = ["PHASES", "CameraVisit"]

#: What a visit goes through; the first two only where a radio is used.
PHASES = (*ARRIVING, "information", "syncing", LEAVING)

#: While nothing else happens, it is told so often, in seconds, how far the transfer is.
TELL = 0.5


class CameraVisit:
    """
    One visit. It is made once, with L{begin}.

    @ivar report: what came home so far.
    """

    def __init__(
        self,
        reactor: Any,
        camera: Camera,
        config: CameraConfig,
        library: Library,
        radios: Radios,
        observer: Observer,
        *,
        connected: Callable[[Camera], None] = lambda camera: None,
        tell: Callable[[Happening], None] = lambda what: None,
        wall_clock: Callable[[], float],
    ) -> None:
        """
        @param library: open.
        @param observer: is told of every file.
        @param connected: is told when a session stands.
        @param tell: is told what happens; it must not raise.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self._reactor = reactor
        self._camera = camera
        self._config = config
        self._library = library
        self._observer = observer
        self._tell = tell
        self._stay = Stay(reactor, camera, config, radios, connected=connected, tell=tell,
                          wall_clock=wall_clock)  # fmt: skip
        self._information: DeviceInformation | None = None
        self._drift: float | None = None
        # How far the transfer is.
        self._progress = camera.progress
        self._done = self._total = self._received = 0
        self._told_at = 0.0
        self.report = SyncReport()

    def begin(self) -> Deferred[SyncReport]:
        """
        Make it, as soon as it is this camera's turn to use the radios.

        @return: fires with what came home; fails with what was in the way, once the camera was
            told and the radios are as they were. May be cancelled; leaving is not cut short.
        """
        budget = self._config.budget

        def over(failure: Failure) -> Failure:
            if not failure.check(TwistedTimeout):
                return failure
            text = f"the visit took more than its budget of {budget / 60:g} minutes"
            return Failure(CameraLost(text))

        return self._stay.make(self._work, budget).addErrback(over)

    def record(self, result: SyncReport | Failure) -> Visit:
        """
        What is to be remembered of it.

        @param result: what L{begin} fired with.
        """
        outcome: Outcome = "ok"
        why = None
        if isinstance(result, Failure):
            outcome = "interrupted" if result.check(CancelledError) else "failed"
            why = None if outcome == "interrupted" else result.getErrorMessage()
        said = self._information
        return Visit(
            self._config.name,
            self._stay.began,
            self._stay.now(),
            outcome,
            why,
            self._stay.phases,
            self._stay.awake,
            self.report.transferring,
            self.report.bytes,
            self.report.new,
            self.report.failed,
            said.battery_percent if said else None,
            said.card_free_mb if said else None,
            said.temperature if said else None,
            self._drift,
        )

    async def _work(self) -> SyncReport:
        self._count_bytes()
        try:
            self._stay.enter("information")
            return await sync(
                self._reactor,
                self._camera,
                self._library,
                self,
                self._config.zone,
                report=self.report,
                clear=self._config.after_visit == "delete",
            )
        finally:
            self._camera.progress = self._progress

    # -- what is told ------------------------------------------------------

    def informed(self, information: DeviceInformation) -> None:
        """See L{Observer.informed <trailcam.library.sync.Observer.informed>}."""
        self._information = information
        shown = optional_integer(information.fields, "timeUTC")
        if shown is not None:
            # Its wall clock, counted as if it were UTC (PROTOCOL, "Times are local").
            local = self._stay.now().astimezone(self._config.zone).replace(tzinfo=UTC)
            self._drift = float(shown - int(local.timestamp()))
        self._stay.enter("syncing")
        self._observer.informed(information)

    def found(self, new: int, known: int) -> None:
        """See L{Observer.found <trailcam.library.sync.Observer.found>}."""
        self._total += new
        self._tell_transfer()
        self._observer.found(new, known)

    def stored(self, file: StoredFile) -> None:
        """See L{Observer.stored <trailcam.library.sync.Observer.stored>}."""
        self._done += 1
        self._tell_transfer()
        self._tell(NewMedia(self._config.name, file))
        self._observer.stored(file)

    def _count_bytes(self) -> None:
        """Hear of every byte that comes, and let who heard of it before hear of it too."""
        self._progress = told = self._camera.progress

        def received(count: int) -> None:
            told(count)
            self._received += count
            if self._reactor.seconds() >= self._told_at + TELL:
                self._tell_transfer()

        self._camera.progress = received

    def _tell_transfer(self) -> None:
        self._told_at = self._reactor.seconds()
        self._tell(Transferring(self._config.name, self._done, self._total, self._received))

    def failed(self, file: MediaFile, why: str) -> None:
        """See L{Observer.failed <trailcam.library.sync.Observer.failed>}."""
        self._observer.failed(file, why)
