"""Finding a camera: where to look, how often, and whom to believe."""

from __future__ import annotations

from ipaddress import IPv4Interface
from unittest import mock

from twisted.internet.defer import TimeoutError as TwistedTimeout
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase

from tests.support import kind_of
from trailcam.discovery import Discovery, Found, Plan, first_answer, plan
from trailcam.networks import Network
from trailcam.protocol import CameraProtocol
from trailcam.target import Target
from trailcam.testing import MemoryNetwork, MemoryPort
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY, DeviceId

WLAN = Network("wlan0", IPv4Interface("192.168.43.100/24"))
HOME = Network("eth0", IPv4Interface("10.0.0.7/16"))
KNOWN = [40611, 32108, 3333, 32100, 10000]
CAMERA = ("192.168.43.1", 40611)


def looked(*networks: Network) -> mock._patch[mock.Mock]:
    """As if this machine were on these networks."""
    return mock.patch("trailcam.discovery.local_networks", return_value=list(networks))


class PlanTests(TestCase):
    """Where to look."""

    def test_on_the_cameras_network(self) -> None:
        """Search by broadcast on every network, and punch at the access point's known ports."""
        with looked(HOME, WLAN):
            where = plan(Target())
        broadcasts = ["255.255.255.255", "10.0.255.255", "192.168.43.255"]
        self.assertEqual(where.search, [(host, 32108) for host in broadcasts])
        self.assertEqual(where.punch, [("192.168.43.1", port) for port in KNOWN])
        self.assertIsNone(where.host)

    def test_last_one_first(self) -> None:
        """The address that worked last is the first to be punched."""
        with looked(WLAN):
            where = plan(Target(), ("192.168.43.7", 40700))
        self.assertEqual(where.punch[0], ("192.168.43.7", 40700))
        self.assertEqual(len(where.punch), 6)
        with looked(WLAN):
            self.assertEqual(len(plan(Target(), CAMERA).punch), 5, "each only once")

    def test_last_one_out_of_reach(self) -> None:
        """An address on a network that we are not on belongs to somebody else now."""
        with looked(HOME):
            self.assertEqual(plan(Target(), CAMERA).punch, [])

    def test_given_host(self) -> None:
        """A camera given as HOST is punched at the known ports and never searched for."""
        with looked(HOME, WLAN):
            where = plan(Target("10.0.0.9"))
        self.assertEqual(where.search, ())
        self.assertEqual(where.punch, [("10.0.0.9", port) for port in KNOWN])
        self.assertEqual(where.host, "10.0.0.9")

    def test_given_host_and_port(self) -> None:
        """HOST:PORT is that port and no other, whatever worked last."""
        where = plan(Target("10.0.0.9", 5000), ("10.0.0.9", 40700))
        self.assertEqual(where.punch, [("10.0.0.9", 5000)])

    def test_given_host_last_port(self) -> None:
        """HOST alone begins with the port that worked last, if it was that host's."""
        punch = plan(Target("10.0.0.9"), ("10.0.0.9", 40700)).punch
        self.assertEqual([port for _, port in punch], [40700, *KNOWN])
        punch = plan(Target("10.0.0.9"), ("10.0.0.8", 40700)).punch
        self.assertEqual([port for _, port in punch], KNOWN)

    def test_given_broadcast(self) -> None:
        """A broadcast address given by hand is all that is tried."""
        with looked(HOME, WLAN):
            where = plan(Target(broadcast="192.168.43.255", search_port=5000), CAMERA)
        self.assertEqual(where.search, [("192.168.43.255", 5000)])
        self.assertEqual(where.punch, [])

    def test_text(self) -> None:
        """The log can tell where was looked."""
        text = str(Plan([("10.0.255.255", 32108)], [("10.0.0.9", 1), ("10.0.0.9", 2)], None))
        self.assertEqual(text, "search 10.0.255.255:32108; punch 10.0.0.9:1, 2")
        self.assertIn("on no network", str(Plan([], [], None)))


class DiscoveryTests(TestCase):
    """Searching and punching."""

    def setUp(self) -> None:
        """A socket of ours, and one of the camera's."""
        self.network = MemoryNetwork()
        self.protocol = CameraProtocol(self.network)
        self.port = self.network.listenUDP(49999, self.protocol)
        self.camera = self.network.listenUDP(40611, DatagramProtocol(), "192.168.43.1")

    def answer(self, value: pppp.Datagram | bytes, port: MemoryPort | None = None) -> None:
        """The camera sends something, and it arrives."""
        data = value if isinstance(value, bytes) else pppp.encode(value)
        (port or self.camera).write(data, ("127.0.0.1", 49999))
        self.network.advance(0.001)

    def sent(self, kind: str) -> list[tuple[str, int]]:
        """Where datagrams of a kind went."""
        return [each.destination for each in self.network.sent if kind_of(each) == kind]

    def pump(self, seconds: float) -> None:
        """Let time pass in steps of a millisecond."""
        self.network.pump([0.001] * round(seconds * 1000))

    def test_how_often(self) -> None:
        """A search goes out every 106 ms, a punch every half second, from the start on."""
        where = Plan([("192.168.43.255", 32108)], [CAMERA, ("192.168.43.1", 3333)], None)
        discovery = Discovery(self.network, self.protocol, where, self.fail)
        discovery.start()
        self.assertEqual(self.sent("LanSearch"), [("192.168.43.255", 32108)])
        self.assertEqual(self.sent("PunchPkt"), [CAMERA, ("192.168.43.1", 3333)])
        self.pump(1.01)
        self.assertEqual(len(self.sent("LanSearch")), 10)
        self.assertEqual(len(self.sent("PunchPkt")), 2 * 3)
        discovery.stop()
        self.pump(1)
        self.assertEqual(len(self.network.sent), 10 + 6, "nothing after the end")
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_broadcast_only_where_needed(self) -> None:
        """The socket may send broadcasts only when there is a search to send."""
        Discovery(self.network, self.protocol, Plan([], [CAMERA], None), self.fail).start()
        self.assertFalse(self.port.broadcast)
        search = Plan([("192.168.43.255", 32108)], [], None)
        Discovery(self.network, self.protocol, search, self.fail).start()
        self.assertTrue(self.port.broadcast)

    def test_both_kinds_of_answer(self) -> None:
        """PUNCH_PKT answers a search, P2P_RDY a punch; each tells who and where."""
        for answer in (pppp.PunchPkt, pppp.P2PRdy):
            found: list[Found] = []
            other = DeviceId("ABCD", 7, "XYZ")
            discovery = Discovery(self.network, self.protocol, Plan([], [], None), found.append)
            discovery.start()
            self.answer(answer(other))
            discovery.stop()
            self.assertEqual(found, [Found(CAMERA, other)])
            self.assertEqual(str(found[0]), "192.168.43.1:40611")

    def test_no_answers(self) -> None:
        """Nonsense, our own search come back, and pieces of an old session are no answers."""
        Discovery(self.network, self.protocol, Plan([], [], None), self.fail).start()
        for value in (b"", b"\xf1", b"\xf1\x41\x00\x14" + bytes(19), b"x" * 2000,
                      b"\xf1\x41\x00\x14" + b"\xff" * 20, pppp.LanSearch(), pppp.Alive(),
                      pppp.Close(), pppp.Drw(0, 0, b"ACK"), pppp.DrwAck(0, (0,)),
                      pppp.Unknown(0x77, b"?"), pppp.Hello()):  # fmt: skip
            self.answer(value)

    def test_only_the_host_given(self) -> None:
        """With a HOST given, an answer from anybody else does not count."""
        found: list[Found] = []
        where = Plan([], [CAMERA], "192.168.43.1")
        Discovery(self.network, self.protocol, where, found.append).start()
        stranger = self.network.listenUDP(40611, DatagramProtocol(), "192.168.43.2")
        self.answer(pppp.PunchPkt(FAMILY), stranger)
        self.assertEqual(found, [])
        # The same host may answer from another port: it is the one to go on with.
        other = self.network.listenUDP(40700, DatagramProtocol(), "192.168.43.1")
        self.answer(pppp.PunchPkt(FAMILY), other)
        self.assertEqual(found, [Found(("192.168.43.1", 40700), FAMILY)])

    def test_first_answer(self) -> None:
        """The first answer counts, and ends the search."""
        answer = first_answer(self.network, self.protocol, Plan([], [CAMERA], None), 5)
        self.assertNoResult(answer)
        self.answer(pppp.P2PRdy(FAMILY))
        self.answer(pppp.P2PRdy(DeviceId("LATE", 1, "R")))
        self.assertEqual(self.successResultOf(answer), Found(CAMERA, FAMILY))
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_nobody(self) -> None:
        """After the time allowed it is over."""
        answer = first_answer(self.network, self.protocol, Plan([], [CAMERA], None), 5)
        self.pump(4.999)
        self.assertNoResult(answer)
        self.pump(0.002)
        self.failureResultOf(answer, TwistedTimeout)
        self.network.advance(0.001)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_cancelled(self) -> None:
        """Who no longer wants to know cancels: no timer is left."""
        answer = first_answer(self.network, self.protocol, Plan([], [CAMERA], None), 5)
        answer.cancel()
        self.failureResultOf(answer)
        self.network.advance(0.001)
        self.assertEqual(self.network.getDelayedCalls(), [])

    def test_no_way_there(self) -> None:
        """A network that is down makes the search fruitless, not fail."""
        answer = first_answer(self.network, self.protocol, Plan([], [CAMERA], None), 5)
        with mock.patch.object(self.port, "write", side_effect=OSError(101, "unreachable")):
            self.pump(2)
        self.assertNoResult(answer)
        self.pump(0.5)
        self.answer(pppp.P2PRdy(FAMILY))
        self.assertEqual(self.successResultOf(answer), Found(CAMERA, FAMILY))
