"""
The radios of this station, as Twisted sees them: for one camera at a time.

Nothing is loaded, and no thread started, before a radio is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, maybeDeferred, succeed
from twisted.internet.task import deferLater

from trailcam.errors import RadioError
from trailcam.locks import FileLock, Held
from trailcam.logs import make_logger
from trailcam.radio.background import Background

if TYPE_CHECKING:
    from trailcam.radio.bluetooth import Candidate, Patience, WakeTarget
    from trailcam.radio.wifi import Joined, Limits, Wifi
    from trailcam.wire.wakeup import Access

__all__ = ["Radios", "lock_path"]

Result = TypeVar("Result")


def lock_path(state: Path) -> Path:
    """The lock that whoever uses the radios holds."""
    return state / "locks" / "radios.lock"


class Radios:
    """
    Bluetooth and Wi-Fi. Several cameras share them: each waits for its L{turn}.

    Every method fails with L{RadioError <trailcam.errors.RadioError>}, which says what to do.

    @ivar turn: held by who uses the radios.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        *,
        state: Path | None = None,
        what: str = "",
        waits: float = 0.0,
        patience: Patience | None = None,
        limits: Limits | None = None,
    ) -> None:
        """
        @param reactor: provides C{IReactorThreads} and C{getThreadPool}.
        @param state: the folder where programs see that the radios are in use.
        @param what: uses them, as those programs are told; empty for this program's name.
        @param waits: so many seconds, while another program uses them.
        @param patience: how long Bluetooth may take; C{None}: as long as it is usual.
        @param limits: likewise for Wi-Fi.
        """
        self._reactor = reactor
        self._patience = patience
        self._limits = limits
        self._background: Background | None = None
        self._wifi: Wifi | None = None
        self._lock = FileLock(lock_path(state), what) if state is not None else None
        self._waits = waits
        self.turn = DeferredLock()

    def borrow(self, work: Callable[[], Deferred[Result]]) -> Deferred[Result]:
        """
        Do something with the radios, once it is our turn, and nobody else's in another program.

        @return: fires with what C{work} does; fails with L{RadioError} when another program
            uses them.
        """

        async def alone() -> Result:
            await self._take()
            try:
                return await maybeDeferred(work)
            finally:
                await self._give_back()

        return self.turn.run(lambda: Deferred.fromCoroutine(alone()))

    def scan(self, seconds: float = 10.0, everything: bool = False) -> Deferred[list[Candidate]]:
        """Which Bluetooth devices are near. See L{Bluetooth.scan
        <trailcam.radio.bluetooth.Bluetooth.scan>}."""
        from trailcam.radio.bluetooth import Bluetooth

        bluetooth = Bluetooth(self._patience, self._tell)
        return self._run(bluetooth.scan(seconds, everything))

    def wake(self, which: WakeTarget) -> Deferred[Access]:
        """Wake a camera; fires with the network that it opens."""
        from trailcam.radio.bluetooth import Bluetooth

        bluetooth = Bluetooth(self._patience, self._tell)
        return self._run(bluetooth.wake(which))

    def join(
        self, ssid: str, passphrase: str, bssid: str | None = None, device: str | None = None
    ) -> Deferred[Joined]:
        """
        Join a network, as soon as it is there.

        @param bssid: the one access point, if it is known.
        @param device: the Wi-Fi device, like C{wlan1}; C{None}: an idle one, else the only one.
        """
        self.log.info("waiting for the network {ssid}", ssid=ssid)
        return self._run(self._ready_wifi().join(ssid, bssid, passphrase, device))

    def lasts(self) -> Deferred[None]:
        """Fires when the network that was joined is there no more."""
        return self._run(self._ready_wifi().lasts())

    def leave(self) -> Deferred[None]:
        """Leave what L{join} joined, also half; the network from before is joined again."""
        if self._wifi is None:
            return succeed(None)

        def warn(warning: str | None) -> None:
            if warning:
                self.log.warn("{warning}", warning=warning)

        return self._run(self._wifi.leave()).addCallback(warn)

    def close(self) -> Deferred[None]:
        """End the thread that they run in."""
        background, self._background = self._background, None
        self._wifi = None
        return succeed(None) if background is None else background.close()

    async def _take(self) -> None:
        end = self._reactor.seconds() + self._waits
        while self._lock is not None:
            try:
                self._lock.path.parent.mkdir(parents=True, exist_ok=True)
                self._lock.acquire()
                return
            except Held as held:
                if self._reactor.seconds() >= end:
                    raise RadioError(
                        f"the radios are in use by {held.holder}: wait until it is done, or stop it"
                    ) from None
            except OSError as error:
                self.log.debug("cannot lock the radios: {error}", error=str(error))
                return
            await deferLater(self._reactor, 1.0)

    async def _give_back(self) -> None:
        try:
            if self._background is not None:
                await self._background.run(_nothing())  # after what was cancelled has tidied up
        finally:
            if self._lock is not None:
                self._lock.release()

    def _ready_wifi(self) -> Wifi:
        from trailcam.radio.wifi import Wifi

        if self._wifi is None:
            self._wifi = Wifi(self._limits)
        return self._wifi

    def _run(self, work: Any) -> Deferred[Any]:
        if self._background is None:
            self._background = Background(self._reactor)
        return self._background.run(work)

    def _tell(self, text: str) -> None:
        """From the other thread."""
        self._reactor.callFromThread(lambda: self.log.info("{text}", text=text))


async def _nothing() -> None:
    """What a L{Background} does when all that was cancelled is over."""
