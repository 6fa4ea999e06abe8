"""The visits and deletions that the library remembers."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.test_library import CAMERA, PHOTO, VIDEO, LibraryCase
from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library import Library, RescanReport, Visit
from trailcam.library.index import VERSION, Index, prepare
from trailcam.library.visits import KEPT, newest_visits, record_visit

BEGAN = datetime(2026, 3, 29, 2, 30, 0, 123456, ZoneInfo("Asia/Kolkata"))
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VISIT = Visit(
    camera="garden",
    began=BEGAN,
    ended=BEGAN + timedelta(seconds=75),
    outcome="ok",
    why=None,
    phases={"waking": 6.5, "joining": 8.0, "connecting": 1.25, "syncing": 50.0, "leaving": 0.5},
    awake=66.25,
    transferring=41.5,
    bytes=12_345_678_901,
    new=17,
    failed=1,
    battery=64,
    card_free_mb=29_123,
    temperature=-7.5,
    clock_drift=-1.25,
)
#: What of a camera that never answered is known.
FAILED = Visit("pond", BEGAN, BEGAN, "failed", "it did not wake: is it in range?")

#: The index as version 1 made it.
VERSION_1 = """
    PRAGMA journal_mode = WAL;
    BEGIN IMMEDIATE;
    CREATE TABLE media (
        id INTEGER PRIMARY KEY,
        device_id TEXT NOT NULL,
        media_id INTEGER,
        media_time INTEGER,
        directory INTEGER NOT NULL,
        number INTEGER NOT NULL,
        file_type INTEGER NOT NULL,
        duration_ms INTEGER NOT NULL,
        wall TEXT,
        utc TEXT,
        utc_offset INTEGER,
        zone TEXT,
        path TEXT NOT NULL,
        size INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        fetched_at TEXT NOT NULL
    );
    CREATE UNIQUE INDEX media_identity ON media (
        device_id, COALESCE(media_id, -1), COALESCE(media_time, -1), directory, number, file_type
    );
    CREATE INDEX media_utc ON media (utc);
    INSERT INTO media VALUES (1, 'C6:00:00:00:00:01', 3361310203, 1766527938, 100, 318, 0, 0,
        '2025-12-23T22:12:18', '2025-12-23T21:12:18Z', 3600, 'Europe/Berlin',
        'C60000000001/2025-12-23/here.jpg', 4, 'abcd', '2026-01-02T03:04:05Z');
    INSERT INTO media VALUES (2, 'C6:00:00:00:00:01', NULL, NULL, 100, 321, 0, 0,
        NULL, NULL, NULL, NULL, 'C60000000001/undated/gone.jpg', 4, 'abcd',
        '2026-01-02T03:04:05Z');
    PRAGMA user_version = 1;
    COMMIT;
"""


class VisitTests(LibraryCase):
    """Writing down and looking up, in real threads."""

    async def test_round_trip(self) -> None:
        """A visit comes back as it was, also in another run; the last one recorded first."""
        await self.library.open()
        self.assertIsNone(await self.library.last_visit("garden"))
        # The clock was set back in between: the order is that of recording.
        later = replace(VISIT, began=BEGAN - timedelta(days=9), outcome="interrupted", battery=None)
        for visit in (VISIT, FAILED, later):
            await self.library.record_visit(visit)
        await self.reopen()
        self.assertEqual(await self.library.visits(), [later, FAILED, VISIT])
        self.assertEqual(await self.library.visits("garden"), [later, VISIT])
        self.assertEqual(await self.library.visits("garden", limit=1), [later])
        self.assertEqual(await self.library.last_visit("pond"), FAILED)
        self.assertEqual(await self.library.visits("nobody"), [])
        (first,) = [visit for visit in await self.library.visits() if visit == VISIT]
        self.assertEqual(list(first.phases), list(VISIT.phases))

    async def test_rescan(self) -> None:
        """A rescan keeps visits, and what was deleted from the card, be it here or gone."""
        await self.library.open()
        photo, video = await self.fetch(PHOTO), await self.fetch(VIDEO)
        await self.library.record_visit(VISIT)
        for stored in (photo, video):
            await self.library.mark_deleted(stored, NOW)
        video.path.unlink()
        self.assertEqual(await self.library.rescan(), RescanReport(0, 1, 1))
        self.assertEqual(await self.library.visits(), [VISIT])
        self.assertEqual([row.deleted for row in await self.library.files()], [NOW, NOW])

    async def test_moved(self) -> None:
        """A deleted file that lies elsewhere now is still deleted on the card."""
        await self.library.open()
        await self.library.mark_deleted(await self.fetch(PHOTO), NOW)
        await self.library.close()
        (self.path / "C60000000001").rename(self.path / "Garden")
        await self.reopen()
        (row,) = await self.library.files()
        self.assertEqual((row.path.parts[-3], row.deleted), ("Garden", NOW))
        self.assertEqual(await self.library.rescan(), RescanReport(0, 0, 1))

    async def test_deleted(self) -> None:
        """A file that was deleted from the card is known, here, and not missing."""
        await self.library.open()
        photo, video = await self.fetch(PHOTO), await self.fetch(VIDEO)
        self.assertIsNone(photo.deleted)
        await self.library.mark_deleted(photo, NOW.astimezone(ZoneInfo("Asia/Kolkata")))
        self.assertEqual(await self.library.files(), [video, replace(photo, deleted=NOW)])
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO]), [])
        self.assertEqual(photo.path.read_bytes(), b"data")

    async def test_deleted_and_forgotten(self) -> None:
        """Marking what was forgotten does nothing; what is fetched again then is not deleted."""
        await self.library.open()
        stored = await self.fetch(PHOTO)
        await self.library.forget(CAMERA, PHOTO)
        await self.library.mark_deleted(stored, NOW)
        self.assertEqual(await self.library.files(), [])
        self.assertIsNone((await self.fetch(PHOTO)).deleted)

    async def test_not_open(self) -> None:
        """A library that is not open says so."""
        for call in (self.library.record_visit(VISIT), self.library.visits(),
                     self.library.last_visit("garden")):  # fmt: skip
            await self.assertTrouble(call, "not open")

    async def test_old_library(self) -> None:
        """A library of version 1 is opened with all that it has, and has visits from then on."""
        index = self.path / ".trailcam" / "index.sqlite"
        index.parent.mkdir(parents=True)
        with closing(sqlite3.connect(index, isolation_level=None)) as connection:
            connection.executescript(VERSION_1)
        await self.library.open()
        rows = await self.library.files()
        self.assertEqual([row.file.number for row in rows], [318, 321])
        self.assertEqual([row.deleted for row in rows], [None, None])
        self.assertEqual(await self.library.missing(CAMERA, [PHOTO, VIDEO]), [VIDEO])
        await self.library.mark_deleted(rows[0], NOW)
        await self.library.record_visit(VISIT)
        await self.reopen()
        self.assertEqual(await self.library.visits(), [VISIT])
        self.assertEqual([row.deleted for row in await self.library.files()], [NOW, None])
        self.assertEqual(list(index.parent.glob("*corrupt*")), [])


class MigrationTests(TestCase):
    """The index alone."""

    def setUp(self) -> None:
        self.root = Path(os.path.abspath(self.mktemp()))
        self.root.mkdir()
        self.path = self.root / "index.sqlite"

    def schema(self) -> Any:
        """All the tables, with their columns."""
        with closing(sqlite3.connect(self.path)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
            return {name: connection.execute(f"PRAGMA table_info({name})").fetchall()
                    for name in tables}  # fmt: skip

    def test_same_schema(self) -> None:
        """A migrated index is like a new one, and every column of old rows is as it was."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.executescript(VERSION_1)
            before = connection.execute("SELECT * FROM media").fetchall()
        self.assertIsNone(prepare(self.path, NOW))
        migrated = self.schema()
        with closing(sqlite3.connect(self.path)) as connection:
            after = connection.execute("SELECT * FROM media").fetchall()
            version = connection.execute("PRAGMA user_version").fetchone()
        old = len(before[0])
        self.assertEqual([row[:old] for row in after], before)
        # deleted, camera, favourite, note, removed, gone
        self.assertEqual({row[old:] for row in after}, {(None, None, 0, "", None, 0)})
        self.assertEqual(version, (VERSION,))
        self.path.unlink()
        prepare(self.path, NOW)
        self.assertEqual(self.schema(), migrated)

    def test_newer(self) -> None:
        """An index that is one version ahead is refused in one line, and left as it is."""
        prepare(self.path, NOW)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(f"PRAGMA user_version = {VERSION + 1}")
        before = self.path.read_bytes()
        message = str(self.assertRaises(LibraryError, prepare, self.path, NOW))
        self.assertIn("update trailcam", message)
        self.assertNotIn("\n", message)
        self.assertEqual(self.path.read_bytes(), before)

    def test_bounded(self) -> None:
        """Of each camera the newest are kept, of others all, and both are found by an index."""
        self.assertGreaterEqual(KEPT, 10_000)
        prepare(self.path, NOW)
        with closing(sqlite3.connect(self.path)) as connection:
            index = Index(connection.cursor(), self.root)
            record_visit(index, FAILED, 3)
            for new in range(7):
                record_visit(index, replace(VISIT, new=new), 3)
            self.assertEqual([each.new for each in newest_visits(index, "garden", -1)], [6, 5, 4])
            self.assertEqual(len(newest_visits(index, None, -1)), 4)
            plan = connection.execute(
                "EXPLAIN QUERY PLAN SELECT * FROM visits WHERE camera = 'x' ORDER BY id DESC"
            ).fetchall()
            self.assertEqual([row[3] for row in plan],
                             ["SEARCH visits USING INDEX visits_camera (camera=?)"])  # fmt: skip

    def test_odd_text(self) -> None:
        """What a camera says that fits into no database does no harm."""
        prepare(self.path, NOW)
        with closing(sqlite3.connect(self.path)) as connection:
            index = Index(connection.cursor(), self.root)
            record_visit(index, replace(FAILED, why="half a pair: \ud800"))
            self.assertEqual(newest_visits(index, "pond", 1)[0].why, "half a pair: ?")


class InlineTests(TestCase):
    """Without threads, for tests of others."""

    def test_inline(self) -> None:
        """Visits and deletions work at once with a Clock as well."""
        library = Library(Path(self.mktemp()), Clock(), inline=True, wall_clock=lambda: 1000.0)
        self.successResultOf(library.open())
        self.successResultOf(library.record_visit(VISIT))
        self.assertEqual(self.successResultOf(library.last_visit("garden")), VISIT)
        part = self.successResultOf(library.part_path(CAMERA, MediaFile(0, 100, 1)))
        part.write_bytes(b"data")
        stored = self.successResultOf(library.commit(CAMERA, MediaFile(0, 100, 1), part, 4, "0"))
        self.successResultOf(library.mark_deleted(stored, NOW))
        self.assertEqual(
            self.successResultOf(library.files()), [replace(stored, deleted=NOW)]
        )
        self.successResultOf(library.close())
