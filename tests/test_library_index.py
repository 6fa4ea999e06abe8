"""The index alone: SQLite, synchronous."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from twisted.trial.unittest import TestCase

from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library import index as index_module
from trailcam.library.index import VERSION, Index, prepare
from trailcam.library.records import StoredFile
from trailcam.library.times import Moment

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class IndexCase(TestCase):
    """A folder with an index in it."""

    def setUp(self) -> None:
        self.root = Path(os.path.abspath(self.mktemp()))
        self.root.mkdir()
        self.path = self.root / "index.sqlite"

    def stored(self, file: MediaFile, path: str = "C6/x.jpg", device_id: str = "C6") -> StoredFile:
        """A row."""
        taken = None
        if file.media_time is not None:
            taken = Moment.from_seconds(file.media_time, ZoneInfo("Europe/Berlin"))
        return StoredFile(device_id, file, taken, self.root / path, 3, "ab" * 32, NOW)

    def connect(self) -> sqlite3.Connection:
        """A connection that the test closes."""
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        return connection

    def index(self) -> Index:
        """An index that is ready."""
        prepare(self.path, NOW)
        return Index(self.connect().cursor(), self.root)


class IndexTests(IndexCase):
    """Looking up and writing down."""

    def test_identity(self) -> None:
        """Each of id, media id, time, directory, number and type makes another file."""
        index = self.index()
        file = MediaFile(0, 100, 1, 0, 5, 1766527938)
        index.add([self.stored(file)])
        self.assertEqual(index.known("C6", file), "C6/x.jpg")
        self.assertIsNone(index.known("C7", file))
        for other in (
            MediaFile(1, 100, 1, 0, 5, 1766527938),
            MediaFile(0, 101, 1, 0, 5, 1766527938),
            MediaFile(0, 100, 2, 0, 5, 1766527938),
            MediaFile(0, 100, 1, 0, 6, 1766527938),
            MediaFile(0, 100, 1, 0, None, 1766527938),
            MediaFile(0, 100, 1, 0, 5, 1766527939),
            MediaFile(0, 100, 1, 0, 5, None),
            MediaFile(0, 100, 1, 0, 0, 0),
        ):
            self.assertIsNone(index.known("C6", other), other)
        self.assertIsNotNone(index.known("C6", MediaFile(0, 100, 1, 900, 5, 1766527938)))

    def test_none(self) -> None:
        """None is a value of its own, and is unique too."""
        index = self.index()
        bare = MediaFile(0, 100, 1)
        index.add([self.stored(bare, "a"), self.stored(bare, "b")])
        self.assertEqual(index.known("C6", bare), "b")
        self.assertEqual(len(index.rows()), 1)
        self.assertIsNone(index.known("C6", MediaFile(0, 100, 1, 0, 0)))

    def test_rows(self) -> None:
        """Rows come back equal, newest first, undated last, of one camera if asked."""
        index = self.index()
        old = self.stored(MediaFile(0, 100, 1, 0, 2**63 - 1, 1000))
        new = self.stored(MediaFile(2, 100, 2, 7000, None, 1766527938), "b")
        undated = self.stored(MediaFile(0, 100, 3), "c", "other\0id")
        index.add([undated, old, new])
        self.assertEqual(index.rows(), [new, old, undated])
        self.assertEqual(index.rows("other\0id"), [undated])
        self.assertEqual(index.rows(limit=1, offset=1), [old])
        self.assertEqual(index.paths(), {"C6/x.jpg", "b", "c"})

    def test_forget(self) -> None:
        """What is forgotten is unknown; the rest stays."""
        index = self.index()
        first, second = MediaFile(0, 100, 1), MediaFile(0, 100, 2)
        index.add([self.stored(first), self.stored(second)])
        index.forget("C6", first)
        self.assertIsNone(index.known("C6", first))
        self.assertIsNotNone(index.known("C6", second))

    def test_columns(self) -> None:
        """The zone, the wall clock and UTC are all in the database, for others to read."""
        index = self.index()
        index.add([self.stored(MediaFile(0, 100, 1, 0, 5, 1766527938))])
        row = index.cursor.execute("SELECT wall, utc, utc_offset, zone FROM media").fetchone()
        self.assertEqual(
            row, ("2025-12-23T22:12:18", "2025-12-23T21:12:18Z", 3600, "Europe/Berlin")
        )

    def test_search(self) -> None:
        """A file is looked up by the unique index, however many there are."""
        index = self.index()
        seen: list[Any] = []

        class Spy:
            """Shows the plan of what is asked."""

            def execute(self, sql: str, parameters: Any) -> None:
                plan = index.cursor.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
                seen.extend(plan)

            def fetchone(self) -> None:
                return None

        Index(Spy(), self.root).known("C6", MediaFile(0, 1, 1))  # type: ignore[arg-type]
        self.assertIn("SEARCH media USING INDEX media_identity", seen[0][3])


class PrepareTests(IndexCase):
    """Making the index ready."""

    def assertWorks(self) -> None:
        """The index can be used."""
        with closing(sqlite3.connect(self.path)) as connection:
            index = Index(connection.cursor(), self.root)
            index.add([self.stored(MediaFile(0, 1, 1))])
            self.assertEqual(len(index.rows()), 1)

    def test_fresh(self) -> None:
        """A new index is in WAL mode and of our version, and is opened again as it is."""
        self.assertIsNone(prepare(self.path, NOW))
        self.assertIsNone(prepare(self.path, NOW))
        connection = self.connect()
        self.assertEqual(connection.execute("PRAGMA journal_mode").fetchone(), ("wal",))
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone(), (VERSION,))
        self.assertWorks()

    def test_migration(self) -> None:
        """An older index is taken to our version with all that is in it."""
        prepare(self.path, NOW)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            Index(connection.cursor(), self.root).add([self.stored(MediaFile(0, 1, 1))])
        more = (*index_module._MIGRATIONS, "ALTER TABLE media ADD COLUMN stars INTEGER")
        self.patch(index_module, "_MIGRATIONS", more)
        self.patch(index_module, "VERSION", VERSION + 1)
        self.assertIsNone(prepare(self.path, NOW))
        row = self.connect().execute("SELECT number, stars FROM media").fetchone()
        self.assertEqual(row, (1, None))

    def test_failed_migration(self) -> None:
        """A migration that fails half way leaves the index as it was, and is no damage."""
        prepare(self.path, NOW)
        more = (*index_module._MIGRATIONS, "CREATE TABLE a (b); INSERT INTO media VALUES (NULL)")
        self.patch(index_module, "_MIGRATIONS", more)
        self.patch(index_module, "VERSION", VERSION + 1)
        self.assertRaises(sqlite3.Error, index_module._migrate, self.path)
        row = self.connect().execute("SELECT name FROM sqlite_master WHERE name = 'a'").fetchone()
        self.assertIsNone(row)

    def test_newer(self) -> None:
        """An index of a later version is left alone, and the error says what to do."""
        prepare(self.path, NOW)
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA user_version = 99")
        error = self.assertRaises(LibraryError, prepare, self.path, NOW)
        self.assertIn("version 99", str(error))
        self.assertIn("update trailcam", str(error))
        self.assertEqual(os.listdir(self.root), ["index.sqlite"])

    def test_corrupt(self) -> None:
        """Whatever is no index is put aside, byte for byte, and a new one made."""
        for number, data in enumerate(
            (b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 8000)
        ):
            self.path.write_bytes(data)
            aside = prepare(self.path, NOW)
            assert aside is not None
            self.assertEqual(aside.read_bytes(), data)
            suffix = "" if number == 0 else "-2"
            self.assertEqual(aside.name, f"index.sqlite.corrupt-20260102T030405Z{suffix}")
            self.assertWorks()

    def test_damaged_page(self) -> None:
        """Damage in the middle is noticed as well."""
        prepare(self.path, NOW)
        rows = [self.stored(MediaFile(0, 1, n), f"{n}") for n in range(200)]
        with closing(sqlite3.connect(self.path)) as connection, connection:
            Index(connection.cursor(), self.root).add(rows)
        data = bytearray(self.path.read_bytes())
        data[8192:16384] = b"\xa5" * 8192
        self.path.write_bytes(data)
        self.assertIsNotNone(prepare(self.path, NOW))
        self.assertWorks()

    def test_another_database(self) -> None:
        """A database with other tables, or a folder, in the index's place is put aside too."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("CREATE TABLE media (something TEXT)")
        self.assertIsNotNone(prepare(self.path, NOW))
        self.assertWorks()
        self.path.unlink()
        self.path.mkdir()
        aside = prepare(self.path, NOW)
        assert aside is not None
        self.assertTrue(aside.is_dir())
        self.assertWorks()
