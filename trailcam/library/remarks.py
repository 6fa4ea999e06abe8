"""What a person says of a picture, and what became of its file."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from trailcam.errors import WrongRequest
from trailcam.library.index import Index
from trailcam.library.medium import UTC_FORMAT, must_find, path_of
from trailcam.library.trash import is_file

__all__ = [
    "LONGEST_NOTE",
    "expired",
    "note_gone",
    "remove_again",
    "set_favourite",
    "set_gone",
    "set_note",
    "set_removed",
]

#: So many characters a note may have.
LONGEST_NOTE = 2000


def set_favourite(index: Index, id: int, favourite: bool) -> None:
    """Mark a picture, or no longer."""
    must_find(index, id)
    index.cursor.execute("UPDATE media SET favourite = ? WHERE id = ?", (bool(favourite), id))


def set_note(index: Index, id: int, text: str) -> None:
    """
    Write of a picture.

    @param text: empty for nothing.
    @raise WrongRequest: when it is too long, or no text.
    """
    text = text.replace("\r\n", "\n").strip()
    if len(text) > LONGEST_NOTE:
        raise WrongRequest(f"a note has at most {LONGEST_NOTE} characters: shorten it")
    if any(unicodedata.category(sign) in ("Cc", "Cs") for sign in text if sign != "\n"):
        raise WrongRequest("a note has no control characters: leave them out")
    must_find(index, id)
    index.cursor.execute("UPDATE media SET note = ? WHERE id = ?", (text, id))


def set_removed(index: Index, id: int, when: datetime | None) -> None:
    """
    Write down that a picture is in the trash.

    @param when: aware; C{None}: it is not any more.
    """
    utc = when and when.astimezone(UTC).strftime(UTC_FORMAT)
    index.cursor.execute("UPDATE media SET removed = ? WHERE id = ?", (utc, id))


def remove_again(index: Index, paths: Iterable[str], when: datetime) -> None:
    """
    Write down that pictures come into the trash anew: there is a day again to have them back.

    @param paths: relative, of what was removed before.
    @param when: aware.
    """
    utc = when.astimezone(UTC).strftime(UTC_FORMAT)
    index.cursor.executemany(
        "UPDATE media SET removed = ? WHERE path = ? AND removed IS NOT NULL AND gone = 0",
        [(utc, path) for path in paths],
    )


def note_gone(index: Index, ids: Sequence[int]) -> None:
    """Write down, of those pictures whose files are not here any more, that they have gone."""
    for id in ids:
        index.cursor.execute("SELECT path, removed FROM media WHERE id = ?", (id,))
        row = index.cursor.fetchone()
        if row is not None and not is_file(path_of(index.root, *row)):
            index.cursor.execute("UPDATE media SET gone = 1 WHERE id = ?", (id,))


def set_gone(index: Index, ids: Iterable[int]) -> None:
    """Write down of pictures that there is nothing of them here any more."""
    index.cursor.executemany("UPDATE media SET gone = 1 WHERE id = ?", [(id,) for id in ids])


def expired(index: Index, before: datetime) -> list[tuple[int, str, str]]:
    """
    What has been in the trash for too long: id, path, and SHA-256.

    @param before: what was removed earlier; aware.
    """
    index.cursor.execute(
        "SELECT id, path, sha256 FROM media INDEXED BY media_removed"
        " WHERE removed IS NOT NULL AND gone = 0 AND removed < ?",
        (before.astimezone(UTC).strftime(UTC_FORMAT),),
    )
    return [(id, path, sha256) for id, path, sha256 in index.cursor.fetchall()]
