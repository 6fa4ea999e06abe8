"""The two halves of a channel: what is kept, resent, put in order, and refused."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import SendBufferFull
from trailcam.session.channel import REACH, SEND_LIMIT, SPAN, WINDOW, ReceiveHalf, SendHalf
from trailcam.session.roundtrip import RoundTrip
from trailcam.session.sequence import advance
from trailcam.wire.pppp import MAX_DRW_DATA

RTT = 0.02
#: How often one channel sends again when nothing is acknowledged in time.
PROBE = 4


def indexes(pieces: Iterable[tuple[int, bytes]]) -> list[int]:
    """The indexes of what is sent."""
    return [index for index, _ in pieces]


def timeouts(first: float, seconds: float) -> int:
    """How often a time-out that doubles up to the longest passes in so many seconds."""
    number, wait, at = 0, first, first
    while at <= seconds:
        number += 1
        wait = min(wait * 2, RoundTrip.LONGEST)
        at += wait
    return number


def sent_into_nothing(half: SendHalf, now: float, seconds: float) -> list[int]:
    """What a sender sends again while nothing is acknowledged."""
    again = []
    while (due := half.next_timer()) is not None and due <= now + seconds:
        again += indexes(half.overdue(due))
    return again


class SendTests(TestCase):
    """L{SendHalf}."""

    def setUp(self) -> None:
        self.round_trip = RoundTrip()
        self.half = SendHalf(self.round_trip)

    def fill(self, datagrams: int, now: float = 0.0) -> list[int]:
        """Send so many full datagrams."""
        self.half.add(bytes(datagrams * MAX_DRW_DATA))
        return indexes(self.half.take(now))

    def test_cuts(self) -> None:
        """What is added begins in a datagram of its own, and is cut at 1024 bytes."""
        self.half.add(b"a" * 1500)
        self.half.add(b"b")
        self.assertEqual(self.half.pending, 1501)
        self.assertEqual(list(self.half.take(0.0)), [(0, b"a" * 1024), (1, b"a" * 476), (2, b"b")])
        self.assertEqual(self.half.pending, 0)

    def test_nothing_to_send(self) -> None:
        """An empty message sends nothing, and an idle sender has no timer and no stall."""
        self.half.add(b"")
        self.assertEqual(indexes(self.half.take(0.0)), [])
        self.assertIsNone(self.half.next_timer())
        self.assertIsNone(self.half.stalled_since())
        self.assertEqual(self.half.overdue(99.0), [])

    def test_window(self) -> None:
        """No more than WINDOW are unacknowledged; an acknowledgement lets the next one go."""
        self.assertEqual(self.fill(200), list(range(WINDOW)))
        self.assertEqual(indexes(self.half.take(0.0)), [])
        self.half.acknowledge([0, 1, 2], RTT)
        self.assertEqual(indexes(self.half.take(RTT)), [WINDOW, WINDOW + 1, WINDOW + 2])

    def test_span(self) -> None:
        """While the oldest is missing, none goes out SPAN or more beyond it."""
        sent = self.fill(1000)
        while fresh := [index for index in sent if index]:
            self.half.acknowledge(fresh, 0.0)
            sent = indexes(self.half.take(0.0))
        self.assertEqual(list(self.half.in_flight), [0])
        self.half.acknowledge([0], 0.0)
        self.assertEqual(indexes(self.half.take(0.0)), list(range(SPAN, SPAN + WINDOW)))

    def test_full(self) -> None:
        """More than SEND_LIMIT waiting raises, and what was taken before is kept."""
        self.half.add(bytes(SEND_LIMIT))
        self.assertRaises(SendBufferFull, self.half.add, b"x")
        self.assertEqual(self.half.pending, SEND_LIMIT)
        list(self.half.take(0.0))
        self.half.add(bytes(WINDOW * MAX_DRW_DATA))
        self.assertRaises(SendBufferFull, self.half.add, b"x")

    def test_dead_link_unmeasured(self) -> None:
        """Into a dead link go four datagrams for each doubled time-out: twelve in 5 s."""
        self.fill(100)
        again = sent_into_nothing(self.half, 0.0, 5.0)
        self.assertEqual(len(again), PROBE * timeouts(RoundTrip.INITIAL, 5.0))
        self.assertEqual(len(again), 12)
        self.assertEqual(again, list(range(12)), "the oldest first, each once")
        self.assertEqual(self.half.resent, 12)

    def test_dead_link_measured(self) -> None:
        """The same after a short round trip was measured: twenty in 5 s, no flood."""
        self.fill(1)
        self.half.acknowledge([0], 0.002)
        self.fill(100, 1.0)
        again = sent_into_nothing(self.half, 1.0, 5.0)
        self.assertEqual(len(again), PROBE * timeouts(RoundTrip.SHORTEST, 5.0))
        self.assertEqual(len(again), 20)

    def test_dead_link_one_command(self) -> None:
        """A single command goes three more times in 5 s, not every 41 ms."""
        self.half.add(b"login")
        list(self.half.take(0.0))
        self.assertEqual(sent_into_nothing(self.half, 0.0, 5.0), [0, 0, 0])

    def test_back_off_ends(self) -> None:
        """After an outage the first fresh round trip ends the back-off."""
        self.fill(1)
        sent_into_nothing(self.half, 0.0, 5.0)
        self.half.acknowledge([0], 5.0)
        self.fill(1, 6.0)
        self.half.acknowledge([1], 6.0 + RTT)
        self.fill(1, 7.0)
        self.assertAlmostEqual((self.half.next_timer() or 0.0) - 7.0, self.round_trip.timeout)

    def test_lost_one_is_found(self) -> None:
        """When one sent clearly later is acknowledged, the missing one goes again at once."""
        self.fill(3, 0.0)
        self.assertEqual(self.half.acknowledge([0, 2], RTT), [])
        self.fill(1, RTT)
        again = self.half.acknowledge([3], 2 * RTT)
        self.assertEqual(indexes(again), [1])
        self.assertEqual(self.half.resent, 1)
        self.assertEqual(self.half.acknowledge([1], 3 * RTT), [])
        self.assertIsNone(self.half.next_timer())

    def test_reordering_is_not_loss(self) -> None:
        """Acknowledgements out of order of what was sent together resend nothing."""
        self.fill(WINDOW)
        for index in reversed(range(WINDOW)):
            self.assertEqual(self.half.acknowledge([index], RTT), [])
        self.assertEqual(self.half.resent, 0)

    def test_resent_is_not_resent_again(self) -> None:
        """What has just gone again is not lost because one sent before it is acknowledged."""
        self.fill(2, 0.0)
        self.fill(1, RTT)
        self.assertEqual(indexes(self.half.acknowledge([2], 2 * RTT)), [0, 1])
        self.fill(1, 2 * RTT)
        self.assertEqual(self.half.acknowledge([3], 3 * RTT), [])
        self.assertEqual(self.half.resent, 2)

    def test_early_acknowledgement_of_resent(self) -> None:
        """
        One that comes too soon after the resend is the first copy's: it says nothing
        of what was sent between the two.
        """
        self.fill(1)
        self.half.acknowledge([0], RTT)
        self.fill(10, 1.0)
        timer = self.half.next_timer() or 0.0
        self.assertEqual(indexes(self.half.overdue(timer)), [1, 2, 3, 4])
        self.assertEqual(self.half.acknowledge([1], timer + 0.001), [])
        self.assertEqual(self.round_trip.smoothed, RTT, "no sample either (Karn)")
        self.assertEqual(indexes(self.half.acknowledge([2], timer + RTT)), [5, 6, 7, 8, 9, 10])

    def test_tail_loss(self) -> None:
        """When the last ones are lost, four probes find it; their echo fetches the rest."""
        self.fill(1)
        self.half.acknowledge([0], RTT)
        self.fill(10, 1.0)
        due = self.half.next_timer() or 0.0
        self.assertAlmostEqual(due, 1.0 + self.round_trip.timeout)
        self.assertEqual(indexes(self.half.overdue(due)), [1, 2, 3, 4])
        again = self.half.acknowledge([1, 2, 3, 4], due + RTT)
        self.assertEqual(indexes(again), [5, 6, 7, 8, 9, 10])

    def test_repeated_entries(self) -> None:
        """A list that names an index twice, and a late second list, do no harm."""
        self.fill(2)
        self.half.acknowledge([0, 0, 0], RTT)
        self.half.acknowledge([0, 1], RTT)
        self.assertEqual(self.half.refused, 0)
        self.assertIsNone(self.half.next_timer())

    def test_never_sent(self) -> None:
        """Indexes that were never sent are counted, and change nothing."""
        self.fill(3)
        self.assertEqual(self.half.acknowledge([3, 4, 32767, 32768, 65535], RTT), [])
        self.assertEqual(self.half.refused, 5)
        self.assertIsNone(self.round_trip.smoothed)
        self.assertEqual(list(self.half.in_flight), [0, 1, 2])

    def test_stalled(self) -> None:
        """The stall begins with the first datagram in flight, and anew with each progress."""
        self.fill(2, 5.0)
        self.assertEqual(self.half.stalled_since(), 5.0)
        sent_into_nothing(self.half, 5.0, 4.0)
        self.assertEqual(self.half.stalled_since(), 5.0)
        self.half.acknowledge([0], 9.0)
        self.assertEqual(self.half.stalled_since(), 9.0)
        self.half.acknowledge([1], 9.5)
        self.assertIsNone(self.half.stalled_since())
        self.fill(1, 30.0)
        self.assertEqual(self.half.stalled_since(), 30.0)

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), max_size=200))
    def test_bounds_hold(self, steps: list[tuple[int, bool]]) -> None:
        """Whatever is acknowledged in whatever order, window and span are kept."""
        half, now = SendHalf(RoundTrip()), 0.0
        half.add(bytes(400 * MAX_DRW_DATA))
        list(half.take(now))
        for index, late in steps:
            now += 0.3 if late else 0.001
            half.overdue(now)
            half.acknowledge([index], now)
            list(half.take(now))
            self.assertLessEqual(len(half.in_flight), WINDOW)
            self.assertLess(max(half.in_flight, default=0) - min(half.in_flight, default=0), SPAN)


class ReceiveTests(TestCase):
    """L{ReceiveHalf}."""

    def setUp(self) -> None:
        self.half = ReceiveHalf()

    def receive(self, index: int, data: bytes) -> list[bytes]:
        """One datagram comes."""
        return list(self.half.receive((index,), (data,)))

    def test_in_order(self) -> None:
        """What comes in order is passed on at once."""
        for index in range(5):
            self.assertEqual(self.receive(index, b"%d" % index), [b"%d" % index])
        self.assertEqual(self.half.acks, [0, 1, 2, 3, 4])

    def test_reordered(self) -> None:
        """What comes early waits; acknowledgements keep the order of arrival."""
        self.assertEqual(self.receive(2, b"c"), [])
        self.assertEqual(self.receive(1, b"b"), [])
        self.assertEqual(self.receive(0, b"a"), [b"a", b"b", b"c"])
        self.assertEqual(self.half.acks, [2, 1, 0])

    def test_duplicates(self) -> None:
        """Every copy is acknowledged, and delivered once: passed on or still waiting."""
        self.receive(0, b"a")
        self.assertEqual(self.receive(0, b"a"), [])
        self.receive(2, b"c")
        self.assertEqual(self.receive(2, b"other"), [])
        self.assertEqual(self.receive(1, b"b"), [b"b", b"c"])
        self.assertEqual(self.half.acks, [0, 0, 2, 2, 1])
        self.assertEqual(self.half.duplicates, 2)

    def test_too_far_ahead(self) -> None:
        """An index beyond REACH is neither kept nor acknowledged; the last one within is both."""
        self.assertEqual(self.receive(REACH, b"no"), [])
        self.assertEqual(self.receive(30000, b"no"), [])
        self.assertEqual((self.half.acks, self.half.refused), ([], 2))
        self.receive(REACH - 1, b"yes")
        self.assertEqual(self.half.acks, [REACH - 1])

    def test_holds_what_a_camera_sends(self) -> None:
        """A camera was seen 110 beyond the oldest: far more fits, and comes out in order."""
        for index in reversed(range(1, REACH)):
            self.receive(index, b"%d," % index)
        self.assertEqual(len(self.receive(0, b"0,")), REACH)
        self.assertEqual(self.half.refused, 0)

    def test_pause(self) -> None:
        """While paused at most REACH are kept and acknowledged; resuming delivers them all."""
        self.receive(0, b"0")
        self.half.pause()
        for index in range(1, 2 * REACH):
            self.assertEqual(self.receive(index, b"%d" % index), [])
        self.assertEqual(self.half.acks, list(range(REACH + 1)))
        self.assertEqual(self.half.refused, REACH - 1)
        self.assertEqual(self.half.resume(), [b"%d" % n for n in range(1, REACH + 1)])
        self.assertEqual(self.receive(REACH + 1, b"on"), [b"on"])

    def test_pause_with_gap(self) -> None:
        """Resuming passes on only what is in order."""
        self.half.pause()
        self.receive(1, b"b")
        self.assertEqual(self.half.resume(), [])
        self.assertEqual(self.receive(0, b"a"), [b"a", b"b"])

    def test_duplicates_while_paused(self) -> None:
        """A copy of what is held back is acknowledged again, and not delivered twice."""
        self.half.pause()
        self.receive(0, b"a")
        self.receive(0, b"a")
        self.assertEqual(self.half.acks, [0, 0])
        self.assertEqual(self.half.resume(), [b"a"])

    def test_runs(self) -> None:
        """A run is taken as its datagrams one by one are: in order, with gaps, over the end."""
        for start in (0, 0xFFFF - 5):
            one, many = ReceiveHalf(), ReceiveHalf()
            for half in (one, many):
                for index in range(start):
                    half.receive((index,), (b"-",))
                half.acks.clear()
            for run in ((0, 1, 2), (4, 5, 3), (6, 7, 6), (9, 10, 11), (8, 12), (13, 14, 15)):
                indexes = tuple(advance(start, number) for number in run)
                pieces = tuple(b"%d" % number for number in run)
                apart = [
                    one.receive((n,), (data,)) for n, data in zip(indexes, pieces, strict=True)
                ]
                self.assertEqual(list(many.receive(indexes, pieces)), [*chain(*apart)])
            self.assertEqual(many.acks, one.acks)
            self.assertEqual((many.duplicates, many.refused), (one.duplicates, one.refused))

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.integers(0, 79), max_size=200), st.integers(0, 1000))
    @example([40, 35, 36, 79, 0, 36], 0x10000 - 36)
    def test_any_order(self, order: list[int], start: int) -> None:
        """Any order, any copies, anywhere on the circle: the stream comes out once and whole."""
        half = ReceiveHalf()
        for index in range(start):  # there is no other way in than to have come so far
            half.receive((index,), (b"-",))
        half.acks.clear()
        out: list[bytes] = []
        for number in [*order, *range(80)]:
            out += half.receive((advance(start, number),), (b"%d" % number,))
        self.assertEqual(out, [b"%d" % number for number in range(80)])
        self.assertEqual(half.acks, [advance(start, n) for n in [*order, *range(80)]])


class WrapTests(TestCase):
    """More than 65536 datagrams through one channel."""

    def test_clean(self) -> None:
        """After 65535 comes 0 and the stream goes on; nothing is refused or sent twice."""
        sender, receiver = SendHalf(RoundTrip()), ReceiveHalf()
        now, out = 0.0, bytearray()
        while len(out) < 70_000:
            for number in range(50):
                sender.add(b"%c" % ((len(out) + number) % 251))
            for index, data in sender.take(now):
                out += b"".join(receiver.receive((index,), (data,)))
            now += RTT
            sender.acknowledge(receiver.acks, now)
            receiver.acks.clear()
        self.assertEqual(out, bytes(number % 251 for number in range(70_000)))
        self.assertEqual((sender.refused, sender.resent), (0, 0))
        self.assertEqual((receiver.refused, receiver.duplicates), (0, 0))
        sender.acknowledge([advance(0, 70_000)], now)
        self.assertEqual(sender.refused, 1, "the next one was not sent yet")
