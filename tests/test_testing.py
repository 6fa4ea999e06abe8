"""The public fakes: they must be what they say, for other people's tests rest on them."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IReactorTime,
    IReactorUDP,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyClass, verifyObject

from trailcam.client import Camera
from trailcam.interfaces import ICameraReactor
from trailcam.target import Target
from trailcam.testing import (
    FakeCamera,
    InlineWorker,
    MemoryNetwork,
    MemoryPort,
    Sent,
    reserve_port,
)


class Recorder(DatagramProtocol):
    """Keeps what comes."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Any]] = []
        self.stopped = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append((datagram, addr))

    def stopProtocol(self) -> None:
        self.stopped += 1


class InterfaceTests(TestCase):
    """Twisted's interfaces, kept."""

    def test_network(self) -> None:
        """A network is a reactor with time and UDP."""
        for interface in (IReactorTime, IReactorUDP, ICameraReactor):
            verifyClass(interface, MemoryNetwork)
            verifyObject(interface, MemoryNetwork())

    def test_port(self) -> None:
        """A port is a listening port and a UDP transport."""
        port = MemoryNetwork().listenUDP(0, Recorder())
        for interface in (IListeningPort, IUDPTransport):
            verifyClass(interface, MemoryPort)
            verifyObject(interface, port)


class MemoryNetworkTests(TestCase):
    """UDP ports in memory."""

    def setUp(self) -> None:
        """A network with two ports on it."""
        self.network = MemoryNetwork(delay=0.25)
        self.one, self.two = Recorder(), Recorder()
        self.here = self.network.listenUDP(0, self.one)
        self.there = self.network.listenUDP(40611, self.two, "192.168.43.1")

    def test_takes_its_time(self) -> None:
        """A datagram arrives after the delay, with the address that it comes from."""
        self.here.write(b"hello", ("192.168.43.1", 40611))
        self.network.advance(0.24)
        self.assertEqual(self.two.received, [])
        self.network.advance(0.01)
        self.assertEqual(self.two.received, [(b"hello", ("127.0.0.1", self.here.address[1]))])

    def test_nobody_there(self) -> None:
        """What is sent to a port that nobody holds is gone."""
        self.here.write(b"hello", ("192.168.43.1", 40612))
        self.here.write(b"hello", ("192.168.43.2", 40611))
        self.network.advance(1)
        self.assertEqual(self.two.received, [])

    def test_drops(self) -> None:
        """The test decides what gets lost; what was sent can be looked at, lost or not."""
        self.network.drops = lambda sent: sent.data == b"two"
        for data in (b"one", b"two", b"three"):
            self.here.write(data, ("192.168.43.1", 40611))
        self.network.advance(1)
        self.assertEqual([data for data, _ in self.two.received], [b"one", b"three"])
        self.assertEqual(
            self.network.sent[1], Sent(b"two", self.here.address, ("192.168.43.1", 40611))
        )

    def test_port_of_the_systems_choice(self) -> None:
        """Port 0 gets a free one, each time another, and it can be read back."""
        port = self.network.listenUDP(0, Recorder())
        self.assertEqual(port.getHost(), IPv4Address("UDP", "127.0.0.1", port.address[1]))
        self.assertNotEqual(port.address, self.here.address)
        self.network.taken.add(port.address[1] + 1)
        self.assertEqual(self.network.listenUDP(0, Recorder()).address[1], port.address[1] + 2)

    def test_bound_is_bound(self) -> None:
        """A port that is bound, here or by another program, cannot be bound."""
        self.network.taken.add(5000)
        for number in (self.here.address[1], 5000):
            error = self.assertRaises(CannotListenError, self.network.listenUDP, number, Recorder())
            self.assertEqual(error.port, number)
            self.assertEqual(error.socketError.strerror, "Address already in use")

    def test_unbound_once_it_says_so(self) -> None:
        """Until the Deferred of C{stopListening} fires the port is bound; then it is free."""
        number = self.here.address[1]
        stopped = self.here.stopListening()
        self.assertIs(stopped, self.here.stopListening())
        self.assertRaises(CannotListenError, self.network.listenUDP, number, Recorder())
        self.assertNoResult(stopped)
        self.network.advance(0)
        self.successResultOf(stopped)
        self.assertEqual(self.one.stopped, 1)
        self.network.listenUDP(number, Recorder())
        self.assertEqual(
            self.network.bound, [("192.168.43.1", 40611), ("127.0.0.1", number)]
        )

    def test_closed_port_hears_and_says_nothing(self) -> None:
        """What arrives after the end is gone, and so is what is written."""
        self.there.write(b"late", self.here.address)
        self.here.stopListening()
        self.here.write(b"later", ("192.168.43.1", 40611))
        self.network.advance(1)
        self.assertEqual((self.one.received, self.two.received), ([], []))

    def test_broadcast_must_be_allowed(self) -> None:
        """As with a real socket."""
        self.assertRaises(
            PermissionError, self.here.write, b"all", ("255.255.255.255", 32108)
        )
        self.assertFalse(self.here.getBroadcastAllowed())
        self.here.setBroadcastAllowed(True)
        self.here.write(b"all", ("255.255.255.255", 32108))
        self.assertTrue(self.here.getBroadcastAllowed())

    def test_not_connected(self) -> None:
        """These ports are never connected, so an address must be named."""
        self.assertRaises(ValueError, self.here.write, b"whom?")
        self.assertRaises(NotImplementedError, self.here.connect, "127.0.0.1", 1)

    def test_run_until(self) -> None:
        """Time passes as far as it must; results and failures come out."""
        done: Deferred[str] = Deferred()
        self.network.callLater(50, done.callback, "result")
        self.assertEqual(self.network.run_until(done), "result")
        self.assertEqual(self.network.seconds(), 50)
        failed: Deferred[str] = Deferred()
        self.network.callLater(1, failed.errback, ZeroDivisionError())
        self.assertRaises(ZeroDivisionError, self.network.run_until, failed)

    def test_run_until_never(self) -> None:
        """A test that would wait for ever is told."""
        self.assertRaises(TimeoutError, self.network.run_until, Deferred())
        self.network.callLater(200, lambda: None)
        self.network.callLater(300, lambda: None)
        self.assertRaises(TimeoutError, self.network.run_until, Deferred(), 100)


class FakeCameraTests(TestCase):
    """The camera for other people's tests."""

    def test_as_documented(self) -> None:
        """The example in the module's documentation works, and leaves nothing behind."""
        network = MemoryNetwork()
        fake = FakeCamera(network, photos=5)
        fake.start()
        camera = Camera(network, Target(host="127.0.0.1", port=40611), worker=InlineWorker())
        network.run_until(camera.connect())
        network.run_until(camera.login())
        self.assertEqual(network.run_until(camera.info()).battery_percent, 80)
        self.assertEqual(fake.sources, [camera.local_port])
        network.run_until(camera.close())
        network.run_until(fake.stop())
        network.advance(1)
        self.assertEqual((network.getDelayedCalls(), network.bound), ([], []))

    def test_reserve_port(self) -> None:
        """A port for real sockets is free."""
        port = reserve_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", port))
