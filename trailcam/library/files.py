"""
The disk: blocking, without Twisted, and each step safe to be killed at.

A picture is written to a C{.part} file, fsynced, renamed without ever
replacing another, and the folder is fsynced. Only then may anyone say that it
is here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from trailcam.durable import sync_folder, write_whole
from trailcam.errors import DamagedTransfer, LibraryError
from trailcam.library.names import MediaName, file_name
from trailcam.locks import FileLock, Held

__all__ = [
    "STATE",
    "FolderLock",
    "explain",
    "explained",
    "lock_path",
    "make_folder",
    "place",
    "probe",
    "sha256_of",
]

#: The folder in the library that is ours.
STATE = ".trailcam"

_HINTS = {
    errno.ENOSPC: "the disk of {root} is full: make room and start again; what is there is safe",
    errno.EDQUOT: "the disk quota of {root} is used up: make room; what is there is safe",
    errno.EROFS: "{root} is on a read-only disk: mount it writable, or choose another folder",
    errno.EACCES: "{path} may not be used: change its owner or mode, or choose another folder",
    errno.EPERM: "{path} may not be used: change its owner or mode, or choose another folder",
    errno.ENOENT: "{path} has vanished: is the disk of {root} still there?",
    errno.ENODEV: "the disk of {root} has vanished: plug it in again",
    errno.EIO: "the disk of {root} fails (input/output error): check it; copy what is on it",
    errno.ENOTDIR: "{root} cannot be a folder, for a file is in the way: choose another folder",
    errno.EEXIST: "{root} cannot be a folder, for a file is in the way: choose another folder",
}
_SQLITE_HINTS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def explain(root: Path, error: OSError | sqlite3.Error) -> LibraryError:
    """One line for a person, on what is wrong with the library at C{root}."""
    path = root
    if isinstance(error, OSError):
        number, reason = error.errno, error.strerror or str(error)
        if isinstance(error.filename, str | Path):
            path = Path(error.filename)
    else:
        code = getattr(error, "sqlite_errorcode", None) or 0
        if code & 0xFF in _DAMAGED:
            return LibraryError(f"the index of {root} is damaged: start again, and it is rebuilt")
        number, reason = _SQLITE_HINTS.get(code & 0xFF), str(error)
    hint = _HINTS.get(number or 0, "{path} cannot be used: {reason}")
    return LibraryError(hint.format(root=root, path=path, reason=reason))


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """
    Turn what goes wrong with a disk into a L{LibraryError}.

    @param root: the library.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise explain(root, error) from error


def make_folder(folder: Path) -> Path:
    """Make one folder, but not the one it is in: that has vanished with its disk if it is gone."""
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        sync_folder(folder.parent)
    return folder


def probe(root: Path) -> None:
    """Make the library's folders, and see whether a disk takes what is written there."""
    root.mkdir(parents=True, exist_ok=True)
    path = make_folder(root / STATE) / "probe"
    try:
        write_whole(path, b"Can this be written? It can.\n")
    finally:
        with suppress(OSError):
            path.with_name("probe.part").unlink(missing_ok=True)
            path.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def place(part: Path, folder: Path, name: MediaName, size: int, sha256: str) -> Path:
    """
    Give a complete C{.part} file its name, and make that survive a power cut.

    A file that has the name stays as it is: if it has the same bytes, it is
    the one; if not, the new one gets the next name.

    @param folder: the folder of its day.
    @param name: what to call it.
    @param size: how many bytes it must have.
    @raise DamagedTransfer: when it has not.
    """
    with part.open("rb") as file:
        if not os.fstat(file.fileno()).st_size == size > 0:
            raise DamagedTransfer(f"{part.name} is not whole on the disk: fetch it again")
        if name.taken is not None:
            seconds = name.taken.utc.timestamp()
            with suppress(OSError):  # nice to have, and not every disk allows it
                os.utime(part, (seconds, seconds))
        os.fsync(file.fileno())
    for copy in count(1):
        path = folder / file_name(MediaName(name.folder, name.file, name.taken, copy))
        if _take(part, path) or _same(part, path, size, sha256):
            break
    sync_folder(folder)
    return path


def _take(part: Path, path: Path) -> bool:
    """Rename, unless the name is taken: reserved by an empty file, for not all disks can link."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC))
    except FileExistsError:
        return False
    try:
        part.replace(path)
    except OSError:
        path.unlink()
        raise
    return True


def _same(part: Path, path: Path, size: int, sha256: str) -> bool:
    if not path.is_file() or path.stat().st_size != size or sha256_of(path) != sha256:
        return False
    part.unlink()
    return True


def lock_path(root: Path) -> Path:
    """The lock of a library."""
    return root / STATE / "lock"


class FolderLock:
    """
    The library is ours while this is held; it ends with the process.

    @ivar root: the library.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = FileLock(lock_path(root))

    def acquire(self) -> None:
        """
        Take it.

        @raise LibraryError: when another program has it.
        """
        try:
            self._lock.acquire()
        except Held as held:
            raise LibraryError(
                f"library {self.root} is in use by {held.holder}; stop it or use another folder"
            ) from None

    def check(self) -> None:
        """
        See whether the library is still the one that was opened.

        @raise LibraryError: when its disk was unplugged, so that what is
            written now would go elsewhere.
        """
        if self._lock.descriptor is None:
            raise LibraryError(f"library {self.root} is not open")
        try:
            same = os.path.samestat(os.fstat(self._lock.descriptor), self._lock.path.stat())
        except FileNotFoundError:
            same = False
        if not same:
            raise LibraryError(f"library {self.root} has vanished: is its disk still there?")

    def release(self) -> None:
        """Give it back."""
        self._lock.release()
