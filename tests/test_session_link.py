"""The handshake, on the client's side and on the camera's (PROTOCOL, "Opening a session")."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from twisted.trial.unittest import TestCase

from tests.support import VirtualLink, camera_session, client_session, events_of, pass_time, said
from trailcam.session.events import Closed, CloseReason, Opened, Received
from trailcam.session.session import (
    ACCEPTED,
    ACK_DELAY,
    OFFER_INTERVAL,
    PUNCH_INTERVAL,
    TCP_OFFER_INTERVAL,
    TCP_OFFERS,
    Session,
)
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY, DeviceId

Delays = tuple[float, ...]
OTHER = DeviceId("ABCD", 7, "XYZ")
PUNCH, READY = pppp.PunchPkt(FAMILY), pppp.P2PRdy(FAMILY)
OFFER = pppp.P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 40611)
ACCEPT = pppp.Drw(0, 0, ACCEPTED)


def hear(session: Session, now: float, *values: pppp.Datagram) -> list[pppp.Datagram]:
    """A session hears these: what it says to them at once."""
    for value in values:
        session.receive_datagram(pppp.encode(value), now)
    return said(session)


class ClientTests(TestCase):
    """The client's side."""

    def setUp(self) -> None:
        self.session = Session(10.0)
        self.session.connect(10.0)

    def test_nothing_before_connect(self) -> None:
        """A session that has not begun says nothing, whatever the time."""
        session = Session(0.0)
        self.assertEqual(pass_time(session, 7.0), [])

    def test_punches(self) -> None:
        """PUNCH_PKT goes out at once, and every half second until the camera has accepted."""
        self.assertEqual(said(self.session), [PUNCH])
        told = pass_time(self.session, 12.0)
        self.assertEqual(told, [(10.0 + n * PUNCH_INTERVAL, PUNCH) for n in (1, 2, 3, 4)])
        hear(self.session, 12.0, READY)
        self.assertEqual(
            pass_time(self.session, 13.0), [(12.5, PUNCH), (13.0, PUNCH)], "P2P_RDY is not enough"
        )
        hear(self.session, 13.0, ACCEPT)
        told = pass_time(self.session, 16.0)
        self.assertNotIn(PUNCH, [value for _, value in told])

    def test_connect_twice(self) -> None:
        """Beginning again changes nothing."""
        said(self.session)
        self.session.connect(10.1)
        self.assertEqual(said(self.session), [])

    def test_echo(self) -> None:
        """Each PUNCH_PKT of the camera is echoed once before P2P_RDY, and none after it."""
        said(self.session)
        self.assertEqual(hear(self.session, 10.01, PUNCH), [PUNCH])
        self.assertEqual(hear(self.session, 10.02, PUNCH), [PUNCH])
        self.assertEqual(hear(self.session, 10.3, READY), [], "P2P_RDY gets no answer")
        self.assertEqual(hear(self.session, 10.31, PUNCH, PUNCH), [])
        self.assertEqual(hear(self.session, 10.32, READY, READY), [])

    def test_tcp_offer(self) -> None:
        """The offer to go on over TCP is ignored, and the session opens all the same."""
        said(self.session)
        self.assertEqual(hear(self.session, 10.1, *[OFFER] * TCP_OFFERS), [])
        self.assertEqual(self.session.statistics.ignored, TCP_OFFERS)
        hear(self.session, 10.4, READY, ACCEPT)
        self.assertTrue(self.session.is_open)

    def test_accepted(self) -> None:
        """C{ACK} opens the session, is acknowledged, and is passed on like any other data."""
        hear(self.session, 10.4, READY)
        self.assertFalse(self.session.is_open)
        self.assertEqual(hear(self.session, 10.5, ACCEPT), [])
        self.assertTrue(self.session.is_open)
        self.assertEqual(self.session.opened_at, 10.5)
        self.assertEqual(events_of(self.session), [Opened(), Received(0, ACCEPTED)])
        self.assertEqual(
            pass_time(self.session, 11.0), [(10.5 + ACK_DELAY, pppp.DrwAck(0, (0,)))]
        )

    def test_accepted_without_ready(self) -> None:
        """When every P2P_RDY was lost, C{ACK} alone opens the session."""
        hear(self.session, 10.5, ACCEPT)
        self.assertTrue(self.session.is_open)

    def test_data_of_the_session_before(self) -> None:
        """Before C{ACK} no other DRW is kept or acknowledged, nor anything else believed."""
        said(self.session)
        stale = [
            pppp.Drw(0, 0, b"ARTEMIS"),
            pppp.Drw(0, 1, ACCEPTED),
            pppp.Drw(1, 0, ACCEPTED),
            pppp.Drw(3, 9, bytes(1024)),
            pppp.Drw(9, 0, b"?"),
            pppp.DrwAck(0, (0, 1, 2)),
        ]
        self.assertEqual(hear(self.session, 10.1, READY, *stale), [])
        self.assertEqual([v for _, v in pass_time(self.session, 10.4)], [])
        self.assertEqual(events_of(self.session), [])
        hear(self.session, 10.45, ACCEPT, pppp.Drw(0, 1, b"new"), pppp.Drw(1, 0, b"too"))
        self.assertEqual(
            events_of(self.session),
            [Opened(), Received(0, ACCEPTED + b"new"), Received(1, b"too")],
        )

    def test_sent_before_open(self) -> None:
        """What is given to send before the session stands waits, and goes out when it does."""
        said(self.session)
        self.session.send(0, b"login", 10.1)
        self.assertEqual(said(self.session), [])
        self.assertEqual(self.session.pending(0), 5)
        self.assertEqual(hear(self.session, 10.2, ACCEPT), [pppp.Drw(0, 0, b"login")])
        self.assertEqual(self.session.pending(0), 0)

    def test_punch_while_connected(self) -> None:
        """A PUNCH_PKT, P2P_RDY or LAN_SEARCH while the session stands is ignored."""
        session = client_session()
        self.assertEqual(hear(session, 1.0, PUNCH, READY, pppp.LanSearch(), PUNCH), [])
        self.assertTrue(session.is_open)
        self.assertEqual(events_of(session), [])

    def test_learns_the_device_id(self) -> None:
        """The client takes the device id that the camera reports, and keeps it once open."""
        said(self.session)
        self.assertEqual(hear(self.session, 10.1, pppp.PunchPkt(OTHER)), [pppp.PunchPkt(OTHER)])
        hear(self.session, 10.2, pppp.P2PRdy(OTHER), ACCEPT, READY, PUNCH)
        self.assertEqual(self.session.device_id, OTHER)

    def test_nobody_answers(self) -> None:
        """After the silence allowed, an attempt is over; nobody is told by CLOSE."""
        told = pass_time(self.session, 60.0)
        self.assertEqual({type(value) for _, value in told}, {pppp.PunchPkt})
        self.assertEqual(events_of(self.session), [Closed(CloseReason.SILENT)])
        self.assertIsNone(self.session.next_timer())


class CameraTests(TestCase):
    """The camera's side."""

    def test_search(self) -> None:
        """LAN_SEARCH is answered by two PUNCH_PKT, each time."""
        session = Session(0.0)
        self.assertEqual(hear(session, 0.0, pppp.LanSearch()), [PUNCH, PUNCH])
        self.assertEqual(hear(session, 0.106, pppp.LanSearch()), [PUNCH, PUNCH])

    def test_tcp_offers(self) -> None:
        """After the echo come 51 TCP offers in 325 ms, then P2P_RDY and C{ACK} every 42 ms."""
        session = Session(0.0, tcp_offer=OFFER)
        hear(session, 0.0, pppp.LanSearch())
        self.assertEqual(hear(session, 1.0, PUNCH), [OFFER])
        self.assertEqual(hear(session, 1.001, PUNCH, pppp.LanSearch()), [], "the second echo")
        told = pass_time(session, 1.324)
        self.assertEqual([value for _, value in told], [OFFER] * (TCP_OFFERS - 1))
        self.assertAlmostEqual(told[-1][0], 1.0 + 50 * TCP_OFFER_INTERVAL)
        told = pass_time(session, 1.325 + 2.5 * OFFER_INTERVAL)
        self.assertEqual([value for _, value in told], [READY, ACCEPT] * 3)
        for (at, _), number in zip(told[::2], range(3), strict=True):
            self.assertAlmostEqual(at, 1.325 + number * OFFER_INTERVAL)

    def test_no_offer_configured(self) -> None:
        """A camera that offers no TCP comes to P2P_RDY and C{ACK} all the same, and soon."""
        session = Session(0.0)
        hear(session, 0.0, pppp.LanSearch())
        self.assertEqual(hear(session, 0.1, PUNCH), [])
        told = pass_time(session, 0.12)
        self.assertEqual([value for _, value in told], [READY, ACCEPT])

    def test_direct_punch(self) -> None:
        """A PUNCH_PKT with no search before it gets P2P_RDY and C{ACK} at once, and no offers."""
        session = Session(0.0, tcp_offer=OFFER)
        self.assertEqual(hear(session, 0.0, PUNCH), [READY, ACCEPT])
        told = pass_time(session, 1.0)
        self.assertEqual([value for _, value in told], [READY, ACCEPT] * 23)
        self.assertAlmostEqual(told[-1][0], 23 * OFFER_INTERVAL)

    def test_ends_with_drw(self) -> None:
        """The client's first DRW ends the repeats: the session stands, its data is taken."""
        session = Session(0.0)
        hear(session, 0.0, PUNCH)
        hear(session, 0.1, pppp.Drw(0, 0, b"login"))
        self.assertEqual(events_of(session), [Opened(), Received(0, b"login")])
        told = [(at, v) for at, v in pass_time(session, 2.0) if not isinstance(v, pppp.Alive)]
        self.assertEqual(told[0], (0.1 + ACK_DELAY, pppp.DrwAck(0, (0,))))
        self.assertEqual({type(v) for _, v in told[1:]}, {pppp.Drw}, "C{ACK} is still resent")
        hear(session, 2.0, pppp.DrwAck(0, (0,)))
        self.assertNotIn(ACCEPT, [v for _, v in pass_time(session, 5.0)])

    def test_ends_with_acknowledgement(self) -> None:
        """The client's first DRW_ACK does the same, and C{ACK} is not sent again."""
        session = Session(0.0)
        hear(session, 0.0, PUNCH)
        hear(session, 0.1, pppp.DrwAck(0, (0,)))
        self.assertEqual(events_of(session), [Opened()])
        self.assertEqual({type(v) for _, v in pass_time(session, 5.0)}, {pppp.Alive})

    def test_repeats_are_no_samples(self) -> None:
        """C{ACK} was sent many times, so its acknowledgement measures no round trip (Karn)."""
        session = Session(0.0)
        hear(session, 0.0, PUNCH)
        pass_time(session, 3.0)
        hear(session, 3.001, pppp.DrwAck(0, (0,)))
        self.assertIsNone(session.round_trip)

    def test_punch_while_offering_or_serving(self) -> None:
        """A PUNCH_PKT from the client's port gets P2P_RDY; the session goes on."""
        session = Session(0.0)
        hear(session, 0.0, PUNCH)
        self.assertEqual(hear(session, 0.01, PUNCH), [READY])
        session = camera_session()
        self.assertEqual(hear(session, 1.0, PUNCH), [READY])
        self.assertEqual(hear(session, 1.0, pppp.LanSearch()), [])
        self.assertTrue(session.is_open)
        self.assertEqual(events_of(session), [])

    def test_keeps_its_device_id(self) -> None:
        """A camera answers with its own id, whatever the client calls it."""
        session = Session(0.0, device_id=OTHER)
        self.assertEqual(hear(session, 0.0, PUNCH)[0], pppp.P2PRdy(OTHER))
        hear(session, 0.1, READY, pppp.DrwAck(0, (0,)), PUNCH)
        self.assertEqual(session.device_id, OTHER)

    def test_answers_nothing_else_first(self) -> None:
        """Before a search or a punch, a camera hears nothing that opens a session."""
        session = Session(0.0)
        self.assertEqual(
            hear(session, 0.0, pppp.Drw(0, 0, b"x"), pppp.DrwAck(0, (0,)), READY, ACCEPT), []
        )
        self.assertFalse(session.is_open)

    def test_client_goes_away(self) -> None:
        """A client that searched and left is forgotten without a word."""
        session = Session(0.0)
        hear(session, 0.0, pppp.LanSearch())
        self.assertEqual(pass_time(session, 60.0), [])
        self.assertEqual(events_of(session), [Closed(CloseReason.SILENT)])


class BothTests(TestCase):
    """Both sides together."""

    def test_direct(self) -> None:
        """A direct punch opens both sides within a round trip and the acknowledgement's delay."""
        link = VirtualLink().open()
        self.assertLess(link.now, 0.03)
        link.run(0.5)
        self.assertEqual(link.told, {"client": [Opened()], "camera": [Opened()]})
        self.assertEqual(bytes(link.streams["client", 0]), ACCEPTED)

    def test_first_datagrams_lost(self) -> None:
        """When the first datagrams of a side are lost, its next repeat opens the session."""
        for side, number, within in (("client", 3, 3 * PUNCH_INTERVAL), ("camera", 4, 0.084)):
            lost = iter(range(number))

            def fate(who: str, _: bytes, side: str = side, lost: Iterator[int] = lost) -> Delays:
                return () if who == side and next(lost, None) is not None else (0.005,)

            self.assertLess(VirtualLink(fate).open().now, within + 0.03)
