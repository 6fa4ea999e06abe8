"""
Fakes for programs that use trailcam, public and documented.

L{MemoryNetwork} is a reactor with a clock and UDP ports in memory, where a
test decides what gets lost; L{FakeCamera} is a simulated camera on it::

    network = MemoryNetwork()
    FakeCamera(network, photos=5).start()
    camera = Camera(network, Target(host="127.0.0.1", port=40611), worker=InlineWorker())
    connected = camera.connect()
    network.run_until(connected)

L{Air} and L{SleepingCamera} are for programs that wake a camera over Bluetooth
and join its network, on a machine without radios, with a real reactor::

    async def main(reactor):
        air = Air(reactor)
        fake = FakeCamera(reactor, port=0, search_port=None)
        sleeping = SleepingCamera(air, fake, boot=0.1)
        await air.start()
        os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = air.bus_address
        radios = Radios(reactor)  # of trailcam.radio.station
        await radios.join(await radios.wake(WakeTarget()))
        ...  # meet the camera at fake.address
        await radios.leave()
        print(sleeping.awake, "seconds awake")
        await radios.close()
        await air.stop()
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from trailcam.interfaces import ICameraReactor
from trailcam.simulator.asleep import Air, SleepingCamera
from trailcam.simulator.card import Card
from trailcam.simulator.server import SimulatedCamera
from trailcam.worker import InlineWorker

__all__ = [
    "Air",
    "FakeCamera",
    "InlineWorker",
    "MemoryNetwork",
    "MemoryPort",
    "Sent",
    "SleepingCamera",
    "reserve_port",
]

Address = tuple[str, int]


@dataclass
class Sent:
    """
    A datagram on its way.

    @ivar source: host and port that it comes from.
    @ivar destination: host and port that it goes to.
    """

    data: bytes
    source: Address
    destination: Address


@implementer(ICameraReactor)
class MemoryNetwork(Clock):
    """
    A clock, and UDP ports of hosts that exist only here.

    A datagram arrives C{delay} seconds after it was sent, unless C{drops}
    says that it is lost. Like a real system it refuses to bind a port that is
    bound, and one stays bound until the C{Deferred} of C{stopListening} fires.

    @ivar delay: seconds from one end to the other.
    @ivar drops: decides which datagrams are lost.
    @ivar sent: every datagram that was sent, lost or not; cleared by the test if it grows.
    @ivar taken: ports that another program holds.
    """

    def __init__(self, delay: float = 0.001) -> None:
        super().__init__()
        self.delay = delay
        self.drops: Callable[[Sent], bool] = lambda sent: False
        self.sent: list[Sent] = []
        self.taken: set[int] = set()
        self._ports: dict[Address, MemoryPort] = {}
        self._next_port = 49152

    def listenUDP(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> MemoryPort:
        """Bind a port; an empty C{interface} is 127.0.0.1."""
        host = interface or "127.0.0.1"
        if port == 0:
            while (host, self._next_port) in self._ports or self._next_port in self.taken:
                self._next_port += 1
            port = self._next_port
            self._next_port += 1
        if (host, port) in self._ports or port in self.taken:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        listening = MemoryPort(self, (host, port), protocol)
        self._ports[host, port] = listening
        protocol.makeConnection(listening)
        return listening

    @property
    def bound(self) -> list[Address]:
        """Every port that is bound now."""
        return list(self._ports)

    def carry(self, sent: Sent) -> None:
        """Take a datagram from a port."""
        self.sent.append(sent)
        if not self.drops(sent):
            self.callLater(self.delay, self._arrive, sent)

    def release(self, address: Address) -> None:
        """A port is no longer bound."""
        self._ports.pop(address, None)

    def run_until(self, deferred: Deferred[Any], seconds: float = 120.0) -> Any:
        """
        Let time pass until something has happened.

        @return: its result; a failure is raised.
        @raise TimeoutError: when it has not happened after so many seconds.
        """
        outcome: list[Any] = []
        deferred.addBoth(outcome.append)
        end = self.seconds() + seconds
        while not outcome:
            calls = self.getDelayedCalls()
            if self.seconds() > end or not calls:
                raise TimeoutError(f"nothing after {seconds} s")
            due = min(call.getTime() for call in calls)
            self.advance(max(0.0, due - self.seconds()))
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        return outcome[0]

    def _arrive(self, sent: Sent) -> None:
        port = self._ports.get(sent.destination)
        if port is not None and port.protocol is not None:
            port.protocol.datagramReceived(sent.data, sent.source)


@implementer(IListeningPort, IUDPTransport)
@dataclass(eq=False)
class MemoryPort:
    """One bound port of a L{MemoryNetwork}."""

    network: MemoryNetwork
    address: Address
    protocol: DatagramProtocol | None
    broadcast: bool = False
    _stopping: Deferred[None] | None = field(default=None, repr=False)

    def startListening(self) -> None:
        """It listens from the start."""

    def stopListening(self) -> Deferred[None]:
        """Unbind; the port is free once this fires, not before."""
        if self._stopping is None:
            self._stopping = Deferred()
            self.network.callLater(0, self._stopped, self._stopping)
        return self._stopping

    def getHost(self) -> IPv4Address:
        """Where it is bound."""
        return IPv4Address("UDP", *self.address)

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        """Send a datagram."""
        if addr is None:
            raise ValueError("this port is not connected: name an address")
        if addr[0] == "255.255.255.255" and not self.broadcast:
            raise PermissionError(13, "Permission denied")
        if self._stopping is None:
            self.network.carry(Sent(bytes(packet), self.address, addr))

    def connect(self, host: str, port: int) -> None:
        """Not offered: a camera client talks to whoever answers."""
        raise NotImplementedError

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """Allow broadcasts, or not."""
        self.broadcast = enabled

    def getBroadcastAllowed(self) -> bool:
        """Whether broadcasts are allowed."""
        return self.broadcast

    def _stopped(self, done: Deferred[None]) -> None:
        protocol, self.protocol = self.protocol, None
        self.network.release(self.address)
        if protocol is not None:
            protocol.doStop()
        done.callback(None)


class FakeCamera(SimulatedCamera):
    """
    A simulated camera for tests: on a L{MemoryNetwork}, or on a real reactor's loopback.

    @ivar sources: every client port that opened a session, in order.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        photos: int = 3,
        videos: int = 0,
        card: Card | None = None,
        newest: int = 1_780_000_000,
        **options: Any,
    ) -> None:
        """
        @param reactor: a L{MemoryNetwork}, or anything that provides L{ICameraReactor}.
        @param newest: wall-clock seconds of the newest picture.
        @param options: as for L{SimulatedCamera}.
        """
        options.setdefault("worker", InlineWorker())
        super().__init__(reactor, card or Card(photos, videos, newest=newest), **options)


def reserve_port() -> int:
    """A UDP port on loopback that is free now, for tests with real sockets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
