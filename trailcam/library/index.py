"""
The index: what was ever brought home, and where it is. SQLite, synchronous.

The files are the truth, and the index can be made from them again; only what
was deleted on purpose, here or on the card, what a person says of a picture,
and the visits are known to the index alone.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library.files import STATE, explained
from trailcam.library.records import StoredFile, identity
from trailcam.library.times import Moment

__all__ = ["VERSION", "Cursor", "Index", "index_path", "look_into", "prepare"]

#: Each takes the index one C{user_version} further.
_MIGRATIONS = (
    """
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
    """,
    # 2: visits, and what was deleted from the card.
    """
    ALTER TABLE media ADD COLUMN deleted TEXT;
    CREATE TABLE visits (
        id INTEGER PRIMARY KEY,
        camera TEXT NOT NULL,
        began TEXT NOT NULL,
        ended TEXT NOT NULL,
        outcome TEXT NOT NULL,
        why TEXT,
        phases TEXT NOT NULL,
        awake REAL NOT NULL,
        transferring REAL NOT NULL,
        bytes INTEGER NOT NULL,
        new INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        battery INTEGER,
        card_free_mb INTEGER,
        temperature REAL,
        clock_drift REAL
    );
    CREATE INDEX visits_camera ON visits (camera);
    """,
    # 3: what a person says of a picture, and whether there is still something of it here.
    """
    ALTER TABLE media ADD COLUMN camera TEXT;
    ALTER TABLE media ADD COLUMN favourite INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE media ADD COLUMN note TEXT NOT NULL DEFAULT '';
    ALTER TABLE media ADD COLUMN removed TEXT;
    ALTER TABLE media ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX media_here ON media (COALESCE(utc, ''))
        WHERE removed IS NULL AND gone = 0;
    CREATE INDEX media_camera ON media (device_id, COALESCE(utc, ''))
        WHERE removed IS NULL AND gone = 0;
    CREATE INDEX media_favourite ON media (COALESCE(utc, ''))
        WHERE favourite = 1 AND removed IS NULL AND gone = 0;
    CREATE INDEX media_video ON media (COALESCE(utc, ''))
        WHERE file_type <> 0 AND removed IS NULL AND gone = 0;
    CREATE INDEX media_removed ON media (COALESCE(utc, ''))
        WHERE removed IS NOT NULL AND gone = 0;
    CREATE INDEX visits_began ON visits (camera, began);
    """,
)
#: The C{user_version} that this program writes.
VERSION = len(_MIGRATIONS)

_COLUMNS = (
    "device_id, media_id, media_time, directory, number, file_type, duration_ms,"
    " wall, utc, utc_offset, zone, path, size, sha256, fetched_at, deleted, camera"
)
_ADD = f"""
    INSERT INTO media ({_COLUMNS}) VALUES ({", ".join("?" * 17)})
    ON CONFLICT (
        device_id, COALESCE(media_id, -1), COALESCE(media_time, -1), directory, number, file_type
    ) DO UPDATE SET ({_COLUMNS}) = (
        {", ".join(f"excluded.{c}" for c in _COLUMNS.split(", ")[:-2])},
        COALESCE(excluded.deleted, deleted), COALESCE(excluded.camera, camera)
    ), gone = 0
"""
_WHICH = """
    device_id = ? AND COALESCE(media_id, -1) = COALESCE(?, -1)
    AND COALESCE(media_time, -1) = COALESCE(?, -1)
    AND directory = ? AND number = ? AND file_type = ?
"""
_UTC = "%Y-%m-%dT%H:%M:%SZ"
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


class Cursor(Protocol):
    """What is used of a DB-API cursor."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchmany(self, size: int = ..., /) -> list[Any]: ...

    def fetchall(self) -> list[Any]: ...


class Index:
    """
    The index, within one transaction.

    @ivar cursor: of the transaction.
    @ivar root: the library, which the paths in the index are relative to.
    """

    def __init__(self, cursor: Cursor, root: Path) -> None:
        self.cursor = cursor
        self.root = root

    def known(self, device_id: str, file: MediaFile) -> str | None:
        """
        The path of a file that was brought home, be it there still or not.

        @param file: as L{trailcam.library.records.normal} leaves it.
        """
        which = identity(device_id, file)
        self.cursor.execute(f"SELECT path FROM media WHERE {_WHICH}", which)
        row = self.cursor.fetchone()
        return None if row is None else str(row[0])

    def find(self, device_id: str, file: MediaFile) -> StoredFile | None:
        """
        What is written down of a file that was brought home, be it there still or not.

        @param file: as L{trailcam.library.records.normal} leaves it.
        """
        which = identity(device_id, file)
        self.cursor.execute(f"SELECT {_COLUMNS} FROM media WHERE {_WHICH}", which)
        row = self.cursor.fetchone()
        return None if row is None else self._stored(row)

    def add(self, files: Iterable[StoredFile]) -> None:
        """
        Write down files; one that is known is replaced, but stays deleted on the card, and what
        a person said of it stays.
        """
        self.cursor.executemany(_ADD, [self._row(file) for file in files])

    def rows(
        self, device_id: str | None = None, limit: int = -1, offset: int = 0
    ) -> list[StoredFile]:
        """
        The files of one camera or of all, newest first, those without a date last.

        @param limit: at most so many; below 0 for all.
        @param offset: leave out so many.
        """
        self.cursor.execute(
            f"SELECT {_COLUMNS} FROM media WHERE ? IS NULL OR device_id = ?"
            " ORDER BY utc DESC, id DESC LIMIT ? OFFSET ?",
            (device_id, device_id, limit, offset),
        )
        return [self._stored(row) for row in self.cursor.fetchall()]

    def paths(self) -> set[str]:
        """Where all the files are, or were; relative."""
        self.cursor.execute("SELECT path FROM media")
        return {path for (path,) in self.cursor.fetchall()}

    def removed(self) -> set[str]:
        """Where the files were that lie in the trash; relative."""
        self.cursor.execute("SELECT path FROM media WHERE removed IS NOT NULL AND gone = 0")
        return {path for (path,) in self.cursor.fetchall()}

    def settle(self, missing: set[str], cameras: Mapping[str, str]) -> None:
        """
        Write down what is not here any more, and what is again.

        @param missing: relative paths where there is nothing.
        @param cameras: the names of cameras by C{devId}, for files that came when names were not
            written down.
        """
        self.cursor.execute("SELECT id, path, gone FROM media WHERE removed IS NULL OR gone = 1")
        differ = [(gone, id) for id, path, was in self.cursor.fetchall()
                  if (gone := path in missing) != bool(was)]  # fmt: skip
        # What was deleted for good, and has been put back by hand since, is not deleted any more.
        self.cursor.executemany("UPDATE media SET gone = ?, removed = NULL WHERE id = ?", differ)
        self.cursor.executemany(
            "UPDATE media SET camera = ? WHERE device_id = ? AND camera IS NULL",
            [(name, device_id) for device_id, name in cameras.items()],
        )

    def forget(self, device_id: str, file: MediaFile) -> None:
        """As if the file had never been brought home."""
        self.cursor.execute(f"DELETE FROM media WHERE {_WHICH}", identity(device_id, file))

    def mark_deleted(self, device_id: str, file: MediaFile, when: datetime) -> None:
        """
        Write down that a file was deleted from the card; one that is not known stays so.

        @param when: aware.
        """
        which = identity(device_id, file)
        utc = when.astimezone(UTC).strftime(_UTC)
        self.cursor.execute(f"UPDATE media SET deleted = ? WHERE {_WHICH}", (utc, *which))

    def _row(self, stored: StoredFile) -> tuple[object, ...]:
        file, taken = stored.file, stored.taken
        return (
            *identity(stored.device_id, file),
            file.duration_ms,
            taken and taken.wall.isoformat(),
            taken and taken.utc.strftime(_UTC),
            taken and int(taken.offset.total_seconds()),
            taken and taken.zone,
            stored.path.relative_to(self.root).as_posix(),
            stored.size,
            stored.sha256,
            stored.fetched_at.strftime(_UTC),
            stored.deleted and stored.deleted.strftime(_UTC),
            stored.camera,
        )

    def _stored(self, row: Sequence[Any]) -> StoredFile:
        (device_id, media_id, media_time, directory, number, file_type, duration_ms,
         wall, _, offset, zone, path, size, sha256, fetched_at, deleted, camera) = row  # fmt: skip
        return StoredFile(
            device_id,
            MediaFile(file_type, directory, number, duration_ms, media_id, media_time),
            Moment(datetime.fromisoformat(wall), timedelta(seconds=offset), zone) if wall else None,
            self.root / path,
            size,
            sha256,
            datetime.fromisoformat(fetched_at),
            datetime.fromisoformat(deleted) if deleted else None,
            camera,
        )


def prepare(path: Path, now: datetime) -> Path | None:
    """
    Make an index, or bring the one that is there up to date.

    @return: where a damaged one was put; the new one is empty.
    @raise LibraryError: when it was written by a newer program than this.
    """
    try:
        _migrate(path)
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF not in _DAMAGED and (path.is_file() or not path.exists()):
            raise
    else:
        return None
    aside = _set_aside(path, now)
    _migrate(path)
    return aside


def index_path(root: Path) -> Path:
    """Where the index of a library is."""
    return root / STATE / "index.sqlite"


@contextmanager
def look_into(root: Path, version: int = VERSION) -> Iterator[Index | None]:
    """
    Read the index of a library that another program may have open, and leave nothing behind.

    @param root: the library.
    @param version: what the index must have at least; of an older one there is C{None}.
    @raise LibraryError: when there is no library, or it cannot be read.
    """
    path = index_path(root).absolute()
    if not path.is_file():
        raise LibraryError(f"there is no library at {root}")
    # Without a WAL nobody writes; and SQLite would make one to read.
    quiet = "" if os.path.lexists(f"{path}-wal") else "&immutable=1"
    with (
        explained(root),
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro{quiet}", uri=True)) as base,
    ):
        cursor = base.cursor()
        known = cursor.execute("PRAGMA user_version").fetchone()[0] >= version
        yield Index(cursor, root.absolute()) if known else None


def _migrate(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise LibraryError(
                f"the index {path} was written by a newer trailcam (version {version}, and this"
                f" one knows {VERSION}): update trailcam, or use another folder"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for number, migration in enumerate(_MIGRATIONS[version:], version + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; COMMIT"
            )
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        connection.execute(f"SELECT {_COLUMNS} FROM media LIMIT 1")
        connection.execute("SELECT favourite, note, removed, gone FROM media LIMIT 1")
        connection.execute("SELECT camera FROM visits LIMIT 1")


def _set_aside(path: Path, now: datetime) -> Path:
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    serial = 1
    while aside.exists():
        serial += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{serial}")
    for suffix in ("", "-wal", "-shm"):
        if os.path.lexists(f"{path}{suffix}"):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside
