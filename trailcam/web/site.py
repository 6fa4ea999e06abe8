"""
A site of our own, with limits to what visitors can take: connections, memory, disk.

Where our pages are in somebody else's site, its limits count.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.protocols.policies import WrappingFactory
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

_TOO_LONG = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class _Request(Request):
    """A request whose body cannot fill the disk."""

    _taken = 0
    _refused = False

    def gotLength(self, length: int | None) -> None:
        super().gotLength(None if length is None else min(length, LONGEST_BODY))
        if length is not None and length > LONGEST_BODY:
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > LONGEST_BODY:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if not self._refused:  # else what came with it may be all there
            super().requestReceived(command, path, version)

    def _refuse(self) -> None:
        if not self._refused:
            self._refused = True
            self.channel.write(_TOO_LONG)
            self.channel.loseConnection()


class WebSite(Site):
    """
    A site of its own.

    Nothing is logged of what is asked: it tells who looks at what when.
    """

    noisy = False

    def __init__(self, reactor: Any, resource: Resource) -> None:
        super().__init__(resource, requestFactory=_Request, timeout=60, reactor=reactor)

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
        if len(self.protocols) >= MOST_CONNECTIONS or same >= MOST_FROM_ONE:
            return None
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
