"""Where transfers end up: files, written by a worker so that the reactor never waits for a disk."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from trailcam.errors import LibraryError
from trailcam.wire.media import Frame
from trailcam.worker import Worker

if TYPE_CHECKING:
    from trailcam.movie import MovieWriter

__all__ = ["Downloaded", "FileSink", "Flow", "MovieSink"]

#: Bytes are handed to the disk in pieces of this size.
BLOCK = 256 * 1024
#: When so much waits for the disk, the camera is asked to wait …
FULL = 4 << 20
#: … until no more than this does.
LOW = 1 << 20


@dataclass(frozen=True)
class Downloaded:
    """
    A medium that is here, whole.

    @ivar path: the file.
    @ivar size: its bytes.
    @ivar sha256: of its contents, hexadecimal.
    """

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class Flow:
    """
    How a sink asks the camera to wait and to go on, and who is told how many bytes came.
    """

    pause: Callable[[], None]
    resume: Callable[[], None]
    progress: Callable[[int], None]


class _Sink:
    """
    Work for the disk, in order, with a bound on what may wait.

    @ivar failed: the first thing that went wrong; the rest is not tried then.
    """

    def __init__(self, worker: Worker, flow: Flow) -> None:
        self._worker = worker
        self._flow = flow
        self._waiting = 0
        self._paused = False
        self.failed: Failure | None = None

    def _do(self, size: int, work: Callable[..., object], *arguments: Any) -> None:
        """Have the worker do something that holds C{size} bytes until it is done."""
        self._waiting += size
        if self._waiting >= FULL and not self._paused:
            self._paused = True
            self._flow.pause()
        self._worker.call(self._unless_failed, work, *arguments).addErrback(self._fail).addCallback(
            lambda _: self._done(size)
        )

    def _unless_failed(self, work: Callable[..., object], *arguments: Any) -> None:
        if self.failed is None:
            work(*arguments)

    def _fail(self, failure: Failure) -> None:
        self.failed = self.failed or failure

    def _done(self, size: int) -> None:
        self._waiting -= size
        if self._paused and self._waiting <= LOW:
            self._paused = False
            self._flow.resume()

    def _finally(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Do the last thing, after all others; fails with what went wrong before."""

        def last() -> Any:
            if self.failed is not None:
                self.failed.raiseException()
            return work(*arguments)

        return self._worker.call(last)


class FileSink(_Sink):
    """A file that is written as its bytes arrive. It is made anew, whatever was there."""

    def __init__(self, path: Path, worker: Worker, flow: Flow) -> None:
        super().__init__(worker, flow)
        self._path = path
        self._block: list[bytes] = []
        self._held = 0
        self._hash = hashlib.sha256()
        self._size = 0
        self._file: io.BufferedWriter | None = None

    def write(self, data: bytes) -> None:
        """Take the next bytes."""
        self._flow.progress(len(data))
        self._block.append(data)
        self._held += len(data)
        if self._held >= BLOCK:
            block, self._block, size, self._held = self._block, [], self._held, 0
            self._do(size, self._write, block)

    def finish(self) -> Deferred[Downloaded]:
        """
        No more will come.

        @return: fires when all is written; fails with L{LibraryError}.
        """
        return self._finally(self._close, self._block)

    def abort(self) -> Deferred[None]:
        """Drop it, finished or not: the file goes away."""
        return self._worker.call(self._remove)

    # -- in the worker -----------------------------------------------------

    def _write(self, block: list[bytes]) -> None:
        data = b"".join(block)
        try:
            if self._file is None:
                self._file = open(self._path, "wb")  # noqa: SIM115 (closed by the last step)
            self._file.write(data)
        except OSError as error:
            raise _explain(error, self._path) from None
        self._hash.update(data)
        self._size += len(data)

    def _close(self, rest: list[bytes]) -> Downloaded:
        self._write(rest)  # together: every turn in the worker costs as much as a dozen datagrams
        assert self._file is not None
        try:
            self._file.close()
        except OSError as error:
            raise _explain(error, self._path) from None
        return Downloaded(self._path, self._size, self._hash.hexdigest())

    def _remove(self) -> None:
        if self._file is not None:
            _remove(self._file, self._path)


class MovieSink(_Sink):
    """An MP4 that is written as its frames arrive."""

    def __init__(self, path: Path, worker: Worker, flow: Flow) -> None:
        super().__init__(worker, flow)
        self._path = path
        self._writer: MovieWriter | None = None
        self._do(0, self._open)

    def write(self, frame: Frame) -> None:
        """Take the next frame."""
        size = len(frame.video) + len(frame.audio)
        self._flow.progress(size)
        self._do(size + 256, self._write, frame)

    def finish(self) -> Deferred[Downloaded]:
        """
        No more will come.

        @return: fires when all is written; fails with L{LibraryError}, or with
            L{DamagedTransfer <trailcam.errors.DamagedTransfer>} when it makes no film.
        """
        return self._finally(self._close)

    def abort(self) -> Deferred[None]:
        """Drop it: the file goes away."""
        return self._worker.call(self._remove)

    # -- in the worker -----------------------------------------------------

    def _open(self) -> None:
        from trailcam.movie import MovieWriter

        self._writer = MovieWriter(self._path)

    def _write(self, frame: Frame) -> None:
        assert self._writer is not None
        self._writer.write(frame)

    def _close(self) -> Downloaded:
        assert self._writer is not None
        self._writer.close()
        try:
            with open(self._path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            return Downloaded(self._path, self._path.stat().st_size, digest)
        except OSError as error:
            raise _explain(error, self._path) from None

    def _remove(self) -> None:
        if self._writer is not None:
            self._writer.abort()
            _remove(None, self._path)


def _remove(file: io.BufferedWriter | None, path: Path) -> None:
    """Close and delete, whatever state it is in."""
    for step in (file.close if file else None, path.unlink):
        try:
            if step is not None:
                step()
        except OSError:
            continue


def _explain(error: OSError, path: Path) -> LibraryError:
    return LibraryError(f"cannot write {path}: {error.strerror or error}")
