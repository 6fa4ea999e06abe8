"""What a session tells the outside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

__all__ = ["CloseReason", "Closed", "Event", "Opened", "Received"]


class CloseReason(Enum):
    """Why a session is over."""

    LOCAL = "closed by us"
    PEER = "closed by the other side"
    SILENT = "the other side fell silent"
    STALLED = "the other side no longer acknowledges"


@dataclass(frozen=True, slots=True)
class Opened:
    """The session stands: data may be sent."""


class Received(NamedTuple):
    """The next bytes of a channel's stream. (A tuple: there is one for every DRW.)"""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over; nothing comes after this."""

    reason: CloseReason


Event: TypeAlias = Opened | Received | Closed
