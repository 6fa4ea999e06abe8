"""
The life of a link, on both sides, on one page (PROTOCOL, "Opening a session").

The client's side::

    idle --connect--> punching --ready--> ready --accepted--> connected
    idle --await_acceptance--> ready

The camera's side::

    idle --search--> answering --punched--> proposing --proposed--> offering --answered--> serving
    idle --punched--> offering                    (a direct punch: no TCP offers)

and C{closed} from everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from automat import TypeMachineBuilder

from trailcam.session.events import CloseReason

__all__ = ["Link", "LinkCore", "build_link"]


class LinkCore(Protocol):
    """What the link does, in the hands of the session."""

    def punch(self) -> None:
        """Send PUNCH_PKT, and again after half a second."""

    def echo(self) -> None:
        """Send back the PUNCH_PKT that came."""

    def wait(self) -> None:
        """Punch in half a second."""

    def answer_search(self) -> None:
        """Send PUNCH_PKT twice, as a camera does."""

    def propose(self) -> None:
        """Send the next of the TCP offers."""

    def offer(self) -> None:
        """Send P2P_RDY and C{ACK}, and again soon."""

    def say_ready(self) -> None:
        """Send P2P_RDY once."""

    def opened(self) -> None:
        """The session stands."""

    def say_close(self) -> None:
        """Send CLOSE."""

    def ended(self, reason: CloseReason) -> None:
        """The session is over."""


class Link(Protocol):
    """What can happen to a link."""

    def connect(self) -> None:
        """The client begins."""

    def await_acceptance(self) -> None:
        """The client begins; its punch has been answered with P2P_RDY already."""

    def search(self) -> None:
        """LAN_SEARCH came."""

    def punched(self) -> None:
        """PUNCH_PKT came."""

    def ready(self) -> None:
        """P2P_RDY came."""

    def accepted(self) -> None:
        """The camera's C{ACK} came."""

    def answered(self) -> None:
        """The client sent a DRW or a DRW_ACK."""

    def tick(self) -> None:
        """It is time to repeat."""

    def proposed(self) -> None:
        """All TCP offers were sent."""

    def close(self, reason: CloseReason) -> None:
        """It shall end, and the other side shall know."""

    def lose(self, reason: CloseReason) -> None:
        """It has ended."""


#: From which state, upon what, to which state, doing what. Everything else means nothing.
_TRANSITIONS: tuple[tuple[str, Callable[..., None], str, str | None], ...] = (
    # The client's side.
    ("idle", Link.connect, "punching", "punch"),
    ("idle", Link.await_acceptance, "ready", "wait"),
    ("punching", Link.tick, "punching", "punch"),
    ("punching", Link.punched, "punching", "echo"),
    ("punching", Link.ready, "ready", None),
    ("punching", Link.accepted, "connected", "opened"),
    ("ready", Link.tick, "ready", "punch"),
    ("ready", Link.accepted, "connected", "opened"),
    # The camera's side.
    ("idle", Link.search, "answering", "answer_search"),
    ("idle", Link.punched, "offering", "offer"),
    ("answering", Link.search, "answering", "answer_search"),
    ("answering", Link.punched, "proposing", "propose"),
    ("proposing", Link.tick, "proposing", "propose"),
    ("proposing", Link.proposed, "offering", "offer"),
    ("offering", Link.tick, "offering", "offer"),
    ("offering", Link.punched, "offering", "say_ready"),
    ("offering", Link.answered, "serving", "opened"),
    ("serving", Link.punched, "serving", "say_ready"),
)

#: What may come in any state.
_EVENTS = (
    Link.connect,
    Link.await_acceptance,
    Link.search,
    Link.punched,
    Link.ready,
    Link.accepted,
    Link.answered,
    Link.tick,
    Link.proposed,
)


def _build() -> TypeMachineBuilder[Link, LinkCore]:
    # Automat asks for a class only to infer the type: a Protocol will do.
    builder = TypeMachineBuilder(Link, LinkCore)  # type: ignore[type-abstract]
    # The first that is named is the one it begins in.
    names = dict.fromkeys(name for first, _, then, _ in _TRANSITIONS for name in (first, then))
    states = {name: builder.state(name) for name in names}
    closed = builder.state("closed")
    meant = set()
    for source, event, target, action in _TRANSITIONS:
        states[source].upon(event).to(states[target])(_calling(action))
        meant.add((source, event))
    for name, state in states.items():
        state.upon(Link.close).to(closed)(_close)
        state.upon(Link.lose).to(closed)(_lose)
        for event in _EVENTS:
            if (name, event) not in meant:
                state.upon(event).loop().returns(None)
    for event in (*_EVENTS, Link.close, Link.lose):
        closed.upon(event).loop().returns(None)
    return builder


def _calling(name: str | None) -> Callable[[Link, LinkCore], None]:
    """A transition that calls one method of the core, or none."""

    def output(link: Link, core: LinkCore) -> None:
        if name is not None:
            getattr(core, name)()

    return output


def _close(link: Link, core: LinkCore, reason: CloseReason) -> None:
    core.say_close()
    core.ended(reason)


def _lose(link: Link, core: LinkCore, reason: CloseReason) -> None:
    core.ended(reason)


build_link = _build().build()
