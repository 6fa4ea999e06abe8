"""What we ask of a reactor, and the seams between our own parts."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorThreads, IReactorTime, IReactorUDP

from trailcam.session.events import CloseReason

__all__ = ["ICameraReactor", "ILibraryReactor", "LinkListener"]


class ICameraReactor(IReactorTime, IReactorUDP):
    """A reactor that can talk to cameras: it has a clock and UDP ports."""


class ILibraryReactor(IReactorTime, IReactorThreads):
    """A reactor that can keep a library: it has a clock and threads."""


class LinkListener(Protocol):
    """Who hears what happens on a link to a camera."""

    def link_received(self, channel: int, data: bytes) -> None:
        """The next bytes of a channel's stream have come."""

    def link_lost(self, reason: CloseReason) -> None:
        """The session is over."""
