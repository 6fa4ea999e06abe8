"""What the library knows of a camera and of a picture, as values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TypeAlias

from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library.times import Moment, plausible

__all__ = ["Identity", "RescanReport", "Source", "StoredFile", "identity", "normal"]

#: devId, media id, media time, directory, number, type: what makes two files the same.
Identity: TypeAlias = tuple[str, int | None, int | None, int, int, int]

#: The longest video that a name can tell, in milliseconds: eleven days.
_LONGEST = 10**9


@dataclass(frozen=True)
class Source:
    """
    The camera that a picture comes from.

    @ivar device_id: its C{devId}, as it says it.
    @ivar name: what people call it.
    @ivar zone: where its clock stands; C{None} for the station's own zone.
    """

    device_id: str
    name: str | None = None
    zone: tzinfo | None = None

    def __post_init__(self) -> None:
        # Half a surrogate pair, which JSON can carry, fits into no database.
        for field in ("device_id", "name"):
            text = getattr(self, field)
            if text is not None:
                object.__setattr__(self, field, text.encode("utf-8", "replace").decode())


@dataclass(frozen=True)
class StoredFile:
    """
    A picture or video that is here.

    @ivar device_id: the camera's C{devId}.
    @ivar file: what the camera said of it, as far as that is plausible.
    @ivar taken: when, by the camera's clock or else by the picture's EXIF.
    @ivar path: where it is; absolute.
    @ivar size: in bytes.
    @ivar sha256: of its bytes, in hexadecimal.
    @ivar fetched_at: when it came here; aware, UTC.
    @ivar deleted: when it was deleted from the camera's card, by us; aware, UTC.
    @ivar camera: what people called the camera when it came.
    """

    device_id: str
    file: MediaFile
    taken: Moment | None
    path: Path
    size: int
    sha256: str
    fetched_at: datetime
    deleted: datetime | None = None
    camera: str | None = None

    @property
    def identity(self) -> Identity:
        """What it is never downloaded twice by."""
        return identity(self.device_id, self.file)


@dataclass(frozen=True)
class RescanReport:
    """
    What a comparison of files and index found.

    @ivar added: files that the index did not know where they are.
    @ivar missing: files that were here once and are not; they stay known.
    @ivar kept: files that were in the index, and are here.
    @ivar skipped: files that are copies of others, empty, or cannot be read.
    """

    added: int
    missing: int
    kept: int
    skipped: int = 0


def normal(file: MediaFile) -> MediaFile:
    """
    What a camera says, without numbers that mean nothing.

    @raise LibraryError: when no card can have such a file.
    """
    small = 0 <= file.directory <= 0xFFFF and 0 <= file.number <= 0xFFFF
    if not small or file.file_type not in (0, 1, 2):
        raise LibraryError(f"no card can have the file {file.key}: it is left out")
    return replace(
        file,
        duration_ms=file.duration_ms if 0 <= file.duration_ms < _LONGEST else 0,
        media_id=None if file.media_id is not None and file.media_id < 0 else file.media_id,
        media_time=plausible(file.media_time),
    )


def identity(device_id: str, file: MediaFile) -> Identity:
    """What makes a file the same; C{None} is a value of its own."""
    return (device_id, file.media_id, file.media_time, file.directory, file.number, file.file_type)
