"""Where a L{Session} meets a reactor's clock: one pump, one timer."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from trailcam.session.events import Event
from trailcam.session.session import Session

__all__ = ["Pump"]


class Pump:
    """
    Drives one session: after anything happens it writes what is to be sent,
    hands out events, and re-arms its timer.

    Used on both sides: by the client's protocol and by the simulated camera.
    """

    def __init__(
        self,
        clock: IReactorTime,
        session: Session,
        write: Callable[[bytes], None],
        handle: Callable[[Event], None],
    ) -> None:
        self._clock = clock
        self._write = write
        self._handle = handle
        self._timer: IDelayedCall | None = None
        self._running = self._dropped = False
        self.session = session

    def connect(self, *, ready: bool = False) -> None:
        """Begin as the client. See L{Session.connect}."""
        self.session.connect(self._clock.seconds(), ready=ready)
        self._run()

    def receive(self, *datagrams: bytes) -> None:
        """Datagrams came from the other side, together."""
        self.session.receive_datagrams(datagrams, self._clock.seconds())
        self._run()

    def send(self, channel: int, data: bytes) -> None:
        """Send bytes on a channel. See L{Session.send}."""
        self.session.send(channel, data, self._clock.seconds())
        self._run()

    def pause(self, channel: int) -> None:
        """Read no more of a channel. See L{Session.pause}."""
        self.session.pause(channel)

    def resume(self, channel: int) -> None:
        """Go on reading a channel."""
        self.session.resume(channel, self._clock.seconds())
        self._run()

    def close(self) -> None:
        """End the session and say so; nothing is heard of it afterwards but L{Closed}."""
        self.session.close(self._clock.seconds())
        self._write_all()  # at once: a handler that calls us may give the port back next
        self._run()

    def drop(self) -> None:
        """Forget the session without a word."""
        self._dropped = True
        self._stop_timer()

    def _run(self) -> None:
        if self._running:  # a handler has called us: the loop below goes on for it
            return
        self._running = True
        try:
            while not self._dropped:
                self._write_all()
                event = self.session.next_event()
                if event is None:
                    break
                self._handle(event)
        finally:  # also when a handler fails: the session lives on
            self._running = False
            self._arm()

    def _write_all(self) -> None:
        for datagram in self.session.datagrams_to_send():
            self._write(datagram)

    def _arm(self) -> None:
        deadline = None if self._dropped else self.session.next_timer()
        if deadline is None:
            self._stop_timer()
        elif self._timer is None:
            delay = max(0.0, deadline - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._timed)
        elif deadline < self._timer.getTime():
            # A later deadline needs nothing: the timer fires early and is set again.
            self._timer.reset(max(0.0, deadline - self._clock.seconds()))

    def _timed(self) -> None:
        self._timer = None
        self.session.handle_timer(self._clock.seconds())
        self._run()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
