"""
One visit to a camera: wake it, join its network, fetch what is new, and let it sleep again.

The visit is a coroutine, and that is its state machine: each state is a line of
L{CameraVisit._work}, and whatever ends it, at whatever line, leads through
L{CameraVisit._leave}, which says CLOSE and puts the radios back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TwistedTimeout
from twisted.python.failure import Failure

from trailcam.client import Camera
from trailcam.commands import DeviceInformation, MediaFile, optional_integer
from trailcam.config import CameraConfig
from trailcam.errors import CameraLost, NetworkVanished, RadioError
from trailcam.happenings import Happening, NewMedia, PhaseBegan, Transferring
from trailcam.library import Library, StoredFile
from trailcam.library.sync import Observer, SyncReport, sync
from trailcam.library.visits import Outcome, Visit
from trailcam.logs import make_logger
from trailcam.radio.station import Radios
from trailcam.waiting import to_the_end

__all__ = ["PHASES", "CameraVisit"]

#: What a visit goes through; the first two only where a radio is used.
PHASES = ("waking", "joining", "connecting", "login", "information", "syncing", "leaving")

#: While nothing else happens, it is told so often, in seconds, how far the transfer is.
TELL = 0.5


class CameraVisit:
    """
    One visit. It is made once, with L{begin}.

    @ivar report: what came home so far.
    """

    log = make_logger(__name__)

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
        self._radios = radios
        self._observer = observer
        self._connected = connected
        self._tell = tell
        self._wall_clock = wall_clock
        self._began = self._now()
        self._phases: dict[str, float] = {}
        self._phase: str | None = None
        self._phase_began = 0.0
        self._awake_since: float | None = None
        self._awake = 0.0
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
        if self._config.wake is None and self._config.wifi is None:
            return self._whole()
        return self._radios.borrow(self._whole)

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
            self._began,
            self._now(),
            outcome,
            why,
            self._phases,
            self._awake,
            self.report.transferring,
            self.report.bytes,
            self.report.new,
            self.report.failed,
            said.battery_percent if said else None,
            said.card_free_mb if said else None,
            said.temperature if said else None,
            self._drift,
        )

    def _whole(self) -> Deferred[SyncReport]:
        self._began = self._now()
        return Deferred.fromCoroutine(self._run())

    def _within_budget(self) -> Deferred[SyncReport]:
        budget = self._config.budget

        def over(failure: Failure) -> Failure:
            if not failure.check(TwistedTimeout):
                return failure
            text = f"the visit took more than its budget of {budget / 60:g} minutes"
            return Failure(CameraLost(text))

        working = Deferred.fromCoroutine(self._work())
        working.addTimeout(budget, self._reactor)
        return working.addErrback(over)

    async def _run(self) -> SyncReport:
        try:
            return await self._within_budget()
        finally:
            self._enter("leaving")
            await to_the_end(Deferred.fromCoroutine(self._leave()))
            self._enter(None)

    async def _work(self) -> SyncReport:
        await self._reach()
        self._enter("connecting")
        await self._camera.connect()
        self._wakes()
        self._connected(self._camera)
        self._count_bytes()
        self._enter("login")
        await self._camera.login()
        self._enter("information")
        return await sync(
            self._reactor,
            self._camera,
            self._library,
            self,
            self._config.zone,
            report=self.report,
            clear=self._config.after_visit == "delete",
        )

    async def _leave(self) -> None:
        self._camera.progress = self._progress
        try:
            await self._camera.close()
        finally:
            if self._awake_since is not None:
                self._awake = self._reactor.seconds() - self._awake_since
            if self._config.wifi is not None:
                await self._leave_network()

    async def _leave_network(self) -> None:
        try:
            await self._radios.leave()
        except RadioError as error:
            # What came home is home, and what went wrong before is worth more to know.
            self.log.warn("{name}: {why}", name=self._config.name, why=str(error))

    # -- the radios --------------------------------------------------------

    async def _reach(self) -> None:
        """Wake the camera and join its network, as far as that is needed."""
        again = self._config.wake is not None and self._config.wifi is not None
        while True:
            network = await self._wake()
            try:
                await self._join(*network)
                return
            except NetworkVanished as error:
                if not again:
                    raise
                # The camera may have gone to sleep again meanwhile, or have failed to wake.
                again = False
                self.log.info("{why}; waking it once more", why=str(error))

    async def _wake(self) -> tuple[str, str, str | None]:
        """Wake it; its network's name, passphrase and address, as far as it has one to join."""
        config = self._config
        if config.wake is None:
            return config.network or "", config.network_password, None
        from trailcam.radio.bluetooth import WakeTarget

        self._enter("waking")
        access = await self._radios.wake(WakeTarget.parse(config.wake))
        self._wakes()
        return access.ssid, access.passphrase, access.bssid

    async def _join(self, ssid: str, passphrase: str, bssid: str | None) -> None:
        if self._config.wifi is None:
            return
        self._enter("joining")
        joined = await self._radios.join(ssid, passphrase, bssid, self._config.wifi or None)
        self.log.info("in {ssid} with {device}, as {address}", ssid=joined.ssid,
                      device=joined.interface, address=joined.address)  # fmt: skip
        self._camera.call_from(joined.address)

    def _wakes(self) -> None:
        if self._awake_since is None:
            self._awake_since = self._reactor.seconds()

    # -- what is told ------------------------------------------------------

    def _enter(self, phase: str | None) -> None:
        now = self._reactor.seconds()
        if self._phase is not None:
            spent = self._phases.get(self._phase, 0.0) + now - self._phase_began
            self._phases[self._phase] = round(spent, 3)
        self._phase, self._phase_began = phase, now
        self._tell(PhaseBegan(self._config.name, phase, self._now()))

    def informed(self, information: DeviceInformation) -> None:
        """See L{Observer.informed <trailcam.library.sync.Observer.informed>}."""
        self._information = information
        shown = optional_integer(information.fields, "timeUTC")
        if shown is not None:
            # Its wall clock, counted as if it were UTC (PROTOCOL, "Times are local").
            local = self._now().astimezone(self._config.zone).replace(tzinfo=UTC)
            self._drift = float(shown - int(local.timestamp()))
        self._enter("syncing")
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

    def _now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self._wall_clock())
