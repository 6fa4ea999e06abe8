"""
What C{tap.conf} says of the web part: the section C{[web]}.

Nothing here needs Twisted, or the extra.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trailcam.endpoint import is_local, shown
from trailcam.errors import ConfigError
from trailcam.web.passwords import password_file

__all__ = ["DEFAULT_ENDPOINT", "WebSettings", "check_access", "folder"]

#: Where pages are unless it is said.
DEFAULT_ENDPOINT = "tcp:8080:interface=127.0.0.1"


@dataclass(frozen=True)
class WebSettings:
    """
    The section C{[web]}.

    @ivar endpoint: where to listen, as Twisted describes it.
    @ivar prefix: what a proxy leaves at the beginning of a path; empty or C{/like/this}.
    @ivar trusted_proxies: addresses of proxies that have asked for a password themselves.
    @ivar frames: who may show us in a frame, besides nobody: C{self}, or origins.
    """

    endpoint: str = DEFAULT_ENDPOINT
    prefix: str = ""
    trusted_proxies: frozenset[str] = frozenset()
    frames: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> WebSettings:
        """Read the section."""
        return cls(**values)

    @property
    def is_local(self) -> bool:
        """Whether only this computer can reach it."""
        return is_local(self.endpoint)


def folder(state: Path) -> Path:
    """Where passwords and tokens are."""
    return state / "web"


def check_access(endpoint: str, state: Path) -> None:
    """
    Whether a station may be shown at a place.

    @raise ConfigError: when others can reach it there, and there is no password.
    @raise LibraryError: when it cannot be known whether there is one.
    """
    if not is_local(endpoint) and password_file(folder(state)).get() is None:
        raise ConfigError(
            f"others can reach {shown(endpoint)}, so it needs a password: set one with "
            f"`trailcam passwd --state {shlex.quote(str(state))}`, or listen at 127.0.0.1"
        )
