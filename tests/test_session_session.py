"""A session that stands: acknowledgements, keeping alive, channels, and its end."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import TestCase

from tests.support import (
    CAMERA,
    CLIENT,
    VirtualLink,
    camera_session,
    client_session,
    events_of,
    pass_time,
    said,
)
from trailcam.errors import SendBufferFull
from trailcam.session.channel import REACH, SEND_LIMIT, SPAN, WINDOW
from trailcam.session.events import Closed, CloseReason, Opened, Received
from trailcam.session.roundtrip import RoundTrip
from trailcam.session.session import (
    ACK_DELAY,
    ALIVE_INTERVAL,
    CHANNELS,
    CLOSE_COPIES,
    PIECE_COST,
    STALL_LIMIT,
    UNREAD_LIMIT,
    Session,
)
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY

ALIVE, ALIVE_ACK, CLOSE = pppp.Alive(), pppp.AliveAck(), pppp.Close()
FULL = bytes(pppp.MAX_DRW_DATA)


def hear(session: Session, now: float, *values: pppp.Datagram) -> list[pppp.Datagram]:
    """A session hears these: what it says to them at once."""
    for value in values:
        session.receive_datagram(pppp.encode(value), now)
    return said(session)


def burst(channel: int, first: int, number: int) -> list[pppp.Datagram]:
    """So many DRW of one channel, in order."""
    return [pppp.Drw(channel, index, b"x") for index in range(first, first + number)]


def lose_once(what: bytes) -> Callable[[str, bytes], tuple[float, ...]]:
    """A link of 10 ms each way that loses the first copy of one datagram."""
    gone: list[bytes] = []

    def fate(who: str, datagram: bytes) -> tuple[float, ...]:
        if datagram != what or gone:
            return (0.01,)
        gone.append(datagram)
        return ()

    return fate


class AcknowledgementTests(TestCase):
    """DRW_ACK: in batches, soon, one entry for each copy."""

    def setUp(self) -> None:
        self.session = client_session()

    def test_seventeen(self) -> None:
        """As soon as 17 wait they go, in the order of arrival; the rest within 10 ms."""
        answers = hear(self.session, 1.0, *burst(3, 0, 40))
        self.assertEqual(
            answers,
            [pppp.DrwAck(3, tuple(range(17))), pppp.DrwAck(3, tuple(range(17, 34)))],
        )
        told = pass_time(self.session, 1.0 + ACK_DELAY)
        self.assertEqual(told, [(1.0 + ACK_DELAY, pppp.DrwAck(3, tuple(range(34, 40))))])

    def test_delay(self) -> None:
        """The first that waits sets the time: company does not put it off."""
        for number in range(5):
            self.assertEqual(hear(self.session, 1.0 + number / 500, pppp.Drw(3, number, b"x")), [])
        told = pass_time(self.session, 1.5)
        self.assertEqual(told, [(1.0 + ACK_DELAY, pppp.DrwAck(3, (0, 1, 2, 3, 4)))])

    def test_never_late(self) -> None:
        """Under a steady stream no acknowledgement is more than 10 ms late."""
        arrived, late = {}, []
        for index in range(300):
            now = 1.0 + index * 0.0007
            self.session.receive_datagram(pppp.encode(pppp.Drw(2, index, b"x")), now)
            arrived[index] = now
            for at, value in pass_time(self.session, now + 0.0007):
                assert isinstance(value, pppp.DrwAck)
                self.assertLessEqual(len(value.indexes), pppp.MAX_ACK_INDEXES)
                late += [max(at, now) - arrived.pop(number) for number in value.indexes]
        self.assertLess(max(late), ACK_DELAY + 1e-9)
        self.assertLess(len(arrived), pppp.MAX_ACK_INDEXES)

    def test_channels_apart(self) -> None:
        """Each channel's indexes go in a DRW_ACK of its own."""
        hear(self.session, 1.0, pppp.Drw(4, 0, b"x"), pppp.Drw(1, 0, b"y"), pppp.Drw(4, 1, b"z"))
        values = [value for _, value in pass_time(self.session, 1.5)]
        self.assertEqual(values, [pppp.DrwAck(1, (0,)), pppp.DrwAck(4, (0, 1))])

    def test_one_entry_for_each_copy(self) -> None:
        """Copies are acknowledged one by one, whether they come in the batch or later."""
        three, two = pppp.Drw(1, 3, b"c"), pppp.Drw(1, 2, b"b")
        hear(self.session, 1.0, three, two, three)
        self.assertEqual(pass_time(self.session, 1.5)[0][1], pppp.DrwAck(1, (3, 2, 3)))
        hear(self.session, 1.6, two)
        self.assertEqual(pass_time(self.session, 1.7)[0][1], pppp.DrwAck(1, (2,)))
        self.assertEqual(self.session.statistics.duplicates, 2)

    def test_too_far_ahead(self) -> None:
        """An index too far ahead is neither acknowledged nor kept, and counted."""
        hear(self.session, 1.0, pppp.Drw(1, REACH, b"?"), pppp.Drw(1, 32767, b"?"))
        self.assertEqual(pass_time(self.session, 1.9), [])
        self.assertEqual(events_of(self.session), [])
        self.assertEqual(self.session.statistics.refused, 2)

    def test_never_sent(self) -> None:
        """An acknowledgement of what was never sent is counted, and the session goes on."""
        self.session.send(0, b"login", 1.0)
        hear(self.session, 1.1, pppp.DrwAck(0, (7, 65535)), pppp.DrwAck(2, (0,)))
        self.assertEqual(self.session.statistics.refused, 3)
        self.assertTrue(self.session.is_open)
        hear(self.session, 1.2, pppp.DrwAck(0, (0,)))
        self.assertEqual({type(v) for _, v in pass_time(self.session, 5.0)}, {pppp.Alive})

    def test_count_disagrees(self) -> None:
        """A DRW_ACK whose count disagrees with its size is dropped and counted."""
        self.session.send(0, b"login", 1.0)
        said(self.session)
        self.session.receive_datagram(bytes.fromhex("f1d10006d10000020000"), 1.1)
        self.assertEqual(self.session.statistics.malformed, 1)
        resent = [v for _, v in pass_time(self.session, 1.0 + RoundTrip.INITIAL)]
        self.assertEqual(resent, [pppp.Drw(0, 0, b"login")])


class AliveTests(TestCase):
    """PROTOCOL, "Keeping it alive"."""

    def setUp(self) -> None:
        self.session = client_session()  # its last word was a DRW_ACK, after the delay
        self.began = ACK_DELAY

    def alive_at(self, until: float) -> list[float]:
        """When ALIVE went out."""
        return [at for at, value in pass_time(self.session, until) if value == ALIVE]

    def test_first_and_next(self) -> None:
        """A second after the last DRW_ACK, and a second after its own last one."""
        for at, number in zip(self.alive_at(5.5), range(1, 6), strict=True):
            self.assertAlmostEqual(at, self.began + number * ALIVE_INTERVAL)

    def test_without_login(self) -> None:
        """A camera's side begins as well a second after the session opened."""
        told = pass_time(camera_session(), 1.5)
        self.assertEqual(told, [(ALIVE_INTERVAL, ALIVE)])

    def test_other_side_does_not_count(self) -> None:
        """The other side's ALIVE is answered at once, and does not put off ours."""
        self.assertEqual(hear(self.session, 0.6, ALIVE), [ALIVE_ACK])
        self.assertEqual(hear(self.session, 0.9, ALIVE, ALIVE), [ALIVE_ACK, ALIVE_ACK])
        [at] = self.alive_at(1.5)
        self.assertAlmostEqual(at, self.began + ALIVE_INTERVAL)

    def test_answer_counts(self) -> None:
        """An ALIVE_ACK that comes late begins the second anew."""
        self.assertEqual(len(self.alive_at(1.1)), 1)
        hear(self.session, 1.3, ALIVE_ACK)
        self.assertEqual(self.alive_at(2.5), [1.3 + ALIVE_INTERVAL])

    def test_none_while_data_comes(self) -> None:
        """While DRW arrive there is no ALIVE, for 5.7 s and longer."""
        for index in range(20):
            now = 0.3 * (index + 1)
            self.assertEqual(self.alive_at(now), [])
            hear(self.session, now, pppp.Drw(1, index, FULL))
        self.assertEqual(len(self.alive_at(7.5)), 1)

    def test_none_while_data_goes(self) -> None:
        """Sending DRW, and hearing DRW_ACK, count as well."""
        self.session.send(0, b"a", 0.8)
        hear(self.session, 1.2, pppp.DrwAck(0, (0,)))
        self.assertEqual(self.alive_at(2.5), [1.2 + ALIVE_INTERVAL])
        self.session.send(0, b"b", 3.0)
        hear(self.session, 3.0, pppp.DrwAck(0, (1,)))
        self.assertEqual(self.alive_at(4.5), [4.0])

    def test_none_before_open(self) -> None:
        """Neither side sends ALIVE before the session stands; it answers one at any time."""
        session = Session(0.0)
        session.connect(0.0)
        self.assertEqual(hear(session, 0.1, ALIVE)[1:], [ALIVE_ACK])
        self.assertNotIn(ALIVE, [v for _, v in pass_time(session, 6.0)])

    def test_both_idle(self) -> None:
        """Two idle sides keep a session for a minute with about one ALIVE a second each."""
        link = VirtualLink().open()
        link.run(60.0)
        self.assertTrue(link.client.is_open and link.camera.is_open)
        for side in (CLIENT, CAMERA):
            alive = [1 for _, who, data in link.sent if who == side and data[1] == 0xE0]
            self.assertIn(len(alive), range(55, 61))


class EndTests(TestCase):
    """Silence, CLOSE, a stall; and what comes after the end."""

    def assert_over(self, session: Session, reason: CloseReason) -> None:
        """It told so once, names no timer, and neither says nor tells anything more."""
        self.assertEqual(events_of(session), [Closed(reason)])
        self.assertIsNone(session.next_timer())
        self.assertFalse(session.is_open)
        said(session)
        session.send(0, b"more", 90.0)
        session.resume(1, 90.0)
        session.handle_timer(90.0)
        session.connect(90.0)
        session.close(90.0)
        drw, punch = pppp.Drw(1, 0, b"late"), pppp.PunchPkt(FAMILY)
        self.assertEqual(hear(session, 90.0, drw, ALIVE, punch, CLOSE, pppp.DrwAck(0, (0,))), [])
        self.assertEqual(events_of(session), [])
        self.assertIsNone(session.next_timer())

    def test_silence_client(self) -> None:
        """A client's side ends 7.3 s after the last datagram, without CLOSE."""
        session = client_session()
        hear(session, 2.0, ALIVE)
        told = pass_time(session, 9.29)
        self.assertEqual({type(value) for _, value in told}, {pppp.Alive})
        self.assertTrue(session.is_open)
        self.assertEqual(pass_time(session, 9.31), [])
        self.assert_over(session, CloseReason.SILENT)

    def test_silence_camera(self) -> None:
        """The camera's side ends 7.3 s after the client's last, with CLOSE."""
        session = camera_session()
        hear(session, 2.0, ALIVE)
        told = pass_time(session, 20.0)
        self.assertEqual(told[-CLOSE_COPIES:], [(9.3, CLOSE)] * CLOSE_COPIES)
        self.assertNotIn(CLOSE, [value for _, value in told[:-CLOSE_COPIES]])
        self.assert_over(session, CloseReason.SILENT)

    def test_silence_is_configurable(self) -> None:
        """The client's own limit is shorter: it begins again sooner."""
        session = client_session(silence=5.0)
        pass_time(session, 4.99)
        self.assertTrue(session.is_open)
        pass_time(session, 5.0)
        self.assert_over(session, CloseReason.SILENT)

    def test_what_breaks_silence(self) -> None:
        """A datagram of an unknown type is a sign of life; a malformed one is none."""
        session = client_session()
        hear(session, 5.0, pppp.Unknown(0x77, b"?"))
        session.receive_datagram(b"\xf1\xe0\x00\x01", 12.0)
        session.receive_datagram(b"noise", 12.2)
        session.handle_timer(12.31)
        self.assert_over(session, CloseReason.SILENT)
        self.assertEqual(session.statistics.malformed, 2)

    def test_close(self) -> None:
        """Closing says so twice, at once; both sides end, each for its reason."""
        for side, reasons in (
            (CLIENT, (CloseReason.LOCAL, CloseReason.PEER)),
            (CAMERA, (CloseReason.PEER, CloseReason.LOCAL)),
        ):
            link = VirtualLink().open()
            link.run(0.5)
            link.sent.clear()
            link.sides[side].close(link.now)
            link.run(1.0)
            self.assertEqual(
                [(who, pppp.decode(data)) for _, who, data in link.sent],
                [(side, CLOSE)] * CLOSE_COPIES,
            )
            self.assertEqual(link.told[CLIENT], [Opened(), Closed(reasons[0])])
            self.assertEqual(link.told[CAMERA], [Opened(), Closed(reasons[1])])

    def test_closed_by_us(self) -> None:
        """After our own CLOSE nothing goes and nothing comes."""
        session = client_session()
        session.send(0, b"x" * 5000, 1.0)
        said(session)
        session.close(1.0)
        self.assertEqual(said(session), [CLOSE] * CLOSE_COPIES)
        self.assert_over(session, CloseReason.LOCAL)

    def test_closed_by_peer(self) -> None:
        """After the other side's CLOSE, not even an acknowledgement goes."""
        session = client_session()
        hear(session, 1.0, pppp.Drw(1, 0, b"x"), pppp.Drw(2, 1, b"waits"))
        events_of(session)
        self.assertEqual(hear(session, 1.001, CLOSE), [])
        self.assert_over(session, CloseReason.PEER)

    def test_data_before_close_is_delivered(self) -> None:
        """What had come in order before CLOSE is still told, and Closed comes last."""
        session = client_session()
        hear(session, 1.0, pppp.Drw(1, 0, b"x"), CLOSE)
        self.assertEqual(events_of(session), [Received(1, b"x"), Closed(CloseReason.PEER)])

    def test_nothing_after_closed(self) -> None:
        """What a paused channel holds back is not told after the end."""
        session = client_session()
        session.pause(1)
        hear(session, 1.0, pppp.Drw(1, 0, b"held"), CLOSE)
        self.assert_over(session, CloseReason.PEER)

    def test_refused_while_punching(self) -> None:
        """A camera that answers with CLOSE ends the attempt; one may also be given up."""
        for end, reason in (
            (lambda s: s.receive_datagram(pppp.encode(CLOSE), 1.0), CloseReason.PEER),
            (lambda s: s.close(1.0), CloseReason.LOCAL),
        ):
            session = Session(0.0)
            session.connect(0.0)
            end(session)
            self.assert_over(session, reason)

    def test_stalled(self) -> None:
        """A side that is alive but acknowledges nothing for 15 s ends the session, silently."""
        session = camera_session()
        session.send(1, FULL, 1.0)
        told = []
        for second in range(1, 20):
            told += pass_time(session, second)
            if session.next_timer() is None:
                break
            self.assertLess(second, 1.0 + STALL_LIMIT + RoundTrip.LONGEST)
            hear(session, second, ALIVE)
        self.assertNotIn(CLOSE, [value for _, value in told])
        self.assertGreaterEqual(told[-1][0], 1.0 + STALL_LIMIT - RoundTrip.LONGEST)
        self.assert_over(session, CloseReason.STALLED)

    def test_slow_is_not_stalled(self) -> None:
        """One acknowledgement in 14 s is progress, however slow."""
        session = camera_session()
        session.send(1, FULL * 4, 0.0)
        for second in range(56):
            pass_time(session, second)
            hear(session, second, ALIVE)
            if second % 14 == 13:
                hear(session, second, pppp.DrwAck(1, (second // 14,)))
        self.assertTrue(session.is_open)


class DeadLinkTests(TestCase):
    """No flood into a link that is dead."""

    def test_five_seconds(self) -> None:
        """All that goes into a dead link in 5 s: the window, twelve resends, a few ALIVE."""
        session = client_session()
        session.send(0, FULL * 200, 1.0)
        told = pass_time(session, 6.0)
        drw = [value for _, value in told if isinstance(value, pppp.Drw)]
        self.assertEqual(len(drw), WINDOW + 12)
        self.assertEqual(session.statistics.resent, 12)
        self.assertLessEqual(len(told) - len(drw), 5)

    def test_comes_back(self) -> None:
        """After an outage of 5 s the rest goes through, whole, within two seconds."""
        dead: list[bool] = []
        link = VirtualLink(lambda who, data: () if dead else (0.005,), silence=30.0).open()
        data = bytes(range(256)) * 1000
        link.send(CAMERA, 3, data)
        link.run(0.02)
        dead.append(True)
        link.run(5.0)
        self.assertLess(len(link.received(CLIENT, 3)), len(data))
        dead.clear()
        link.run_until(lambda: len(link.received(CLIENT, 3)) == len(data), 2.5)
        self.assertEqual(link.received(CLIENT, 3), data)


class ChannelTests(TestCase):
    """Eight channels that do each other no harm."""

    def test_all_both_ways(self) -> None:
        """Every channel carries its own stream, both ways at once."""
        link = VirtualLink().open()
        for channel in range(CHANNELS):
            link.send(CAMERA, channel, b"%d down " % channel * 1000)
            link.send(CLIENT, channel, b"%d up " % channel * 1000)
        link.run(1.0)
        for channel in range(CHANNELS):
            self.assertEqual(link.received(CLIENT, channel), b"%d down " % channel * 1000)
            self.assertEqual(link.received(CAMERA, channel), b"%d up " % channel * 1000)
        for session in link.sides.values():
            self.assertEqual(session.statistics.resent + session.statistics.refused, 0)

    def test_window_and_span(self) -> None:
        """On a lossy link never more than WINDOW are in flight, nor SPAN beyond the oldest."""
        number = iter(range(10_000))
        link = VirtualLink(lambda who, data: () if next(number) % 7 == 3 else (0.02,)).open()
        link.sent.clear()
        link.send(CAMERA, 1, FULL * 500)
        link.run_until(lambda: len(link.received(CLIENT, 1)) == len(FULL) * 500)
        link.run(0.2)
        newest, acknowledged = -1, set()
        for _, who, datagram in link.sent:
            value = pppp.decode(datagram)
            if who == CAMERA and isinstance(value, pppp.Drw):
                oldest = min(set(range(newest + 2)) - acknowledged)
                newest = max(newest, value.index)
                self.assertLess(value.index - oldest, SPAN)
            elif isinstance(value, pppp.DrwAck):  # its fate is unknown here: the widest reading
                acknowledged.update(value.indexes)
            self.assertLessEqual(newest + 1 - len(acknowledged), WINDOW)

    def test_send_buffer_full(self) -> None:
        """What cannot be held raises, on that channel only, and the session goes on."""
        session = camera_session()
        session.send(1, bytes(SEND_LIMIT), 1.0)
        session.send(1, bytes(WINDOW * 1024), 1.0)
        self.assertRaises(SendBufferFull, session.send, 1, b"x", 1.0)
        session.send(0, b"response", 1.0)
        self.assertIn(pppp.Drw(0, 1, b"response"), said(session))
        self.assertTrue(session.is_open)

    def test_unknown_channel(self) -> None:
        """A channel of 8 or more is acknowledged at once, counted, and dropped."""
        session = client_session()
        for channel in (8, 100, 255):
            answers = hear(session, 1.0, pppp.Drw(channel, 3, b"?"))
            self.assertEqual(answers, [pppp.DrwAck(channel, (3,))])
        hear(session, 1.0, pppp.DrwAck(8, (0, 1)))
        self.assertEqual(session.statistics.ignored, 4)
        self.assertEqual(events_of(session), [])

    def test_unknown_and_malformed(self) -> None:
        """Unknown types and malformed datagrams are counted, answered by nothing, and harmless."""
        session = client_session()
        self.assertEqual(hear(session, 1.0, pppp.Unknown(0x70, b"abc"), pppp.Hello()), [])
        self.assertEqual(session.statistics.ignored, 2)
        for datagram in (b"", b"\xf1", b"\xf2\xd0\x00\x00", bytes.fromhex("f1d00004d1000000")):
            session.receive_datagram(datagram, 1.0)
        self.assertEqual(session.statistics.malformed, 4)
        self.assertEqual(said(session), [])
        self.assertTrue(session.is_open)

    def test_unread(self) -> None:
        """What nobody asks for is bounded; beyond that it is dropped, counted, acknowledged."""
        session = client_session()
        total = UNREAD_LIMIT // (len(FULL) + PIECE_COST) + 100
        acknowledged = 0
        for index in range(total):
            for answer in hear(session, 1.0, pppp.Drw(1, index, FULL)):
                assert isinstance(answer, pppp.DrwAck)
                acknowledged += len(answer.indexes)
        self.assertGreater(acknowledged, total - pppp.MAX_ACK_INDEXES)
        self.assertEqual(session.statistics.dropped_bytes, 100 * len(FULL))
        hear(session, 1.0, pppp.Drw(0, 1, b"response"))
        held = events_of(session)
        self.assertEqual(held.pop(), Received(0, b"response"), "another channel has its own limit")
        self.assertEqual(held, [Received(1, FULL * (total - 100))])
        hear(session, 1.0, pppp.Drw(1, total, b"again"))
        self.assertEqual(events_of(session), [Received(1, b"again")])

    def test_pause(self) -> None:
        """A paused channel holds the sender back, the others run; resuming delivers all of it."""
        link = VirtualLink().open()
        video, photo = bytes(range(251)) * 8500, bytes(range(253)) * 8000
        link.client.pause(1)
        link.send(CAMERA, 1, video)
        link.send(CAMERA, 3, photo)
        link.run_until(lambda: link.received(CLIENT, 3) == photo, 5.0)
        link.run(8.0)
        self.assertEqual(link.received(CLIENT, 1), b"")
        self.assertGreater(link.camera.pending(1), len(video) // 3, "and it is held back")
        self.assertTrue(link.client.is_open and link.camera.is_open)
        link.client.resume(1, link.now)
        link.run_until(lambda: len(link.received(CLIENT, 1)) == len(video), 10.0)
        self.assertEqual(link.received(CLIENT, 1), video)
        self.assertEqual(link.client.statistics.dropped_bytes, 0)

    def test_fast_resend(self) -> None:
        """In a running stream a lost datagram goes again within about two round trips."""
        for lost in (3, 100, 150):
            link = VirtualLink(lose_once(pppp.encode_drw(2, lost, FULL))).open()
            link.send(CAMERA, 2, FULL * 300)
            link.run(2.0)
            self.assertEqual(link.received(CLIENT, 2), FULL * 300)
            copies = [at for at, _, data in link.sent if data == pppp.encode_drw(2, lost, FULL)]
            self.assertEqual(len(copies), 2)
            self.assertLess(copies[1] - copies[0], 2 * (0.02 + ACK_DELAY))
            self.assertEqual(link.camera.statistics.resent, 1, "nothing else goes twice")

    def test_statistics(self) -> None:
        """What one side sends the other receives."""
        link = VirtualLink().open()
        link.send(CLIENT, 0, b"x" * 3000)
        link.run(3.0)
        for one, other in ((link.client, link.camera), (link.camera, link.client)):
            self.assertEqual(one.statistics.sent, other.statistics.received)
        self.assertAlmostEqual(link.client.round_trip or 0.0, 0.01 + ACK_DELAY, 3)
