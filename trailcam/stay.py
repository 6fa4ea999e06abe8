"""
A stay with a camera: wake it, join its network, log in, do something, and let it sleep again.

A stay is a coroutine, and that is its state machine: each state is a line of
L{Stay._work}, and whatever ends it, at whatever line, leads through
L{Stay._leave}, which says CLOSE and puts the radios back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from trailcam.client import Camera
from trailcam.config import CameraConfig
from trailcam.errors import NetworkVanished, RadioError
from trailcam.happenings import Happening, PhaseBegan
from trailcam.logs import make_logger
from trailcam.radio.station import Radios
from trailcam.waiting import to_the_end

__all__ = ["ARRIVING", "LEAVING", "Stay"]

Result = TypeVar("Result")

#: What a stay begins with; the first two only where a radio is used.
ARRIVING = ("waking", "joining", "connecting", "login")
#: And what it ends with.
LEAVING = "leaving"


class Stay:
    """
    One stay. It is made once, with L{make}.

    @ivar phase: what it is at; C{None} before and after.
    @ivar phases: how many seconds each phase took, those that are over.
    @ivar awake: how many seconds the camera was awake; known once it was left.
    @ivar began: when it began, in UTC.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        camera: Camera,
        config: CameraConfig,
        radios: Radios,
        *,
        connected: Callable[[Camera], None] = lambda camera: None,
        tell: Callable[[Happening], None] = lambda what: None,
        wall_clock: Callable[[], float],
    ) -> None:
        """
        @param connected: is told when a session stands.
        @param tell: is told what happens; it must not raise.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self._reactor = reactor
        self._camera = camera
        self._config = config
        self._radios = radios
        self._connected = connected
        self._tell = tell
        self._wall_clock = wall_clock
        self._phase_began = 0.0
        self._awake_since: float | None = None
        self.phase: str | None = None
        self.phases: dict[str, float] = {}
        self.awake = 0.0
        self.began = self.now()

    def make(
        self, work: Callable[[], Awaitable[Result]], budget: float | None = None
    ) -> Deferred[Result]:
        """
        Make it, as soon as it is this camera's turn to use the radios.

        @param work: what is done there, once we are logged in.
        @param budget: so many seconds it may take until it is left; C{None}: as long as it does.
        @return: fires with what C{work} gives; fails with what was in the way, Twisted's
            C{TimeoutError} for the budget, once the camera was told and the radios are as they
            were. May be cancelled; leaving is not cut short.
        """

        def whole() -> Deferred[Result]:
            self.began = self.now()
            return Deferred.fromCoroutine(self._run(work, budget))

        if self._config.wake is None and self._config.wifi is None:
            return whole()
        return self._radios.borrow(whole)

    def enter(self, phase: str | None) -> None:
        """Come to the next phase, and tell."""
        now = self._reactor.seconds()
        if self.phase is not None:
            spent = self.phases.get(self.phase, 0.0) + now - self._phase_began
            self.phases[self.phase] = round(spent, 3)
        self.phase, self._phase_began = phase, now
        self._tell(PhaseBegan(self._config.name, phase, self.now()))

    def now(self) -> datetime:
        """By the clock on the wall."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=self._wall_clock())

    async def _run(self, work: Callable[[], Awaitable[Result]], budget: float | None) -> Result:
        try:
            working = Deferred.fromCoroutine(self._work(work))
            if budget is not None:
                working.addTimeout(budget, self._reactor)
            return await working
        finally:
            self.enter(LEAVING)
            await to_the_end(Deferred.fromCoroutine(self._leave()))
            self.enter(None)

    async def _work(self, work: Callable[[], Awaitable[Result]]) -> Result:
        await self._reach()
        self.enter("connecting")
        await self._camera.connect()
        self._wakes()
        self._connected(self._camera)
        self.enter("login")
        await self._camera.login()
        return await work()

    async def _leave(self) -> None:
        try:
            await self._camera.close()
        finally:
            if self._awake_since is not None:
                self.awake = self._reactor.seconds() - self._awake_since
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

        self.enter("waking")
        access = await self._radios.wake(WakeTarget.parse(config.wake))
        self._wakes()
        return access.ssid, access.passphrase, access.bssid

    async def _join(self, ssid: str, passphrase: str, bssid: str | None) -> None:
        if self._config.wifi is None:
            return
        self.enter("joining")
        joined = await self._radios.join(ssid, passphrase, bssid, self._config.wifi or None)
        self.log.info("in {ssid} with {device}, as {address}", ssid=joined.ssid,
                      device=joined.interface, address=joined.address)  # fmt: skip
        self._camera.call_from(joined.address)

    def _wakes(self) -> None:
        if self._awake_since is None:
            self._awake_since = self._reactor.seconds()
