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


def _build() -> TypeMachineBuilder[Link, LinkCore]:
    # Automat asks for a class only to infer the type: a Protocol will do.
    builder = TypeMachineBuilder(Link, LinkCore)  # type: ignore[type-abstract]
    idle = builder.state("idle")
    punching, ready, connected = map(builder.state, ("punching", "ready", "connected"))
    answering, proposing = builder.state("answering"), builder.state("proposing")
    offering, serving = builder.state("offering"), builder.state("serving")
    closed = builder.state("closed")
    before_open = (idle, punching, ready, answering, proposing, offering)

    # The client's side.
    idle.upon(Link.connect).to(punching)(_calling("punch"))
    idle.upon(Link.await_acceptance).to(ready)(_calling("wait"))
    punching.upon(Link.tick).loop()(_calling("punch"))
    punching.upon(Link.punched).loop()(_calling("echo"))
    punching.upon(Link.ready).to(ready).returns(None)
    ready.upon(Link.tick).loop()(_calling("punch"))
    for state in (punching, ready):
        state.upon(Link.accepted).to(connected)(_calling("opened"))

    # The camera's side.
    for state in (idle, answering):
        state.upon(Link.search).to(answering)(_calling("answer_search"))
    answering.upon(Link.punched).to(proposing)(_calling("propose"))
    proposing.upon(Link.tick).loop()(_calling("propose"))
    proposing.upon(Link.proposed).to(offering)(_calling("offer"))
    idle.upon(Link.punched).to(offering)(_calling("offer"))
    offering.upon(Link.tick).loop()(_calling("offer"))
    offering.upon(Link.answered).to(serving)(_calling("opened"))
    for state in (offering, serving):
        state.upon(Link.punched).loop()(_calling("say_ready"))

    # The end.
    for state in (*before_open, connected, serving):
        state.upon(Link.close).to(closed)(_close)
        state.upon(Link.lose).to(closed)(_lose)

    # What means nothing, by state.
    nothing = (Link.search, Link.ready, Link.accepted, Link.answered, Link.tick, Link.punched,
               Link.proposed, Link.connect, Link.await_acceptance)  # fmt: skip
    meaning = {
        idle: (Link.connect, Link.await_acceptance, Link.search, Link.punched),
        punching: (Link.tick, Link.punched, Link.ready, Link.accepted),
        ready: (Link.tick, Link.accepted),
        answering: (Link.search, Link.punched),
        proposing: (Link.tick, Link.proposed),
        offering: (Link.tick, Link.answered, Link.punched),
        serving: (Link.punched,),
        connected: (),
        closed: (),
    }
    for state, inputs in meaning.items():
        for event in nothing:
            if event not in inputs:
                state.upon(event).loop().returns(None)
    closed.upon(Link.close).loop().returns(None)
    closed.upon(Link.lose).loop().returns(None)
    return builder


def _calling(name: str) -> Callable[[Link, LinkCore], None]:
    """A transition that calls one method of the core."""

    def output(link: Link, core: LinkCore) -> None:
        getattr(core, name)()

    return output


def _close(link: Link, core: LinkCore, reason: CloseReason) -> None:
    core.say_close()
    core.ended(reason)


def _lose(link: Link, core: LinkCore, reason: CloseReason) -> None:
    core.ended(reason)


build_link = _build().build()
