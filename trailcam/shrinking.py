"""Small pictures of photos and videos, with no more memory than that needs. Blocking."""

from __future__ import annotations

import io
from typing import Any, BinaryIO

from PIL import Image, ImageOps

__all__ = ["LARGEST", "shrink"]

#: What has more pixels would take more memory than a small station has.
LARGEST = 60_000_000
#: A video that has no picture in so many packets has none.
_PACKETS = 100
_QUALITY = 80


def shrink(file: BinaryIO, is_photo: bool, width: int) -> bytes | None:
    """
    A small JPEG of a photo, or of a video's first frame.

    @param file: a JPEG, or an MP4.
    @param width: it, and the height, have at most so many pixels.
    @return: C{None} for what is damaged or too large.
    @raise OSError: when the disk fails, which says nothing of the picture.
    """
    try:
        image = _photo(file, width) if is_photo else _first_frame(file, width)
        if image is None:
            return None
        stream = io.BytesIO()
        image.convert("RGB").save(stream, "JPEG", quality=_QUALITY)
        return stream.getvalue()
    except Exception as error:  # neither Pillow nor libav promise a kind of error
        if type(error) is OSError and error.errno is not None:
            raise  # the disk's
        return None


def _photo(file: BinaryIO, width: int) -> Image.Image | None:
    with Image.open(file, formats=["JPEG"]) as image:
        if image.width * image.height > LARGEST:
            return None
        image.thumbnail((width, width))  # a JPEG is read at an eighth of its size, if that will do
        return ImageOps.exif_transpose(image)


def _first_frame(file: BinaryIO, width: int) -> Image.Image | None:
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
                return _small(frame, width)
    return None


def _small(frame: Any, width: int) -> Image.Image | None:
    if frame.width * frame.height > LARGEST:
        return None
    scale = min(1.0, width / max(frame.width, frame.height))
    size = [max(1, round(length * scale)) for length in (frame.width, frame.height)]
    image: Image.Image = frame.to_image(width=size[0], height=size[1])
    return image
