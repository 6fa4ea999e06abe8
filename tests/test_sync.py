"""Bringing everything home, byte for byte, whatever the link and the camera do."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import TestCase

from tests.support import NOW, PlainCard, Stage, kind_of, losing, story
from trailcam.client import Camera
from trailcam.commands import DeviceInformation, MediaFile
from trailcam.errors import (
    CameraLost,
    LibraryError,
    LoginRefused,
    NoCameraAnswered,
)
from trailcam.library import Library, StoredFile, shelf
from trailcam.library.sync import SyncReport, sync
from trailcam.simulator import camera as answers
from trailcam.simulator import server
from trailcam.simulator.camera import Visit
from trailcam.simulator.card import Card
from trailcam.simulator.faults import EVIL_ID, Faults
from trailcam.simulator.streams import file_message
from trailcam.sinks import FileSink
from trailcam.target import Target
from trailcam.testing import FakeCamera

CAMERA_PORT = 40611


class Watcher:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.units: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.files: list[StoredFile] = []
        self.failures: list[tuple[MediaFile, str]] = []
        self.at_each: Callable[[], None] = lambda: None

    def informed(self, information: DeviceInformation) -> None:
        self.units.append(information.device_id)

    def found(self, new: int, known: int) -> None:
        self.sizes.append((new, known))

    def stored(self, file: StoredFile) -> None:
        self.files.append(file)
        self.at_each()

    def failed(self, file: MediaFile, why: str) -> None:
        self.failures.append((file, why))


class SyncTestCase(TestCase):
    """A camera, a client that is logged in, and a library."""

    photos, videos = 7, 0

    def setUp(self) -> None:
        """Everything is there, and empty."""
        self.root = Path(self.mktemp())
        self.begin()

    def begin(self, card: Card | None = None, **faults: Any) -> None:
        """A stage of its own."""
        self.stage = Stage(self.photos, self.videos, card=card, faults=Faults(**faults))
        self.network, self.fake = self.stage.network, self.stage.fake
        self.camera: Camera = self.stage.guest()
        self.library = Library(self.root, self.network, inline=True)
        self.stage.run(self.library.open())
        self.watcher = Watcher()

    def again(self, card: Card | None = None, **faults: Any) -> None:
        """Another stage, with another library."""
        self.finish()
        self.root = Path(self.mktemp())
        self.begin(card, **faults)

    def start(self, clear: bool = False) -> Deferred[SyncReport]:
        """Begin to sync."""
        return sync(self.network, self.camera, self.library, self.watcher, UTC, clear=clear)

    def sync(self, seconds: float = 1000, clear: bool = False) -> SyncReport:
        """Sync, whatever time that takes."""
        report: SyncReport = self.stage.run(self.start(clear), seconds)
        return report

    def finish(self) -> None:
        """Close everything; nothing is left."""
        self.stage.run(self.library.close())
        self.stage.over(self.camera)

    def at_home(self) -> dict[tuple[int, int], bytes]:
        """The photos that are in the library's folders, by directory and number."""
        found = {}
        for path in self.root.rglob("*.jpg"):
            match = re.search(r"_(\d{3})-(\d{4})", path.name)
            assert match is not None
            found[int(match[1]), int(match[2])] = path.read_bytes()
        return found

    def assertHome(self, *but: MediaFile) -> None:
        """Every photo of the card is here, byte for byte, and there is nothing else."""
        card = self.fake.card
        there = {(f.directory, f.number): card.photo(f) for f in card.files if f not in but}
        self.assertEqual(self.at_home(), there)
        self.assertEqual(list(self.root.rglob("*.part")), [])
        rows = self.stage.run(self.library.files(limit=-1))
        self.assertEqual(len(rows), len(there))
        for row in rows:
            data = row.path.read_bytes()
            self.assertEqual((row.size, row.sha256), (len(data), hashlib.sha256(data).hexdigest()))

    def requests(self, what: str = "downloadReqs") -> list[list[int]]:
        """The numbers of the files that the camera was asked for, request by request."""
        return [[f["mediaNum"] for f in asked[what]] for asked in self.asked if what in asked]

    def listen_in(self) -> None:
        """Remember the commands that the camera is given, from now on."""
        self.asked: list[dict[str, Any]] = []
        real = Visit._answer

        def answer(visit: Visit, code: int, sequence: int, request: dict[str, Any]) -> Any:
            self.asked.append({"cmdId": code, **request})
            return real(visit, code, sequence, request)

        self.patch(Visit, "_answer", answer)


class GoodLinkTests(SyncTestCase):
    """With nothing in the way."""

    def test_everything(self) -> None:
        """All of it comes home, and the report and the observer say so."""
        self.listen_in()
        report = self.sync()
        self.assertHome()
        self.assertEqual((report.new, report.skipped, report.failed), (7, 0, 0))
        self.assertEqual(report.bytes, 7 * PlainCard.size)
        self.assertGreater(report.seconds, 0)
        self.assertEqual(self.watcher.units, ["C6:00:00:00:00:01"])
        self.assertEqual(self.watcher.sizes[0], (7, 0))
        self.assertEqual(len(self.watcher.files), 7)
        self.assertEqual(self.requests(), [[7, 6, 5], [4, 3, 2], [1]], "newest first, by three")
        self.finish()

    def test_second_sync(self) -> None:
        """The second time nothing is fetched, and also not after everything was started anew."""
        self.sync()
        self.listen_in()
        report = self.sync()
        self.assertEqual((report.new, report.skipped, report.bytes), (0, 7, 0))
        self.finish()
        self.begin()
        report = self.sync()
        self.assertEqual((report.new, report.skipped), (0, 7))
        self.assertEqual(self.requests(), [])
        self.finish()

    def test_what_is_new(self) -> None:
        """Only what was taken since is fetched."""
        self.sync()
        self.listen_in()
        new = [self.fake.card.add(0, NOW + n) for n in range(2)]
        report = self.sync()
        self.assertEqual((report.new, report.skipped), (2, 7))
        self.assertEqual(self.requests(), [[file.number for file in reversed(new)]])
        self.assertHome()
        self.finish()

    def test_deleted_on_purpose(self) -> None:
        """What somebody deleted at home does not come back."""
        self.sync()
        self.watcher.files[0].path.unlink()
        self.assertEqual(self.sync().new, 0)
        self.assertEqual(len(self.at_home()), 6)
        self.finish()

    def test_pages(self) -> None:
        """More than fit on a page."""
        card = PlainCard(100, 0, newest=NOW)
        card.size = 3000
        self.again(card)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (100, 0))
        self.assertEqual(self.watcher.sizes, [(45, 0), (45, 0), (10, 0), (0, 0)])
        self.assertHome()
        self.assertEqual(self.sync().skipped, 100)
        self.finish()

    def test_empty_card(self) -> None:
        """Nothing there is nothing to do."""
        self.again(PlainCard(0, 0, newest=NOW))
        self.assertEqual(self.sync().new, 0)
        self.assertHome()
        self.finish()

    def test_repeated_pages(self) -> None:
        """A camera that repeats its pages is not synced for ever, and one is warned of it."""
        card = PlainCard(50, 0, newest=NOW)
        card.size = 2000
        self.again(card, repeat_pages=True)
        with capturedLogs() as events:
            self.assertEqual(self.sync().new, 45)
        (warning,) = story(events, LogLevel.warn)
        self.assertIn("do not format the card", warning)
        self.finish()

    def test_without_ids(self) -> None:
        """Cameras that leave out mediaId and mediaTime: all comes home, and only once."""
        self.again(PlainCard(7, 0, newest=NOW, without_ids=True))
        self.assertEqual(self.sync().new, 7)
        self.assertEqual(self.sync().skipped, 7)
        self.assertHome()
        self.finish()

    def test_videos(self) -> None:
        """Videos come one by one, as MP4."""
        self.again(PlainCard(2, 1, newest=NOW))
        report = self.sync()
        self.assertEqual((report.new, report.failed), (3, 0))
        (movie,) = self.root.rglob("*.mp4")
        self.assertEqual(movie.read_bytes()[4:8], b"ftyp")
        self.assertEqual(self.sync().skipped, 3)
        self.finish()

    def test_damaged_video(self) -> None:
        """A video with a damaged frame is played again, to the same end."""
        self.again(PlainCard(0, 1, newest=NOW), damaged_frames=2)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (1, 0))
        self.assertEqual(list(self.root.rglob("*.part")), [])
        self.finish()


class BadLinkTests(SyncTestCase):
    """Links that lose, repeat, delay and fall silent."""

    def test_loss(self) -> None:
        """10 % lost each way, and some twice and late: byte for byte, from one port, in time."""
        for seed in range(3):
            self.again(loss=0.1, duplicate=0.05, reorder=0.05, seed=seed)
            report = self.sync()
            self.assertEqual((report.new, report.failed), (7, 0))
            self.assertGreater(self.fake.link.lost, 20)
            self.assertHome()
            self.assertEqual(set(self.fake.sources), {self.camera.local_port})
            self.assertLess(report.seconds, 20)
        self.finish()

    def test_terrible(self) -> None:
        """30 % lost each way: slower, and still whole."""
        self.again(loss=0.3, seed=4)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (7, 0))
        self.assertHome()
        self.finish()

    def test_silence(self) -> None:
        """8 s of silence in the middle: back from the same port, and on with what is missing."""
        card = PlainCard(30, 0, newest=NOW)
        self.again(card, silence=8, silence_after=0.02)
        self.listen_in()
        report = self.sync()
        self.assertEqual((report.new, report.failed), (30, 0))
        self.assertEqual(self.camera.sessions, 2)
        self.assertEqual(self.fake.sources, [self.camera.local_port] * 2)
        self.assertHome()
        asked = sum(len(request) for request in self.requests())
        self.assertLessEqual(asked, 30 + 3, "only what was on its way is asked for again")
        self.finish()

    def test_power_cycle_in_a_file(self) -> None:
        """The camera is switched off and on in the middle of a file, three times."""
        card = PlainCard(12, 0, newest=NOW)
        card.size = 600_000  # more than what is collected before the disk is asked
        self.again(card)
        syncing = self.start()
        for count in (1, 5, 9):
            self.stage.until(lambda count=count: len(self.watcher.files) >= count)
            self.stage.until(lambda: bool(list(self.root.rglob("*.part"))))
            self.stage.power_cycle(2)
        report = self.stage.run(syncing)
        self.assertEqual((report.new, report.failed), (12, 0))
        self.assertHome()
        self.assertEqual(self.fake.sources, [self.camera.local_port] * 4)
        self.finish()

    def test_at_every_place(self) -> None:
        """Silence after any number of milliseconds: everything comes home all the same."""
        for step in range(1, 30, 4):
            self.again(silence=6, silence_after=step / 1000)
            self.assertEqual(self.sync().new, 7)
            self.assertHome()
            self.assertEqual(set(self.fake.sources), {self.camera.local_port})
        self.finish()

    def test_gone_for_good(self) -> None:
        """A camera that does not come back ends it; what is home stays, and the next goes on."""
        syncing = self.start()
        self.stage.until(lambda: len(self.watcher.files) >= 3)
        self.stage.run(self.fake.switch_off())
        self.assertRaises(NoCameraAnswered, self.stage.run, syncing)
        home = len(self.at_home())
        self.assertGreaterEqual(home, 3)
        self.assertEqual(list(self.root.rglob("*.part")), [])
        self.fake.switch_on()
        report = self.sync()
        self.assertEqual((report.new, report.skipped), (7 - home, home))
        self.assertHome()
        self.finish()

    def test_other_password_meanwhile(self) -> None:
        """A login that is refused on coming back ends it at once."""
        syncing = self.start()
        self.stage.until(lambda: len(self.watcher.files) >= 1)
        self.fake.faults.refuse_login = True
        self.stage.power_cycle()
        self.assertRaises(LoginRefused, self.stage.run, syncing)
        self.finish()

    def test_duplicated_files(self) -> None:
        """Files that come twice, as after a command that was sent again, are taken once."""
        def twice(*args: Any) -> bytes:
            return file_message(*args) * 2

        with mock.patch("trailcam.simulator.server.file_message", twice):
            report = self.sync()
        self.assertEqual((report.new, report.failed), (7, 0))
        self.assertEqual(self.camera.sessions, 1)
        self.assertHome()
        self.finish()


class DamageTests(SyncTestCase):
    """Files that come damaged, or not at all."""

    def test_damaged_now_and_then(self) -> None:
        """Wrong tails and wrong lengths are fetched again, over a bad link."""
        self.again(damaged_tails=3, wrong_lengths=2, loss=0.05)
        with capturedLogs() as events:
            report = self.sync()
        self.assertEqual((report.new, report.failed), (7, 0))
        self.assertHome()
        again = [text for text in story(events) if "again (" in text]
        self.assertEqual(len(again), 3, "two of the three had both")
        for text in again:
            self.assertRegex(text, r"^(photo 100-\d{4}).+; fetching \1 again \(1 of 3\)$")
        self.finish()

    def spoil(self, number: int, how: Callable[[bytes], bytes]) -> MediaFile:
        """One photo always comes like this."""
        def message(card: Any, faults: Any, sequence: int, file: MediaFile) -> bytes:
            data = file_message(card, faults, sequence, file)
            return how(data) if file.number == number else data

        self.patch(server, "file_message", message)
        (file,) = [file for file in self.fake.card.files if file.number == number]
        return file

    def test_always_damaged(self) -> None:
        """Fetched again three times, then reported; all others are home."""
        self.listen_in()
        bad = self.spoil(4, lambda data: data[:-20] + bytes(20))
        report = self.sync()
        self.assertEqual((report.new, report.failed), (6, 1))
        self.assertHome(bad)
        self.assertEqual(sum(4 in numbers for numbers in self.requests()), 1 + 3)
        ((file, why),) = self.watcher.failures
        self.assertEqual(file, bad)
        self.assertIn("arrived damaged", why)
        self.assertEqual(self.camera.sessions, 1, "damage alone costs no session")
        # And the next time it is tried again.
        self.doCleanups()
        self.assertEqual(self.sync().new, 1)
        self.finish()

    def test_never_sent(self) -> None:
        """A file that the camera agrees to send and does not: the others come, this is reported."""
        bad = self.spoil(6, lambda data: b"")
        report = self.sync()
        self.assertEqual((report.new, report.failed), (6, 1))
        self.assertHome(bad)
        ((file, why),) = self.watcher.failures
        self.assertEqual((file, why), (bad, "no answer for 10 s"))
        self.finish()

    def test_shorter_than_it_says(self) -> None:
        """A file of which bytes are missing, so that it swallows the beginning of the next."""
        bad = self.spoil(6, lambda data: data[:20_000])
        report = self.sync()
        self.assertEqual((report.new, report.failed), (6, 1))
        self.assertHome(bad)
        self.finish()

    def test_message_claims_far_too_much(self) -> None:
        """A message length of 4 GB around a good photo does no harm."""
        self.spoil(6, lambda data: data[:16] + b"\xff\xff\xff\xff" + data[20:])
        report = self.sync()
        self.assertEqual((report.new, report.failed), (7, 0))
        self.assertEqual(self.camera.sessions, 1)
        self.assertHome()
        self.finish()

    def refuse(self, number: int) -> MediaFile:
        """The camera refuses every request that names this one."""
        (file,) = [file for file in self.fake.card.files if file.number == number]
        card, find = self.fake.card, self.fake.card.find
        self.patch(
            card, "find", lambda *key: None if key[1:] == (file.directory, number) else find(*key)
        )
        return file

    def test_one_of_three_refused(self) -> None:
        """A request that is refused for one file does not lose the other two."""
        self.listen_in()
        bad = self.refuse(6)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (6, 1))
        self.assertHome(bad)
        ((file, why),) = self.watcher.failures
        self.assertEqual(file, bad)
        self.assertIn("refused command 1285: Parameter error", why)
        self.assertEqual(self.camera.sessions, 1)
        alone = [numbers for numbers in self.requests() if numbers == [6]]
        self.assertEqual(len(alone), 3)
        self.finish()

    def test_two_refused(self) -> None:
        """Nor do several."""
        self.refuse(6)
        self.refuse(2)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (5, 2))
        self.finish()

    def test_all_refused(self) -> None:
        """A camera that refuses everything: all are reported, and it ends."""
        self.patch(self.fake.card, "find", lambda *key: None)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (0, 7))
        self.finish()

    def test_nothing_ever_sent(self) -> None:
        """A camera that comes back each time and never sends anything is left in the end."""
        self.patch(server, "file_message", lambda *args: b"")
        self.assertRaises(CameraLost, self.sync)
        self.assertLess(self.camera.sessions, 10)
        self.assertEqual(self.at_home(), {})
        self.finish()

    def test_nonsense_for_an_answer(self) -> None:
        """An answer that cannot be read costs a try, not the sync."""
        real, left = answers._agree, [1]

        def agree(sequence: int, code: int, **fields: int) -> Any:
            answer = real(sequence, code, **fields)
            if code == 1285 and left:
                left.pop()
                return answers.Speak(0, answer.data[:20] + b"!" * (len(answer.data) - 20))
            return answer

        self.patch(answers, "_agree", agree)
        report = self.sync()
        self.assertEqual((report.new, report.failed), (7, 0))
        self.assertHome()
        self.finish()

    def test_listed_wrongly(self) -> None:
        """Entries of the list that make no sense are told of, and the rest comes home."""
        real = answers._entry
        self.patch(
            answers,
            "_entry",
            lambda file: {**real(file), **({"mediaNum": -1} if file.number == 3 else {})},
        )
        with capturedLogs() as events:
            report = self.sync()
        self.assertEqual((report.new, report.failed), (6, 0))
        self.assertIn("1 entries of the camera's list made no sense", story(events))
        self.finish()


class EvilTests(SyncTestCase):
    """A camera that lies about itself."""

    def test_evil_id(self) -> None:
        """An id that looks like a path names a folder in the library, and nothing outside it."""
        outside = self.root.parent
        self.again(unit=EVIL_ID)
        before = set(outside.iterdir()) | {self.root}
        report = self.sync()
        self.assertEqual(report.new, 7)
        self.assertHome()
        (folder,) = [path for path in self.root.iterdir() if path.name != ".trailcam"]
        self.assertRegex(folder.name, r"^[A-Za-z0-9-]+$")
        self.assertLessEqual(set(outside.iterdir()), before)
        self.assertFalse(Path("/tmp/evil").exists())
        for path in self.root.rglob("*"):
            self.assertTrue(path.resolve().is_relative_to(self.root.resolve()))
        self.assertNotIn("\x1b", "".join(self.watcher.units))
        self.finish()

    def test_no_id(self) -> None:
        """Nor does an empty one, or one that is no text."""
        for unit in ("", "\0", "..", "/", "\ud800", "x" * 500):
            with mock.patch("trailcam.simulator.streams._unit", lambda faults: "x"):
                self.again(unit=unit)
                self.assertEqual(self.sync().new, 7)
                self.assertHome()
        self.finish()


class DiskTests(SyncTestCase):
    """Disks that fail."""

    def full_after(self, files: int) -> Any:
        """A disk that takes so many files, and then says that it is full."""
        left = [files]

        def take(part: Path, path: Path) -> bool:
            if not left[0]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            left[0] -= 1
            part.rename(path)
            return True

        return mock.patch("trailcam.library.files._take", take)

    def test_full_at_commit(self) -> None:
        """A full disk in the middle ends it; what was taken in stays, and is known."""
        with self.full_after(4):
            error = self.assertRaises(LibraryError, self.sync)
        self.assertIn("full", str(error))
        self.assertEqual(len(self.at_home()), 4)
        rows = self.stage.run(self.library.files(limit=-1))
        self.assertEqual(len(rows), 4)
        report = self.sync()
        self.assertEqual((report.new, report.skipped), (3, 4))
        self.finish()
        self.begin()
        self.assertHome()
        self.finish()

    def test_full_while_writing(self) -> None:
        """Full while a file of three is written: the other two are kept, nothing half is."""
        real = FileSink._write

        def write(sink: FileSink, block: list[bytes]) -> None:
            if "100-0006" in sink._path.name:
                raise LibraryError("the disk is full")
            real(sink, block)

        with mock.patch.object(FileSink, "_write", write):
            self.assertRaises(LibraryError, self.sync)
        self.assertEqual({number for _, number in self.at_home()}, {7, 5})
        self.assertEqual(list(self.root.rglob("*.part")), [])
        self.assertEqual(self.sync().new, 5)
        self.assertHome()
        self.finish()

    def test_vanished(self) -> None:
        """A library that is taken away in the middle is a L{LibraryError}."""
        syncing = self.start()
        self.stage.until(lambda: len(self.watcher.files) >= 1)
        self.root.rename(self.root.with_name("elsewhere"))
        error = self.assertRaises(LibraryError, self.stage.run, syncing)
        self.assertNotIn("\n", str(error))
        self.root.with_name("elsewhere").rename(self.root)
        self.finish()

    def test_not_open(self) -> None:
        """A library that is not open takes nothing, and the camera is not bothered long."""
        self.stage.run(self.library.close())
        self.assertRaises(LibraryError, self.sync)
        self.stage.over(self.camera)

    def test_damaged_on_the_disk(self) -> None:
        """A file that has shrunk on the disk before it was taken in is fetched again."""
        real, left = shelf.place, [1]

        def place(part: Path, *args: Any) -> Path:
            if left:
                left.pop()
                os.truncate(part, 100)
            return real(part, *args)

        with mock.patch.object(shelf, "place", place):
            report = self.sync()
        self.assertEqual((report.new, report.failed), (7, 0))
        self.assertHome()
        self.finish()


class CancelTests(SyncTestCase):
    """Syncs that are interrupted."""

    def test_at_any_moment(self) -> None:
        """Cancelled after any number of milliseconds, the library is in order, and goes on."""
        for step in range(0, 24, 2):
            self.again()
            syncing = self.start()
            self.stage.wait(step / 1000)
            if syncing.called:
                break
            syncing.cancel()
            self.failureResultOf(syncing, CancelledError)
            home = self.at_home()
            rows = self.stage.run(self.library.files(limit=-1))
            self.assertEqual({(r.file.directory, r.file.number) for r in rows}, set(home))
            for file in self.fake.card.files:
                data = home.get((file.directory, file.number))
                self.assertIn(data, (None, self.fake.card.photo(file)))
            report = self.sync()
            self.assertEqual((report.new, report.skipped), (7 - len(home), len(home)))
            self.assertHome()
        else:
            self.fail("it never came to the end")
        self.finish()

    def test_closed_at_any_moment(self) -> None:
        """The same when the camera is closed under it, and with a new library afterwards."""
        for step in range(1, 20, 3):
            self.again()
            syncing = self.start()
            self.stage.wait(step / 1000)
            self.stage.run(self.camera.close())
            if not syncing.called:
                self.fail("it is still waiting")
            syncing.addErrback(lambda failure: failure.trap(CameraLost))
            self.finish()
            self.begin()
            self.sync()
            self.assertHome()
        self.finish()

    def test_while_the_camera_is_away(self) -> None:
        """Cancelled while it waits for the camera to come back."""
        syncing = self.start()
        self.stage.until(lambda: len(self.watcher.files) >= 1)
        self.stage.run(self.fake.switch_off())
        self.stage.wait(8)
        syncing.cancel()
        self.failureResultOf(syncing, CancelledError)
        self.finish()


class QuietTests(SyncTestCase):
    """Thrift: what is not needed is not sent."""

    def test_nothing_dangerous(self) -> None:
        """A sync asks and fetches; it changes nothing on the camera."""
        self.again(PlainCard(3, 1, newest=NOW))
        self.listen_in()
        self.sync()
        self.stage.wait(0.1)
        self.assertLessEqual(
            {asked["cmdId"] for asked in self.asked}, {512, 525, 768, 769, 770, 1285}
        )
        self.finish()

    def test_acknowledgements_are_batched(self) -> None:
        """About one acknowledgement for many datagrams."""
        self.network.sent.clear()
        self.sync()
        kinds = [kind_of(sent) for sent in self.network.sent]
        self.assertLess(kinds.count("DrwAck") * 4, kinds.count("Drw3"))
        self.finish()

    def test_acknowledgements_lost(self) -> None:
        """Acknowledgements that get lost are made up for."""
        self.network.drops = losing("DrwAck", self.camera.local_port, 30)
        self.assertEqual(self.sync().new, 7)
        self.assertHome()
        self.finish()


class ClearTests(SyncTestCase):
    """Emptying the card of what is safe at home."""

    def begin(self, card: Card | None = None, **faults: Any) -> None:
        """Keep what is on the card now: later it is only at home."""
        super().begin(card, **faults)
        self.pictures = self.on_card()

    def on_card(self) -> dict[tuple[int, int], bytes]:
        """The photos on the card, by directory and number."""
        card = self.fake.card
        return {(f.directory, f.number): card.photo(f) for f in card.files if f.is_photo}

    def numbers(self) -> list[int]:
        """What is left on the card."""
        return [file.number for file in self.fake.card.files]

    def deletions(self) -> list[int]:
        """The numbers that the camera was to delete."""
        return [asked["mediaNum"] for asked in self.asked if asked["cmdId"] == 773]

    def marked(self) -> set[int]:
        """The numbers that the index knows to be deleted from the card."""
        rows = self.stage.run(self.library.files(limit=-1))
        return {row.file.number for row in rows if row.deleted}

    def kill(self) -> None:
        """As after C{kill -9}: nothing is remembered but what is on the disk."""
        self.stage.run(self.library.close())
        self.stage.run(self.camera.close())
        self.camera = self.stage.guest()
        self.library = Library(self.root, self.network, inline=True)
        self.stage.run(self.library.open())

    def test_everything(self) -> None:
        """All comes home, and only then each is deleted, one by one; the index remembers it."""
        card = PlainCard(100, 0, newest=NOW)
        card.size = 2000
        self.again(card)
        self.listen_in()
        report = self.sync(clear=True)
        self.assertEqual((report.new, report.failed, report.cleared), (100, 0, 100))
        self.assertEqual((self.at_home(), self.numbers()), (self.pictures, []))
        codes = [asked["cmdId"] for asked in self.asked if asked["cmdId"] != 525]
        self.assertEqual(codes[-100:], [773] * 100)
        self.assertLessEqual(set(codes[:-100]), {512, 768, 1285})
        self.assertEqual(self.marked(), set(range(1, 101)))
        again = self.sync(clear=True)
        self.assertEqual((again.new, again.skipped, again.cleared), (0, 0, 0))
        self.finish()

    def test_only_when_wanted(self) -> None:
        """Without the word nothing is deleted."""
        self.listen_in()
        self.assertEqual(self.sync().cleared, 0)
        self.assertEqual((len(self.numbers()), self.deletions(), self.marked()), (7, [], set()))
        self.finish()

    def test_what_was_home_before(self) -> None:
        """Also that, if its copy is still whole: what is gone, shorter or altered stays."""
        self.sync()
        paths = {file.file.number: file.path for file in self.watcher.files}
        paths[2].unlink()
        os.truncate(paths[4], 100)
        paths[6].write_bytes(bytes(paths[6].stat().st_size))
        new = self.fake.card.add(0, NOW)
        report = self.sync(clear=True)
        self.assertEqual((report.new, report.skipped, report.cleared), (1, 7, 5))
        self.assertEqual(self.numbers(), [6, 4, 2])
        self.assertEqual(self.marked(), {1, 3, 5, 7, new.number})
        self.finish()

    def test_not_told_apart(self) -> None:
        """What the camera gives no id and time is deleted only when it has just been fetched."""
        self.again(PlainCard(3, 0, newest=NOW, without_ids=True))
        self.sync()
        self.fake.card.add(0, NOW)
        self.assertEqual(self.sync(clear=True).cleared, 1)
        self.assertEqual(self.numbers(), [3, 2, 1])
        self.finish()

    def test_camera_without_a_name(self) -> None:
        """Nor of a camera that does not tell its own id: the copy may be another camera's."""
        with mock.patch("trailcam.simulator.streams._unit", lambda faults: "x"):
            self.again(unit="")
            self.sync()
            self.assertEqual(self.sync(clear=True).cleared, 0)
        self.assertEqual(len(self.numbers()), 7)
        self.finish()

    def test_two_of_one_name(self) -> None:
        """A name that the list has twice is not used to delete anything."""
        real = answers._entry
        self.patch(answers, "_entry", lambda file: {**real(file), "mediaNum": max(file.number, 2)})
        self.assertEqual(self.sync(clear=True).cleared, 5)
        self.assertEqual(self.numbers(), [2, 1])
        self.finish()

    def test_failed_ones_stay(self) -> None:
        """What did not come whole is not deleted."""
        def message(card: Any, faults: Any, sequence: int, file: MediaFile) -> bytes:
            data = file_message(card, faults, sequence, file)
            return data[:-20] + bytes(20) if file.number == 4 else data

        self.patch(server, "file_message", message)
        report = self.sync(clear=True)
        self.assertEqual((report.new, report.failed, report.cleared), (6, 1, 6))
        self.assertEqual(self.numbers(), [4])
        self.finish()

    def test_not_after_trouble(self) -> None:
        """When the disk is full, nothing is deleted, not even what is home already."""
        self.listen_in()
        with DiskTests.full_after(self, 4):  # type: ignore[arg-type]
            self.assertRaises(LibraryError, lambda: self.sync(clear=True))
        self.assertEqual(self.deletions(), [])
        self.assertEqual(self.sync(clear=True).cleared, 7)
        self.finish()

    def test_refused(self) -> None:
        """A refusal is a warning, and costs only that one; unless it had gone before: then not."""
        real = Visit._delete

        def delete(visit: Visit, code: int, sequence: int, request: dict[str, Any]) -> Any:
            if request["mediaNum"] == 6:
                visit._card.delete(visit._find(request))  # somebody was faster
            if request["mediaNum"] == 3:
                return iter((answers._refuse(sequence, code, "Busy", delRet=-1),))
            return real(visit, code, sequence, request)

        self.patch(answers, "_ANSWERS", {**answers._ANSWERS, 773: delete})
        with capturedLogs() as events:
            report = self.sync(clear=True)
        self.assertEqual((report.new, report.failed, report.cleared), (7, 0, 6))
        self.assertEqual(story(events, LogLevel.warn),
                         ["the camera refused command 773: Busy; photo 100-0003 stays on the "
                          "card"])  # fmt: skip
        self.assertEqual(self.numbers(), [3])
        self.assertEqual(self.marked(), {1, 2, 4, 5, 6, 7})
        self.finish()

    def test_lost_meanwhile(self) -> None:
        """Switched off and on at any moment of it: it goes on with what is not confirmed."""
        for step in range(12):
            self.again()
            self.sync()
            self.listen_in()
            syncing = self.start(clear=True)
            self.stage.until(lambda: bool(self.deletions()))
            self.stage.wait(step * 0.0005)
            self.stage.power_cycle(1)
            report = self.stage.run(syncing)
            self.assertEqual((report.cleared, self.numbers()), (7, []))
            self.assertEqual(self.marked(), set(range(1, 8)))
            self.assertLessEqual(len(self.deletions()), 8)
            self.assertEqual(self.at_home(), self.pictures)
            self.doCleanups()
        self.finish()

    def test_another_card_meanwhile(self) -> None:
        """When the camera comes back with another card, nothing on that is deleted."""
        syncing = self.start(clear=True)
        self.stage.until(lambda: len(self.numbers()) == 4)
        self.stage.run(self.fake.switch_off())
        old, self.fake.card = self.fake.card, PlainCard(7, 0, newest=NOW - 50_000, seed=9)
        left = {file.number for file in old.files}
        self.fake.switch_on()
        report = self.stage.run(syncing)
        self.assertEqual(len(self.numbers()), 7)
        self.assertIn(report.cleared, (3, 4), "of one it is not known")
        self.assertLessEqual(len(left & self.marked()), 1)
        self.finish()

    def test_gone_for_good(self) -> None:
        """A camera that does not come back any more: all is home, so it is no failure."""
        self.sync()
        syncing = self.start(clear=True)
        self.stage.until(lambda: len(self.numbers()) == 4)
        self.stage.run(self.fake.switch_off())
        with capturedLogs() as events:
            report = self.stage.run(syncing)
        self.assertEqual((report.skipped, report.failed), (7, 0))
        self.assertIn("stays on the card for now", story(events, LogLevel.warn)[-1])
        self.fake.switch_on()
        self.stage.run(self.camera.connect())
        self.stage.run(self.camera.login())
        self.sync(clear=True)
        self.assertEqual((self.numbers(), self.at_home()), ([], self.pictures))
        self.finish()

    def test_killed(self) -> None:
        """Killed between commit and deletion, and between deletion and mark: nothing is lost."""
        with mock.patch.object(Camera, "delete", lambda *args: Deferred()):
            syncing = self.start(clear=True)
            self.stage.until(lambda: len(self.watcher.files) == 7)
            syncing.cancel()
            self.failureResultOf(syncing, CancelledError)
        self.assertEqual(len(self.numbers()), 7)
        self.kill()
        with mock.patch.object(Library, "mark_deleted", lambda *args: Deferred()):
            syncing = self.start(clear=True)
            self.stage.until(lambda: len(self.numbers()) == 6)
            self.stage.wait(1)
            self.assertNoResult(syncing)
            syncing.cancel()
            self.failureResultOf(syncing, CancelledError)
        self.assertEqual((len(self.numbers()), self.marked()), (6, set()))
        self.kill()
        report = self.sync(clear=True)
        self.assertEqual((report.new, report.cleared), (0, 6))
        self.assertEqual((self.numbers(), self.at_home()), ([], self.pictures))
        self.finish()


class RealTests(TestCase):
    """The same with real sockets, threads and time, briefly."""

    timeout = 60

    async def test_home(self) -> None:
        """Over loopback that loses 3 %; interrupted, then finished."""
        from twisted.internet import reactor

        card = PlainCard(12, 0, newest=NOW)
        card.size = 150_000
        fake = FakeCamera(reactor, card=card, port=0, search_port=None, faults=Faults(loss=0.03))
        fake.start()
        target = Target("127.0.0.1", fake.address[1], "garden")
        camera = Camera(reactor, target, zone=UTC)
        root = Path(self.mktemp())
        library = Library(root, reactor)
        await library.open()
        await camera.connect()
        await camera.login()
        watcher = Watcher()
        try:
            first = sync(reactor, camera, library, watcher, UTC)  # type: ignore[arg-type]
            watcher.at_each = lambda: first.cancel() if len(watcher.files) == 4 else None
            with self.assertRaises(CancelledError):
                await first
            home = len(await library.files(limit=-1))
            self.assertTrue(4 <= home < 12)
            report = await sync(reactor, camera, library, Watcher(), UTC)  # type: ignore[arg-type]
            self.assertEqual((report.new, report.skipped, report.failed), (12 - home, home, 0))
            self.assertEqual(list(root.rglob("*.part")), [])
        finally:
            await camera.close()
            await library.close()
            await fake.stop()
        there = sorted(card.photo(file) for file in card.files)
        self.assertEqual(sorted(path.read_bytes() for path in root.rglob("*.jpg")), there)
        self.assertEqual(camera.sessions, 1)
