"""
Small pictures of the big ones, made once and kept in C{.trailcam/thumbnails/}.

They are called by the SHA-256 of what they show: whatever becomes of the index, none can show
another picture. What cannot be shown leaves a mark in its place, and is not tried again.
Blocking; C{root} is the library.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from PIL import Image, ImageOps

from trailcam.durable import write_whole
from trailcam.library.files import STATE, make_folder

__all__ = ["LARGEST", "WIDTH", "Thumbnail", "cached", "drop", "make"]

#: The width and the height that fit in, in pixels.
WIDTH = 480
#: What has more pixels would take more memory than a small station has.
LARGEST = 60_000_000
#: A video that has no picture in so many packets has none.
_PACKETS = 100
_QUALITY = 80


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
    with source.open("rb") as file:
        image = _shrink(file, is_photo)
    path = _path(root, sha256)
    make_folder(make_folder(path.parent.parent) / path.parent.name)
    write_whole(path, image or b"")
    return Thumbnail(path if image else None)


def drop(root: Path, shown: Iterable[str]) -> None:
    """
    Delete thumbnails, if there are any.

    @param shown: the SHA-256 of what they show; what else has it gets a new one when need be.
    """
    for sha256 in shown:
        _path(root, sha256).unlink(missing_ok=True)


def _path(root: Path, sha256: str) -> Path:
    return root / STATE / "thumbnails" / sha256[:2] / f"{sha256}.jpg"


def _shrink(file: BinaryIO, is_photo: bool) -> bytes | None:
    """The JPEG; C{None} for what is damaged or too large."""
    try:
        image = _photo(file) if is_photo else _first_frame(file)
        if image is None:
            return None
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "JPEG", quality=_QUALITY)
        return stream.getvalue()
    except Exception as error:  # neither Pillow nor libav promise a kind of error
        if type(error) is OSError and error.errno is not None:
            raise  # the disk's
        return None


def _photo(file: BinaryIO) -> Image.Image | None:
    with Image.open(file, formats=["JPEG"]) as image:
        if image.width * image.height > LARGEST:
            return None
        image.thumbnail((WIDTH, WIDTH))  # a JPEG is read at an eighth of its size, if that will do
        return ImageOps.exif_transpose(image)


def _first_frame(file: BinaryIO) -> Image.Image | None:
    import av  # heavy, and not needed by whoever only looks into a library

    container: Any
    with av.open(file, "r", format="mp4") as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        context.thread_count = 1
        if context.width * context.height > LARGEST:
            return None
        for _, packet in zip(range(_PACKETS), container.demux(stream), strict=False):
            for frame in packet.decode():
                return _small(frame)
    return None


def _small(frame: Any) -> Image.Image | None:
    if frame.width * frame.height > LARGEST:
        return None
    scale = min(1.0, WIDTH / max(frame.width, frame.height))
    size = [max(1, round(length * scale)) for length in (frame.width, frame.height)]
    image: Image.Image = frame.to_image(width=size[0], height=size[1])
    return image
