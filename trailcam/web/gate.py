"""
Who may see and change what.

Whoever reaches a station that has no password may see it, so such a station listens on loopback
only, and answers only to the names of loopback: a page from elsewhere that lets its own name
point here gets nothing. Whatever changes something must come with a token of a machine, or from
one of our own pages, which know the session's secret word.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from urllib.parse import quote, urlsplit

from trailcam.endpoint import is_loopback
from trailcam.web.access import SESSION_SECONDS, Access
from trailcam.web.http import Answer, Asked, Refused, redirect
from trailcam.web.routes import Route
from trailcam.web.settings import WebSettings

__all__ = ["Gate"]

#: What a page may load comes from C{static/} and the API, and no script stands in it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors {frames}"
)
#: What proxies add for those who have passed through them.
_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-real-ip",
              "cf-connecting-ip", "via")  # fmt: skip


class Gate:
    """Looks at every request before its handler does, and at every answer."""

    def __init__(self, access: Access, settings: WebSettings) -> None:
        self._access = access
        self._settings = settings
        # Browsers give one cookie to all ports of a host, and there may be several stations.
        self._cookie = "trailcam_" + hashlib.sha256(bytes(access.folder)).hexdigest()[:8]

    def admit(self, asked: Asked, route: Route) -> Asked:
        """
        Whether this may go on.

        @return: the request, with who it is.
        @raise Refused: when it may not.
        """
        trusted = self.trusts(asked)
        locked = self._access.has_password  # once: the command line may change it any time
        if trusted:
            self._check_detour(asked)
        elif not locked:
            self._check_host(asked)
        asked = self._recognise(asked)
        known = asked.machine is not None or (
            asked.session is not None and not asked.session.guest
        )
        if not (known or trusted or route.public or not locked):
            raise Refused(
                401,
                "log in first, or send a token: trailcam token add NAME makes one",
                {"WWW-Authenticate": 'Bearer realm="trailcam"'},
            )
        if route.method != "GET" and not _is_bearer(asked):
            self._check_csrf(asked)
        return asked

    def trusts(self, asked: Asked) -> bool:
        """Whether it comes from a proxy that has asked for a password itself."""
        return peer(asked) in self._settings.trusted_proxies

    def client(self, asked: Asked) -> str:
        """Who asks: the peer, or whom a proxy on this computer, or a trusted one, has for its."""
        address = peer(asked)
        if is_loopback(address) or self.trusts(asked):
            last = (asked.header("x-forwarded-for") or "").rpartition(",")[2].strip()
            with contextlib.suppress(ValueError):
                return str(ip_address(last))
        return address

    def to_login(self, asked: Asked) -> Answer:
        """Where a person goes who is not known."""
        where = quote(asked.path.lstrip("/"))
        query = asked.raw.uri.partition(b"?")[2].decode("ascii", "replace")
        back = quote(f"{where}?{query}" if query else where, safe="")
        return redirect(asked, f"login?next={back}" if back else "login")

    def dress(self, asked: Asked, answer: Answer) -> Answer:
        """The answer with what every one says to browsers."""
        frames = self._settings.frames
        # A page in Home Assistant is in a frame of the same host.
        if asked.header("x-ingress-path"):
            frames = (*frames, "self")
        sources = " ".join("'self'" if each == "self" else each for each in frames)
        headers = {
            "Content-Security-Policy": _POLICY.format(frames=sources or "'none'"),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
            "Server": "trailcam",
            **({} if frames else {"X-Frame-Options": "DENY"}),
            **(self.set_cookie(asked, asked.cookie) if asked.cookie else {}),
            **answer.headers,
        }
        return replace(answer, headers=headers)

    def cookie(self, asked: Asked) -> str | None:
        """The cookie that tells the session."""
        value = asked.raw.getCookie(self._cookie.encode())
        return None if value is None else value.decode("ascii", "replace")

    def set_cookie(self, asked: Asked, value: str) -> dict[str, str]:
        """
        The header that makes the browser keep a session.

        @param value: what tells it; empty to forget it.
        """
        seconds = SESSION_SECONDS if value else 0
        secure = "; Secure" if _is_https(asked) else ""
        line = f"{self._cookie}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
        return {"Set-Cookie": line}

    def _check_csrf(self, asked: Asked) -> None:
        """
        Whether a change was asked for by one of our own pages.

        @raise Refused: when it was not.
        """
        given = asked.header("x-csrf-token") or asked.form("csrf")
        session = asked.session
        if session is None or not self._access.check_csrf(session, given):
            raise Refused(
                403,
                "this page is too old, or your browser keeps no cookies: load it again. (A program "
                "sends a token as Authorization: Bearer; trailcam token add NAME makes one)",
            )

    def _recognise(self, asked: Asked) -> Asked:
        # Who was known may be so no more: streams are looked at again and again.
        asked = replace(asked, session=None, csrf="", machine=None)
        machine = self._machine(asked)
        if machine is not None:
            return replace(asked, machine=machine)
        given, new = self.cookie(asked), None
        session = self._access.session(given)
        if session is None and asked.wants_page and asked.method == "GET":
            new = self._access.new_guest()
            session = self._access.session(new)
        if session is None:
            return asked
        csrf = self._access.csrf(session)
        return replace(asked, session=session, csrf=csrf, cookie=new)

    def _machine(self, asked: Asked) -> str | None:
        """The name of the token that came along."""
        scheme, _, token = (asked.header("authorization") or "").partition(" ")
        if scheme.lower() == "basic":
            # A program that knows nothing else has it as a password, with any name. What is no
            # token of ours may be for a proxy, which has seen to it.
            return self._access.token(_basic_password(token))
        if scheme.lower() != "bearer":
            return None
        machine = self._access.token(token.strip())
        if machine is None:
            raise Refused(
                401,
                "this token is not known here: trailcam token list",
                {"WWW-Authenticate": 'Bearer realm="trailcam", error="invalid_token"'},
            )
        return machine

    def _check_detour(self, asked: Asked) -> None:
        """
        A browser beside a trusted proxy may not be taken for it: if a page lets its own name point
        here, that has our very port, which nobody has who comes through the proxy.
        """
        host, port = _host(asked)
        ours = getattr(asked.raw.getHost(), "port", None)
        if is_loopback(peer(asked)) and port == ours and not _is_our_name(host):
            raise Refused(403, "come through the proxy, or by a name of this computer")

    def _check_host(self, asked: Asked) -> None:
        """Nobody may come from elsewhere, through a proxy, or by a name that is not loopback's."""
        host, _ = _host(asked)
        through_proxy = any(asked.header(name) for name in _FORWARDED)
        from_here = is_loopback(peer(asked)) or not peer(asked)
        if _is_our_name(host) and from_here and not through_proxy:
            return
        raise Refused(
            403,
            "without a password this station is for its own computer only: set one with "
            "`trailcam passwd`",
        )


def _host(asked: Asked) -> tuple[str, int | None]:
    """
    The name and the port that the browser believes that we have.

    @raise Refused: when they are none.
    """
    try:
        parts = urlsplit(f"//{asked.header('host') or 'localhost'}")
        return parts.hostname or "", parts.port
    except ValueError:
        raise Refused(400, "the Host header makes no sense") from None


def peer(asked: Asked) -> str:
    """The address that a request came from; empty for a socket that is a file."""
    host = getattr(asked.raw.getClientAddress(), "host", None) or ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(address)


def _is_https(asked: Asked) -> bool:
    """Whether the browser talks TLS, with us or with a proxy."""
    forwarded = (asked.header("x-forwarded-proto") or "").partition(",")[0].strip().lower()
    return bool(asked.raw.isSecure()) or forwarded == "https"


def _is_bearer(asked: Asked) -> bool:
    """Whether a program sent its token in a way that a browser never does by itself."""
    scheme = (asked.header("authorization") or "").partition(" ")[0]
    return asked.machine is not None and scheme.lower() == "bearer"


def _basic_password(credentials: str) -> str:
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except ValueError:
        return ""
    return text.partition(":")[2]


def _is_our_name(host: str) -> bool:
    """Whether a browser that was given this name can only mean its own computer."""
    return host in ("localhost", "") or host.endswith(".localhost") or is_loopback(host)
