"""The pump: one timer, events handed out one by one, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from trailcam.pump import Pump
from trailcam.session.events import Closed, CloseReason, Event, Opened, Received
from trailcam.session.session import ACCEPTED, CLOSE_COPIES, Session
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY


class OneTimerClock(Clock):
    """
    A clock that counts, and refuses a second timer.

    @ivar armed: how often a timer was set.
    """

    armed = 0

    def callLater(self, when: float, what: Callable[..., object], *a: Any, **kw: Any) -> Any:
        assert not self.getDelayedCalls(), "a second timer"
        self.armed += 1
        return super().callLater(when, what, *a, **kw)


class PumpTests(TestCase):
    """L{Pump}, as a client's, with a camera played by hand."""

    def setUp(self) -> None:
        self.clock = OneTimerClock()
        self.written: list[pppp.Datagram] = []
        self.events: list[Event] = []
        self.pump = Pump(self.clock, Session(0.0), self.write, self.handle)
        self.on_event: Callable[[Event], None] = lambda event: None

    def tearDown(self) -> None:
        """Whatever happened, nothing is left after the end."""
        self.pump.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def write(self, datagram: bytes) -> None:
        self.written.append(pppp.decode(datagram))

    def handle(self, event: Event) -> None:
        self.events.append(event)
        self.on_event(event)

    def hear(self, *values: pppp.Datagram) -> None:
        """The camera says these."""
        for value in values:
            self.pump.receive(pppp.encode(value))

    def open(self) -> None:
        """Connect, and be accepted; what was written and told is forgotten."""
        self.pump.connect()
        self.hear(pppp.P2PRdy(FAMILY), pppp.Drw(0, 0, ACCEPTED))
        self.written.clear()
        self.events.clear()

    def test_nothing_before_connect(self) -> None:
        """A pump that was only made sets no timer and writes nothing."""
        self.assertEqual((self.clock.getDelayedCalls(), self.written), ([], []))

    def test_handshake(self) -> None:
        """It punches, hands out events in order, and acknowledges when the timer says so."""
        self.pump.connect()
        self.assertEqual(self.written, [pppp.PunchPkt(FAMILY)])
        self.hear(pppp.Drw(0, 0, ACCEPTED))
        self.assertEqual(self.events, [Opened(), Received(0, ACCEPTED)])
        self.clock.advance(0.011)
        self.assertEqual(self.written[1:], [pppp.DrwAck(0, (0,))])

    def test_alive(self) -> None:
        """The timer goes on by itself while the session lives."""
        self.open()
        for _ in range(60):
            self.clock.advance(0.1)
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.written.count(pppp.Alive()), 5)

    def test_lazy(self) -> None:
        """Under a steady stream the timer is set far less often than datagrams come."""
        self.open()
        before = self.clock.armed
        for index in range(1, 1001):
            self.hear(pppp.Drw(0, index, b"x"))
            self.clock.advance(0.001)
            self.assertLessEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertLess(self.clock.armed - before, 1000 / 8)
        self.assertEqual(len(self.events), 1000)

    def test_earlier_deadline(self) -> None:
        """A deadline that comes nearer brings the timer forward."""
        self.open()
        self.clock.advance(0.5)
        self.hear(pppp.Drw(0, 1, b"x"))
        [timer] = self.clock.getDelayedCalls()
        self.assertAlmostEqual(timer.getTime() - self.clock.seconds(), 0.010)

    def test_late_timer(self) -> None:
        """A reactor that was held up for seconds catches up in one call, without a flood."""
        self.open()
        self.clock.advance(0.02)
        self.written.clear()
        self.clock.advance(4.0)
        self.assertEqual(self.written, [pppp.Alive()])

    def test_send_within_handler(self) -> None:
        """A handler that sends is not called again before it returns; what it sent goes out."""
        depth: list[Event] = []

        def answer(event: Event) -> None:
            self.assertEqual(depth, [], "handlers are not nested")
            depth.append(event)
            if isinstance(event, Received):
                self.pump.send(0, b"answer to " + event.data)
            depth.clear()

        self.on_event = answer
        self.pump.connect()
        self.hear(pppp.Drw(0, 2, b"two"), pppp.Drw(0, 0, ACCEPTED))
        self.hear(pppp.Drw(0, 2, b"two"), pppp.Drw(0, 1, b"one"))
        sent = [value.data for value in self.written if isinstance(value, pppp.Drw)]
        self.assertEqual(sent, [b"answer to ACK", b"answer to onetwo"])

    def test_receive_within_handler(self) -> None:
        """Even a datagram that arrives within a handler is dealt with in its turn."""
        self.open()

        def more(event: Event) -> None:
            if event == Received(0, b"1"):
                self.hear(pppp.Drw(0, 2, b"2"))
                self.assertEqual(len(self.events), 1)

        self.on_event = more
        self.hear(pppp.Drw(0, 1, b"1"))
        self.assertEqual(self.events, [Received(0, b"1"), Received(0, b"2")])

    def test_pause_and_resume(self) -> None:
        """What a pause held back is handed out on resuming."""
        self.open()
        self.pump.pause(1)
        self.hear(pppp.Drw(1, 0, b"a"), pppp.Drw(1, 1, b"b"))
        self.assertEqual(self.events, [])
        self.pump.resume(1)
        self.assertEqual(self.events, [Received(1, b"ab")])

    def test_ends_by_itself(self) -> None:
        """When the session falls silent it says so, and no timer is left."""
        self.open()
        for _ in range(80):
            self.clock.advance(0.1)
        self.assertEqual(self.events, [Closed(CloseReason.SILENT)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_by_peer(self) -> None:
        """The same after the camera's CLOSE; what comes later is not looked at."""
        self.open()
        self.hear(pppp.Close(), pppp.Drw(0, 1, b"late"), pppp.Alive())
        self.assertEqual(self.events, [Closed(CloseReason.PEER)])
        self.assertEqual(self.written, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close(self) -> None:
        """Closing writes CLOSE and tells so, once; no timer is left."""
        self.open()
        self.pump.close()
        self.pump.close()
        self.assertEqual(self.written, [pppp.Close()] * CLOSE_COPIES)
        self.assertEqual(self.events, [Closed(CloseReason.LOCAL)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_within_handler(self) -> None:
        """A handler that closes finds CLOSE written when it gets back: its port may go then."""
        self.open()
        counts: list[int] = []

        def close(event: Event) -> None:
            if isinstance(event, Received):
                self.pump.close()
                counts.append(self.written.count(pppp.Close()))

        self.on_event = close
        self.hear(pppp.Drw(0, 1, b"x"))
        self.assertEqual(counts, [CLOSE_COPIES])
        self.assertEqual(self.events, [Received(0, b"x"), Closed(CloseReason.LOCAL)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_end_within_handler(self) -> None:
        """A session that ends while a handler runs is told after it; sending then does nothing."""
        self.open()

        def end(event: Event) -> None:
            if isinstance(event, Received):
                self.hear(pppp.Close())
            self.pump.send(0, b"too late")

        self.on_event = end
        self.hear(pppp.Drw(0, 1, b"x"))
        self.assertEqual(self.events, [Received(0, b"x"), Closed(CloseReason.PEER)])
        self.assertEqual(self.written, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drop(self) -> None:
        """A session that is dropped writes nothing, tells nothing, and has no timer."""
        self.open()
        self.pump.drop()
        self.hear(pppp.Drw(0, 1, b"x"), pppp.Alive())
        self.pump.send(0, b"x")
        self.clock.advance(20.0)
        self.assertEqual((self.written, self.events), ([], []))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_drop_within_handler(self) -> None:
        """The same when a handler drops it: what is left is neither told nor written."""
        self.open()
        self.hear(pppp.Drw(1, 1, b"second"))
        self.on_event = lambda event: self.pump.drop()
        self.pump.receive(*map(pppp.encode, (pppp.Drw(2, 0, b"first"), pppp.Drw(1, 0, b"x"))))
        self.assertEqual(self.events, [Received(2, b"first")])
        self.clock.advance(20.0)
        self.assertEqual(self.written, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_handler_fails(self) -> None:
        """A handler that raises is heard of, and the session lives on: timer and all."""
        self.open()
        self.clock.advance(1.02)
        self.written.clear()

        def fail(event: Event) -> None:
            self.on_event = lambda event: None
            raise ZeroDivisionError

        self.on_event = fail
        self.assertRaises(ZeroDivisionError, self.hear, pppp.Drw(0, 1, b"a"))
        self.clock.advance(0.011)
        self.assertEqual(self.written, [pppp.DrwAck(0, (1,))])
        self.hear(pppp.Drw(0, 2, b"b"))
        self.assertEqual(self.events, [Received(0, b"a"), Received(0, b"b")])
