"""
Finding a camera: a search by broadcast and a direct punch, both at once
(PROTOCOL, "Opening a session").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from trailcam.errors import DecodeError
from trailcam.networks import camera_hosts, local_networks, search_addresses
from trailcam.protocol import Address, CameraProtocol
from trailcam.target import KNOWN_PORTS, Target
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY, DeviceId

__all__ = ["Discovery", "Found", "first_answer", "plan"]

#: The vendor's app searches so often (C).
SEARCH_INTERVAL = 0.106
#: A direct punch is repeated so often (I).
PUNCH_INTERVAL = 0.5


@dataclass(frozen=True)
class Found:
    """
    A camera that answered.

    @ivar ready: whether with P2P_RDY, so that its C{ACK} comes next; else with PUNCH_PKT,
        which wants to be echoed.
    """

    address: Address
    device_id: DeviceId
    ready: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        return f"{self.address[0]}:{self.address[1]}"


@dataclass(frozen=True)
class Plan:
    """
    Where to look.

    @ivar search: where LAN_SEARCH goes.
    @ivar punch: where PUNCH_PKT goes.
    @ivar host: the only host whose answer counts; C{None} for any.
    """

    search: Sequence[Address]
    punch: Sequence[Address]
    host: str | None

    def __str__(self) -> str:
        places = [f"search {host}:{port}" for host, port in self.search]
        hosts = dict.fromkeys(host for host, _ in self.punch)
        for host in hosts:
            ports = ", ".join(str(port) for other, port in self.punch if other == host)
            places.append(f"punch {host}:{ports}")
        return "; ".join(places) or "nowhere: this machine is on no network"


def plan(target: Target, last: Address | None = None) -> Plan:
    """
    Decide where to look for a camera.

    @param last: the address that worked last, which is tried first. A camera
        that was given by its address is never searched for by broadcast.
    """
    if target.host is not None:
        ports = [target.port] if target.port else list(KNOWN_PORTS)
        if last and last[0] == target.host and not target.port:
            ports = list(dict.fromkeys([last[1], *ports]))
        return Plan((), [(target.host, port) for port in ports], target.host)
    networks = local_networks()
    search = [(host, target.search_port) for host in search_addresses(target, networks)]
    punch = [(host, port) for host in camera_hosts(networks) for port in KNOWN_PORTS]
    if target.broadcast is not None:
        punch = []
    elif last and any(IPv4Address(last[0]) in network.address.network for network in networks):
        punch = list(dict.fromkeys([last, *punch]))
    return Plan(search, punch, None)


class Discovery:
    """
    Searches and punches until stopped, and tells who answers.

    It uses the very socket that the session will use, for the camera answers
    the source port that asked.
    """

    def __init__(
        self,
        clock: IReactorTime,
        protocol: CameraProtocol,
        where: Plan,
        found: Callable[[Found], None],
    ) -> None:
        self._protocol = protocol
        self._plan = where
        self._found = found
        self._loops: list[LoopingCall] = []
        for interval, action in ((SEARCH_INTERVAL, self._search), (PUNCH_INTERVAL, self._punch)):
            loop = LoopingCall(action)
            loop.clock = clock
            loop.interval = interval
            self._loops.append(loop)

    def start(self) -> None:
        """Begin."""
        self._protocol.stray = self._answered
        if self._plan.search:
            self._protocol.allow_broadcast()
        for loop in self._loops:
            assert loop.interval is not None
            loop.start(loop.interval)

    def stop(self) -> None:
        """End; nothing is told after this."""
        self._protocol.stray = None
        for loop in self._loops:
            if loop.running:
                loop.stop()

    def _search(self) -> None:
        datagram = pppp.encode(pppp.LanSearch())
        for address in self._plan.search:
            self._protocol.send_to(datagram, address)

    def _punch(self) -> None:
        datagram = pppp.encode(pppp.PunchPkt(FAMILY))
        for address in self._plan.punch:
            self._protocol.send_to(datagram, address)

    def _answered(self, datagram: bytes, address: Address) -> None:
        if self._plan.host not in (None, address[0]):
            return
        try:
            value = pppp.decode(datagram)
        except DecodeError:
            return
        if isinstance(value, pppp.PunchPkt | pppp.P2PRdy):
            ready = isinstance(value, pppp.P2PRdy)
            self._found(Found(address, value.device_id, ready))


def first_answer(
    clock: IReactorTime, protocol: CameraProtocol, where: Plan, timeout: float
) -> Deferred[Found]:
    """
    Look for a camera until one answers.

    @return: fires with the first; fails with C{twisted.internet.defer.TimeoutError}
        after C{timeout} seconds.
    """
    answer: Deferred[Found] = Deferred(lambda _: None)

    def found(camera: Found) -> None:
        if not answer.called:
            answer.callback(camera)

    def stop(result: Found | Failure) -> Found | Failure:
        discovery.stop()
        return result

    discovery = Discovery(clock, protocol, where, found)
    discovery.start()
    answer.addTimeout(timeout, clock)
    answer.addBoth(stop)
    return answer
