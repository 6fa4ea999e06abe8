"""
What happens at a station that somebody may want to hear of, as values.

Whoever tells people or programs (the log, and later notifications) takes
them through one method, L{Listener.happened}.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias

from trailcam.library.records import StoredFile
from trailcam.library.visits import Visit
from trailcam.logs import make_logger

__all__ = [
    "BatteryLow",
    "CameraBack",
    "CameraMissing",
    "CardNearlyFull",
    "ClockWrong",
    "Happening",
    "Listener",
    "Listeners",
    "NewMedia",
    "PhaseBegan",
    "Transferring",
    "VisitEnded",
]


@dataclass(frozen=True)
class NewMedia:
    """A picture or video is home."""

    camera: str
    file: StoredFile

    def __str__(self) -> str:
        return f"{self.camera}: {self.file.path.name} is home"


@dataclass(frozen=True)
class PhaseBegan:
    """
    A visit or a live view has come to its next phase.

    @ivar phase: one of L{trailcam.visit.PHASES} or L{trailcam.showing.PHASES}; C{None} when it
        is over.
    """

    camera: str
    phase: str | None
    when: datetime

    def __str__(self) -> str:
        return f"{self.camera}: {self.phase or 'left alone'}"


@dataclass(frozen=True)
class Transferring:
    """
    How far a visit's transfer is; told at most a few times a second.

    @ivar done: how many files are home, of this visit.
    @ivar total: how many are wanted, as far as the list was read.
    @ivar bytes: how many have come.
    """

    camera: str
    done: int
    total: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.camera}: {self.done} of {self.total} files, {self.bytes} bytes"


@dataclass(frozen=True)
class VisitEnded:
    """A visit is over, well or not."""

    camera: str
    visit: Visit

    def __str__(self) -> str:
        visit = self.visit
        went = f"{visit.new} new, {visit.failed} failed, {visit.awake:.0f} s awake"
        return f"{self.camera}: visit {visit.outcome}, {visit.why or went}"


@dataclass(frozen=True)
class BatteryLow:
    """The camera's battery has fallen below its limit; said again only after it was above."""

    camera: str
    percent: int

    def __str__(self) -> str:
        return f"{self.camera}: the battery is at {self.percent} %"


@dataclass(frozen=True)
class CardNearlyFull:
    """The camera's card has come below its limit; said again only after it was above."""

    camera: str
    free_mb: int

    def __str__(self) -> str:
        return f"{self.camera}: only {self.free_mb} MB are free on the card"


@dataclass(frozen=True)
class ClockWrong:
    """The camera's clock did not take the time that it was given at login."""

    camera: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.camera}: its clock is {self.seconds:+.0f} s off, though it was just set"


@dataclass(frozen=True)
class CameraMissing:
    """
    The camera could not be visited several times in a row; said once.

    @ivar failures: how many.
    @ivar last_seen: when the last visit went well; C{None}: never.
    """

    camera: str
    failures: int
    why: str
    last_seen: datetime | None

    def __str__(self) -> str:
        seen = f"last seen {self.last_seen:%Y-%m-%d %H:%M} UTC" if self.last_seen else "never seen"
        return f"{self.camera}: {self.failures} visits failed in a row ({seen}); {self.why}"


@dataclass(frozen=True)
class CameraBack:
    """A camera that was L{missing <CameraMissing>} could be visited again."""

    camera: str
    failures: int

    def __str__(self) -> str:
        return f"{self.camera}: back, after {self.failures} visits that failed"


Happening: TypeAlias = (
    NewMedia
    | PhaseBegan
    | Transferring
    | VisitEnded
    | BatteryLow
    | CardNearlyFull
    | ClockWrong
    | CameraMissing
    | CameraBack
)


class Listener(Protocol):
    """Who wants to hear of it."""

    def happened(self, what: Happening) -> None:
        """Something has happened. This must not raise, and must not take long."""


class Listeners:
    """Several listeners as one. One that raises harms nobody; that it does is told once."""

    log = make_logger(__name__)

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)
        self._failed: list[Listener] = []

    def add(self, listener: Listener) -> None:
        """From now on tell this one too."""
        self._listeners.append(listener)

    def remove(self, listener: Listener) -> None:
        """Tell it no more."""
        self._listeners.remove(listener)

    def happened(self, what: Happening) -> None:
        """Tell all of them."""
        for listener in list(self._listeners):
            try:
                listener.happened(what)
            except Exception:
                if listener not in self._failed:
                    self._failed.append(listener)
                    self.log.failure("a listener failed, at {what!r}", what=str(what))
