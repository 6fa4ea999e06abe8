"""
Locks that end with the process that holds them, and say who it is: so that no
two programs use one library, or quarrel over one camera.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from trailcam.durable import safe_name
from trailcam.errors import CameraBusy

__all__ = ["CameraLocks", "FileLock", "Held", "Holder", "who_holds"]


@dataclass(frozen=True)
class Holder:
    """
    Who holds a lock.

    @ivar pid: the number of the process; C{None} where it did not say.
    @ivar program: like C{twistd}; may be empty.
    """

    pid: int | None
    program: str

    def __str__(self) -> str:
        return f"process {self.pid or 'unknown'}" + (f" ({self.program})" if self.program else "")


class Held(Exception):
    """
    Somebody else has it.

    @ivar holder: who.
    """

    def __init__(self, holder: Holder) -> None:
        super().__init__(str(holder))
        self.holder = holder


class FileLock:
    """
    A lock on a file, which says who holds it.

    The file stays when the lock is given back: to remove it would race with the next.
    """

    def __init__(self, path: Path, what: str = "") -> None:
        """
        @param what: holds it; empty for the program's name.
        """
        self.path = path
        self.descriptor: int | None = None
        self._what = what or Path(sys.argv[0]).name[:40]

    def acquire(self) -> None:
        """
        Take it.

        @raise Held: when somebody else has it: another process, or another part of this one.
        @raise OSError: when the file cannot be used.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()} {self._what}\n".encode())
        except BlockingIOError:
            raise Held(_read_holder(descriptor)) from None
        else:
            self.descriptor, descriptor = descriptor, -1
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def release(self) -> None:
        """Give it back."""
        if self.descriptor is not None:
            os.ftruncate(self.descriptor, 0)
            os.close(self.descriptor)
            self.descriptor = None


class CameraLocks:
    """
    Which cameras are this program's for the time being: one lock for each name of one.

    Its methods block, briefly.

    @ivar folder: where the locks are, in the state folder.
    """

    def __init__(self, state: Path) -> None:
        self.folder = state / "locks"
        self._held: dict[str, FileLock] = {}

    def hold(self, key: str) -> None:
        """
        Let nobody else talk to a camera until L{release}.

        @param key: its name or address.
        @raise CameraBusy: when somebody else does.
        @raise OSError: when the state folder cannot be used.
        """
        if key in self._held:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / f"{safe_name(key)}.lock")
        try:
            lock.acquire()
        except Held as held:
            raise CameraBusy(
                f"the camera {key} is in use by {held.holder}: wait until it is done, or stop it"
            ) from None
        self._held[key] = lock

    def release(self) -> None:
        """Others may, again."""
        for lock in self._held.values():
            lock.release()
        self._held.clear()


def _lock(descriptor: int) -> None:
    """Once more if need be: L{who_holds} takes it for a moment."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.01)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def who_holds(path: Path) -> Holder | None:
    """
    Who holds a lock now; C{None} when nobody does.

    @raise OSError: when the file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _read_holder(descriptor: int) -> Holder:
    text = os.pread(descriptor, 100, 0).decode("ascii", "replace").strip()
    pid, _, program = "".join(sign for sign in text if sign.isprintable()).partition(" ")
    return Holder(int(pid) if pid.isdecimal() else None, program)
