"""
What is deleted at home when the disk becomes full, or after so many days: nothing, unless it is
wanted; never what is a favourite or has a note; and never what has just come.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trailcam.errors import LibraryError
from trailcam.library.files import STATE
from trailcam.library.index import Index, look_into
from trailcam.library.medium import UTC_FORMAT, Medium, find
from trailcam.library.trash import is_file

__all__ = ["FRESH", "Quota", "check", "free_bytes", "plan", "read_plan", "still"]

#: What came home so short a time ago is not deleted, however full the disk: a camera whose clock
#: is wrong would lose what it has just sent.
FRESH = timedelta(days=1)

# A favourite, or what somebody wrote of, stays.
_DELETABLE = "removed IS NULL AND gone = 0 AND favourite = 0 AND note = ''"


@dataclass(frozen=True)
class Quota:
    """
    How much room is to be left.

    @ivar keep_free: as many MB (of 1,000,000 bytes) stay free on the disk; 0: does not matter.
    @ivar keep_days: so many days a picture stays after it came home; 0: for ever.
    """

    keep_free: int = 0
    keep_days: int = 0

    def __bool__(self) -> bool:
        return bool(self.keep_free or self.keep_days)

    def __str__(self) -> str:
        said = [f"keep_free = {self.keep_free}"] * bool(self.keep_free)
        said += [f"keep_days = {self.keep_days}"] * bool(self.keep_days)
        return ", ".join(said) or "nothing is ever deleted"


def check(root: Path, quota: Quota) -> None:
    """
    See whether anything may be deleted.

    @raise LibraryError: when it is not known what is to stay, or no deleting would be enough.
    """
    damaged = "index.sqlite.corrupt-*"
    if next((root / STATE).glob(damaged), None) is not None:
        raise LibraryError(
            f"the index of {root} was damaged, so nobody knows the favourites, and nothing is"
            f" deleted: look at what is to be kept, then remove {root / STATE / damaged}"
        )
    if quota.keep_free * 1_000_000 > shutil.disk_usage(root).total:
        raise LibraryError(
            f"keep_free = {quota.keep_free} MB is more than the disk has: nothing is deleted"
        )


def free_bytes(root: Path) -> int:
    """What is free for us on the disk of a library."""
    return shutil.disk_usage(root).free


def plan(index: Index, quota: Quota, now: datetime, free: int) -> list[Medium]:
    """
    What is to be deleted: what is too old, and then the oldest, until there is room enough.

    How old a picture is, is asked of its own time; how long it was here, of our clock. What lies
    in the trash is room that comes within a day.

    @param now: aware.
    @param free: bytes, on the disk.
    """
    chosen: list[int] = []
    wanted = quota.keep_free * 1_000_000
    free += _in_trash(index)
    for id, size, path, too_old in _oldest(index, quota, now):
        if not too_old and free >= wanted:
            break
        if is_file(f"{index.root}/{path}"):
            chosen.append(id)
            free += size
    return [medium for id in chosen if (medium := find(index, id)) is not None]


def read_plan(root: Path, quota: Quota, now: datetime) -> list[Medium]:
    """
    The L{plan} for a library that another program may have open.

    @raise LibraryError: when there is no library, it cannot be read, or L{check} says no.
    """
    with look_into(root) as index:
        if index is None:
            raise LibraryError(f"the index of {root} is old: `trailcam rescan` makes it new")
        check(root, quota)
        return plan(index, quota, now, free_bytes(root))


def still(index: Index, media: Sequence[Medium]) -> list[Medium]:
    """Those of a plan that nobody has marked or written of meanwhile."""
    index.cursor.execute(
        f"SELECT id FROM media WHERE {_DELETABLE} AND id IN ({', '.join('?' * len(media))})",
        [medium.id for medium in media],
    )
    ids = {id for (id,) in index.cursor.fetchall()}
    return [medium for medium in media if medium.id in ids]


def _in_trash(index: Index) -> int:
    index.cursor.execute(
        "SELECT COALESCE(SUM(size), 0) FROM media WHERE removed IS NOT NULL AND gone = 0"
    )
    size: int = index.cursor.fetchone()[0]
    return size


def _oldest(index: Index, quota: Quota, now: datetime) -> Iterator[tuple[int, int, str, bool]]:
    """
    What may be deleted, in the order in which it would be: id, size, path, whether it is too old.
    """
    # The clock of a camera may be wrong, so ours says how long something has been here.
    limit = now - timedelta(days=quota.keep_days) if quota.keep_days else None
    index.cursor.execute(
        f"SELECT id, size, path, fetched_at < ? AS too_old FROM media WHERE {_DELETABLE}"
        " AND fetched_at < ? ORDER BY too_old DESC, COALESCE(utc, fetched_at), id",
        (_text(limit) if limit else "", _text(now - FRESH)),
    )
    while rows := index.cursor.fetchmany(1000):
        yield from rows


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(UTC_FORMAT)
