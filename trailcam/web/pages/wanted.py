"""Which pictures a page is about: what its URL says, and how other URLs say it."""

from __future__ import annotations

from datetime import date
from typing import cast
from urllib.parse import urlencode

from trailcam.errors import WrongRequest
from trailcam.library import Filter
from trailcam.library.browse import Kind
from trailcam.web.http import Asked

__all__ = ["query_of", "read_filter"]


def read_filter(asked: Asked) -> Filter:
    """
    What the URL wants.

    @raise WrongRequest: when it makes no sense.
    """
    return Filter(
        device_id=asked.query("camera"),
        first_day=_day(asked, "from"),
        last_day=_day(asked, "to"),
        kind=cast("Kind | None", asked.choice("kind", "photo", "video")),
        favourite=asked.flag("favourite"),
    )


def query_of(wanted: Filter, **more: str | None) -> str:
    """
    The same as the end of a URL, with its question mark; empty where all are wanted.

    @param more: other parameters; C{None} is left out.
    """
    favourite = None if wanted.favourite is None else str(wanted.favourite).lower()
    parameters = {
        "camera": wanted.device_id,
        "from": wanted.first_day and wanted.first_day.isoformat(),
        "to": wanted.last_day and wanted.last_day.isoformat(),
        "kind": wanted.kind,
        "favourite": favourite,
        **more,
    }
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _day(asked: Asked, name: str) -> date | None:
    value = asked.query(name)
    if value is None:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise WrongRequest(f"{name} must be a day like 2026-05-18") from None
