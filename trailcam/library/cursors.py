"""
Where the next page begins, as a text that others keep for us and that nobody has to understand.

It may come back as anything, so it has a check, and what is in it is what it must be.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import TypeAlias

from trailcam.errors import WrongRequest

__all__ = ["Place", "read_cursor", "write_cursor"]

#: A place in the order of pages: UTC as the index has it, empty where it is not known; and id.
Place: TypeAlias = tuple[str, int]

_INSIDE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|) (\d{1,18})")


def write_cursor(place: Place) -> str:
    """The text for a place: letters, digits, C{-} and C{_}."""
    inside = f"{place[0]} {place[1]}".encode()
    check = zlib.crc32(inside).to_bytes(4, "big")
    return base64.urlsafe_b64encode(check + inside).rstrip(b"=").decode()


def read_cursor(text: str) -> Place:
    """
    The place that a text means.

    @raise WrongRequest: when L{write_cursor} cannot have made it.
    """
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    except ValueError:
        raw = b""
    match = _INSIDE.fullmatch(raw[4:])
    if match is not None:
        place = match[1].decode(), int(match[2])
        if write_cursor(place) == text:
            return place
    raise WrongRequest("there is no such page: begin with the first")
