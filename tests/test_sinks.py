"""Where transfers end up."""

from __future__ import annotations

import errno
import hashlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase

from trailcam.errors import DamagedTransfer, LibraryError
from trailcam.sinks import BLOCK, FULL, LOW, Downloaded, FileSink, Flow, MovieSink
from trailcam.testing import InlineWorker
from trailcam.wire.media import Frame


class ManualWorker:
    """A disk that does the next thing when the test says so."""

    def __init__(self) -> None:
        self.waiting: deque[Callable[[], None]] = deque()

    @property
    def pending(self) -> int:
        return len(self.waiting)

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append(lambda: maybeDeferred(function, *args).chainDeferred(done))
        return done

    def work(self, count: int | None = None) -> None:
        """Do so many things, or all."""
        while self.waiting and count != 0:
            self.waiting.popleft()()
            count = None if count is None else count - 1


class SinkTestCase(TestCase):
    """A folder, a disk, and who is told."""

    def setUp(self) -> None:
        """Nothing is there yet."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "file"
        self.worker = ManualWorker()
        self.told: list[str] = []
        self.count = 0
        self.flow = Flow(
            lambda: self.told.append("pause"), lambda: self.told.append("resume"), self.progress
        )

    def progress(self, count: int) -> None:
        """So many bytes more."""
        self.count += count


class FileSinkTests(SinkTestCase):
    """A photo."""

    def test_whole(self) -> None:
        """Every byte, in order, with size and hash; progress is told as it comes."""
        sink = FileSink(self.path, InlineWorker(), self.flow)
        pieces = [bytes([number % 251]) * 1013 for number in range(1000)]
        for piece in pieces:
            sink.write(piece)
        got = self.successResultOf(sink.finish())
        data = b"".join(pieces)
        self.assertEqual(self.path.read_bytes(), data)
        self.assertEqual(got, Downloaded(self.path, len(data), hashlib.sha256(data).hexdigest()))
        self.assertEqual((self.count, self.told), (len(data), []))

    def test_empty(self) -> None:
        """Nothing is a file, too."""
        got = self.successResultOf(FileSink(self.path, InlineWorker(), self.flow).finish())
        self.assertEqual((got.size, self.path.read_bytes()), (0, b""))

    def test_anew(self) -> None:
        """What was there before is gone."""
        self.path.write_bytes(b"x" * 5000)
        sink = FileSink(self.path, InlineWorker(), self.flow)
        sink.write(b"new")
        self.successResultOf(sink.finish())
        self.assertEqual(self.path.read_bytes(), b"new")

    def test_slow_disk(self) -> None:
        """When too much waits for the disk the camera is asked to wait; then to go on."""
        sink = FileSink(self.path, self.worker, self.flow)
        block = bytes(BLOCK)
        for _ in range(FULL // BLOCK - 1):
            sink.write(block)
        self.assertEqual(self.told, [])
        sink.write(block)
        self.assertEqual(self.told, ["pause"])
        sink.write(block)
        self.assertEqual(self.told, ["pause"], "said once")
        self.worker.work((FULL + BLOCK - LOW) // BLOCK - 1)
        self.assertEqual(self.told, ["pause"])
        self.worker.work(1)
        self.assertEqual(self.told, ["pause", "resume"])
        finished = sink.finish()
        self.assertNoResult(finished)
        self.worker.work()
        self.assertEqual(self.successResultOf(finished).size, FULL + BLOCK)

    def test_abort(self) -> None:
        """Dropped: the file goes away, whatever waits for the disk."""
        sink = FileSink(self.path, self.worker, self.flow)
        for _ in range(FULL // BLOCK):
            sink.write(bytes(BLOCK))
        aborted = sink.abort()
        self.worker.work()
        self.successResultOf(aborted)
        self.assertFalse(self.path.exists())
        self.assertEqual(self.told, ["pause", "resume"], "nobody is left waiting")

    def test_abort_when_finished(self) -> None:
        """Even if it was finished; and twice is no harm."""
        sink = FileSink(self.path, InlineWorker(), self.flow)
        sink.write(b"data")
        self.successResultOf(sink.finish())
        for _ in range(2):
            self.successResultOf(sink.abort())
        self.assertFalse(self.path.exists())

    def test_cannot_be_opened(self) -> None:
        """The error is told at the end, in one line; a file that is not ours stays."""
        taken = self.folder / "folder"
        taken.mkdir()
        for path, why in ((taken, "Is a directory"), (self.folder / "no" / "x", "No such file")):
            sink = FileSink(path, InlineWorker(), self.flow)
            sink.write(bytes(BLOCK * 2))
            error = self.failureResultOf(sink.finish(), LibraryError).value
            self.assertIn(f"cannot write {path}: {why}", str(error))
            self.successResultOf(sink.abort())
        self.assertTrue(taken.is_dir())

    def test_not_ours_is_not_deleted(self) -> None:
        """A file that could not be opened is not deleted by an abort."""
        self.path.write_bytes(b"somebody else's")
        denied = OSError(errno.EACCES, "Permission denied")
        with mock.patch("trailcam.sinks.open", side_effect=denied, create=True):
            sink = FileSink(self.path, InlineWorker(), self.flow)
            self.failureResultOf(sink.finish(), LibraryError)
        self.successResultOf(sink.abort())
        self.assertEqual(self.path.read_bytes(), b"somebody else's")

    def test_disk_full(self) -> None:
        """A full disk in the middle: the rest is not tried, the error is one of ours."""
        sink = FileSink(self.path, self.worker, self.flow)
        sink.write(bytes(BLOCK))
        self.worker.work()
        file = mock.Mock(wraps=sink._file)
        file.write.side_effect = OSError(errno.ENOSPC, "No space left on device")
        sink._file = file
        for _ in range(8):
            sink.write(bytes(BLOCK))
        finished = sink.finish()
        self.worker.work()
        error = self.failureResultOf(finished, LibraryError).value
        self.assertEqual(str(error), f"cannot write {self.path}: No space left on device")
        self.assertEqual(file.write.call_count, 1)
        sink.abort()
        self.worker.work()
        self.assertFalse(self.path.exists())

    def test_full_at_the_end(self) -> None:
        """A disk that is found full only when the file is closed."""
        sink = FileSink(self.path, InlineWorker(), self.flow)
        sink.write(bytes(BLOCK))
        file = mock.Mock(wraps=sink._file)
        file.close.side_effect = [OSError(errno.ENOSPC, "No space left on device"), None]
        real, sink._file = sink._file, file
        sink.write(b"data")
        self.failureResultOf(sink.finish(), LibraryError)
        self.successResultOf(sink.abort())
        self.assertFalse(self.path.exists())
        real.close()  # type: ignore[union-attr]


class MovieSinkTests(SinkTestCase):
    """A video."""

    def test_no_film(self) -> None:
        """Frames that make no film are damage, not a fault of the disk; abort deletes."""
        sink = MovieSink(self.path, InlineWorker(), self.flow)
        sink.write(Frame(0, 0, b"no start code", b"", True, 1, 1))
        self.assertIsNotNone(sink.failed)
        self.failureResultOf(sink.finish(), DamagedTransfer)
        self.successResultOf(sink.abort())
        self.assertEqual(list(self.folder.iterdir()), [])
        self.assertEqual(self.count, 13)

    def test_nothing(self) -> None:
        """No frame at all is no film."""
        sink = MovieSink(self.path, InlineWorker(), self.flow)
        self.failureResultOf(sink.finish(), DamagedTransfer)
        self.successResultOf(sink.abort())
        self.assertFalse(self.path.exists())

    def test_cannot_be_opened(self) -> None:
        """A path that cannot be."""
        sink = MovieSink(self.folder / "no" / "film", InlineWorker(), self.flow)
        self.failureResultOf(sink.finish(), LibraryError)
        self.successResultOf(sink.abort())

    def test_many_small_frames(self) -> None:
        """The bound holds for frames without bytes, too."""
        sink = MovieSink(self.path, self.worker, self.flow)
        frame = Frame(0, 0, b"", b"", False, 1, 1)
        for _ in range(FULL // 256):
            sink.write(frame)
        self.assertEqual(self.told, ["pause"])
        aborted = sink.abort()
        self.worker.work()
        self.successResultOf(aborted)
        self.assertEqual(self.told, ["pause", "resume"])
