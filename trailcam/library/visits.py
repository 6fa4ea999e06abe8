"""
The visits to cameras, as the index keeps them.

They are told by the camera's name and not by its C{devId}, for a camera that
could not be reached has not said it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from trailcam.library.index import Index, look_into

__all__ = ["KEPT", "Outcome", "Visit", "newest_visits", "read_visits", "record_visit"]

#: How many visits to each camera are kept: one every hour, for more than a year.
KEPT = 10_000

#: C{ok}: all that could be done was; C{failed}: C{why} says what was in the way;
#: C{interrupted}: it was ended by us.
Outcome: TypeAlias = Literal["ok", "failed", "interrupted"]

_COLUMNS = (
    "camera, began, ended, outcome, why, phases, awake, transferring, bytes, new, failed,"
    " battery, card_free_mb, temperature, clock_drift"
)
_ADD = f"INSERT INTO visits ({_COLUMNS}) VALUES ({', '.join('?' * 15)})"
_DROP = """
    DELETE FROM visits WHERE camera = ? AND id <=
        (SELECT id FROM visits WHERE camera = ? ORDER BY id DESC LIMIT 1 OFFSET ?)
"""
_UTC = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True)
class Visit:
    """
    A visit to a camera, as it went.

    @ivar camera: its name in C{tap.conf}.
    @ivar began: when; aware.
    @ivar ended: when; aware.
    @ivar outcome: how it ended.
    @ivar why: one line on what went wrong; C{None} when nothing did.
    @ivar phases: how many seconds each took, in their order: C{waking}, C{joining},
        C{connecting}, C{login}, C{information}, C{syncing}, C{leaving}.
    @ivar awake: how many seconds the camera was awake.
    @ivar transferring: in how many of them files came.
    @ivar bytes: how many came home.
    @ivar new: how many files came home.
    @ivar failed: how many files could not be fetched.
    @ivar battery: in percent; this and what follows C{None} where the camera did not say.
    @ivar card_free_mb: what is free on its card, in MB.
    @ivar temperature: in degrees Celsius.
    @ivar clock_drift: by how many seconds its clock was ahead of ours.
    """

    camera: str
    began: datetime
    ended: datetime
    outcome: Outcome
    why: str | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    awake: float = 0.0
    transferring: float = 0.0
    bytes: int = 0
    new: int = 0
    failed: int = 0
    battery: int | None = None
    card_free_mb: int | None = None
    temperature: float | None = None
    clock_drift: float | None = None


def record_visit(index: Index, visit: Visit, kept: int = KEPT) -> None:
    """
    Write down a visit, and drop those to the same camera that are too old.

    @param kept: how many of the camera's stay.
    """
    index.cursor.execute(_ADD, _row(visit))
    index.cursor.execute(_DROP, (visit.camera, visit.camera, kept))


def newest_visits(index: Index, camera: str | None, limit: int) -> list[Visit]:
    """
    Those written down last, latest first: the clock may have been wrong, the order is not.

    @param camera: the name of one; C{None} for all.
    @param limit: at most so many; below 0 for all.
    """
    which, parameters = ("WHERE camera = ?", (camera,)) if camera is not None else ("", ())
    index.cursor.execute(
        f"SELECT {_COLUMNS} FROM visits {which} ORDER BY id DESC LIMIT ?", (*parameters, limit)
    )
    return [_visit(row) for row in index.cursor.fetchall()]


def read_visits(root: Path, camera: str | None, limit: int) -> list[Visit]:
    """
    The newest visits of a library that another program may have open.

    @param root: the library.
    @raise LibraryError: when there is no library, or it cannot be read.
    """
    with look_into(root, 2) as index:
        return [] if index is None else newest_visits(index, camera, limit)


def _row(visit: Visit) -> tuple[object, ...]:
    return (
        visit.camera,
        visit.began.astimezone(UTC).strftime(_UTC),
        visit.ended.astimezone(UTC).strftime(_UTC),
        visit.outcome,
        # An error may quote a camera, and half a surrogate pair fits into no database.
        visit.why and visit.why.encode("utf-8", "replace").decode(),
        json.dumps(dict(visit.phases)),
        visit.awake,
        visit.transferring,
        visit.bytes,
        visit.new,
        visit.failed,
        visit.battery,
        visit.card_free_mb,
        visit.temperature,
        visit.clock_drift,
    )


def _visit(row: Sequence[Any]) -> Visit:
    camera, began, ended, outcome, why, phases, *numbers = row
    return Visit(
        camera,
        datetime.fromisoformat(began),
        datetime.fromisoformat(ended),
        outcome,
        why,
        _finite(json.loads(phases)),
        *numbers,
    )


def _finite(phases: Mapping[str, Any]) -> dict[str, float]:
    """What a damaged index holds may be no number, or one that JSON cannot tell."""
    numbers = {name: taken for name, taken in phases.items() if isinstance(taken, int | float)}
    return {name: taken for name, taken in numbers.items() if math.isfinite(taken)}
