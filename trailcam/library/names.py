"""
The names of folders and files, built and read back.

C{C60000000001_20251223T211218Z+0100_100-0318-c85985fb.jpg} is camera, UTC
time with the camera clock's offset from it, and what the camera calls the
file: directory, number, media id. Then, where they apply, C{-avi},
C{-12000ms} for the length of a video, C{-exif} if the camera did not say the
time but the picture did, and C{-2} for the second file of one name. Nothing
else is needed to rebuild the index.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from trailcam.commands import MediaFile
from trailcam.library.times import Moment

__all__ = [
    "UNDATED",
    "MediaName",
    "day_folder",
    "file_name",
    "folder_name",
    "is_day_folder",
    "is_folder_name",
    "parse",
    "parse_part",
    "part_name",
]

#: In place of the date, where nobody knows it.
UNDATED = "undated"

_UTC = "%Y%m%dT%H%M%SZ"
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_DAY = re.compile(r"\d{4}-\d\d-\d\d|undated", re.ASCII)
_PART = re.compile(r"(.+)\.\d+\.part", re.ASCII)
_NAME = re.compile(
    r"""(?P<folder>[A-Za-z0-9][A-Za-z0-9-]*)
    _ (?: undated | (?P<utc>\d{8}T\d{6}Z) (?P<offset>[+-]\d{4}(?:\d\d)?) )
    _ (?P<directory>\d{1,5}) - (?P<number>\d{4,5})
    (?: - (?P<media_id>[0-9a-f]{8,16}) )?
    (?: - (?P<avi>avi) )?
    (?: - (?P<duration>\d{1,9})ms )?
    (?: - (?P<exif>exif) )?
    (?: - (?P<copy>\d{1,6}) )?
    \. (?P<extension>jpg|mp4)""",
    re.ASCII | re.VERBOSE,
)


@dataclass(frozen=True)
class MediaName:
    """
    What a file's name tells.

    @ivar folder: the camera's folder.
    @ivar file: the file, as L{trailcam.library.records.normal} leaves it.
    @ivar taken: when; if C{file} has no media time, then by its EXIF.
    @ivar copy: 1, or more for a further file of the same name.
    """

    folder: str
    file: MediaFile
    taken: Moment | None
    copy: int = 1


def folder_name(device_id: str) -> str:
    """What survives of a camera's id in the name of its folder: letters, digits, dashes."""
    return re.sub(r"[^A-Za-z0-9-]", "", device_id).lstrip("-")[:64] or "camera"


def is_folder_name(text: str) -> bool:
    """Whether a camera's folder can be called that."""
    return _FOLDER.fullmatch(text) is not None


def day_folder(taken: Moment | None) -> str:
    """The folder of a day, by the camera's clock."""
    return UNDATED if taken is None else taken.wall.date().isoformat()


def is_day_folder(text: str) -> bool:
    """Whether L{day_folder} may have made that."""
    return _DAY.fullmatch(text) is not None


def file_name(name: MediaName) -> str:
    """Build the name of a file."""
    file, taken = name.file, name.taken
    what = [f"{file.directory}-{file.number:04d}"]
    if file.media_id is not None:
        what.append(f"{file.media_id:08x}")
    if file.file_type == 2:
        what.append("avi")
    if file.duration_ms:
        what.append(f"{file.duration_ms}ms")
    if taken is not None and file.media_time is None:
        what.append("exif")
    if name.copy > 1:
        what.append(str(name.copy))
    extension = "jpg" if file.is_photo else "mp4"
    return f"{name.folder}_{_stamp(taken)}_{'-'.join(what)}.{extension}"


def parse(text: str, zone: tzinfo | None) -> MediaName | None:
    """
    Read a name that L{file_name} built.

    @param zone: where the camera's clock stands.
    @return: C{None} for every other name.
    """
    match = _NAME.fullmatch(text)
    if match is None:
        return None
    try:
        name = _read(match.groupdict(), zone)
    except (ValueError, OverflowError):
        return None
    return name if file_name(name) == text else None


def part_name(name: str, serial: int) -> str:
    """What a file is called while it is on its way."""
    return f"{name}.{serial}.part"


def parse_part(text: str, zone: tzinfo | None) -> MediaName | None:
    """Read a name that L{part_name} built."""
    match = _PART.fullmatch(text)
    return match and parse(match[1], zone)


def _stamp(taken: Moment | None) -> str:
    if taken is None:
        return UNDATED
    offset = taken.wall.replace(tzinfo=timezone(taken.offset)).strftime("%z")
    return taken.utc.strftime(_UTC) + offset


def _read(fields: dict[str, str | None], zone: tzinfo | None) -> MediaName:
    taken = None
    if fields["utc"]:
        offset = datetime.strptime(fields["offset"] or "", "%z").utcoffset() or timedelta()
        taken = Moment.from_utc(datetime.strptime(fields["utc"], _UTC), offset, zone)
    by_camera = taken is not None and not fields["exif"]
    file = MediaFile(
        0 if fields["extension"] == "jpg" else 2 if fields["avi"] else 1,
        int(fields["directory"] or 0),
        int(fields["number"] or 0),
        int(fields["duration"] or 0),
        int(fields["media_id"], 16) if fields["media_id"] else None,
        taken.seconds if taken is not None and by_camera else None,
    )
    return MediaName(fields["folder"] or "", file, taken, int(fields["copy"] or 1))
