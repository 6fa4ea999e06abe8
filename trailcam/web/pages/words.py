"""Times, sizes and the like, as pages say them; templates use these as filters."""

from __future__ import annotations

from datetime import UTC, date, datetime

from trailcam.console import human_bytes, human_seconds
from trailcam.library.gallery import UNDO
from trailcam.web.api.values import version_of
from trailcam.web.templating import add_filter

__all__ = [
    "clock",
    "day_name",
    "duration",
    "from_now",
    "megabytes",
    "moment",
    "playing_time",
    "sentence",
    "temperature",
    "until",
]

#: What is told from afar: seconds in it, and from how many of them on.
_UNITS = ((86400.0, 2 * 86400.0, "days"), (3600.0, 5400.0, "h"), (60.0, 0.0, "min"))

add_filter(human_bytes)
add_filter(version_of)


@add_filter
def day_name(day: date) -> str:
    """C{Monday, 18 May 2026}."""
    return f"{day:%A}, {day.day} {day:%B} {day.year}"


@add_filter
def moment(when: datetime) -> str:
    """C{18 May 2026, 07:14}: by the station's clock, or by its own where it has no zone."""
    local = when if when.tzinfo is None else when.astimezone()
    return f"{local.day} {local:%B} {local.year}, {local:%H:%M}"


@add_filter
def until(removed: datetime) -> str:
    """Until when that can be had back which was deleted at home."""
    return moment(removed + UNDO)


@add_filter
def playing_time(milliseconds: int) -> str:
    """C{0:05}, C{12:30}: of a video; empty where it is not known."""
    if not milliseconds:
        return ""
    minutes, seconds = divmod(max(1, round(milliseconds / 1000)), 60)
    return f"{minutes}:{seconds:02}"


@add_filter
def temperature(degrees: float) -> str:
    """C{-7.5 °C}, with a minus as it is printed."""
    return f"{degrees:g} °C".replace("-", "\N{MINUS SIGN}")


@add_filter
def sentence(text: str) -> str:
    """An error's text as a sentence."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ")", "…")) else text + "."


@add_filter
def from_now(when: datetime, now: datetime | None = None) -> str:
    """
    C{in 23 min (14:05)}, C{2 days ago (18 May, 07:14)}, by the station's clock; when time goes by,
    C{static/cameras.js} says it by the browser's.

    @param when: aware.
    @param now: C{None} for now.
    """
    away = (when - (now or datetime.now(UTC))).total_seconds()
    seconds = abs(away)
    if seconds < 45:
        return "in a moment" if away > 0 else "just now"
    size, _, unit = next(each for each in _UNITS if seconds >= each[1])
    text = f"{max(1, round(seconds / size))} {unit}"
    at = f"{when.astimezone():%H:%M}" if seconds < 43200 else clock(when)
    return f"in {text} ({at})" if away > 0 else f"{text} ago ({at})"


@add_filter
def clock(when: datetime) -> str:
    """C{18 May, 07:14}: by the station's clock."""
    local = when.astimezone()
    return f"{local.day} {local:%b}, {local:%H:%M}"


@add_filter
def duration(seconds: float) -> str:
    """C{0.4 s}, C{41 s} or C{2 min 5 s}."""
    return f"{seconds:.1f} s" if seconds < 9.95 else human_seconds(seconds)


@add_filter
def megabytes(count: float) -> str:
    """C{850 MB} or C{12.3 GB}: of a card."""
    return f"{count:.0f} MB" if count < 1000 else f"{count / 1000:.1f} GB"
