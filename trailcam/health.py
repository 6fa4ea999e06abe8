"""
How a camera fares, as its visits tell: pure.

What crosses a limit is told once, and again only after it had come back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trailcam.happenings import (
    BatteryLow,
    CameraBack,
    CameraMissing,
    CardNearlyFull,
    ClockWrong,
    Happening,
)
from trailcam.library.visits import Visit

__all__ = ["MISSED", "SEEN", "Health", "Limits", "assess", "news"]

#: A camera is missing once so many visits have failed in a row.
MISSED = 3
#: So many visits are looked at: enough to find the last one that went well, mostly.
SEEN = 200
#: A clock that was just set may be so many seconds off: it counts whole ones.
_TOLERANCE = 60.0


@dataclass(frozen=True)
class Limits:
    """
    What is worth telling.

    @ivar battery: below so many percent; 0 for never.
    @ivar card: below so many MB free on the card; 0 for never.
    """

    battery: int = 20
    card: int = 500


@dataclass(frozen=True)
class Health:
    """
    How a camera fares.

    @ivar battery: in percent; this and what follows are as it last said, C{None} where it never
        did.
    @ivar card_free_mb: what is free on its card.
    @ivar temperature: in degrees Celsius.
    @ivar clock_drift: by how many seconds its clock was ahead of ours.
    @ivar last_seen: when a visit last went well; aware.
    @ivar failures: how many have failed in a row since; those that we interrupted do not count.
    """

    battery: int | None = None
    card_free_mb: int | None = None
    temperature: float | None = None
    clock_drift: float | None = None
    last_seen: datetime | None = None
    failures: int = 0


def assess(visits: Sequence[Visit]) -> Health:
    """
    How a camera fares.

    @param visits: to it, latest first.
    """
    counted = [visit for visit in visits if visit.outcome != "interrupted"]
    well = [at for at, visit in enumerate(counted) if visit.outcome == "ok"]

    def latest(name: str) -> float | None:
        values = (getattr(visit, name) for visit in visits)
        return next((value for value in values if value is not None), None)

    battery, free = latest("battery"), latest("card_free_mb")
    return Health(
        battery=None if battery is None else int(battery),
        card_free_mb=None if free is None else int(free),
        temperature=latest("temperature"),
        clock_drift=latest("clock_drift"),
        last_seen=counted[well[0]].ended if well else None,
        failures=well[0] if well else len(counted),
    )


def news(visits: Sequence[Visit], limits: Limits) -> list[Happening]:
    """
    What the latest visit brought to light.

    @param visits: to one camera, latest first.
    """
    if not visits:
        return []
    latest, before, now = visits[0], assess(visits[1:]), assess(visits)
    found: list[Happening] = []
    if latest.battery is not None and _falls(before.battery, latest.battery, limits.battery):
        found.append(BatteryLow(latest.camera, latest.battery))
    free = latest.card_free_mb
    if free is not None and _falls(before.card_free_mb, free, limits.card):
        found.append(CardNearlyFull(latest.camera, free))
    drift = latest.clock_drift
    if drift is not None and _falls(-abs(before.clock_drift or 0), -abs(drift), -_TOLERANCE):
        found.append(ClockWrong(latest.camera, drift))
    if now.failures == MISSED and latest.outcome == "failed":
        found.append(
            CameraMissing(latest.camera, now.failures, latest.why or "", now.last_seen)
        )
    if latest.outcome == "ok" and before.failures >= MISSED:
        found.append(CameraBack(latest.camera, before.failures))
    return found


def _falls(before: float | None, now: float, limit: float) -> bool:
    """Whether a value has just come below its limit."""
    return now < limit and (before is None or before >= limit)
