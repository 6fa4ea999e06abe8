"""Small pictures of what is at home, for those who want to see at once. Blocking."""

from __future__ import annotations

from pathlib import Path

from trailcam.shrinking import shrink

__all__ = ["small_picture"]


def small_picture(path: Path, width: int) -> bytes | None:
    """
    A small JPEG of a photo, or of a video's first frame.

    @param width: it, and the height, have at most so many pixels.
    @return: C{None} where the file is gone, or is no picture: the news is worth more.
    """
    try:
        with path.open("rb") as file:
            return shrink(file, path.suffix != ".mp4", width)
    except OSError:
        return None
