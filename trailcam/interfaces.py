"""What we ask of a reactor, and the seams between our own parts."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime, IReactorUDP
from zope.interface import Interface

from trailcam.session.events import CloseReason

__all__ = ["ICameraReactor", "LinkListener"]


class ICameraReactor(IReactorTime, IReactorUDP, Interface):
    """A reactor that can talk to cameras: it has a clock and UDP ports."""


class LinkListener(Protocol):
    """Who hears what happens on a link to a camera."""

    def link_received(self, channel: int, data: bytes) -> None:
        """The next bytes of a channel's stream have come."""

    def link_lost(self, reason: CloseReason) -> None:
        """The session is over."""
