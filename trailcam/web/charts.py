"""
What the visits to a camera look like: how battery and card went, and what a visit took its time
for. Pure: shapes for templates, as SVG draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from trailcam.library.visits import Visit

__all__ = ["HEIGHT", "WIDTH", "Chart", "Segment", "battery_chart", "card_chart", "segments"]

#: The drawing, before it is stretched to whatever room there is.
WIDTH, HEIGHT = 1000, 100
#: No more values are drawn: others would lie in the same place.
_MOST = 240
#: A phase that took fewer seconds is not worth telling.
_SEEN = 0.05


class Chart(NamedTuple):
    """
    How a value went.

    @ivar line: the way through all values, as the C{d} of a path.
    @ivar area: what lies below it, likewise.
    @ivar dots: the values, likewise.
    @ivar failed: when visits failed, likewise; may be empty.
    @ivar values: when, and how much it was; first to last.
    @ivar highest: what the upper edge stands for; the lower is 0.
    @ivar failures: how many visits failed in that time.
    """

    line: str
    area: str
    dots: str
    failed: str
    values: list[tuple[datetime, float]]
    highest: float
    failures: int


class Segment(NamedTuple):
    """
    A phase of a visit, as a part of a bar.

    @ivar x: where it begins, from 0 to L{WIDTH}.
    @ivar width: likewise.
    """

    phase: str
    seconds: float
    x: float
    width: float


def battery_chart(visits: Sequence[Visit]) -> Chart | None:
    """
    How the battery went, in percent; C{None} where that is no chart.

    @param visits: latest first.
    """
    return _chart(visits, lambda visit: visit.battery, 100.0)


def card_chart(visits: Sequence[Visit]) -> Chart | None:
    """How what is free on the card went, in MB; likewise."""
    return _chart(visits, lambda visit: visit.card_free_mb, None)


def segments(visit: Visit) -> list[Segment]:
    """Its phases in their order, without the shortest; together they fill the drawing."""
    phases = [(name, seconds) for name, seconds in visit.phases.items() if seconds >= _SEEN]
    total = sum(seconds for _, seconds in phases)
    found, x = [], 0.0
    for name, seconds in phases:
        width = seconds / total * WIDTH
        found.append(Segment(name, seconds, round(x, 1), round(width, 1)))
        x += width
    return found


def _chart(
    visits: Sequence[Visit], of: Callable[[Visit], float | None], highest: float | None
) -> Chart | None:
    known = [(visit.ended, float(value)) for visit in reversed(visits)
             if (value := of(visit)) is not None]  # fmt: skip
    # The clock may have been set between two visits.
    known = _thin(sorted(known))
    if len(known) < 2 or known[0][0] == known[-1][0]:
        return None
    first, last = known[0][0], known[-1][0]
    top = highest or max(value for _, value in known) or 1.0

    def place(when: datetime) -> float:
        return round((when - first) / (last - first) * WIDTH, 1)

    points = [f"{place(when)} {HEIGHT - min(value / top, 1.0) * HEIGHT:.1f}"
              for when, value in known]  # fmt: skip
    failed = [visit.ended for visit in visits
              if visit.outcome == "failed" and first <= visit.ended <= last]  # fmt: skip
    line = "M" + "L".join(points)
    return Chart(
        line,
        f"{line}V{HEIGHT}H0Z",
        "".join(f"M{point}h0" for point in points),
        "".join(f"M{x} {HEIGHT}v-10" for x in sorted({place(when) for when in failed})),
        known,
        top,
        len(failed),
    )


def _thin(values: list[tuple[datetime, float]]) -> list[tuple[datetime, float]]:
    """The same in fewer, the last of each stretch of time; the first and the last stay."""
    if len(values) <= _MOST:
        return values
    first, last = values[0][0], values[-1][0]
    stretches = {int((when - first) / (last - first) * (_MOST - 2)): (when, value)
                 for when, value in values[1:]}  # fmt: skip
    return [values[0], *stretches.values()]
