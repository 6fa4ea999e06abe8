"""
What C{tap.conf} says of the web part: the section C{[web]}.

Nothing here needs Twisted, or the extra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trailcam.endpoint import is_local

__all__ = ["DEFAULT_ENDPOINT", "WebSettings", "folder"]

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
