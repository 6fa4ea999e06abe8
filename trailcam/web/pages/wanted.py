"""Which pictures a page is about, as the end of a URL says it."""

from __future__ import annotations

from urllib.parse import urlencode

from trailcam.library import Filter

__all__ = ["query_of"]


def query_of(wanted: Filter, **more: str | None) -> str:
    """
    What L{wanted <trailcam.web.api.filters.wanted>} reads, with its question mark; empty where
    all are wanted.

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
