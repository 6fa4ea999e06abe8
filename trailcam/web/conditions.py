"""
Whether a file is sent, and how much of it (RFC 9110, 13 and 14): pure.

One range at a time: who asks for several gets the whole file, which is allowed.
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from typing import NamedTuple

__all__ = ["FileVersion", "Span", "Unsatisfiable", "is_known", "span_of"]

_RANGE = re.compile(r"bytes=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.ASCII | re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


class Unsatisfiable(Exception):
    """There is nothing of the file where a part of it was asked for."""


class FileVersion(NamedTuple):
    """
    What tells a file from what it was before.

    @ivar tag: the C{ETag}, a strong one, with its quotes.
    @ivar modified: when; whole seconds since 1970.
    """

    tag: str
    modified: int

    @property
    def date(self) -> str:
        """C{modified}, as HTTP has it."""
        return formatdate(self.modified, usegmt=True)


class Span(NamedTuple):
    """
    What to send of a file.

    @ivar start: the first byte.
    @ivar length: so many bytes.
    @ivar partial: whether that was asked for, and the answer has to say so.
    """

    start: int
    length: int
    partial: bool


def is_known(version: FileVersion, none_match: str | None, modified_since: str | None) -> bool:
    """
    Whether who asks has the file as it is.

    @param none_match: the header C{If-None-Match}; where it is there, the other does not count.
    @param modified_since: the header C{If-Modified-Since}.
    """
    if none_match is not None:
        return none_match.strip() == "*" or version.tag in _TAG.findall(none_match)
    since = None if modified_since is None else _seconds(modified_since)
    return since is not None and version.modified <= since


def span_of(version: FileVersion, size: int, range_: str | None, if_range: str | None) -> Span:
    """
    What to send.

    @param size: of the whole file, in bytes.
    @param range_: the header C{Range}; what is no range of bytes does not count.
    @param if_range: the header C{If-Range}: the file as who asks knows it. If it is another by
        now, the whole is sent.
    @raise Unsatisfiable: when it has no such part.
    """
    whole = Span(0, size, False)
    match = _RANGE.fullmatch(range_ or "")
    if match is None or not (match[1] or match[2]) or not _still(version, if_range):
        return whole
    if match[1] and match[2] and int(match[1]) > int(match[2]):
        return whole
    if match[1]:
        start, end = int(match[1]), min(int(match[2] or size - 1), size - 1)
    else:  # so many at the end
        start, end = size - min(int(match[2]), size), size - 1
    if start > end:
        raise Unsatisfiable
    return Span(start, end - start + 1, True)


def _still(version: FileVersion, if_range: str | None) -> bool:
    return if_range is None or if_range.strip() in (version.tag, version.date)


def _seconds(date: str) -> float | None:
    try:
        time = parsedate_to_datetime(date)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
