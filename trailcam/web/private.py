"""
Small files that nobody else may read: written with mode 0600 into a folder of mode 0700, and
read again when they were changed, so that what the command line does acts at once.

Nothing here needs Twisted, or an extra. All of it blocks, briefly.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from trailcam.durable import sync_folder, write_whole
from trailcam.errors import LibraryError

__all__ = ["Kept", "changing", "remove_private", "write_private"]

#: No file of ours is larger; bytes.
_LARGEST = 256 * 1024

Value = TypeVar("Value")
_Mark = tuple[int, int, int, int]


class Kept(Generic[Value]):
    """
    What is in a file, as of now: it costs one C{stat} as long as nobody changes the file.

    @ivar path: of the file.
    """

    def __init__(self, path: Path, read: Callable[[str], Value], mend: str) -> None:
        """
        @param read: makes of the file's text what it means; raises C{ValueError}.
        @param mend: what a person is told to do when the file is damaged.
        """
        self.path = path
        self._read = read
        self._mend = mend
        self._mark: _Mark | None = None
        self._value: Value | None = None
        self._damage = ""

    def get(self) -> Value | None:
        """
        What is in it; C{None} when there is no file.

        @raise LibraryError: when it is damaged or cannot be read, or when its whole folder is
            gone, which is a lost disk, and not somebody who took the file away.
        """
        try:
            self._look()
        except FileNotFoundError:
            folder = self.path.parent
            if self._mark is not None and not folder.is_dir():
                raise LibraryError(f"{folder} is gone: is its disk still there?") from None
            self._mark = self._value = None
            self._damage = ""
        except OSError as error:
            reason = error.strerror or error
            raise LibraryError(
                f"cannot read {self.path}: {reason}: it must be a file of the service's user"
            ) from None
        if self._damage:
            raise LibraryError(self._damage)
        return self._value

    def _look(self) -> None:
        now = self.path.stat()
        if _mark(now) == self._mark:
            return
        if not stat.S_ISREG(now.st_mode):  # to open a pipe could wait for ever
            self._note(_mark(now), None)
            return
        with self.path.open("rb") as file:
            self._note(_mark(os.fstat(file.fileno())), file.read(_LARGEST + 1))

    def _note(self, mark: _Mark, data: bytes | None) -> None:
        self._mark, self._value, self._damage = mark, None, ""
        try:
            if data is None or len(data) > _LARGEST:
                raise ValueError("it is none of ours")
            self._value = self._read(data.decode())
        except ValueError:
            self._damage = f"{self.path} is damaged: {self._mend}"


def _mark(found: os.stat_result) -> _Mark:
    """What differs when a file is another one, or was written to."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """
    Let no other program change what is in C{folder} meanwhile; it is made where it is missing.

    @raise LibraryError: when the folder, or a file in it, cannot be written.
    """
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # nobody has it for longer than a write takes
            yield
        finally:
            os.close(lock)
    except OSError as error:
        where = error.filename or folder
        raise LibraryError(f"cannot write {where}: {error.strerror or error}") from None


def write_private(path: Path, text: str) -> None:
    """
    Replace a file, within L{changing}.

    @raise OSError: when it cannot be written; the old one is still there then.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)  # of one that was killed
    # Nobody else may read it at any moment: it is made so before anything is in it.
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    write_whole(path, text.encode(), part)


def remove_private(path: Path) -> bool:
    """
    Delete a file, within L{changing}; whether there was one.

    @raise OSError: when it cannot be deleted.
    """
    there = path.exists()
    path.unlink(missing_ok=True)
    sync_folder(path.parent)
    return there
