"""
A picture or video at home, as whoever leafs through them sees it: with what a person says of it,
and how the camera fared at the visit that brought it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from trailcam.commands import MediaFile
from trailcam.errors import UnknownMedium
from trailcam.library.cursors import Place
from trailcam.library.index import Index
from trailcam.library.times import Moment
from trailcam.library.trash import TRASH, is_file

__all__ = [
    "COLUMNS",
    "KEY",
    "UTC_FORMAT",
    "VISIT",
    "Medium",
    "find",
    "must_find",
    "path_of",
    "place_of",
    "read_medium",
]

#: How times that have no fractions are written.
UTC_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
#: What the order of pages goes by, and then the id; C{m} is C{media}.
KEY = "COALESCE(m.utc, '')"
#: What L{read_medium} reads, from C{media AS m} and L{VISIT}.
COLUMNS = """
    m.id, m.device_id, m.camera, m.media_id, m.media_time, m.directory, m.number, m.file_type,
    m.duration_ms, m.wall, m.utc_offset, m.zone, m.path, m.size, m.sha256, m.fetched_at, m.deleted,
    m.favourite, m.note, m.removed, v.battery, v.temperature
"""
#: The visit that brought a picture: the last that had begun by then, unless it was over. Times
#: of visits have fractions of a second, those of media have none.
VISIT = """
    LEFT JOIN visits AS v ON v.id = (
        SELECT w.id FROM visits AS w WHERE w.camera = m.camera AND w.began <= m.fetched_at
        ORDER BY w.began DESC LIMIT 1
    ) AND v.ended >= substr(m.fetched_at, 1, 19)
"""


class Medium(NamedTuple):
    """
    A picture or video at home, and all that is known of it.

    @ivar id: its number in the index.
    @ivar device_id: the camera's C{devId}.
    @ivar camera: what people called the camera when it came.
    @ivar file: what the camera said of it.
    @ivar taken: when, by the camera's clock or else by its EXIF.
    @ivar where: the absolute path to it, be it in the trash, as text: a C{Path} for each of a
        page would take longer than all the rest.
    @ivar size: in bytes.
    @ivar sha256: of its bytes, in hexadecimal.
    @ivar fetched_at: when it came here; aware, UTC.
    @ivar deleted_from_card: when; aware, UTC.
    @ivar favourite: whether a person has marked it.
    @ivar note: what a person wrote of it.
    @ivar removed: when a person deleted it at home; aware, UTC.
    @ivar battery: the camera's at the visit that brought it, in percent.
    @ivar temperature: likewise, in degrees Celsius.
    """

    id: int
    device_id: str
    camera: str | None
    file: MediaFile
    taken: Moment | None
    where: str
    size: int
    sha256: str
    fetched_at: datetime
    deleted_from_card: datetime | None = None
    favourite: bool = False
    note: str = ""
    removed: datetime | None = None
    battery: int | None = None
    temperature: float | None = None

    @property
    def path(self) -> Path:
        """Where it is; absolute."""
        return Path(self.where)


def find(index: Index, id: int) -> Medium | None:
    """The picture with a number, in the trash or not; C{None} where there is nothing of it."""
    row = None
    if 0 < id < 1 << 63:
        index.cursor.execute(
            f"SELECT {COLUMNS} FROM media AS m {VISIT} WHERE m.id = ? AND m.gone = 0", (id,)
        )
        row = index.cursor.fetchone()
    medium = row and read_medium(index, row)
    return medium if medium and is_file(medium.where) else None


def must_find(index: Index, id: int) -> Medium:
    """
    The same, where there must be one.

    @raise UnknownMedium: when there is none.
    """
    medium = find(index, id)
    if medium is None:
        raise UnknownMedium(f"there is no picture {id} in the library")
    return medium


def place_of(medium: Medium) -> Place:
    """Where it stands in the order of pages."""
    return medium.taken.utc.strftime(UTC_FORMAT) if medium.taken else "", medium.id


def path_of(root: Path, path: str, removed: str | None) -> str:
    """
    Where a file is.

    @param path: its place, relative to the library.
    @param removed: when it was moved into the trash, if it was.
    """
    return f"{root}/{TRASH}/{path}" if removed else f"{root}/{path}"


def read_medium(index: Index, row: Sequence[Any]) -> Medium:
    """A picture by its L{COLUMNS}."""
    (id, device_id, camera, media_id, media_time, directory, number, file_type, duration_ms,
     wall, offset, zone, path, size, sha256, fetched_at, deleted, favourite, note, removed,
     battery, temperature) = row  # fmt: skip
    return Medium(
        id,
        device_id,
        camera,
        MediaFile(file_type, directory, number, duration_ms, media_id, media_time),
        Moment(datetime.fromisoformat(wall), timedelta(seconds=offset), zone) if wall else None,
        path_of(index.root, path, removed),
        size,
        sha256,
        datetime.fromisoformat(fetched_at),
        datetime.fromisoformat(deleted) if deleted else None,
        bool(favourite),
        note,
        datetime.fromisoformat(removed) if removed else None,
        battery,
        temperature,
    )
