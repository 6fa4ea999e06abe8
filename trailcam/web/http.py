"""What is asked over HTTP and what is answered, as handlers see it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from urllib.parse import quote, unquote

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.http import parse_qs
from zope.interface import implementer

from trailcam.errors import TrailcamError, WrongRequest

if TYPE_CHECKING:
    from trailcam.web.access import Session

__all__ = [
    "HTML",
    "JSON",
    "Answer",
    "Asked",
    "Handler",
    "Pipe",
    "Refused",
    "json_answer",
    "redirect",
]

HTML: Final = "text/html; charset=utf-8"
JSON: Final = "application/json"


class Refused(TrailcamError):
    """
    What was asked is not answered.

    @ivar status: of HTTP.
    @ivar headers: that go along.
    """

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True)
class Answer:
    """
    What goes back.

    @ivar body: all of it.
    @ivar kind: the content type.
    @ivar headers: more of them.
    """

    body: bytes = b""
    status: int = 200
    kind: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)

    def having(self, **headers: str) -> Answer:
        """The same with more headers; C{_} in a name stands for C{-}."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={**self.headers, **more})


@dataclass(frozen=True)
class Asked:
    """
    One request.

    @ivar raw: twisted.web's.
    @ivar path: from our root on, unquoted; begins with a slash.
    @ivar parts: what the route's pattern found in the path.
    @ivar session: the browser's; C{None}: it has none, or this is no browser.
    @ivar csrf: what a form has to send along in this session; empty without one.
    @ivar machine: the name of the token that came along, if one did.
    @ivar cookie: that the browser has to keep from now on, to have a session; C{None}: none.
    """

    raw: Any
    path: str
    parts: Mapping[str, str] = field(default_factory=dict)
    session: Session | None = None
    csrf: str = ""
    machine: str | None = None
    cookie: str | None = None

    @property
    def method(self) -> str:
        """C{GET}, C{POST}, …; C{HEAD} is C{GET} here."""
        method: str = self.raw.method.decode("ascii", "replace")
        return "GET" if method == "HEAD" else method

    @property
    def root(self) -> str:
        """
        The way from this page to our root, as links need it: relative, so that it is right
        under whatever prefix a proxy shows us.
        """
        return "../" * (self.path.count("/") - 1) or "./"

    @property
    def wants_page(self) -> bool:
        """Whether a person asks, who wants a page and no JSON."""
        is_api = self.path.startswith(("/api/", "/static/"))
        return not is_api and "text/html" in (self.header("accept") or "")

    def header(self, name: str) -> str | None:
        """The value of a header, the last where it is there more than once."""
        values: list[bytes] | None = self.raw.requestHeaders.getRawHeaders(name.encode())
        return values[-1].decode("utf-8", "replace") if values else None

    def query(self, name: str) -> str | None:
        """
        A parameter of the URL; C{None} where it is not there, or empty.

        @raise WrongRequest: when it is there twice, or no text.
        """
        found = _arguments(self.raw.uri).get(name, [])
        if len(found) > 1:
            raise WrongRequest(f"{name} is there more than once: give it once")
        return found[0] if found and found[0] else None

    def check_names(self, *names: str) -> None:
        """
        Whether all parameters of the URL are some of these: what is misspelt would otherwise
        find everything.

        @raise WrongRequest: when one is another.
        """
        for name in _arguments(self.raw.uri):
            if name and name not in names:
                raise WrongRequest(
                    f"there is no parameter {name[:40]!r} here: take some of {', '.join(names)}"
                )

    def choice(self, name: str, *choices: str) -> str | None:
        """
        A parameter that must be one of these.

        @raise WrongRequest: when it is another.
        """
        value = self.query(name)
        if value is not None and value not in choices:
            raise WrongRequest(f"{name} must be one of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool | None:
        """A parameter that must be C{true} or C{false}."""
        value = self.choice(name, "true", "false")
        return None if value is None else value == "true"

    def number(self, name: str, low: int, high: int) -> int | None:
        """
        A parameter that must be a whole number.

        @raise WrongRequest: when it is none, or too small or too large.
        """
        value = self.query(name)
        if value is None:
            return None
        digits = value.isascii() and value.isdigit() and len(value) < 19
        if not digits or not low <= int(value) <= high:
            raise WrongRequest(f"{name} must be a whole number from {low} to {high}")
        return int(value)

    def form(self, name: str) -> str:
        """A field of the form that was sent; empty where it is not there."""
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if self.raw.method != b"POST" or kind != "application/x-www-form-urlencoded":
            return ""
        self.raw.content.seek(0)
        fields = parse_qs(self.raw.content.read(), keep_blank_values=True)
        text: str = fields.get(name.encode(), [b""])[0].decode("utf-8", "replace")
        return text

    def json(self) -> dict[str, Any]:
        """
        The JSON object that was sent.

        @raise Refused: when it is none.
        """
        kind = (self.header("content-type") or "").partition(";")[0].strip().lower()
        if kind != JSON:
            raise Refused(415, f"the body must be {JSON}")
        self.raw.content.seek(0)
        try:
            value = json.loads(self.raw.content.read())
        except (ValueError, RecursionError):
            raise WrongRequest("the body must be JSON") from None
        if not isinstance(value, dict):
            raise WrongRequest("the body must be a JSON object")
        return value


Handler: TypeAlias = Callable[[Asked], Awaitable[Answer | None]]
"""Answers; with C{None} when it has written and finished the answer itself."""


def json_answer(value: object, status: int = 200) -> Answer:
    """JSON, which nobody keeps."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Answer(body, status, JSON)


def redirect(asked: Asked, where: str) -> Answer:
    """
    Look elsewhere, with GET.

    @param where: relative to our root.
    """
    return Answer(status=303).having(Location=asked.root + where)


def _arguments(uri: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in uri.partition(b"?")[2].decode("ascii", "replace").split("&"):
        name, _, value = pair.partition("=")
        try:
            text = unquote(value.replace("+", " "), errors="strict")
        except UnicodeDecodeError:
            raise WrongRequest(f"{quote(name)} is no text in UTF-8") from None
        found.setdefault(unquote(name.replace("+", " ")), []).append(text)
    return found


@implementer(IPushProducer)
class Pipe:
    """
    An answer that is written bit by bit, no faster than it is read.

    @ivar gone: whether nobody reads any more.
    """

    def __init__(self, asked: Asked, kind: str, headers: Mapping[str, str] | None = None) -> None:
        """Begin the answer: from here on an error can only break it off."""
        self.gone = False
        self._request = asked.raw
        self._ready: Deferred[None] | None = None
        self._paused = False
        self._request.setHeader("content-type", kind)
        for name, value in (headers or {}).items():
            self._request.setHeader(name, value)
        self._request.notifyFinish().addErrback(self._lost)
        self._request.registerProducer(self, True)

    @property
    def full(self) -> bool:
        """Whether what was written waits to be read."""
        return self._paused

    async def write(self, data: bytes) -> None:
        """Write, and wait until there is room for more."""
        self.put(data)
        if self._paused and not self.gone:
            self._ready = Deferred()
            await self._ready

    def put(self, data: bytes) -> None:
        """Write, whether there is room or not."""
        if not self.gone:
            self._request.write(data)

    def finish(self) -> None:
        """That was all."""
        if not self.gone:
            self.gone = True
            self._request.unregisterProducer()
            self._request.finish()

    def abort(self) -> None:
        """Break it off, so that what came is not taken for the whole."""
        if not self.gone:
            self._request.unregisterProducer()
            self._request.loseConnection()

    def resumeProducing(self) -> None:
        """What twisted.web calls when there is room."""
        self._paused = False
        ready, self._ready = self._ready, None
        if ready is not None and not ready.called:
            ready.callback(None)

    def pauseProducing(self) -> None:
        """What twisted.web calls when there is none."""
        self._paused = True

    def stopProducing(self) -> None:
        """What twisted.web calls when nobody reads any more."""
        self._lost(None)

    def _lost(self, _: object) -> None:
        self.gone = True
        self.resumeProducing()
