"""
A live view in a file: H.264 as it came, or an MP4 that plays up to wherever it ends.

Synchronous and slow in the way disks are slow: call it in a thread.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import BinaryIO

from trailcam.errors import ConfigError, LibraryError
from trailcam.fragments import Fragmenter, Opening, Piece
from trailcam.wire.media import Frame

__all__ = ["STANDARD_OUTPUT", "LiveFile", "check_output", "open_output"]

#: The file that is none.
STANDARD_OUTPUT = Path("-")
_RAW, _MP4 = (".h264", ".264"), (".mp4", ".m4v")


def check_output(path: Path, endings: tuple[str, ...], force: bool) -> None:
    """
    Look whether a file can be written, before a camera is woken for nothing.

    @param endings: those that its name may have, in small letters.
    @param force: whether one that is there may be written over.
    @raise ConfigError: when its name does not say what it is to be, or it is there already.
    @raise LibraryError: when there can be none.
    """
    if path == STANDARD_OUTPUT:
        if sys.stdout.isatty():
            raise ConfigError("standard output is a terminal: name a file, or pipe it elsewhere")
        return
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise LibraryError(f"cannot write {path}: name a file in a folder that can be written to")
    if path.suffix.lower() not in endings:
        raise ConfigError(
            f"{path} says not what it is to be: end its name in {' or '.join(endings)}"
        )
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already: name another file, or write over it: --force")


def open_output(path: Path, force: bool) -> BinaryIO:
    """
    Open a file, or standard output.

    @raise OSError: when it cannot be; also when it is there and C{force} is not given.
    """
    if path == STANDARD_OUTPUT:
        return open(sys.stdout.fileno(), "wb", closefd=False)
    return open(path, "wb" if force else "xb")


class LiveFile:
    """
    What is recorded of a live view.

    The file comes about with the first frame, and each frame is given to the
    system at once: after a hard kill it plays up to then. An MP4 cannot go on
    when the camera changes the size of its pictures: another begins, called
    C{NAME-2.mp4}.

    @cvar ENDINGS: of the names that it knows what to do with. Standard output gets H.264.
    @ivar frames: how many have come.
    @ivar bytes: how many were written.
    @ivar paths: the files.
    """

    ENDINGS = _MP4[:1] + _RAW[:1]

    def __init__(self, path: Path, force: bool) -> None:
        """@param force: write over what is there."""
        self.frames = self.bytes = 0
        self.paths: list[Path] = []
        self._path = path
        self._force = force
        self._fragmenter = Fragmenter() if path.suffix.lower() in _MP4 else None
        self._file: BinaryIO | None = None

    def write(self, frame: Frame) -> None:
        """
        Add a frame's picture; its sound is left out.

        @raise LibraryError: when the disk is full or gone, or the file is there already.
        @raise BrokenPipeError: when nobody reads standard output any more.
        """
        if not frame.video:
            return
        self.frames += 1
        if self._fragmenter is None:
            self._write(frame.video)
        else:
            self._write_pieces(self._fragmenter.feed(frame))

    def close(self) -> None:
        """Finish it. Raises what L{write} does."""
        if self._fragmenter is not None:
            self._write_pieces(self._fragmenter.end())
        self._close()

    def _write_pieces(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, Opening):
                self._close()
            self._write(piece.data)

    def _write(self, data: bytes) -> None:
        try:
            if self._file is None:
                self._file = self._open()
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self._explain(error) from None
        self.bytes += len(data)

    def _open(self) -> BinaryIO:
        path, number = self._path, len(self.paths) + 1
        if number > 1:
            path = path.with_stem(f"{path.stem}-{number}")
        self.paths.append(path)
        return open_output(path, self._force)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as error:
                raise self._explain(error) from None

    def _explain(self, error: OSError) -> OSError | LibraryError:
        if isinstance(error, BrokenPipeError):
            return error
        return LibraryError(f"cannot write {self.paths[-1]}: {error.strerror or error}")
