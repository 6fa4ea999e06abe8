"""The socket and the session on it, on a network in memory and on real loopback."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from trailcam.protocol import Address, CameraProtocol
from trailcam.pump import Pump
from trailcam.session.events import CloseReason, Event, Received
from trailcam.session.session import ACCEPTED, CLOSE_COPIES, Session
from trailcam.testing import MemoryNetwork
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY

#: Linux's name for sending a burst in one piece; Python has none.
UDP_SEGMENT = 103

CAMERA: Address = ("127.0.0.1", 40611)


class PlainCamera(DatagramProtocol):
    """
    A camera that does nothing but keep a session with whoever comes.

    @ivar received: what it got, by channel.
    """

    noisy = False

    def __init__(self, clock: MemoryNetwork) -> None:
        self._clock = clock
        self.pump: Pump | None = None
        self.sources: list[Address] = []
        self.received: list[Received] = []

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        if self.pump is None or self.pump.session.next_timer() is None or addr != self.sources[-1]:
            self.welcome(addr)
        assert self.pump is not None
        self.pump.receive(datagram)

    def welcome(self, source: Address) -> None:
        """A new client: a new session."""
        self.leave()
        self.sources.append(source)
        session = Session(self._clock.seconds())
        self.pump = Pump(self._clock, session, lambda data: self.write(data), self.handle)

    def leave(self) -> None:
        """Gone without a word."""
        if self.pump is not None:
            self.pump.drop()
        self.pump = None

    def write(self, data: bytes) -> None:
        """Send to the client."""
        assert self.transport is not None
        self.transport.write(data, self.sources[-1])

    def handle(self, event: Event) -> None:
        if isinstance(event, Received):
            self.received.append(event)


class Listener:
    """
    Who hears of the link.

    @ivar received: what came, by channel.
    @ivar lost: why it ended.
    """

    def __init__(self) -> None:
        self.received: list[tuple[int, bytes]] = []
        self.lost: list[CloseReason] = []

    def link_received(self, channel: int, data: bytes) -> None:
        self.received.append((channel, data))

    def link_lost(self, reason: CloseReason) -> None:
        self.lost.append(reason)


class ProtocolTests(TestCase):
    """L{CameraProtocol} on a L{MemoryNetwork}."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.camera = PlainCamera(self.network)
        self.network.listenUDP(CAMERA[1], self.camera)
        self.protocol = CameraProtocol(self.network)
        self.network.listenUDP(0, self.protocol)
        self.listener = Listener()

    def tearDown(self) -> None:
        """Whatever happened, nothing is left once both are gone."""
        self.network.run_until(self.protocol.close())
        self.network.drops = lambda sent: True
        self.network.advance(1.0)  # what was in the air has arrived
        self.camera.leave()
        self.assertEqual(self.network.getDelayedCalls(), [])

    def open(self) -> Deferred[None]:
        return self.protocol.open(CAMERA, FAMILY, 5.0, self.listener)

    def opened(self) -> None:
        """Open, and wait until it stands."""
        self.network.run_until(self.open())
        self.assertEqual(self.listener.received[-1:], [(0, ACCEPTED)])
        self.listener.received.clear()

    def pass_time(self, seconds: float) -> None:
        """Let time pass in small steps."""
        self.network.pump([0.01] * round(seconds * 100))

    def said(self, source: int) -> list[pppp.Datagram]:
        """What went out from a port so far."""
        return [pppp.decode(s.data) for s in self.network.sent if s.source[1] == source]

    def test_open(self) -> None:
        """It fires when the session stands; the camera sees one source port, which we know."""
        self.opened()
        session = self.protocol.session
        assert session is not None
        self.assertTrue(session.is_open)
        self.assertEqual(self.camera.sources, [("127.0.0.1", self.protocol.local_port)])
        self.assertEqual(self.protocol.peer, CAMERA)

    def test_local_port(self) -> None:
        """The port that the system chose is read back; one that was asked for is kept."""
        self.assertEqual(self.protocol.local_port, 49152)
        other = CameraProtocol(self.network)
        self.network.listenUDP(50123, other)
        self.assertEqual(other.local_port, 50123)
        self.network.run_until(other.close())

    def test_data(self) -> None:
        """Data goes both ways, also from within C{link_received}."""
        self.opened()

        def answer(channel: int, data: bytes) -> None:
            self.protocol.send(0, b"heard " + data)

        self.listener.link_received = answer  # type: ignore[method-assign]
        self.protocol.send(0, b"login")
        assert self.camera.pump is not None
        self.camera.pump.send(0, b"welcome")
        self.pass_time(0.2)
        self.assertEqual(
            b"".join(event.data for event in self.camera.received),
            b"loginheard welcome",
        )

    def test_another_address(self) -> None:
        """What comes from elsewhere, another port of the camera too, is dropped and counted."""
        self.opened()
        strayed: list[bytes] = []
        self.protocol.stray = lambda datagram, addr: strayed.append(datagram)
        close = pppp.encode(pppp.Close())
        for address in (("127.0.0.1", 40612), ("192.168.43.7", 40611)):
            self.protocol.datagramReceived(close, address)
        self.assertEqual(self.protocol.dropped, 2)
        self.assertEqual((self.listener.lost, strayed), ([], []))

    def test_runs(self) -> None:
        """Datagrams that the kernel hands over in one piece are taken one by one."""
        strayed: list[bytes] = []
        self.protocol.stray = lambda datagram, addr: strayed.append(datagram)
        ready = pppp.encode(pppp.P2PRdy(FAMILY))
        self.protocol.datagramReceived(ready * 3, CAMERA)
        self.assertEqual(strayed, [ready] * 3)
        self.opened()
        data = [bytes([index]) * 1024 for index in range(20)]
        run = [pppp.encode_drw(3, index, piece) for index, piece in enumerate(data)]
        self.protocol.datagramReceived(b"".join(run) + pppp.encode_drw(3, 20, b"end"), CAMERA)
        self.protocol.datagramReceived(run[7] * 2, CAMERA)
        self.pass_time(0.1)
        self.assertEqual(self.listener.received, [(3, b"".join(data) + b"end")])
        session = self.protocol.session
        assert session is not None
        self.assertEqual((session.statistics.duplicates, session.statistics.malformed), (2, 0))
        said = [value for value in self.said(self.protocol.local_port)
                if isinstance(value, pppp.DrwAck) and value.channel == 3]  # fmt: skip
        self.assertEqual([len(ack.indexes) for ack in said], [17, 6])
        self.assertEqual([n for ack in said for n in ack.indexes], [*range(21), 7, 7])

    def test_stray(self) -> None:
        """Before a session, and after it, datagrams go to who searches; or nowhere."""
        strayed: list[tuple[bytes, Address]] = []
        self.protocol.datagramReceived(b"early", CAMERA)
        self.protocol.stray = lambda datagram, addr: strayed.append((datagram, addr))
        self.protocol.datagramReceived(b"here I am", CAMERA)
        self.assertEqual(strayed, [(b"here I am", CAMERA)])
        self.assertEqual(self.protocol.dropped, 0)
        self.opened()
        self.protocol.drop()
        self.protocol.datagramReceived(b"again", CAMERA)
        self.assertEqual(strayed[1:], [(b"again", CAMERA)])

    def test_without_session(self) -> None:
        """Sending, pausing and dropping without a session do nothing."""
        self.protocol.send(0, b"x")
        self.protocol.pause(0)
        self.protocol.resume(0)
        self.protocol.drop()
        self.assertEqual(self.network.sent, [])
        self.assertIsNone(self.protocol.session)
        self.assertIsNone(self.protocol.peer)

    def test_send_to(self) -> None:
        """A search sends where it likes; where that is not allowed, the datagram is lost."""
        self.protocol.send_to(b"search", ("255.255.255.255", 32108))
        self.assertEqual(self.network.sent, [])
        self.protocol.allow_broadcast()
        self.protocol.send_to(b"search", ("255.255.255.255", 32108))
        self.assertEqual(self.network.sent[0].destination, ("255.255.255.255", 32108))

    def test_pause(self) -> None:
        """A paused channel is silent until it is resumed; then all of it comes."""
        self.opened()
        self.protocol.pause(1)
        assert self.camera.pump is not None
        self.camera.pump.send(1, b"x" * 3000)
        self.camera.pump.send(0, b"response")
        self.pass_time(1.0)
        self.assertEqual(self.listener.received, [(0, b"response")])
        self.protocol.resume(1)
        self.assertEqual(sum(len(data) for c, data in self.listener.received if c == 1), 3000)

    def test_close(self) -> None:
        """Closing says CLOSE, frees the port, and tells the listener nothing."""
        self.opened()
        port = self.protocol.local_port
        closed = self.protocol.close()
        self.assertEqual(self.said(port)[-CLOSE_COPIES:], [pppp.Close()] * CLOSE_COPIES)
        self.assertRaises(
            CannotListenError, self.network.listenUDP, port, CameraProtocol(self.network)
        )
        self.network.run_until(closed)
        again = CameraProtocol(self.network)
        self.network.listenUDP(port, again)
        self.network.run_until(again.close())
        self.assertEqual(self.listener.lost, [])

    def test_close_without_session(self) -> None:
        """A search that found nothing gives its port back without a word."""
        self.network.run_until(self.protocol.close())
        self.assertEqual(self.network.sent, [])

    def test_close_twice(self) -> None:
        """Both are told when the port is free, and a third time changes nothing."""
        first, second = self.protocol.close(), self.protocol.close()
        self.network.run_until(first)
        self.network.run_until(second)
        self.assertIsNone(self.successResultOf(self.protocol.close()))

    def test_close_never_bound(self) -> None:
        """A protocol without a port is closed already."""
        self.assertIsNone(self.successResultOf(CameraProtocol(self.network).close()))

    def test_close_within_link_received(self) -> None:
        """A listener that closes is not called again, CLOSE goes out, and no timer is left."""
        self.opened()
        port = self.protocol.local_port

        def close(channel: int, data: bytes) -> None:
            self.listener.received.append((channel, data))
            self.protocol.close()

        self.listener.link_received = close  # type: ignore[method-assign]
        assert self.camera.pump is not None
        for data in (b"first", b"second"):
            self.camera.pump.send(1, data)
        self.pass_time(0.5)
        self.assertEqual(len(self.listener.received), 1)
        self.assertEqual(self.said(port).count(pppp.Close()), CLOSE_COPIES)
        self.assertEqual(self.said(port)[-1], pppp.Close())

    def test_drop_within_link_received(self) -> None:
        """A listener that drops the session leaves no timer, and nothing more is said."""
        self.opened()
        self.pass_time(0.1)
        self.listener.link_received = (  # type: ignore[method-assign]
            lambda channel, data: self.protocol.drop()
        )
        assert self.camera.pump is not None
        self.camera.pump.send(1, b"x")
        self.network.sent.clear()
        self.pass_time(3.0)
        self.assertEqual(self.said(self.protocol.local_port), [])

    def test_lost(self) -> None:
        """When the camera vanishes the listener hears of it, once; the port is still ours."""
        self.opened()
        self.camera.leave()
        self.network.drops = lambda sent: True
        self.pass_time(6.0)
        self.assertEqual(self.listener.lost, [CloseReason.SILENT])
        self.assertIsNone(self.protocol.session)
        self.assertEqual(self.protocol.local_port, 49152)

    def test_lost_and_opened_again(self) -> None:
        """After a drop a new session stands on the same port, without a restart."""
        self.opened()
        assert self.camera.pump is not None
        self.camera.pump.close()
        self.pass_time(0.1)
        self.assertEqual(self.listener.lost, [CloseReason.PEER])
        self.opened()
        self.assertEqual(self.camera.sources, [("127.0.0.1", 49152)] * 2)
        self.pass_time(0.1)
        self.assertEqual(self.listener.lost, [CloseReason.PEER])

    def test_open_fails(self) -> None:
        """A session that ends before it stands fails what waits, and the listener hears nothing."""
        self.network.drops = lambda sent: True
        opening = self.open()
        self.assertRaises(ConnectionError, self.network.run_until, opening)
        self.assertAlmostEqual(self.network.seconds(), 5.0)
        self.assertEqual(self.listener.lost, [])

    def test_open_refused(self) -> None:
        """A camera that answers with CLOSE fails it at once."""
        self.camera.datagramReceived = (  # type: ignore[method-assign]
            lambda datagram, addr: self.camera.transport.write(pppp.encode(pppp.Close()), addr)
        )
        self.assertRaises(ConnectionError, self.network.run_until, self.open())
        self.assertLess(self.network.seconds(), 0.1)

    def test_close_while_opening(self) -> None:
        """Closing fails what waits for the session."""
        opening = self.open()
        closed = self.protocol.close()
        self.failureResultOf(opening, ConnectionError)
        self.network.run_until(closed)

    def test_cancel_open(self) -> None:
        """A cancelled opening is forgotten: silence at once, no timer, and one may open again."""
        opening = self.open()
        self.pass_time(0.005)
        opening.cancel()
        self.failureResultOf(opening, CancelledError)
        self.assertIsNone(self.protocol.session)
        self.camera.leave()
        self.network.drops = lambda sent: True
        self.network.sent.clear()
        self.pass_time(3.0)
        self.assertEqual(self.said(49152), [])
        self.network.drops = lambda sent: False
        self.opened()
        self.assertEqual(self.listener.lost, [])

    def test_refused_by_the_system(self) -> None:
        """An ICMP "port unreachable" is as good as silence: nothing happens."""
        self.opened()
        self.protocol.connectionRefused()
        self.assertEqual(self.listener.lost, [])


class RealSocketTests(TestCase):
    """The same on a real reactor's loopback."""

    async def test_port_and_buffer(self) -> None:
        """The port is read back, the receive buffer grows, and the port is free after close."""
        protocol = CameraProtocol(reactor)
        port = reactor.listenUDP(0, protocol, "127.0.0.1", 65536)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
            usual = plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        given = port.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.assertGreaterEqual(given, usual)
        number = protocol.local_port
        self.assertEqual(number, port.getHost().port)
        first, second = protocol.close(), protocol.close()
        await first
        await second
        again = CameraProtocol(reactor)
        reactor.listenUDP(number, again, "127.0.0.1", 65536)
        self.assertEqual(again.local_port, number)
        await again.close()

    async def test_bursts(self) -> None:
        """A burst that Linux carries in one piece arrives as the datagrams that it is."""
        protocol, listener = CameraProtocol(reactor), Listener()
        reactor.listenUDP(0, protocol, "127.0.0.1", 65536)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as camera:
            camera.bind(("127.0.0.1", 0))
            camera.connect(("127.0.0.1", protocol.local_port))
            opening = protocol.open(camera.getsockname(), FAMILY, 5.0, listener, ready=True)
            camera.send(pppp.encode_drw(0, 0, ACCEPTED))
            await opening
            try:
                camera.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 1032)
            except OSError as error:
                raise SkipTest(f"bursts in one piece are not to be had here: {error}") from None
            data = [bytes([index]) * 1024 for index in range(30)] + [b"end"]
            run = b"".join(pppp.encode_drw(3, index, piece) for index, piece in enumerate(data))
            camera.send(run)
            whole = b"".join(data)
            got = b""
            while len(got) < len(whole):
                await deferLater(reactor, 0.001)
                got = b"".join(piece for channel, piece in listener.received if channel == 3)
            self.assertEqual(got, whole)
            session = protocol.session
            assert session is not None
            self.assertEqual(session.statistics.malformed, 0)
            await protocol.close()
