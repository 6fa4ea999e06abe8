"""
A site of our own, with limits to what visitors can take: connections, memory, disk.

Where our pages are in somebody else's site, its limits count.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from trailcam.endpoint import is_loopback

__all__ = ["Visitors", "WebSite"]

#: The longest body that is taken: nothing is ever uploaded.
LONGEST_BODY = 64 << 10

#: So many connections at once, at most; a browser has six.
MOST_CONNECTIONS = 120
#: So many from one address that is not loopback's.
MOST_FROM_ONE = 60
#: A request must be there whole after so many seconds, or the connection ends.
PATIENCE = 60.0
#: Who reads nothing for so many seconds is let go: the camera may be awake for nobody else.
STALLED = 120.0

_BAD = b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Request(Request):
    """A request whose body can neither fill the disk nor puzzle Twisted."""

    _taken = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        super().gotLength(None if length is None else min(length, LONGEST_BODY))
        if length is not None and length > LONGEST_BODY:
            self._refuse(b"413 Content Too Large")

    def handleContentChunk(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > LONGEST_BODY:
            self._refuse(b"413 Content Too Large")
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        # Nothing of ours has parts, and Twisted's parser of them can be made to fail.
        if (self.getHeader("content-type") or "").strip().lower().startswith("multipart/"):
            self._refuse(b"415 Unsupported Media Type")
        if not self._refused:  # else what came with it may be all there
            super().requestReceived(command, path, version)

    def _refuse(self, why: bytes) -> None:
        if not self._refused:
            self._refused = True
            self.channel.write(_BAD % why)
            self.channel.loseConnection()


class _Channel(HTTPChannel):
    """
    A connection that costs little, whoever is at the other end.

    @ivar busy: whether a request is being answered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self._full = False
        self._stalled: IDelayedCall | None = None

    def resetTimeout(self) -> None:
        """A byte now and then keeps no connection: time counts from the last answer on."""

    def headerReceived(self, line: bytes) -> bool:
        try:
            return bool(super().headerReceived(line))
        except ValueError:  # a length of thousands of digits
            self.write(_BAD % b"400 Bad Request")
            self.loseConnection()
            return False

    def allContentReceived(self) -> None:
        self.busy = True
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        self.busy = False
        # Who asks and asks, and reads nothing, would fill our memory with answers.
        if self._full:
            self.persistent = 0
        super().requestDone(request)

    def pauseProducing(self) -> None:
        self._full = True
        if self._stalled is None:
            self._stalled = self.callLater(STALLED, self.forceAbortClient)
        super().pauseProducing()

    def resumeProducing(self) -> None:
        self._full = False
        self._forget_stall()
        super().resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._forget_stall()
        super().connectionLost(reason)

    def _forget_stall(self) -> None:
        stalled, self._stalled = self._stalled, None
        if stalled is not None and stalled.active():
            stalled.cancel()


class WebSite(Site):
    """
    A site of its own.

    Nothing is logged of what is asked: it tells who looks at what when.
    """

    noisy = False
    protocol = _Channel  # type: ignore[assignment]  # without the choice of HTTP/2

    def __init__(self, reactor: Any, resource: Resource) -> None:
        super().__init__(resource, requestFactory=_Request, timeout=PATIENCE, reactor=reactor)

    def startFactory(self) -> None:
        """Twisted's own begins a clock for its log here, which ticks every second."""

    def stopFactory(self) -> None:
        """There is no log to close."""

    def log(self, request: Any) -> None:
        """Not at all."""


class Visitors(WrappingFactory):
    """All connections to a site: not too many, and all of them end with it."""

    noisy = False

    def __init__(self, site: WebSite) -> None:
        super().__init__(site)
        self._left: list[Deferred[None]] = []

    def buildProtocol(self, addr: Any) -> Any:
        """Nobody, be they ever so slow, keeps all others out; a proxy brings many."""
        host = getattr(addr, "host", None)
        far = host is not None and not is_loopback(host)
        same = sum(each.getPeer().host == host for each in self.protocols) if far else 0
        if same >= MOST_FROM_ONE:
            return None
        if len(self.protocols) >= MOST_CONNECTIONS:
            # The oldest that waits for a request, or for the end of one.
            idle = (each for each in self.protocols if not each.wrappedProtocol.busy)
            oldest = next(idle, None)
            if oldest is None:
                return None
            oldest.transport.abortConnection()
        return super().buildProtocol(addr)

    def unregisterProtocol(self, p: Any) -> None:
        super().unregisterProtocol(p)
        if not self.protocols:
            left, self._left = self._left, []
            for each in left:
                each.callback(None)

    def leave(self) -> Deferred[None]:
        """Break all of them off; fires when they are gone."""
        if not self.protocols:
            return succeed(None)
        left: Deferred[None] = Deferred()
        self._left.append(left)
        for protocol in list(self.protocols):
            protocol.transport.abortConnection()
        return left
