"""
The web part as a resource of twisted.web, for our own site or somebody else's.

Errors become answers here, and nowhere else: JSON for programs (RFC 9457), a page for people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from trailcam.errors import (
    CameraBusy,
    CameraLost,
    DamagedTransfer,
    LibraryError,
    LoginRefused,
    NoCameraAnswered,
    RadioError,
    TrailcamError,
    UnknownMedium,
    WrongRequest,
)
from trailcam.logs import make_logger
from trailcam.web.gate import Gate
from trailcam.web.http import Answer, Asked, Refused, json_answer
from trailcam.web.routes import Routes
from trailcam.web.templating import page

__all__ = ["Visitors", "WebResource", "WebSite"]

#: The longest body that is taken: nothing is ever uploaded.
LONGEST_BODY = 64 << 10

#: So many connections at once, at most; a browser has six.
MOST_CONNECTIONS = 120

#: What our errors are in HTTP; the first that fits.
_STATUS: tuple[tuple[type[TrailcamError], int], ...] = (
    (UnknownMedium, 404),
    (WrongRequest, 400),
    (CameraBusy, 409),
    (NoCameraAnswered, 503),
    (CameraLost, 503),
    (LoginRefused, 503),
    (RadioError, 503),
    (DamagedTransfer, 503),
    (LibraryError, 507),
)


class WebResource(Resource):
    """Everything that is below our root, wherever that is."""

    isLeaf = True
    log = make_logger(__name__)

    def __init__(self, routes: Routes, gate: Gate, prefix: str = "") -> None:
        """
        @param prefix: what a proxy leaves at the beginning of paths.
        """
        super().__init__()
        self._routes = routes
        self._gate = gate
        self._prefix = prefix

    def render(self, request: Any) -> Any:
        """What twisted.web calls."""
        working = Deferred.fromCoroutine(self._serve(request))
        request.notifyFinish().addErrback(lambda _: working.cancel())
        working.addErrback(self._faulty)
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        asked = Asked(request, self._path(request))
        try:
            route, asked = self._routes.find(asked)
            asked = self._gate.admit(asked, route)
            _set_headers(request, self._gate.dress(asked, Answer()))
            answer = await route.handler(asked)
        except Exception as error:
            if request.startedWriting:
                request.loseConnection()
                self._tell(error, asked)
                return
            answer = self._explain(error, asked)
        if answer is not None:
            self._send(asked, self._gate.dress(asked, answer))

    def _path(self, request: Any) -> str:
        path = "/" + unquote(b"/".join(request.postpath).decode("ascii", "replace"))
        if self._prefix and (path + "/").startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix) or "/"
        return path

    def _send(self, asked: Asked, answer: Answer) -> None:
        request = asked.raw
        request.setResponseCode(answer.status)
        _set_headers(request, answer)
        if answer.body or answer.status not in (204, 303, 304):
            request.setHeader("content-type", answer.kind)
            request.setHeader("content-length", str(len(answer.body)))
            request.write(answer.body)
        request.finish()

    def _explain(self, error: Exception, asked: Asked) -> Answer:
        """The answer that tells what is wrong."""
        if isinstance(error, CancelledError):
            raise error
        status = self._tell(error, asked)
        headers = error.headers if isinstance(error, Refused) else {}
        text = str(error) if isinstance(error, TrailcamError) else "a fault of ours: see the log"
        if status == 401 and asked.wants_page and asked.method == "GET":
            return self._gate.to_login(asked)
        if asked.wants_page:
            answer = page(asked, "error.html", status, text=text,
                          title=RESPONSES.get(status, b"").decode())  # fmt: skip
        else:
            problem = {"status": status, "title": RESPONSES.get(status, b"").decode(),
                       "detail": text}  # fmt: skip
            answer = replace(json_answer(problem, status), kind="application/problem+json")
        return replace(answer, headers=headers)

    def _tell(self, error: Exception, asked: Asked) -> int:
        """The status of an error; a fault of ours is told in the log."""
        if isinstance(error, Refused):
            return error.status
        for kind, status in _STATUS:
            if isinstance(error, kind):
                return status
        if not isinstance(error, TrailcamError):
            self.log.failure("a fault of ours, at {path}", Failure(error), path=asked.path)
        return 500

    def _faulty(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("a fault of ours", failure)


def _set_headers(request: Any, answer: Answer) -> None:
    for name, value in answer.headers.items():
        request.setHeader(name, value)


class _Request(Request):
    """A request whose body cannot fill the disk."""

    _taken = 0

    def gotLength(self, length: int | None) -> None:
        super().gotLength(None if length is None else min(length, LONGEST_BODY))
        if length is not None and length > LONGEST_BODY:
            self._too_long()

    def handleContentChunk(self, data: bytes) -> None:
        self._taken += len(data)
        if self._taken > LONGEST_BODY:
            self._too_long()
        else:
            super().handleContentChunk(data)

    def _too_long(self) -> None:
        text = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        self.channel.write(text)
        self.channel.loseConnection()


class WebSite(Site):
    """
    A site of its own.

    Nothing is logged of what is asked: it tells who looks at what when.
    """

    noisy = False

    def __init__(self, reactor: Any, resource: WebResource) -> None:
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
        return None if len(self.protocols) >= MOST_CONNECTIONS else super().buildProtocol(addr)

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
