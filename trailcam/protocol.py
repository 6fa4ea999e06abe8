"""The UDP socket on the remembered port, and the session on it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.protocol import DatagramProtocol

from trailcam.interfaces import LinkListener
from trailcam.logs import make_logger
from trailcam.pump import Pump
from trailcam.session.events import Closed, CloseReason, Event, Opened, Received
from trailcam.session.session import Session
from trailcam.wire import pppp
from trailcam.wire.device_id import DeviceId

__all__ = ["Address", "CameraProtocol"]

Address = tuple[str, int]

#: The kernel's default holds too little of what a camera sends in one go (PLATFORM).
RECEIVE_BUFFER = 1 << 20
#: Linux's C{UDP_GRO}, which Python has no name for: a burst is handed over in one piece.
UDP_GRO = 104


class CameraProtocol(DatagramProtocol):
    """
    One socket, and at most one session on it.

    Before a session begins, datagrams go to C{stray}: this is how a search
    listens. Once it has begun, whatever does not come from the camera's
    address is dropped before anything looks at it.

    @ivar stray: who hears datagrams while there is no session.
    @ivar dropped: how many datagrams came from somewhere else.
    @ivar session: the session, once it has begun.
    """

    log = make_logger(__name__)
    noisy = False

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._pump: Pump | None = None
        self._peer: Address | None = None
        self._listener: LinkListener | None = None
        self._opening: Deferred[None] | None = None
        self._closing: list[Deferred[None]] = []
        self._arrived: list[bytes] = []
        self._turn: IDelayedCall | None = None
        self.stray: Callable[[bytes, Address], None] | None = None
        self.dropped = 0

    # -- what Twisted calls ------------------------------------------------

    def startProtocol(self) -> None:
        """Ask for a receive buffer that holds a burst, and for bursts in one piece."""
        transport_socket = getattr(self.transport, "socket", None)
        if isinstance(transport_socket, socket.socket):
            transport_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            with suppress(OSError):  # one at a time, then
                transport_socket.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        """A datagram came, or a run of them: from the camera, or from whom we are looking for."""
        if self._pump is not None:
            if addr != self._peer:
                self.dropped += 1
                return
            # What the socket holds is taken in together, once Twisted has read it all:
            # for each datagram alone that costs twice as much.
            if self._turn is None:
                self._turn = self._clock.callLater(0, self._take_in)
            self._arrived.append(datagram)
        elif self.stray is not None:
            for each in pppp.split(datagram):
                self.stray(each, addr)

    def connectionRefused(self) -> None:
        """Nothing listens there: as good as silence, which the session notices itself."""

    # -- what we call ------------------------------------------------------

    @property
    def local_port(self) -> int:
        """The source port, read back from the socket."""
        return cast(IPv4Address, self._port.getHost()).port

    @property
    def peer(self) -> Address | None:
        """The camera's address, once a session has begun."""
        return self._peer

    @property
    def session(self) -> Session | None:
        """The session, once it has begun."""
        return self._pump.session if self._pump else None

    def send_to(self, datagram: bytes, address: Address) -> None:
        """Send one datagram outside a session; where there is no way, it is lost."""
        try:
            self._port.write(datagram, address)
        except OSError as error:
            self.log.debug("cannot send to {host}: {error}", host=address[0], error=error)

    def allow_broadcast(self) -> None:
        """Let L{send_to} reach broadcast addresses."""
        self._port.setBroadcastAllowed(True)

    def open(
        self,
        address: Address,
        device_id: DeviceId,
        silence: float,
        listener: LinkListener,
        *,
        ready: bool = False,
    ) -> Deferred[None]:
        """
        Begin a session.

        @param silence: so many seconds without a datagram end it.
        @param ready: the camera has answered with P2P_RDY already.
        @return: fires when the session stands; fails with C{ConnectionError}
            when it ends before.
        """
        session = Session(self._clock.seconds(), device_id=device_id, silence=silence)
        self._peer, self._listener = address, listener
        self._pump = Pump(
            self._clock, session, lambda data: self.send_to(data, address), self._handle
        )
        self._opening = Deferred(lambda _: self.drop())
        opening = self._opening
        self._pump.connect(ready=ready)
        return opening

    def send(self, channel: int, data: bytes) -> None:
        """Send bytes on a channel; without a session they are lost, as the listener knows."""
        if self._pump is not None:
            self._pump.send(channel, data)

    def pause(self, channel: int) -> None:
        """Read no more of a channel."""
        if self._pump is not None:
            self._pump.pause(channel)

    def resume(self, channel: int) -> None:
        """Go on reading a channel."""
        if self._pump is not None:
            self._pump.resume(channel)

    def drop(self) -> None:
        """Forget the session without a word."""
        if self._pump is not None:
            self._pump.drop()
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._arrived.clear()
        self._pump = self._peer = self._listener = self._opening = None

    def close(self) -> Deferred[None]:
        """
        End the session with CLOSE, and give the port back.

        @return: fires when the port may be bound again.
        """
        self._listener = None
        if self._pump is not None:
            self._pump.close()
        self.drop()
        if self.transport is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._closing.append(waiting)
        if len(self._closing) == 1:  # a port that is told twice tells only the last of us
            maybeDeferred(self._port.stopListening).addBoth(self._closed)
        return waiting

    # -- what the session says ---------------------------------------------

    @property
    def _port(self) -> _Port:
        assert self.transport is not None
        return cast("_Port", self.transport)

    def _take_in(self) -> None:
        self._turn = None
        arrived, self._arrived = self._arrived, []
        if self._pump is not None:
            self._pump.receive(*arrived)

    def _handle(self, event: Event) -> None:
        match event:
            case Received(channel, data) if self._listener is not None:
                self._listener.link_received(channel, data)
            case Opened():
                opening, self._opening = self._opening, None
                if opening is not None:
                    opening.callback(None)
            case Closed(reason):
                self._ended(reason)

    def _closed(self, _: object) -> None:
        closing, self._closing = self._closing, []
        for waiting in closing:
            waiting.callback(None)

    def _ended(self, reason: CloseReason) -> None:
        listener, opening = self._listener, self._opening
        self.drop()
        if opening is not None:
            opening.errback(ConnectionError(reason.value))
        elif listener is not None:
            listener.link_lost(reason)


class _Port(IListeningPort):
    """What C{listenUDP}'s transport offers that we use; for the type checker only."""

    def write(datagram: bytes, addr: Address) -> None: ...
    def setBroadcastAllowed(enabled: bool) -> None: ...
