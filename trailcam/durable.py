"""Small files: their names, and how a power cut leaves the old one whole, or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from hashlib import sha256
from pathlib import Path

__all__ = ["safe_name", "sync_folder", "write_whole"]

#: How file systems say that they cannot do it for folders.
_NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def safe_name(key: str) -> str:
    """A file name of any text: readable where it can be, and never that of another text."""
    safe = re.sub(r"[^A-Za-z0-9.-]", "_", key)[:48].lstrip(".")
    if safe != key:
        safe += "-" + sha256(key.encode()).hexdigest()[:8]
    return safe


def sync_folder(folder: Path) -> None:
    """Make names in C{folder} survive a power cut, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, part: Path | None = None) -> None:
    """
    Replace a small file, so that whoever looks finds the old or the new one.

    @param part: where to write it first; a name of one's own where several
        programs may write the same file.
    @raise OSError: when it cannot be written; the old one is still there then.
    """
    part = part or path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
