"""Logging in and out."""

from __future__ import annotations

from urllib.parse import urlsplit

from trailcam.errors import LibraryError
from trailcam.logs import make_logger
from trailcam.web.access import TooManyAttempts, WrongPassword
from trailcam.web.context import Context
from trailcam.web.gate import Gate
from trailcam.web.http import Answer, Asked, redirect
from trailcam.web.routes import Route
from trailcam.web.templating import page

__all__ = ["login_routes"]

_log = make_logger(__name__)


def login_routes(context: Context, gate: Gate) -> list[Route]:
    """The paths."""
    own = _Login(context, gate)
    return [
        Route("GET", "/login", own.show, public=True),
        Route("POST", "/login", own.log_in, public=True),
        Route("POST", "/logout", own.log_out, public=True),
    ]


class _Login:
    def __init__(self, context: Context, gate: Gate) -> None:
        self._access = context.access
        self._gate = gate

    async def show(self, asked: Asked) -> Answer:
        """The form; whoever is logged in already goes on."""
        known = asked.session is not None and not asked.session.guest
        where = _local(asked.query("next") or "")
        if known or not self._access.has_password or self._gate.trusts(asked):
            return redirect(asked, where)
        return self._form(asked, where)

    async def log_in(self, asked: Asked) -> Answer:
        """Try the password."""
        where = _local(asked.form("next"))
        try:
            value = await self._access.login(asked.form("password"), self._gate.client(asked))
        except WrongPassword as error:
            return self._form(asked, where, str(error), 403)
        except TooManyAttempts as error:
            answer = self._form(asked, where, str(error), 429)
            return answer.having(Retry_After=str(error.seconds))
        answer = redirect(asked, where)
        return answer.having(**self._gate.set_cookie(asked, value))

    async def log_out(self, asked: Asked) -> Answer:
        """End the session, also for whoever may have copied it."""
        try:
            await self._access.end(self._gate.cookie(asked))
        except LibraryError as error:  # it is over, but may be valid again after a restart
            _log.warn("web: {error}", error=str(error))
        return redirect(asked, "login").having(**self._gate.set_cookie(asked, ""))

    def _form(self, asked: Asked, where: str, problem: str = "", status: int = 200) -> Answer:
        return page(asked, "login.html", status, title="Log in", problem=problem, where=where)


def _local(where: str) -> str:
    """A path of ours to go on with, relative to our root; anything else is our root."""
    try:
        parts = urlsplit(where)
    except ValueError:
        return ""
    foreign = parts.scheme or parts.netloc or where.startswith(("/", "\\")) or "\\" in where
    if foreign or "%" in parts.path or not where.isascii() or not where.isprintable():
        return ""
    if ".." in where:
        return ""
    if parts.path in ("login", "logout"):
        return ""
    return where
