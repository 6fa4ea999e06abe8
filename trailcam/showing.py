"""
A camera's live view for viewers who come and go: the first one brings the camera, and some
seconds after the last one has left it is let go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as TwistedTimeout
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from trailcam.config import CameraConfig
from trailcam.errors import (
    CameraBusy,
    CameraLost,
    LiveViewOver,
    NetworkVanished,
    NoCameraAnswered,
    TrailcamError,
)
from trailcam.livehub import LiveHub
from trailcam.liveview import LiveCamera
from trailcam.logs import make_logger
from trailcam.playback import LiveFrames
from trailcam.radio.station import Radios
from trailcam.stay import ARRIVING, LEAVING, Stay
from trailcam.waiting import when_over
from trailcam.worker import Worker

__all__ = ["LINGER", "PHASES", "Showing"]

#: What a live view goes through; the first two only where a radio is used.
PHASES = (*ARRIVING, "showing", LEAVING)
#: So many seconds after the last viewer the camera is let go: reloading a page costs no waking.
LINGER = 5.0


class Showing:
    """
    Has the camera stay for as long as somebody watches. To the hub it is the camera.

    @ivar hub: shows the live view.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        camera: LiveCamera,
        config: CameraConfig,
        radios: Radios,
        *,
        make_stay: Callable[[], Stay],
        why_not: Callable[[], str | None] = lambda: None,
        worker: Worker | None = None,
    ) -> None:
        """
        @param make_stay: gives a new stay with C{camera}.
        @param why_not: why the camera may not be brought now, for a person; C{None} if it may.
        @param worker: draws the pictures of L{LiveHub.still}.
        """
        self._reactor = reactor
        self._camera = camera
        self._config = config
        self._radios = radios
        self._make_stay = make_stay
        self._why_not = why_not
        self._stay: Stay | None = None
        self._staying: Deferred[None] | None = None
        # Pending as long as the camera may be shown; C{None} while it is not there.
        self._lasting: Deferred[None] | None = None
        self._let_go = False
        self._waiting: list[Deferred[None]] = []
        self._lingering: IDelayedCall | None = None
        self.hub = LiveHub(reactor, self, worker=worker, stopped=self._stopped)

    def live(self) -> Deferred[LiveFrames]:
        """
        For the hub: start the live view, and have the camera brought if it is not there.

        @return: fails with L{CameraBusy} when that may not be, and with what is in the way.
        """
        return Deferred.fromCoroutine(self._live())

    @property
    def stays(self) -> bool:
        """Whether the camera is here, or is being brought or let go."""
        return self._staying is not None

    def over(self) -> Deferred[None]:
        """Fires when the camera has been let go."""
        return succeed(None) if self._staying is None else when_over(self._staying)

    def close(self) -> Deferred[None]:
        """End it for all viewers; fires when the camera was told and the radios are put back."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        # The camera's answer is not waited for: that it is let go of ends the view as well.
        closed = self.hub.close()
        self._leave()
        await self.over()
        await closed

    # -- coming ------------------------------------------------------------

    async def _live(self) -> LiveFrames:
        self._stop_lingering()
        if self._is_leaving:
            self._check()
            await self.over()
        if self._lasting is None:
            await self._arrival()
        return await self._camera.live()

    def _arrival(self) -> Deferred[None]:
        """Fires when the camera is there; it is brought, if it is not on its way."""
        arrival: Deferred[None] = Deferred()
        if self._staying is None:
            self._check()
        self._waiting.append(arrival)
        if self._staying is None:
            self._stay = self._make_stay()
            self._staying = self._stay.make(self._show)
            self._staying.addBoth(self._left)
        return arrival

    def _check(self) -> None:
        if (why := self._why_not()) is not None:
            raise CameraBusy(why)

    @property
    def _is_leaving(self) -> bool:
        return self._let_go or (self._stay is not None and self._stay.phase == LEAVING)

    # -- being there -------------------------------------------------------

    async def _show(self) -> None:
        """What the stay is for: hold the session until it is enough."""
        assert self._stay is not None
        self._stay.enter("showing")
        self._lasting = self._until_it_vanishes().addTimeout(self._config.live_limit, self._reactor)
        self._tell(None)
        why: TrailcamError
        try:
            await self._lasting
            why = NetworkVanished(
                "the camera's Wi-Fi is gone: it sleeps, or is too far; start the live view again"
            )
        except TwistedTimeout:
            why = LiveViewOver(_limit_text(self._config.live_limit))
        except TrailcamError as error:
            why = error
        self._let_go = True
        self.log.info("{name}: {why}", name=self._config.name, why=str(why))
        self.hub.close(why)

    def _until_it_vanishes(self) -> Deferred[None]:
        """Fires when the camera's network is there no more, if we have joined one."""
        return Deferred() if self._config.wifi is None else self._radios.lasts()

    # -- going -------------------------------------------------------------

    def _stopped(self, why: Failure | None) -> None:
        """Nobody watches any more, or nobody can."""
        if self._staying is None or self._is_leaving:
            return
        if why is not None:
            self._leave()
        else:
            self._stop_lingering()
            self._lingering = self._reactor.callLater(LINGER, self._leave)

    def _leave(self) -> None:
        """Let the camera go, wherever it is."""
        self._stop_lingering()
        if self._staying is None:
            return
        self._let_go = True
        # Not the stay itself where it can be helped: this may be called from within.
        (self._staying if self._lasting is None else self._lasting).cancel()

    def _stop_lingering(self) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()

    def _left(self, result: Failure | None) -> None:
        self._stop_lingering()
        self._stay = self._staying = self._lasting = None
        self._let_go = False
        if not isinstance(result, Failure) or result.check(CancelledError):
            result = Failure(CameraLost("the live view was closed"))  # nobody waits, as a rule
        elif result.check(TrailcamError):
            self.log.warn("{name}: no live view: {why}", name=self._config.name,
                          why=result.getErrorMessage())  # fmt: skip
            if result.check(CameraLost):
                # The view would take that for a session to be had again; this camera is not.
                result = Failure(NoCameraAnswered(result.getErrorMessage()))
        else:
            self.log.failure("the live view ended in a fault of ours", result)
        self._tell(result)

    def _tell(self, result: Failure | None) -> None:
        """Tell those who wait for the camera."""
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.called:  # else it was given up
                each.callback(result)


def _limit_text(seconds: float) -> str:
    minutes = f"{seconds / 60:g} minute{'' if seconds == 60 else 's'}"
    return f"the live view ended after {minutes}, to spare the battery: start it again"
