"""Times, sizes and the like, as pages say them; templates use these as filters."""

from __future__ import annotations

from datetime import date, datetime

from trailcam.library.gallery import UNDO
from trailcam.web.templating import add_filter

__all__ = ["day_name", "file_size", "moment", "playing_time", "sentence", "temperature", "until"]


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
    return f"{moment(removed + UNDO)}"


@add_filter
def playing_time(milliseconds: int) -> str:
    """C{0:05}, C{12:30}: of a video; empty where it is not known."""
    if not milliseconds:
        return ""
    minutes, seconds = divmod(max(1, round(milliseconds / 1000)), 60)
    return f"{minutes}:{seconds:02}"


@add_filter
def file_size(count: int) -> str:
    """C{428.9 kB}."""
    if count < 1000:
        return f"{count} bytes"
    number = count / 1000
    for unit in ("kB", "MB"):
        if number < 1000:
            return f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


@add_filter
def temperature(degrees: float) -> str:
    """C{-7.5 °C}, with a minus as it is printed."""
    return f"{degrees:g} °C".replace("-", "\N{MINUS SIGN}")


@add_filter
def sentence(text: str) -> str:
    """An error's text as a sentence."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", ")", "…")) else text + "."
