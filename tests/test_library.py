"""The library as others use it: real files, real SQLite, real threads."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import SkipTest, TestCase

from trailcam.commands import MediaFile
from trailcam.errors import DamagedTransfer, LibraryError
from trailcam.library import Library, RescanReport, Source, StoredFile, files
from trailcam.library.index import VERSION, Index

CAMERA = Source("C6:00:00:00:00:01", "garden", ZoneInfo("Europe/Berlin"))
PHOTO = MediaFile(0, 100, 318, 0, 3361310203, 1766527938)
VIDEO = MediaFile(1, 100, 319, 12000, 4060016457, 1766527999)
AVI = MediaFile(2, 100, 320, 9000, None, 1766528000)
BARE = MediaFile(0, 100, 321)
FINAL = "C60000000001/2025-12-23/C60000000001_20251223T211218Z+0100_100-0318-c85985fb.jpg"


def jpeg(taken: str | None = None) -> bytes:
    """A small JPEG, with EXIF DateTimeOriginal if C{taken} is given."""
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(0x8769)[0x9003] = taken
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


class LibraryCase(TestCase):
    """A library of its own, closed at the end."""

    def setUp(self) -> None:
        self.path = Path(os.path.abspath(self.mktemp()))
        self.mount_disk()
        self.library = self.make()

    def mount_disk(self) -> None:
        """Before the library is made, so that it goes away after it."""

    def make(self, path: Path | None = None, **options: Any) -> Library:
        """A library at C{path} that the test need not close."""
        library = Library(path or self.path, reactor, **options)
        self.addCleanup(library.close)
        return library

    async def reopen(self) -> None:
        """Close and open, as another run of the program would."""
        await self.library.close()
        self.library = self.make()
        await self.library.open()

    async def fetch(
        self, file: MediaFile, data: bytes = b"data", source: Source = CAMERA
    ) -> StoredFile:
        """As a sync does with a file that came."""
        part = await self.library.part_path(source, file)
        part.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        return await self.library.commit(source, file, part, len(data), digest)

    async def assertTrouble(self, deferred: Any, *words: str) -> None:
        """It fails with one line that has C{words}."""
        error = await self.assertFailure(deferred, LibraryError)
        for word in words:
            self.assertIn(word, str(error))
        self.assertNotIn("\n", str(error))

    def tree(self) -> list[str]:
        """All files of cameras, relative."""
        return sorted(
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if path.is_file() and ".trailcam" not in path.parts and path.name != "camera.json"
        )


class CommitTests(LibraryCase):
    """A file comes home."""

    async def test_whole_way(self) -> None:
        """A committed file has its name, its bytes, its time and its row, and is not missing."""
        await self.library.open()
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [PHOTO, VIDEO])
        before = int(reactor.seconds())
        stored = await self.fetch(PHOTO)
        self.assertEqual(self.tree(), [FINAL])
        self.assertEqual(stored.path, self.path / FINAL)
        self.assertEqual(stored.path.read_bytes(), b"data")
        assert stored.taken is not None
        self.assertEqual(stored.taken.utc, datetime(2025, 12, 23, 21, 12, 18, tzinfo=UTC))
        self.assertEqual(stored.path.stat().st_mtime, stored.taken.utc.timestamp())
        self.assertGreaterEqual(stored.fetched_at.timestamp(), before)
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])
        self.assertEqual(await self.library.files(), [stored])
        await self.reopen()
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])
        self.assertEqual(await self.library.files(CAMERA.device_id), [stored])

    async def test_order(self) -> None:
        """Fsync, rename, fsync of the folder, row: in that order, never in the reactor's thread."""
        await self.library.open()
        part = await self.library.part_path(CAMERA, PHOTO)
        part.write_bytes(b"data")
        steps: list[str] = []
        fsync, rename, add = os.fsync, Path.replace, Index.add

        def note(step: str) -> None:
            steps.append(step)
            self.assertNotEqual(threading.get_ident(), reactor_thread)

        def noting_fsync(descriptor: int) -> None:
            note("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
            fsync(descriptor)

        def noting_rename(path: Path, target: Path) -> Path:
            note("rename")
            return rename(path, target)

        def noting_add(index: Index, rows: Any) -> None:
            note("row")
            add(index, rows)

        reactor_thread = threading.get_ident()
        self.patch(os, "fsync", noting_fsync)
        self.patch(Path, "replace", noting_rename)
        self.patch(Index, "add", noting_add)
        await self.library.commit(CAMERA, PHOTO, part, 4, hashlib.sha256(b"data").hexdigest())
        self.assertEqual(steps, ["file", "rename", "folder", "row"])

    async def test_kinds(self) -> None:
        """Photos, videos of both kinds, and what has no time each have their name."""
        await self.library.open()
        for file in (PHOTO, VIDEO, AVI, BARE):
            await self.fetch(file)
        self.assertEqual(
            self.tree(),
            [
                FINAL,
                "C60000000001/2025-12-23/"
                "C60000000001_20251223T211319Z+0100_100-0319-f1feef49-12000ms.mp4",
                "C60000000001/2025-12-23/C60000000001_20251223T211320Z+0100_100-0320-avi-9000ms.mp4",
                "C60000000001/undated/C60000000001_undated_100-0321.jpg",
            ],
        )
        self.assertEqual(await self.library.missing(CAMERA, [AVI, BARE, VIDEO]), [])

    async def test_deleted_on_purpose(self) -> None:
        """A file that a person deleted is not fetched again, unless it is forgotten."""
        await self.library.open()
        (await self.fetch(PHOTO)).path.unlink()
        await self.reopen()
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO]), [])
        self.assertEqual(await self.library.rescan(), RescanReport(0, 1, 0))
        await self.library.forget(CAMERA, PHOTO)
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO]), [PHOTO])

    async def test_listed_twice(self) -> None:
        """A camera that lists a file twice has it fetched once, in the order of the list."""
        await self.library.open()
        missing = await self.library.missing(CAMERA, [VIDEO, PHOTO, VIDEO, BARE, PHOTO])
        self.assertEqual(missing, [VIDEO, PHOTO, BARE])

    async def test_exif(self) -> None:
        """Where the camera says no time the picture does, and it stays the same file."""
        await self.library.open()
        stored = await self.fetch(BARE, jpeg("2025:07:01 12:00:00"))
        assert stored.taken is not None
        self.assertEqual(stored.taken.utc, datetime(2025, 7, 1, 10, tzinfo=UTC))
        self.assertEqual(stored.path.parent.name, "2025-07-01")
        self.assertEqual(await self.library.missing(CAMERA, [BARE]), [])

    async def test_bad_exif(self) -> None:
        """EXIF that is missing, senseless or broken makes a picture undated, and no error."""
        await self.library.open()
        whole = jpeg("2025:07:01 12:00:00")
        broken = whole.replace(b"Exif\0\0MM", b"Exif\0\0\xff\xff").replace(b"II*\0", b"\xff" * 4)
        bad = (
            jpeg(),
            jpeg("0000:00:00 00:00:00"),
            jpeg("1902:01:01 00:00:00"),
            broken,
            b"\xff\xd8",
        )
        for number, data in enumerate(bad):
            stored = await self.fetch(MediaFile(0, 101, number), data)
            self.assertEqual(stored.path.parent.name, "undated")

    async def test_never_replaced(self) -> None:
        """A file that has the name already stays, and the new one gets the next name."""
        await self.library.open()
        first = await self.fetch(PHOTO, b"one")
        second = await self.fetch(PHOTO, b"two")
        self.assertEqual(first.path.read_bytes(), b"one")
        self.assertEqual(second.path.read_bytes(), b"two")
        self.assertEqual(second.path.name, first.path.name.replace(".jpg", "-2.jpg"))
        await self.reopen()
        self.assertEqual(await self.library.files(), [second])
        self.assertEqual(await self.library.rescan(), RescanReport(0, 0, 1, 1))

    async def test_same_again(self) -> None:
        """The same bytes under the same name are the same file."""
        await self.library.open()
        first = await self.fetch(PHOTO)
        second = await self.fetch(PHOTO)
        self.assertEqual(second.path, first.path)
        self.assertEqual(self.tree(), [FINAL])

    async def test_not_whole(self) -> None:
        """A .part file without all its bytes is refused, and the file stays missing."""
        await self.library.open()
        part = await self.library.part_path(CAMERA, PHOTO)
        for data, size in ((b"dat", 4), (b"", 0)):
            part.write_bytes(data)
            await self.assertFailure(
                self.library.commit(CAMERA, PHOTO, part, size, "0"), DamagedTransfer
            )
        await self.library.discard(part)
        await self.library.discard(part)
        self.assertEqual(self.tree(), [])
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO]), [PHOTO])

    async def test_part_paths(self) -> None:
        """Every .part path is new, in the folder of its day, and does not exist."""
        await self.library.open()
        one = await self.library.part_path(CAMERA, PHOTO)
        two = await self.library.part_path(CAMERA, PHOTO)
        self.assertNotEqual(one, two)
        self.assertEqual(one.parent, (self.path / FINAL).parent)
        self.assertTrue(one.parent.is_dir() and one.suffix == ".part" and not one.exists())

    async def test_many_at_once(self) -> None:
        """Calls need not wait for each other; close waits for all of them."""
        await self.library.open()
        many = [replace(PHOTO, number=number) for number in range(30)]
        results = gatherResults([self.fetch_deferred(file) for file in many])
        await results
        self.assertEqual(len(await self.library.files()), 30)
        last = self.fetch_deferred(VIDEO)
        await self.library.close()
        self.failureResultOf(last, LibraryError)  # its commit came after close

    def fetch_deferred(self, file: MediaFile) -> Any:
        """L{fetch}, begun."""
        return Deferred.fromCoroutine(self.fetch(file))

    async def test_cancelled(self) -> None:
        """A commit that nobody waits for any more harms nothing, and close ends well."""
        await self.library.open()
        part = await self.library.part_path(CAMERA, PHOTO)
        part.write_bytes(b"data")
        commit = self.library.commit(CAMERA, PHOTO, part, 4, hashlib.sha256(b"data").hexdigest())
        commit.cancel()
        await self.assertFailure(commit, CancelledError)
        await self.reopen()
        self.assertIn(self.tree(), ([FINAL], []))
        missing = await self.library.missing(CAMERA, [PHOTO])
        self.assertEqual(bool(missing), self.tree() == [])


class CameraFolderTests(LibraryCase):
    """Each camera has its own folder."""

    async def test_card(self) -> None:
        """camera.json keeps the exact id, the name and the zone, and follows changes."""
        await self.library.open()
        await self.fetch(PHOTO)
        card = self.path / "C60000000001" / "camera.json"
        expected: dict[str, str | None] = {
            "devId": "C6:00:00:00:00:01",
            "name": "garden",
            "zone": "Europe/Berlin",
        }
        self.assertEqual(json.loads(card.read_text()), expected)
        await self.library.missing(Source(CAMERA.device_id, "pond"), [])
        expected.update(name="pond", zone=None)
        self.assertEqual(json.loads(card.read_text()), expected)

    async def test_same_letters(self) -> None:
        """Two ids that leave the same letters get two folders, also after a restart."""
        await self.library.open()
        other = Source("C6-00-00-00-00-01".replace("-", "/"))
        first, second = await self.fetch(PHOTO), await self.fetch(PHOTO, b"other", other)
        self.assertEqual(second.path.parts[-3], "C60000000001-2")
        self.assertTrue(second.path.name.startswith("C60000000001-2_"))
        await self.reopen()
        third = await self.fetch(VIDEO, b"other", other)
        self.assertEqual(third.path.parts[-3], "C60000000001-2")
        self.assertCountEqual(await self.library.files(), [first, second, third])

    async def test_evil_ids(self) -> None:
        """Whatever a camera calls itself, its files are two folders below the library."""
        await self.library.open()
        evil = ["../../etc/passwd", "", "///", "..", "Süd ☃", "x" * 500, "-rf", "a\0b", "\ud800"]
        for device_id in evil:
            source = Source(device_id)
            stored = await self.fetch(PHOTO, device_id.encode("utf-8", "replace") or b"-", source)
            self.assertEqual(stored.path.resolve().parents[2], self.path.resolve())
            self.assertEqual(await self.library.missing(source, [PHOTO]), [])
        await self.library.close()
        (self.path / ".trailcam" / "index.sqlite").unlink()
        await self.reopen()
        rows = await self.library.files()
        self.assertEqual(len({row.device_id for row in rows}), len(evil))

    async def test_card_lost(self) -> None:
        """A folder whose camera.json is lost or broken goes to the camera that fits it."""
        await self.library.open()
        await self.fetch(PHOTO)
        card = self.path / "C60000000001" / "camera.json"
        for damage in (
            card.unlink,
            lambda: card.write_bytes(b"{"),
            lambda: card.write_bytes(b"[]"),
        ):
            await self.library.close()
            damage()
            (self.path / ".trailcam" / "index.sqlite").unlink()
            await self.reopen()
            self.assertEqual(await self.library.files(), [])
            self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])


class RecoveryTests(LibraryCase):
    """What an interrupted run leaves is set right."""

    async def test_killed_before_row(self) -> None:
        """A run killed after the rename has its file found, and it is not fetched again."""
        script = (
            "import os, sys, hashlib\n"
            "from pathlib import Path\n"
            "from twisted.internet.task import Clock\n"
            "from tests.test_library import CAMERA, PHOTO\n"
            "from trailcam.library import Library\n"
            "from trailcam.library.index import Index\n"
            "library = Library(Path(sys.argv[1]), Clock(), inline=True)\n"
            "library.open()\n"
            "Index.add = lambda *args: os._exit(9)\n"
            "paths = []\n"
            "library.part_path(CAMERA, PHOTO).addCallback(paths.append)\n"
            "paths[0].with_name(paths[0].name.replace('.1.', '.7.')).write_bytes(b'half')\n"
            "paths[0].write_bytes(b'data')\n"
            "library.commit(CAMERA, PHOTO, paths[0], 4, hashlib.sha256(b'data').hexdigest())\n"
        )
        root = Path(__file__).parents[1]
        run = subprocess.run(
            [sys.executable, "-c", script, str(self.path)],
            env={**os.environ, "PYTHONPATH": str(root)},
            check=False,
            timeout=60,
        )
        self.assertEqual(run.returncode, 9)
        self.assertEqual(len(self.tree()), 2)
        await self.library.open()
        self.assertEqual(self.tree(), [FINAL])
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])
        (row,) = await self.library.files()
        self.assertEqual((row.file, row.size), (PHOTO, 4))

    async def test_leftovers(self) -> None:
        """.part files and empty names of ours are removed, and nothing else is."""
        await self.library.open()
        stored = await self.fetch(PHOTO)
        day = stored.path.parent
        half = await self.library.part_path(CAMERA, VIDEO)
        half.write_bytes(b"half")
        (day / "C60000000001_undated_100-0001.jpg").touch()
        (day.parent / "camera.json.part").write_bytes(b"{")
        theirs = [day / "film.part", day / "notes.txt", day / "empty.jpg", self.path / "x.part"]
        for path in theirs:
            path.touch()
        self.assertEqual(await self.library.rescan(), RescanReport(0, 0, 1))
        self.assertTrue(half.exists())  # it may still be written to
        await self.reopen()
        left = sorted(path for path in self.path.rglob("*.part"))
        self.assertEqual(left, sorted([theirs[0], theirs[3]]))
        self.assertTrue(all(path.exists() for path in theirs))
        self.assertFalse((day / "C60000000001_undated_100-0001.jpg").exists())
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])

    async def test_index_deleted(self) -> None:
        """A rebuilt index has the same rows, but for when a file came."""
        await self.library.open()
        for file in (PHOTO, VIDEO, AVI, replace(PHOTO, media_time=1743301800)):
            await self.fetch(file, repr(file).encode())
        await self.fetch(BARE, jpeg("2025:07:01 12:00:00"))
        await self.fetch(replace(BARE, number=7), b"plain")
        await self.fetch(replace(BARE, number=7), b"another")
        for zone in (None, ZoneInfo("Asia/Kolkata")):
            await self.fetch(PHOTO, b"abc", Source(f"other {zone}", None, zone))
        before = await self.library.files()
        await self.library.close()
        (self.path / ".trailcam" / "index.sqlite").unlink()
        await self.reopen()
        after = await self.library.files()
        epoch = datetime(2000, 1, 1, tzinfo=UTC)

        def comparable(rows: list[StoredFile]) -> list[StoredFile]:
            return sorted((replace(row, fetched_at=epoch) for row in rows), key=str)

        self.assertEqual(len(after), 8)
        self.assertEqual(comparable(after), comparable(before))
        for row in after:
            now = datetime.now(UTC)
            self.assertLess(now - row.fetched_at, timedelta(minutes=5))
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO, AVI, BARE]), [])

    async def test_index_corrupt(self) -> None:
        """A damaged index is put aside with one warning and rebuilt; nothing is fetched again."""
        await self.library.open()
        before = await self.fetch(PHOTO)
        await self.library.close()
        index = self.path / ".trailcam" / "index.sqlite"
        index.write_bytes(b"not a database, for certain" * 50)
        log = Recorder()
        self.library = self.make(log=log)
        await self.library.open()
        self.assertEqual(len([call for call in log.calls if call == "warn"]), 1)
        self.assertEqual(len(list(index.parent.glob("index.sqlite.corrupt-*"))), 1)
        (after,) = await self.library.files()
        self.assertEqual(after.path, before.path)
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO]), [])

    async def test_index_newer(self) -> None:
        """An index of a later program is an error, and the library is free again."""
        await self.library.open()
        await self.library.close()
        index = self.path / ".trailcam" / "index.sqlite"
        with closing(sqlite3.connect(index)) as connection:
            connection.execute("PRAGMA user_version = 99")
        opening: Deferred[Any] = self.library.open()
        error = await self.assertFailure(opening, LibraryError)
        self.assertIn("update trailcam", str(error))
        with closing(sqlite3.connect(index)) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION}")
        await self.library.open()

    async def test_moved_folder(self) -> None:
        """A camera's folder that was renamed keeps its files in the index."""
        await self.library.open()
        before = await self.fetch(PHOTO)
        await self.library.close()
        (self.path / "C60000000001").rename(self.path / "Garden")
        await self.reopen()
        (after,) = await self.library.files()
        self.assertEqual(after.path.parts[-3], "Garden")
        self.assertEqual(after.path.name, before.path.name)
        self.assertEqual(await self.library.rescan(), RescanReport(0, 0, 1))

    async def test_unreadable_file(self) -> None:
        """One file that cannot be read does not close the library."""
        await self.library.open()
        await self.fetch(PHOTO)
        await self.fetch(VIDEO)
        await self.library.close()
        (self.path / ".trailcam" / "index.sqlite").unlink()
        read = files.sha256_of

        def failing(path: Path) -> str:
            if path.name.endswith(".jpg"):
                raise OSError(errno.EIO, "Input/output error", str(path))
            return read(path)

        self.patch(sys.modules["trailcam.library.shelf"], "sha256_of", failing)
        log = Recorder()
        self.library = self.make(log=log)
        await self.library.open()
        self.assertIn("warn", log.calls)
        self.assertEqual([row.file for row in await self.library.files()], [VIDEO])


class Recorder:
    """A logger that counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def warn(self, *args: object, **kwargs: object) -> None:
        """Count a warning."""
        self.calls.append("warn")

    def info(self, *args: object, **kwargs: object) -> None:
        """Count a message."""
        self.calls.append("info")


class TroubleTests(LibraryCase):
    """The disk fails: one clear error, and what is there stays."""

    async def test_not_open(self) -> None:
        """Nothing works before open or after close; closing twice is fine."""
        await self.assertTrouble(self.library.missing(CAMERA, []), "not open")
        await self.library.open()
        await self.assertTrouble(self.library.open(), "open already")
        await self.library.close()
        await self.library.close()
        await self.assertTrouble(self.library.files(), "not open")

    async def test_in_use(self) -> None:
        """A second program is told which process has the library, and disturbs nothing."""
        await self.library.open()
        second = self.make()
        words = (str(self.path), f"in use by process {os.getpid()}", "use another folder")
        await self.assertTrouble(second.open(), *words)
        await self.fetch(PHOTO)
        await self.library.close()
        await second.open()
        self.assertEqual(await second.missing(CAMERA, [PHOTO]), [])

    async def test_close_while_opening(self) -> None:
        """A library that is closed before it is open is closed in the end."""
        opening, closing_ = self.library.open(), self.library.close()
        await opening
        await closing_
        await self.assertTrouble(self.library.files(), "not open")
        await self.library.open()

    async def test_cancel_open(self) -> None:
        """An open that is cancelled leaves the library to others."""
        opening = self.library.open()
        opening.cancel()
        await self.assertFailure(opening, CancelledError)
        await self.make().open()

    async def test_file_in_the_way(self) -> None:
        """A file where the folder should be, or above it, is said so."""
        self.path.write_bytes(b"")
        await self.assertTrouble(self.library.open(), str(self.path), "file is in the way")
        below = self.make(self.path / "below")
        await self.assertTrouble(below.open(), "file is in the way")

    async def test_vanished(self) -> None:
        """A library that vanishes while open is said so, and not made anew elsewhere."""
        await self.library.open()
        part = await self.library.part_path(CAMERA, PHOTO)
        part.write_bytes(b"data")
        self.path.rename(f"{self.path}-unplugged")
        self.path.mkdir()  # the empty mount point
        await self.assertTrouble(self.library.part_path(CAMERA, VIDEO), "vanished")
        await self.assertTrouble(self.library.commit(CAMERA, PHOTO, part, 4, "0"), "vanished")
        self.assertEqual(os.listdir(self.path), [])

    async def test_fsync_fails(self) -> None:
        """When the disk takes nothing more, the file is not there, and the others are."""
        await self.library.open()
        await self.fetch(PHOTO)
        part = await self.library.part_path(CAMERA, VIDEO)
        part.write_bytes(b"data")

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch = self.patch(os, "fsync", full)
        commit = self.library.commit(CAMERA, VIDEO, part, 4, "0")
        await self.assertTrouble(commit, f"the disk of {self.path} is full")
        patch.restore()
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])
        await self.library.discard(part)
        self.assertEqual(self.tree(), [FINAL])

    async def test_rename_fails(self) -> None:
        """A rename that fails leaves no empty file under the name."""
        await self.library.open()
        part = await self.library.part_path(CAMERA, PHOTO)
        part.write_bytes(b"data")

        def gone(*_: object) -> None:
            raise OSError(errno.EIO, "Input/output error", str(part))

        patch = self.patch(Path, "replace", gone)
        await self.assertTrouble(self.library.commit(CAMERA, PHOTO, part, 4, "0"), "input/output")
        patch.restore()
        self.assertEqual(self.tree(), [part.relative_to(self.path).as_posix()])

    async def test_row_fails(self) -> None:
        """A file whose row could not be written is whole, and the next run knows it."""
        await self.library.open()

        def full(*_: object) -> None:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

        patch = self.patch(Index, "add", full)
        part = await self.library.part_path(CAMERA, PHOTO)
        part.write_bytes(b"data")
        digest = hashlib.sha256(b"data").hexdigest()
        commit = self.library.commit(CAMERA, PHOTO, part, 4, digest)
        await self.assertTrouble(commit, "is full")
        patch.restore()
        again = await self.fetch(PHOTO)  # in the same run: fetched, and found to be the same
        self.assertEqual(self.tree(), [FINAL])
        self.assertEqual(again.path, self.path / FINAL)


class MountedTests(LibraryCase):
    """On a small disk of its own, where the tests may mount one."""

    def mount_disk(self) -> None:
        self.path.mkdir()
        self.mount("-t", "tmpfs", "-o", "size=512k", "none", str(self.path))
        self.addCleanup(subprocess.run, ["umount", str(self.path)], check=True)

    def mount(self, *args: str) -> None:
        """Mount, or skip the test."""
        if os.geteuid() != 0:
            raise SkipTest("only root can mount a disk")
        run = subprocess.run(["mount", *args], check=False, capture_output=True)
        if run.returncode:
            raise SkipTest(f"cannot mount here: {run.stderr.decode().strip()}")

    def fill(self) -> Path:
        """Use up what room there is."""
        ballast = self.path / "ballast"
        with self.assertRaises(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        return ballast

    async def test_full(self) -> None:
        """On a disk that is really full nothing is lost, and all goes on when there is room."""
        await self.library.open()
        stored = await self.fetch(PHOTO)
        part = await self.library.part_path(CAMERA, VIDEO)
        part.write_bytes(b"data")
        self.fill()
        digest = hashlib.sha256(b"data").hexdigest()
        commit = self.library.commit(CAMERA, VIDEO, part, 4, digest)
        await self.assertTrouble(commit, f"the disk of {self.path} is full")
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])
        await self.library.close()
        ballast = self.fill()
        await self.assertTrouble(self.library.open(), f"the disk of {self.path} is full")
        self.assertEqual(stored.path.read_bytes(), b"data")
        ballast.unlink()
        await self.library.open()
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO, AVI]), [AVI])
        self.assertIn(stored, await self.library.files())
        await self.fetch(AVI)

    async def test_read_only(self) -> None:
        """On a read-only disk opening fails, with what to do, and works once that is done."""
        await self.library.open()
        stored = await self.fetch(PHOTO)
        await self.library.close()
        self.mount("-o", "remount,ro", str(self.path))
        await self.assertTrouble(self.library.open(), "read-only disk", "mount it writable")
        self.mount("-o", "remount,rw", str(self.path))
        await self.library.open()
        self.assertEqual(await self.library.files(), [stored])


class ReadersTests(LibraryCase):
    """The pool that only reads."""

    async def test_no_writing(self) -> None:
        """Whoever reads cannot change anything."""
        await self.library.open()
        stored = await self.fetch(PHOTO)
        assert self.library._base is not None
        forget = self.library._base.read(Index.forget, CAMERA.device_id, PHOTO)
        await self.assertFailure(forget, LibraryError)
        self.assertEqual(await self.library.files(), [stored])

    async def test_power_cut(self) -> None:
        """What was written down is on the disk before anybody is told so."""
        await self.library.open()

        def synchronous(index: Index) -> Any:
            index.cursor.execute("PRAGMA synchronous")
            return index.cursor.fetchone()

        self.assertEqual(await self.library._index.write(synchronous), (2,))

    async def test_closed(self) -> None:
        """After close all is in one file: no WAL is left."""
        await self.library.open()
        await self.fetch(PHOTO)
        await self.library.close()
        self.assertCountEqual(os.listdir(self.path / ".trailcam"), ["index.sqlite", "lock"])


class ExplainTests(TestCase):
    """What a person reads when the disk fails."""

    def test_lines(self) -> None:
        """Every error of a disk or database is one line that names the place."""
        root = Path("/pictures")
        for number in (*errno.errorcode, 99999):
            for path in (None, "/pictures/C6/a.jpg"):
                error = OSError(number, "reason", path)
                text = str(files.explain(root, error))
                self.assertIn("/pictures", text)
                self.assertNotIn("\n", text)
        for code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, None):
            failure = sqlite3.OperationalError("reason")
            if code is not None:
                failure.sqlite_errorcode = code
            self.assertIn("/pictures", str(files.explain(root, failure)))


class InlineTests(TestCase):
    """Without threads, for tests of others."""

    def test_inline(self) -> None:
        """With a Clock everything is done at once, at the time that it is told."""
        clock = Clock()
        library = Library(
            Path(self.mktemp()), clock, inline=True, wall_clock=lambda: 1000.0
        )
        self.successResultOf(library.open())
        self.assertEqual(self.successResultOf(library.missing(CAMERA, [PHOTO])), [PHOTO])
        part = self.successResultOf(library.part_path(CAMERA, PHOTO))
        part.write_bytes(b"data")
        stored = self.successResultOf(library.commit(CAMERA, PHOTO, part, 4, "0"))
        self.assertEqual(stored.fetched_at.timestamp(), 1000)
        self.assertEqual(self.successResultOf(library.files()), [stored])
        self.assertEqual(self.successResultOf(library.missing(CAMERA, [PHOTO])), [])
        self.successResultOf(library.close())
        self.assertEqual(clock.getDelayedCalls(), [])
