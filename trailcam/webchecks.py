"""
What C{trailcam doctor} checks of the pages: only where C{tap.conf} asks for them.

Nothing listens there afterwards.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from trailcam.checks import Finding, Station
from trailcam.endpoint import host_and_port, shown
from trailcam.errors import ConfigError, LibraryError
from trailcam.web.settings import WebSettings, check_access

__all__ = ["check_web"]


def check_web(station: Station) -> Iterator[Finding]:
    """May the pages be where they are to be, and can they?"""
    config = station.config
    if config is None or "web" not in config.extras:
        return
    settings = WebSettings.of(config.extras["web"])
    try:
        check_access(settings.endpoint, config.state)
    except ConfigError as error:
        text, _, mend = str(error).partition(": ")
        yield Finding("web", "problem", text, mend)
        return
    except LibraryError as error:
        yield Finding("web", "problem", str(error), "trailcam passwd")
        return
    who = "for this computer only" if settings.is_local else "with a password"
    yield _place(settings.endpoint, who)


def _place(endpoint: str, who: str) -> Finding:
    where = host_and_port(endpoint)
    if where is None:
        return Finding("web", "ok", f"pages at {endpoint}, {who}")
    host, port = where
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        text = f"the pages cannot be at {shown(endpoint)} now: {error.strerror}"
        mend = "fine if trailcam runs now; else choose another endpoint in [web]"
        return Finding("web", "warning", text, mend)
    return Finding("web", "ok", f"pages at {shown(endpoint)}, {who}")
