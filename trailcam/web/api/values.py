"""
Values as the HTTP API and the pages' scripts have them: what C{json} can write.

Times are ISO 8601 in UTC, with a C{Z}; when a picture was taken is told by the camera's clock as
well. URLs begin at our root.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

from trailcam.library import Medium, Visit
from trailcam.library.times import Moment

__all__ = ["Json", "medium_json", "moment_json", "time_json", "version_of", "visit_json"]

Json: TypeAlias = dict[str, Any]


def time_json(time: datetime | None) -> str | None:
    """
    A time in UTC, to the second.

    @param time: aware.
    """
    if time is None:
        return None
    utc = time.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="seconds") + "Z"


def moment_json(moment: Moment | None) -> Json | None:
    """When a picture was taken: by the camera's clock, and in UTC."""
    if moment is None:
        return None
    return {"local": moment.wall.isoformat(timespec="seconds"), "utc": time_json(moment.utc)}


def version_of(sha256: str) -> str:
    """What the URL of a file has as C{v}, so that a browser may keep it for ever."""
    return sha256[:12]


def medium_json(medium: Medium) -> Json:
    """A picture or video."""
    url, version = f"api/v1/media/{medium.id}", version_of(medium.sha256)
    milliseconds = medium.file.duration_ms
    return {
        "id": medium.id,
        "kind": "photo" if medium.file.is_photo else "video",
        "camera": medium.camera,
        "device_id": medium.device_id,
        "name": medium.path.name,
        "taken": moment_json(medium.taken),
        "fetched": time_json(medium.fetched_at),
        "deleted_from_card": time_json(medium.deleted_from_card),
        "removed": time_json(medium.removed),
        "size": medium.size,
        "sha256": medium.sha256,
        "duration": milliseconds / 1000 if milliseconds else None,
        "favourite": medium.favourite,
        "note": medium.note,
        "battery": medium.battery,
        "temperature": medium.temperature,
        "file": f"{url}/file?v={version}",
        "thumbnail": f"{url}/thumbnail?v={version}",
    }


def visit_json(visit: Visit) -> Json:
    """A visit to a camera, as it went; seconds have a tenth."""
    return {
        "camera": visit.camera,
        "began": time_json(visit.began),
        "ended": time_json(visit.ended),
        "outcome": visit.outcome,
        "why": visit.why,
        "phases": {name: round(seconds, 1) for name, seconds in visit.phases.items()},
        "awake": round(visit.awake, 1),
        "transferring": round(visit.transferring, 1),
        "bytes": visit.bytes,
        "new": visit.new,
        "failed": visit.failed,
        "battery": visit.battery,
        "temperature": visit.temperature,
        "card_free_mb": visit.card_free_mb,
        "clock_drift": None if visit.clock_drift is None else round(visit.clock_drift, 1),
    }
