"""What is deleted at home to make room, and what never is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.processes import PATIENCE, ProcessTestCase, environment, trailcam
from tests.test_cameraservice import ServiceTestCase
from tests.test_library import CAMERA
from tests.test_library_browse import ROOT, memory
from trailcam.cameraservice import LibraryService
from trailcam.checks import Station, check_tidy
from trailcam.commands import MediaFile
from trailcam.config import parse
from trailcam.errors import LibraryError
from trailcam.library import Library, Medium, Quota, StoredFile, gallery
from trailcam.library.quota import plan, read_plan
from trailcam.library.times import Moment
from trailcam.service import Station as Service

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MB = 1_000_000
#: A camera's clock then.
SECONDS = 1_770_000_000


class PlanTests(TestCase):
    """What would be deleted, of an index alone."""

    def plan(self, rows: Sequence[Any], quota: Quota, free: int) -> list[int]:
        """The numbers of what is to go; a row is: days at home, days old, favourite, note, MB."""
        index = memory()
        for number, (home, old, favourite, note, size) in enumerate(rows):
            taken = None
            if old is not None:
                wall = (NOW - timedelta(days=old)).replace(tzinfo=None)
                taken = Moment.from_wall(wall, UTC)
            came = NOW - timedelta(days=home, seconds=1)
            file = MediaFile(0, 100, number)
            index.add([StoredFile("C6", file, taken, ROOT / f"{number}", size * MB, "ab", came)])
            index.cursor.execute("UPDATE media SET favourite = ?, note = ? WHERE number = ?",
                                 (favourite, note, number))  # fmt: skip
        with mock.patch("trailcam.library.quota.is_file", return_value=True), \
                mock.patch("trailcam.library.medium.is_file", return_value=True):  # fmt: skip
            found = plan(index, quota, NOW, free * MB)
        index.cursor.connection.close()  # type: ignore[attr-defined]
        return [medium.file.number for medium in found]

    def test_days(self) -> None:
        """As long as it is at home counts: not what the camera's clock says."""
        rows = [(31, 40, 0, "", 1), (29, 4000, 0, "", 1), (31, -999, 0, "", 1),
                (31, None, 0, "", 1), (90, 90, 1, "", 1), (90, 90, 0, "a fox", 1)]  # fmt: skip
        self.assertEqual(self.plan(rows, Quota(keep_days=30), 0), [0, 3, 2])
        self.assertEqual(self.plan(rows, Quota(), 0), [])

    def test_room(self) -> None:
        """The oldest go first, by their own time, until there is room; nothing that just came."""
        rows = [(9, 5, 0, "", 10), (9, 300, 0, "", 10), (0, 9999, 0, "", 10), (9, 20, 0, "", 10)]
        self.assertEqual(self.plan(rows, Quota(keep_free=100), 85), [1, 3])
        self.assertEqual(self.plan(rows, Quota(keep_free=100), 100), [])
        self.assertEqual(self.plan(rows, Quota(keep_free=100), 0), [1, 3, 0])
        # What is too old goes anyway, and makes room as well.
        self.assertEqual(self.plan([*rows, (40, 1, 0, "", 10)], Quota(100, 30), 85), [4, 1])

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(0, 60)),
                              st.integers(0, 1), st.sampled_from(["", "x"]), st.integers(1, 30)),
                    max_size=12),
           st.integers(0, 200), st.integers(0, 50), st.integers(0, 200))  # fmt: skip
    def test_never(self, rows: Any, keep_free: int, keep_days: int, free: int) -> None:
        """
        Whatever there is: no favourite, nothing with a note, nothing fresh; all that is too old;
        and never one more than is needed for room.
        """
        chosen = self.plan(rows, Quota(keep_free, keep_days), free)
        self.assertEqual(len(set(chosen)), len(chosen))
        deletable = {number for number, row in enumerate(rows)
                     if row[0] >= 1 and not row[2] and not row[3]}  # fmt: skip
        too_old = {n for n in deletable if keep_days and rows[n][0] >= keep_days}
        self.assertLessEqual(set(chosen), deletable)
        self.assertLessEqual(too_old, set(chosen))
        freed = [rows[n][4] for n in chosen]
        if len(chosen) > len(too_old):
            self.assertLess(free + sum(freed[:-1]), keep_free)
        if free + sum(freed) < keep_free:
            self.assertEqual(set(chosen), deletable)


class Filled:
    """A library with pictures that came home long ago."""

    def __init__(self, path: Path, days: float = 100.0) -> None:
        began = datetime.now(UTC) - timedelta(days=days)
        self.library = Library(path, Clock(), inline=True, wall_clock=began.timestamp)

    def fill(self, case: TestCase, count: int) -> list[Path]:
        """So many, oldest first; a megabyte each."""
        done = case.successResultOf
        done(self.library.open())
        paths = []
        for number in range(count):
            file = MediaFile(0, 100, number, 0, number, SECONDS + number)
            part = done(self.library.part_path(CAMERA, file))
            data = bytes([number]) * MB
            part.write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            paths.append(done(self.library.commit(CAMERA, file, part, MB, sha256)).path)
        return paths


class TidyTests(TestCase):
    """What L{Library} deletes."""

    def setUp(self) -> None:
        self.path = Path(os.path.abspath(self.mktemp()))
        filled = Filled(self.path)
        self.paths = filled.fill(self, 5)
        self.successResultOf(filled.library.close())
        self.library = Library(self.path, Clock(), inline=True)
        self.successResultOf(self.library.open())
        self.addCleanup(self.library.close)

    def left(self) -> list[int]:
        """Which are there still."""
        page = self.successResultOf(self.library.browse())
        there = [number for number, path in enumerate(self.paths) if path.exists()]
        self.assertEqual([medium.file.number for medium in page.media], there[::-1])
        return there

    def test_tidy(self) -> None:
        """What is shown is deleted, for good, and is never fetched again."""
        self.disk(15)
        quota = Quota(keep_free=12)
        shown = self.successResultOf(self.library.tidy(quota, dry_run=True))
        self.assertEqual([medium.path for medium in shown], self.paths[:2])
        self.assertEqual(self.left(), [0, 1, 2, 3, 4])
        thumbnail = self.path / ".trailcam" / "thumbnails" / shown[0].sha256[:2]
        self.assertIsNone(self.successResultOf(self.library.thumbnail(shown[0].id)))
        self.assertEqual(self.successResultOf(self.library.tidy(quota)), shown)
        self.assertEqual(list(thumbnail.iterdir()), [])
        self.assertEqual(self.left(), [2, 3, 4])
        files = [medium.file for medium in shown]
        self.assertEqual(self.successResultOf(self.library.missing(CAMERA, files)), [])
        self.assertEqual(self.successResultOf(self.library.rescan()).missing, 2)
        self.assertEqual(read_plan(self.path, Quota(0, 1000), datetime.now(UTC)), [])

    def disk(self, room: int) -> None:
        """A disk with so much room in MB, where a megabyte is gone for each picture."""

        def usage(path: object) -> Any:
            return SimpleNamespace(free=(room - sum(p.exists() for p in self.paths)) * MB,
                                   total=100 * MB)  # fmt: skip

        self.patch(shutil, "disk_usage", usage)

    def test_trash_is_room(self) -> None:
        """What lies in the trash will soon be gone: no other picture goes for it."""
        self.disk(15)
        newest = self.successResultOf(self.library.browse()).media[0]
        self.successResultOf(self.library.remove(newest.id))
        # Moved, not deleted: the disk has as much room as before.
        self.disk(14)
        self.assertEqual(self.successResultOf(self.library.tidy(Quota(keep_free=11))), [])
        (medium,) = self.successResultOf(self.library.tidy(Quota(keep_free=12)))
        self.assertEqual(medium.path, self.paths[0])

    def test_index_damaged(self) -> None:
        """When the favourites were lost with an index, nothing is deleted until one looked."""
        aside = self.path / ".trailcam" / "index.sqlite.corrupt-20260102T030405Z"
        aside.write_bytes(b"")
        failure = self.failureResultOf(self.library.tidy(Quota(0, 30)), LibraryError)
        self.assertIn(f"then remove {aside.parent}/index.sqlite.corrupt-*", str(failure.value))
        now = datetime.now(UTC)
        self.assertRaises(LibraryError, read_plan, self.path, Quota(0, 30), now)
        self.assertEqual(self.left(), [0, 1, 2, 3, 4])
        aside.unlink()
        self.assertEqual(len(self.successResultOf(self.library.tidy(Quota(0, 30)))), 5)

    def test_index_rebuilt(self) -> None:
        """Without its index nobody knows how long a picture is here: from now on."""
        self.successResultOf(self.library.close())
        (self.path / ".trailcam" / "index.sqlite").unlink()
        self.library = Library(self.path, Clock(), inline=True, wall_clock=lambda: 4e9)
        self.addCleanup(self.library.close)
        self.successResultOf(self.library.open())
        self.assertEqual(self.successResultOf(self.library.tidy(Quota(0, 1))), [])

    def test_never_enough(self) -> None:
        """More than the disk has is refused, and where no room comes not all is deleted."""
        self.disk(15)
        failure = self.failureResultOf(self.library.tidy(Quota(keep_free=101)), LibraryError)
        self.assertIn("keep_free = 101 MB is more than the disk has", str(failure.value))
        self.assertEqual(self.left(), [0, 1, 2, 3, 4])
        self.patch(gallery, "BATCH", 2)
        full = SimpleNamespace(free=10 * MB, total=100 * MB)
        self.patch(shutil, "disk_usage", lambda path: full)
        deleted = self.successResultOf(self.library.tidy(Quota(keep_free=50)))
        self.assertEqual((len(deleted), self.left()), (2, [2, 3, 4]))

    def test_marked_meanwhile(self) -> None:
        """What somebody marks after it was shown is not deleted."""
        shown: list[Medium] = self.successResultOf(self.library.tidy(Quota(0, 30), dry_run=True))
        self.successResultOf(self.library.set_favourite(shown[0].id, True))
        self.successResultOf(self.library.set_note(shown[1].id, "a fox"))
        self.successResultOf(self.library.remove(shown[2].id))
        deleted = self.successResultOf(self.library.delete(shown, Quota(0, 30)))
        self.assertEqual(deleted, shown[3:])
        self.assertEqual(self.left(), [0, 1])

    def test_reading_only(self) -> None:
        """A plan can be made while another has the library, and leaves nothing behind."""
        now = datetime.now(UTC)
        self.assertEqual(len(read_plan(self.path, Quota(0, 30), now)), 5)
        self.successResultOf(self.library.close())
        before = sorted(self.path.rglob("*"))
        self.assertEqual(len(read_plan(self.path, Quota(0, 30), now)), 5)
        self.assertEqual(sorted(self.path.rglob("*")), before)
        error = self.assertRaises(LibraryError, read_plan, self.path / "x", Quota(0, 30), now)
        self.assertIn("there is no library", str(error))

    def test_doctor(self) -> None:
        """A line tells what is set, and what it would delete."""
        for lines, status, words in (
            ("", "ok", "kept for ever"),
            ("keep_days = 30", "warning", "keep_days = 30: 5 files (5.0 MB) would be deleted"),
            ("keep_days = 1000\nkeep_free = 1", "ok", "keep_free = 1, keep_days = 1000: 0 files"),
        ):
            config = parse(f"[trailcam]\n{lines}\n[camera garden]", "tap.conf")
            (finding,) = check_tidy(Station(config, self.path, None))
            self.assertEqual((finding.name, finding.status), ("tidy", status))
            self.assertIn(words, finding.text)
        (finding,) = check_tidy(Station(config, self.path / "none", None))
        self.assertEqual(finding.status, "ok")
        damaged = self.path.with_name("damaged")
        (damaged / ".trailcam").mkdir(parents=True)
        (damaged / ".trailcam" / "index.sqlite").write_bytes(b"not at all" * 1000)
        (finding,) = check_tidy(Station(config, damaged, None))
        self.assertEqual(finding.status, "warning")
        self.assertIn("trailcam rescan", finding.mend or "")


class AfterVisitTests(ServiceTestCase):
    """The service tidies after a visit, where that is wanted."""

    def new_library(self) -> LibraryService:
        library = Library(self.folder, self.network, inline=True, wall_clock=self.wall_clock)
        return LibraryService(library, Quota(keep_days=2))

    def test_after_a_visit(self) -> None:
        """What came two days ago is deleted, what was removed a day ago too; nothing comes back."""
        service = self.started(interval=0.0)
        library = self.library.library
        (removed, kept) = self.network.run_until(library.browse()).media
        self.network.run_until(library.remove(removed.id))
        for days, here, trash in ((0.9, 1, 1), (0.9, 1, 0), (0.9, 0, 0)):
            self.set_by += days * 86_400
            self.network.run_until(service.visit())
            self.assertEqual(kept.path.exists(), bool(here))
            there = self.folder / ".trailcam" / "trash"
            self.assertEqual(there.exists(), bool(trash))
        assert service.last is not None
        self.assertEqual((service.last.new, service.last.skipped), (0, 2))
        self.stop(service)

    def test_configured(self) -> None:
        """What the service deletes is what C{tap.conf} says."""
        config = parse("[trailcam]\nkeep-days = 7\nkeep_free = 5\n[camera garden]", "tap.conf")
        self.assertEqual(Service(self.network, config).library._quota, Quota(5, 7))


class CommandTests(ProcessTestCase):
    """C{trailcam tidy}, in real processes."""

    def setUp(self) -> None:
        super().setUp()
        filled = Filled(self.library)
        self.paths = filled.fill(self, 3)
        self.successResultOf(filled.library.close())

    def test_dry_run(self) -> None:
        """What would be deleted is shown, and nothing is, with limits from anywhere."""
        arguments = ("tidy", "--library", str(self.library), "--dry-run")
        result = self.run_trailcam(*arguments)
        self.assertEqual((result.status, result.out), (2, ""))
        self.assertIn("give --keep-days or --keep-free", result.err)
        text = f"[trailcam]\nlibrary = {self.library}\nkeep_days = 30\n[camera garden]\n"
        (self.home / "tap.conf").write_text(text)
        result = self.run_trailcam("--json", "tidy", "--dry-run")
        self.assertEqual(result.status, 0)
        events = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual([event.get("path") for event in events[:-1]], list(map(str, self.paths)))
        self.assertEqual(events[-1], {"event": "done", "found": 3, "deleted": 0, "bytes": 3 * MB})
        self.assertTrue(all(path.exists() for path in self.paths))

    def test_asking(self) -> None:
        """Without a terminal it wants C{--yes}; at one it asks, and a no is a no."""
        arguments = ("tidy", "--library", str(self.library), "--keep-days", "30")
        result = self.run_trailcam(*arguments)
        self.assertEqual(result.status, 2)
        self.assertIn("add --yes", result.err)
        person, ours = os.openpty()
        self.addCleanup(os.close, person)
        process = subprocess.Popen(trailcam(*arguments), cwd=self.home, stdin=ours, stderr=ours,
                                   env=environment(self.home), stdout=subprocess.PIPE, text=True)
        os.close(ours)
        self.addCleanup(process.kill)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(person, 4096)
        self.assertIn(b"Delete these 3 for good?", said)
        os.write(person, b"n\n")
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, len(out.splitlines())), (1, 3))
        self.assertTrue(all(path.exists() for path in self.paths))
        result = self.run_trailcam(*arguments, "--yes")
        self.assertEqual(result.status, 0)
        self.assertIn("3 deleted, 3.0 MB (keep_days = 30)", result.out)
        self.assertFalse(any(path.exists() for path in self.paths))
