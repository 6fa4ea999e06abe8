"""
What happens, as a message for other programs: a flat JSON object. Pure.

MQTT and the webhook tell the same; C{docs/notifications.md} has it field by field.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

from trailcam.configkeys import MESSAGES
from trailcam.happenings import (
    BatteryLow,
    CameraBack,
    CameraMissing,
    CardNearlyFull,
    ClockWrong,
    Happening,
    NewMedia,
    VisitEnded,
)
from trailcam.library.records import StoredFile

__all__ = ["MEDIA", "NEWS", "Body", "message", "stamp"]

Body: TypeAlias = dict[str, Any]

#: What a new file is.
MEDIA = MESSAGES[:2]
#: What else is told of.
NEWS = MESSAGES[2:]


def message(what: Happening, now: datetime) -> Body | None:
    """
    Something that happened, as other programs are told; C{None} for what they are not told.

    @param now: aware.
    """
    match what:
        case NewMedia(_, file):
            kind, more = MEDIA[not file.file.is_photo], _of_file(file)
        case VisitEnded():
            kind, more = "visit_ended", _of_visit(what)
        case BatteryLow(_, percent):
            kind, more = "battery_low", {"battery": percent}
        case CardNearlyFull(_, free_mb):
            kind, more = "card_nearly_full", {"card_free_mb": free_mb}
        case ClockWrong(_, seconds):
            kind, more = "clock_wrong", {"seconds": seconds}
        case CameraMissing(_, failures, why, last_seen):
            seen = last_seen and stamp(last_seen)
            kind, more = "camera_missing", {"failures": failures, "why": why, "last_seen": seen}
        case CameraBack(_, failures):
            kind, more = "camera_back", {"failures": failures}
        case _:
            return None
    told = {"event_type": kind, "camera": what.camera, "when": stamp(now), "text": str(what)}
    return told | more


def stamp(moment: datetime) -> str:
    """A moment in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _of_file(file: StoredFile) -> Body:
    return {
        "file": file.path.name,
        "path": str(file.path),
        "size": file.size,
        "sha256": file.sha256,
        "taken": stamp(file.taken.utc) if file.taken else None,
        "duration_ms": file.file.duration_ms,
    }


def _of_visit(what: VisitEnded) -> Body:
    visit = what.visit
    return {
        "began": stamp(visit.began),
        "ended": stamp(visit.ended),
        "outcome": visit.outcome,
        "why": visit.why,
        "new": visit.new,
        "failed": visit.failed,
        "bytes": visit.bytes,
        "awake": round(visit.awake, 1),
        "battery": visit.battery,
        "card_free_mb": visit.card_free_mb,
        "temperature": visit.temperature,
    }
