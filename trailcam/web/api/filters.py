"""
Which pictures are wanted, as the end of a URL says it: the parameters that lists of them, days,
neighbours and pages share.
"""

from __future__ import annotations

import re
from datetime import date
from typing import cast
from urllib.parse import urlencode

from trailcam.errors import WrongRequest
from trailcam.library import Filter, Library
from trailcam.library.browse import Kind
from trailcam.web.http import Asked

__all__ = ["FILTERS", "query_of", "read_filter"]

#: The names of the parameters.
FILTERS = ("camera", "from", "to", "kind", "favourite", "removed")
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


async def read_filter(asked: Asked, library: Library, *, lenient: bool = False) -> Filter:
    """
    Read the parameters.

    @param lenient: take two days in either order: people choose one after the other.
    @raise WrongRequest: when one of them makes no sense.
    """
    first, last = _day(asked, "from"), _day(asked, "to")
    if first is not None and last is not None and first > last:
        if not lenient:
            raise WrongRequest("from must not be after to")
        first, last = last, first
    kind = cast(Kind | None, asked.choice("kind", "photo", "video"))
    favourite, removed = asked.flag("favourite"), bool(asked.flag("removed"))
    camera = await _camera(asked, library)
    return Filter(camera, first, last, kind, favourite, removed)


def query_of(wanted: Filter, **more: str | None) -> str:
    """
    What L{read_filter} reads, with its question mark; empty where all are wanted. The trash has a
    page of its own, so C{removed} is not said.

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
    text = asked.query(name)
    if text is None:
        return None
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise WrongRequest(f"{name} must be a day like 2026-05-18")


async def _camera(asked: Asked, library: Library) -> str | None:
    """The C{devId} of the camera that is meant; it may be called by its name as well."""
    text = asked.query("camera")
    if text is None:
        return None
    known = await library.cameras()
    called = [camera.device_id for camera in known if camera.name == text]
    if len(called) > 1 and text not in called:
        raise WrongRequest(
            f"several cameras have this name: ask for one of {', '.join(called)} instead"
        )
    return called[0] if len(called) == 1 else text
