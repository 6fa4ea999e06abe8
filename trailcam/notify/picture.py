"""Small pictures of what is at home, for those who want to see at once. Blocking."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps

__all__ = ["small_picture"]

#: A camera's largest pictures have 64 million pixels; what claims more is no picture.
_MOST_PIXELS = 80_000_000


def small_picture(path: Path, width: int) -> bytes | None:
    """
    A small JPEG of a photo, or of a video's first frame.

    @param width: it, and the height, have at most so many pixels.
    @return: C{None} where the file is gone, or is no picture.
    """
    try:
        image = _first_frame(path) if path.suffix == ".mp4" else _photo(path, width)
        if image is None:
            return None
        image.thumbnail((width, width))
        written = io.BytesIO()
        image.convert("RGB").save(written, "JPEG", quality=80)
        return written.getvalue()
    except Exception:  # of many kinds, for many kinds of damage; the news is worth more
        return None


def _photo(path: Path, width: int) -> Image.Image | None:
    with Image.open(path, formats=("JPEG",)) as image:
        if image.width * image.height > _MOST_PIXELS:
            return None
        image.draft("RGB", (width, width))  # decodes no more than that needs
        return ImageOps.exif_transpose(image)


def _first_frame(path: Path) -> Image.Image | None:
    import av

    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.width * frame.height > _MOST_PIXELS:
                return None
            image: Image.Image = frame.to_image()
            return image
    return None
