"""
The bugs found in other PPPP clients, as far as they concern a session: each is a test
here, so that none becomes ours.
"""

from __future__ import annotations

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
from trailcam.session.channel import WINDOW
from trailcam.session.events import Closed, CloseReason, Opened, Received
from trailcam.session.session import ACCEPTED, CHANNELS, PIECE_COST, UNREAD_LIMIT, Session
from trailcam.wire import pppp

FULL = bytes(pppp.MAX_DRW_DATA)


def hear(session: Session, now: float, *values: pppp.Datagram) -> list[pppp.Datagram]:
    """A session hears these: what it says to them at once."""
    for value in values:
        session.receive_datagram(pppp.encode(value), now)
    return said(session)


class OtherClientsTests(TestCase):
    """PLATFORM's list, in its order."""

    def test_go2rtc_2057_channel_that_nobody_reads(self) -> None:
        """One channel nobody reads loses its own data, never the session or a command."""
        link = VirtualLink().open()
        link.handlers[CLIENT] = None  # from here on nobody asks the client for anything
        link.run(0.1)
        size = UNREAD_LIMIT // (len(FULL) + PIECE_COST) * len(FULL) + 500 * len(FULL)
        for _ in range(2):
            link.send(CAMERA, 1, bytes(size // 2))
        link.send(CAMERA, 0, b"response")
        link.run(20.0)
        self.assertTrue(link.client.is_open and link.camera.is_open)
        self.assertEqual(link.camera.pending(1), 0, "all of it was taken and acknowledged")
        self.assertEqual(link.client.statistics.dropped_bytes, 500 * len(FULL))
        self.assertIn(Received(0, b"response"), events_of(link.client))

    def test_go2rtc_2472_every_channel_is_drained(self) -> None:
        """Data on any channel, used or not, is acknowledged and never holds the camera up."""
        link = VirtualLink().open()
        for channel in range(CHANNELS):
            link.send(CAMERA, channel, FULL * 2 * WINDOW)
        link.run(3.0)
        for channel in range(CHANNELS):
            self.assertEqual(link.camera.pending(channel), 0)
        self.assertEqual(link.camera.statistics.resent, 0)

    def test_aiopppp_reply_before_anybody_waits(self) -> None:
        """A reply that comes before anybody asks is kept, in its place."""
        session = Session(0.0)
        session.connect(0.0)
        hear(session, 0.1, pppp.Drw(0, 0, ACCEPTED), pppp.Drw(0, 1, b"reply"))
        pass_time(session, 3.0)
        self.assertEqual(
            events_of(session), [Opened(), Received(0, ACCEPTED + b"reply")]
        )

    def test_aiopppp_unknown_type_or_channel(self) -> None:
        """An unknown type or channel raises nothing; the channel is acknowledged, so it ends."""
        session = client_session()
        for code in set(range(256)) - {0x41, 0x42, 0x43, 0xD0, 0xD1, 0xE0, 0xF0, 0xF9}:
            hear(session, 0.5, pppp.Unknown(code, b""))
        for channel in range(256):
            session.receive_datagram(pppp.encode_drw(channel, 0, b"x"), 0.6)
        pass_time(session, 0.7)
        self.assertTrue(session.is_open)
        answers = hear(session, 0.8, pppp.Drw(200, 7, b"x"), pppp.Drw(200, 7, b"x"))
        self.assertEqual(answers, [pppp.DrwAck(200, (7,))] * 2)

    def test_go2rtc_channel_of_4_or_more(self) -> None:
        """Channels 4 to 7 carry data like any other."""
        session = client_session()
        for channel in (4, 5, 6, 7):
            hear(session, 1.0, pppp.Drw(channel, 0, b"data"))
            self.assertEqual(events_of(session), [Received(channel, b"data")])

    def test_cam_reverse_three_byte_ack(self) -> None:
        """The 3-byte C{ACK}, however often it comes, is stream data once and no more."""
        session = client_session()
        hear(session, 0.1, *[pppp.Drw(0, 0, ACCEPTED)] * 24)
        self.assertEqual(events_of(session), [])
        hear(session, 0.2, pppp.Drw(0, 1, ACCEPTED))
        self.assertEqual(events_of(session), [Received(0, ACCEPTED)])

    def test_aiopppp_only_first_index_of_a_batch(self) -> None:
        """Every index of a batched acknowledgement counts."""
        session = camera_session()
        session.send(3, FULL * 17, 1.0)
        said(session)
        hear(session, 1.02, pppp.DrwAck(3, tuple(range(17))))
        self.assertNotIn(pppp.Drw, {type(value) for _, value in pass_time(session, 8.0)})
        self.assertEqual(session.statistics.resent, 0)

    def test_pyibaby_silence_after_65535(self) -> None:
        """After index 65535 comes 0, and it is new, not old."""
        session = client_session()
        for index in range(0x10000):
            session.receive_datagram(pppp.encode_drw(1, index, b"x"), 1.0)
        pass_time(session, 1.1)
        events_of(session)
        answers = hear(session, 1.2, *[pppp.Drw(1, index, b"new") for index in range(17)])
        self.assertEqual(answers, [pppp.DrwAck(1, tuple(range(17)))])
        self.assertEqual(events_of(session), [Received(1, b"new" * 17)])
        self.assertEqual(session.statistics.duplicates, 0)

    def test_cs2pppp_missing_or_swapped_chunks(self) -> None:
        """Nothing is told of what comes after a gap, until the gap is filled."""
        session = client_session()
        hear(session, 1.0, pppp.Drw(3, 0, b"0"), pppp.Drw(3, 3, b"3"), pppp.Drw(3, 2, b"2"))
        self.assertEqual(events_of(session), [Received(3, b"0")])
        hear(session, 1.1, pppp.Drw(3, 1, b"1"))
        self.assertEqual(events_of(session), [Received(3, b"123")])

    def test_eufy_212_retransmissions_are_used(self) -> None:
        """What is sent again fills the gap that the lost first copies left."""
        lost = {pppp.encode_drw(1, index, FULL) for index in range(5, 60, 3)}

        def fate(who: str, datagram: bytes) -> tuple[float, ...]:
            if datagram in lost:
                lost.remove(datagram)
                return ()
            return (0.005,)

        link = VirtualLink(fate).open()
        link.send(CAMERA, 1, FULL * 100)
        link.run(1.0)
        self.assertEqual(lost, set())
        self.assertEqual(link.received(CLIENT, 1), FULL * 100)

    def test_scrypted_2093_drop_is_noticed(self) -> None:
        """A camera that vanishes is told as such, once, so that somebody can begin again."""
        session = client_session(silence=5.0)
        pass_time(session, 60.0)
        self.assertEqual(events_of(session), [Closed(CloseReason.SILENT)])

    def test_scrypted_2093_new_session_begins_afresh(self) -> None:
        """A new session takes nothing over: indexes start at 0, what is left over is ignored."""
        session = Session(60.0)
        session.connect(60.0)
        said(session)
        self.assertEqual(hear(session, 60.1, pppp.Drw(3, 1337, b"left over")), [])
        hear(session, 60.2, pppp.Drw(0, 0, ACCEPTED))
        session.send(0, b"login", 60.2)
        self.assertEqual(said(session), [pppp.Drw(0, 0, b"login")])
        self.assertEqual(events_of(session), [Opened(), Received(0, ACCEPTED)])

    def test_neolink_204_camera_may_sleep(self) -> None:
        """A session that is over keeps no camera awake: no timer, no ALIVE, nothing."""
        session = client_session()
        session.close(1.0)
        self.assertEqual(said(session), [pppp.Close()] * 2)
        self.assertIsNone(session.next_timer())
        session.handle_timer(5.0)
        self.assertEqual(hear(session, 5.0, pppp.Alive(), pppp.Drw(0, 1, b"x")), [])
