"""
Small pictures of the big ones, made once and kept in C{.trailcam/thumbnails/}.

They are called by the SHA-256 of what they show: whatever becomes of the index, none can show
another picture. What cannot be shown leaves a mark in its place, and is not tried again.
Blocking; C{root} is the library.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from trailcam.durable import write_whole
from trailcam.library.files import STATE, make_folder
from trailcam.shrinking import shrink

__all__ = ["WIDTH", "Thumbnail", "cached", "drop", "make"]

#: The width and the height that fit in, in pixels.
WIDTH = 480


class Thumbnail(NamedTuple):
    """
    What came of trying.

    @ivar path: where it is; C{None} where none can be made.
    """

    path: Path | None


def cached(root: Path, sha256: str) -> Thumbnail | None:
    """
    The thumbnail that was made.

    @param sha256: of the picture or video.
    @return: C{None} when it was not tried yet.
    """
    path = _path(root, sha256)
    try:
        return Thumbnail(path if path.stat().st_size else None)
    except FileNotFoundError:
        return None


def make(root: Path, sha256: str, source: Path, is_photo: bool) -> Thumbnail:
    """
    Make a thumbnail, unless it was tried.

    @param source: the picture or video.
    @raise OSError: when the disk fails, which says nothing of the picture.
    """
    if (there := cached(root, sha256)) is not None:
        return there
    with _open(source) as file:
        image = shrink(file, is_photo, WIDTH)
    path = _path(root, sha256)
    make_folder(make_folder(path.parent.parent) / path.parent.name)
    write_whole(path, image or b"")
    return Thumbnail(path if image else None)


def _open(path: Path) -> BinaryIO:
    """Open a file, and nothing that somebody put in its place: a pipe would keep us for ever."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file any more", str(path))
    return os.fdopen(descriptor, "rb")


def drop(root: Path, shown: Iterable[str]) -> None:
    """
    Delete thumbnails, if there are any.

    @param shown: the SHA-256 of what they show; what else has it gets a new one when need be.
    """
    for sha256 in shown:
        _path(root, sha256).unlink(missing_ok=True)


def _path(root: Path, sha256: str) -> Path:
    return root / STATE / "thumbnails" / sha256[:2] / f"{sha256}.jpg"
