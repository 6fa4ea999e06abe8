"""Tests of L{trailcam.livefile}, and of recording into it: what is there plays."""

from __future__ import annotations

import io
from pathlib import Path
from unittest import mock

import av
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from tests.support import Stage
from tests.test_fragments import LARGE, live_frame, pictures
from trailcam.errors import ConfigError, LibraryError, NoCameraAnswered
from trailcam.livefile import STANDARD_OUTPUT, LiveFile, check_output
from trailcam.livetasks import Recording
from trailcam.testing import InlineWorker


def times(data: bytes) -> list[float]:
    """When the pictures of a video are shown."""
    with av.open(io.BytesIO(data)) as container:
        return [round(frame.time, 3) for frame in container.decode(video=0)]


class FileTestCase(TestCase):
    """A folder, and a file that is not there yet."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "view.mp4"


class LiveFileTests(FileTestCase):
    """The file itself."""

    def test_plays_wherever_it_ends(self) -> None:
        """After every frame, the MP4 on the disk plays, up to the frame before."""
        file = LiveFile(self.path, force=False)
        for number, unit in enumerate(pictures()):
            file.write(live_frame(number, unit))
            data = self.path.read_bytes()
            self.assertEqual(times(data), [n / 25 for n in range(max(number, 1))])
            # Killed in the middle of a write, too.
            self.assertEqual(times(data + b"\0\0\1"), times(data))
        file.close()
        data = self.path.read_bytes()
        self.assertEqual(times(data), [n / 25 for n in range(24)])
        self.assertEqual((file.frames, file.bytes, file.paths), (24, len(data), [self.path]))

    def test_h264(self) -> None:
        """H.264 is what the camera sent, without sound."""
        path = self.folder / "view.H264"
        file = LiveFile(path, force=False)
        for number, unit in enumerate(pictures()):
            file.write(live_frame(number, unit))
            file.write(live_frame(number, b"", audio=b"\xff\xf1"))
        file.close()
        self.assertEqual(path.read_bytes(), b"".join(pictures()))
        self.assertEqual((file.frames, file.bytes), (24, path.stat().st_size))

    def test_other_size(self) -> None:
        """When the size of the pictures changes, an MP4 goes on in another file."""
        file = LiveFile(self.path, force=False)
        for number, unit in enumerate(pictures(5) + pictures(3, size=LARGE)):
            file.write(live_frame(number, unit))
        file.close()
        second = self.folder / "view-2.mp4"
        self.assertEqual(file.paths, [self.path, second])
        self.assertEqual([len(times(path.read_bytes())) for path in file.paths], [5, 3])

    def test_nothing_came(self) -> None:
        """Without a frame there is no file."""
        LiveFile(self.path, force=False).close()
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_there_already(self) -> None:
        """A file that is there, or came meanwhile, is written over only where that is wanted."""
        self.path.write_bytes(b"precious")
        error = self.assertRaises(ConfigError, check_output, self.path, (".mp4",), False)
        self.assertIn("--force", str(error))
        file = LiveFile(self.path, force=False)
        self.assertRaises(LibraryError, file.write, live_frame(0, pictures()[0]))
        self.assertEqual(self.path.read_bytes(), b"precious")
        check_output(self.path, (".mp4",), True)
        file = LiveFile(self.path, force=True)
        file.write(live_frame(0, pictures()[0]))
        file.close()
        self.assertEqual(len(times(self.path.read_bytes())), 1)

    def test_names(self) -> None:
        """A name has to say what the file is to be, and be one that can be written."""
        check_output(self.folder / "view.MP4", LiveFile.ENDINGS, False)
        check_output(self.folder / "view.h264", LiveFile.ENDINGS, False)
        for name in ("view", "view.avi", ".mp4"):
            self.assertRaises(
                ConfigError, check_output, self.folder / name, LiveFile.ENDINGS, False
            )
        for path in (self.folder, self.folder / "nowhere" / "view.mp4"):
            self.assertRaises(LibraryError, check_output, path, LiveFile.ENDINGS, False)
        with mock.patch("sys.stdout.isatty", return_value=True, create=True):
            self.assertRaises(ConfigError, check_output, STANDARD_OUTPUT, (".mp4",), False)

    def test_full_disk(self) -> None:
        """A full disk is named; closing what is left raises nothing more."""
        self.path.symlink_to("/dev/full")
        file = LiveFile(self.path, force=True)
        error = self.assertRaises(LibraryError, file.write, live_frame(0, pictures()[0]))
        self.assertIn("No space left", str(error))
        self.assertRaises(LibraryError, file.close)
        file.close()


class RecordingTests(FileTestCase):
    """A recording of the simulated camera, on a network in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.stage = Stage(0)
        self.camera = self.stage.guest()
        self.file = LiveFile(self.path, force=False)
        self.told: list[str] = []

    def record(self, limit: float | None) -> Recording:
        """Begin."""
        recording = Recording(
            self.stage.network, self.camera, self.file, InlineWorker(), limit, self.told.append
        )
        self.running = Deferred.fromCoroutine(recording.run())
        return recording

    def test_comes_back(self) -> None:
        """A camera that was lost and is back is recorded on, until the time is over."""
        recording = self.record(35)
        self.stage.until(lambda: self.file.frames >= 20)
        self.stage.power_cycle(20)
        before = self.file.frames
        self.stage.run(self.running)
        self.assertEqual((recording.seconds, self.camera.sessions), (35, 2))
        self.assertGreater(self.file.frames, before + 100)
        found = times(self.path.read_bytes())
        self.assertEqual(len(found), self.file.frames)
        self.assertTrue(self.told[-1].endswith("35 s"), self.told[-1])
        self.stage.over(self.camera)

    def test_interrupted(self) -> None:
        """Cancelled, it is finished first; the camera is told to stop."""
        self.record(None)
        self.stage.until(lambda: self.file.frames >= 20)
        self.running.cancel()
        self.assertRaises(CancelledError, self.stage.run, self.running)
        self.assertEqual(len(times(self.path.read_bytes())), self.file.frames)
        self.stage.over(self.camera)

    def test_gone_for_good(self) -> None:
        """A camera that does not come back ends it; what came is there."""
        self.record(None)
        self.stage.until(lambda: self.file.frames >= 20)
        self.stage.run(self.stage.fake.switch_off())
        self.assertRaises(NoCameraAnswered, self.stage.run, self.running)
        self.assertEqual(len(times(self.path.read_bytes())), self.file.frames)
        self.stage.over(self.camera)
