"""
The web part as a resource of twisted.web, for our own site or somebody else's.

Errors become answers here, and nowhere else: JSON for programs (RFC 9457), a page for people.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from trailcam.errors import CameraBusy, ConfigError, TrailcamError, UnknownMedium, WrongRequest
from trailcam.logs import make_logger
from trailcam.web.gate import Gate
from trailcam.web.http import Answer, Asked, Refused, json_answer
from trailcam.web.routes import Routes
from trailcam.web.templating import page

__all__ = ["WebResource"]

#: What our errors are in HTTP; the first that fits.
_STATUS: tuple[tuple[type[TrailcamError], int], ...] = (
    (UnknownMedium, 404),
    (WrongRequest, 400),
    (CameraBusy, 409),
    (ConfigError, 409),
    (TrailcamError, 503),
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
        working.addErrback(self._faulty, request)
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        path = self._path(request)
        if not path:
            self._send(Asked(request, "/"), _with_slash(request))
            return
        asked = Asked(request, path)
        try:
            route, asked = self._routes.find(asked)
            asked = self._gate.admit(asked, route)
            _set_headers(request, self._gate.dress(asked, Answer()))
            answer = await route.handler(asked)
        except Exception as error:
            if request.channel is None:  # nobody is there any more
                if not isinstance(error, CancelledError):
                    self._tell(error, asked)
                return
            if request.startedWriting:
                self._tell(error, asked)
                request.loseConnection()
                return
            answer = self._explain(error, asked)
        if answer is not None:
            self._send(asked, self._gate.dress(asked, answer))

    def _path(self, request: Any) -> str:
        """From our root on; empty for our root without its slash, from where no link is right."""
        # A slash that was quoted is none to browsers, and links count them.
        names = [name.replace(b"/", b"%2F") for name in request.postpath]
        path = "/" + b"/".join(names).decode("utf-8", "replace") if names else ""
        if self._prefix and (path + "/").startswith(self._prefix + "/"):
            path = path.removeprefix(self._prefix)
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
            error = Refused(503, "the station is being stopped: try again later")
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
        self.log.failure("a fault of ours, at {path}", Failure(error), path=asked.path)
        return 500

    def _faulty(self, failure: Failure, request: Any) -> None:
        self.log.failure("a fault of ours", failure)
        if request.channel is not None:  # else who asked would wait for ever
            request.loseConnection()


def _with_slash(request: Any) -> Answer:
    """Look again, with the slash that is missing."""
    path, mark, query = request.uri.partition(b"?")
    where = b"./" + path.rpartition(b"/")[2] + b"/" + mark + query
    return Answer(status=308, headers={"Location": where.decode("ascii", "replace")})


def _set_headers(request: Any, answer: Answer) -> None:
    for name, value in answer.headers.items():
        request.setHeader(name, value)
