"""When a picture was taken, by the picture itself."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PIL import Image

from trailcam.library.times import plausible

__all__ = ["time_taken"]

_EXIF_IFD = 0x8769
_DATE_TIME_ORIGINAL = 0x9003
_EPOCH = datetime(1970, 1, 1)


def time_taken(path: Path) -> int | None:
    """
    The EXIF DateTimeOriginal of a JPEG, as a camera counts its wall clock.

    @return: C{None} where there is none, whatever is wrong with the file.
    """
    try:
        with Image.open(path, formats=["JPEG"]) as image:
            text = image.getexif().get_ifd(_EXIF_IFD)[_DATE_TIME_ORIGINAL]
        wall = datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
        return plausible(int((wall - _EPOCH).total_seconds()))
    except Exception:  # the bytes come from outside, and Pillow promises no kind of error
        return None
