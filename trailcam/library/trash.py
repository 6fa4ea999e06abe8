"""
What was deleted at home, until it is too late to want it back: the disk's side of it.

A file keeps its place below L{TRASH}, so that without an index it can go back. What the index
says is what is meant: it is told first, and the files follow, if need be at the next start.
Blocking; C{root} is the library, and paths are relative to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from trailcam.durable import sync_folder
from trailcam.errors import LibraryError
from trailcam.library.files import STATE, make_folder

__all__ = [
    "TRASH",
    "bury",
    "delete",
    "empty",
    "is_file",
    "missing",
    "put_back",
    "set_right",
    "unbury",
]

#: Where it lies, in the library.
TRASH = f"{STATE}/trash"


def bury(root: Path, path: str) -> None:
    """
    Move a file into the trash.

    @raise FileNotFoundError: when it is neither here nor there.
    @raise LibraryError: when another of its name lies in the trash.
    """
    place, buried = root / path, root / TRASH / path
    if is_file(place) and os.path.lexists(buried):
        raise LibraryError(f"{buried} is there already: move it away first")
    _move(root, place, buried)


def unbury(root: Path, path: str) -> None:
    """
    Move a file back to its place.

    @raise LibraryError: when its place is taken, or it is gone for good.
    """
    buried, place = root / TRASH / path, root / path
    if os.path.lexists(place):
        raise LibraryError(f"{place} is there already: move it away first")
    try:
        _move(root, buried, place)
    except FileNotFoundError:
        raise LibraryError(f"{place.name} is not in the trash any more") from None
    _tidy(root, buried.parent)


def empty(root: Path, paths: Iterable[str]) -> None:
    """Delete files from the trash, those for good."""
    for path in paths:
        buried = root / TRASH / path
        buried.unlink(missing_ok=True)
        _tidy(root, buried.parent)


def delete(root: Path, paths: Iterable[str]) -> None:
    """Delete files from their places, for good."""
    for path in paths:
        (root / path).unlink(missing_ok=True)


def put_back(root: Path, removed: Iterable[str]) -> list[str]:
    """
    What is to be moved into the trash again: a run was killed, or somebody put it back by hand.

    Where another of its name lies in the trash both stay, for nothing is ever replaced.

    @param removed: what belongs into the trash.
    """
    return [
        path
        for path in removed
        if is_file(root / path) and not os.path.lexists(root / TRASH / path)
    ]


def set_right(root: Path, removed: set[str]) -> None:
    """
    Do with the files what the index says, after a run that may have been killed.

    @param removed: what belongs into the trash; all else that lies there goes back.
    """
    for path in put_back(root, removed):
        with suppress(FileNotFoundError):  # it was moved away by hand meanwhile
            bury(root, path)
    for path in list(_buried(root)):
        if path not in removed and not os.path.lexists(root / path):
            unbury(root, path)


def missing(root: Path, paths: Iterable[str]) -> set[str]:
    """Those of some files that are not at their places."""
    return {path for path in paths if not is_file(root / path)}


def is_file(path: Path | str) -> bool:
    """Whether there is a file; an error of the disk is not taken for a no."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _move(root: Path, source: Path, target: Path) -> None:
    folder = root
    for name in target.relative_to(root).parts[:-1]:
        folder = make_folder(folder / name)
    try:
        source.replace(target)
    except FileNotFoundError:
        if not is_file(target):  # else it was moved by a run that was killed
            raise
    sync_folder(target.parent)
    with suppress(FileNotFoundError):
        sync_folder(source.parent)


def _buried(root: Path) -> Iterator[str]:
    trash = root / TRASH
    for folder, _, names in os.walk(trash):
        for name in names:
            yield (Path(folder) / name).relative_to(trash).as_posix()


def _tidy(root: Path, folder: Path) -> None:
    """Remove folders of the trash in which nothing is left."""
    with suppress(OSError):
        while folder != root / STATE:
            folder.rmdir()
            folder = folder.parent
