"""
What is still to be told, on disk until it has arrived.

A message stays for each destination until that one has acknowledged it,
whatever is killed or switched off meanwhile. Only between the arrival and the
moment when that is written down may a kill make it come twice: then it has
the same C{id}.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from trailcam.errors import LibraryError
from trailcam.logs import make_logger
from trailcam.notify.messages import Body

__all__ = ["LIMIT", "Entry", "Outbox"]

Result = TypeVar("Result")

#: So many messages wait for each destination at most.
LIMIT = 10_000
#: How long SQLite waits for a lock, in seconds.
_PATIENCE = 30

_TABLE = """
    CREATE TABLE IF NOT EXISTS outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        destination TEXT NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS outbox_destination ON outbox (destination, number);
"""
_ADD = "INSERT INTO outbox (destination, body) VALUES (?, ?)"
_TRIM = """
    DELETE FROM outbox WHERE destination = ? AND number <= (
        SELECT number FROM outbox WHERE destination = ? ORDER BY number DESC LIMIT 1 OFFSET ?
    )
"""
_FIRST = """
    SELECT number, body FROM outbox WHERE destination = ? AND number > ?
    ORDER BY number LIMIT 1
"""


@dataclass(frozen=True)
class Entry:
    """
    A message that waits for one destination.

    @ivar number: those with a lower one come before it.
    @ivar body: the message; its C{id} is the same for every destination, and after a kill.
    """

    number: int
    body: Body


class Outbox:
    """
    The messages that wait, in a file of their own.

    Every method that returns a C{Deferred} fails with L{LibraryError} where the disk cannot
    do it.

    @ivar path: the file.
    """

    log = make_logger(__name__)

    def __init__(
        self, path: Path, reactor: Any, destinations: Iterable[str], *, limit: int = LIMIT
    ) -> None:
        """
        @param destinations: who is told; what waits for others is dropped.
        @param limit: how many messages may wait for each.
        """
        self.path = path
        self._reactor = reactor
        self._limit = limit
        self._waiting = dict.fromkeys(destinations, 0)
        self._full: set[str] = set()
        self._idle: dict[str, list[Deferred[None]]] = {}
        self._pool: ConnectionPool | None = None
        self._ready = False

    def open(self) -> Deferred[None]:
        """
        Find what waits. What is asked for meanwhile is done afterwards; if this fails, because
        the disk is full, say, it is tried again with whatever is asked for next.
        """
        self._pool = _pool(self.path, self._reactor)
        self._ready = False
        return Deferred.fromCoroutine(self._prepare(self._pool))

    def close(self) -> Deferred[None]:
        """Finish what was begun, and let go of the file."""
        return Deferred.fromCoroutine(self._close())

    def put(self, body: Body, destinations: Iterable[str]) -> Deferred[None]:
        """
        Let a message wait for each of these destinations; it is safe once this fires.

        @param body: anything that JSON can carry; it gets its C{id}.
        """
        return Deferred.fromCoroutine(self._put({"id": uuid.uuid4().hex} | body, destinations))

    def first(self, destination: str, after: int = 0) -> Deferred[Entry | None]:
        """The message that has waited longest, of those with a higher number than C{after}."""

        def read(cursor: Any) -> Entry | None:
            row = cursor.execute(_FIRST, (destination, after)).fetchone()
            return None if row is None else Entry(row[0], json.loads(row[1]))

        return self._run(read)

    def changed(self, destination: str) -> Deferred[None]:
        """Fires when something new waits."""
        waiter: Deferred[None] = Deferred(lambda _: waiters.remove(waiter))
        waiters = self._idle.setdefault(destination, [])
        waiters.append(waiter)
        return waiter

    def acknowledge(self, destination: str, entry: Entry) -> Deferred[None]:
        """A message has arrived: it waits no more."""

        async def work() -> None:
            self._waiting[destination] = await self._run(_delete, destination, entry.number)
            if not self._waiting[destination]:
                self._full.discard(destination)

        return Deferred.fromCoroutine(work())

    def waiting(self, destination: str) -> int:
        """How many messages wait for a destination."""
        return self._waiting[destination]

    # -- inside ------------------------------------------------------------

    async def _prepare(self, pool: ConnectionPool) -> None:
        # In the pool's only thread: its first connection is made after that.
        preparing: Deferred[Path | None] = deferToThreadPool(
            self._reactor, pool.threadpool, _prepare, self.path
        )
        aside = await preparing.addErrback(self._explain)
        self._ready = True
        if aside is not None:
            self.log.warn("the outbox was damaged: it is now {aside}, and empty", aside=aside)
        for destination, count in await self._run(_count, list(self._waiting)):
            self._waiting[destination] = count

    async def _put(self, body: Body, destinations: Iterable[str]) -> None:
        # Only ASCII: half a surrogate pair, which a camera can say, fits into no database.
        text, wanted = json.dumps(body), list(destinations)
        for destination, count, full in await self._run(_insert, text, wanted, self._limit):
            self._waiting[destination] = count
            if full and destination not in self._full:
                self._full.add(destination)
                self.log.warn(
                    "{destination}: {count} messages wait; from now on the oldest are "
                    "dropped", count=self._limit, destination=destination,
                )  # fmt: skip
            waiters, self._idle[destination] = self._idle.get(destination, []), []
            for waiter in waiters:
                waiter.callback(None)

    def _run(self, function: Callable[..., Result], *args: object) -> Deferred[Result]:
        if self._pool is None:
            return fail(LibraryError(f"the outbox {self.path} is not open"))
        if not self._ready:
            return Deferred.fromCoroutine(self._run_prepared(self._pool, function, *args))
        running: Deferred[Result] = self._pool.runInteraction(function, *args)
        return running.addErrback(self._explain)

    async def _run_prepared(
        self, pool: ConnectionPool, function: Callable[..., Result], *args: object
    ) -> Result:
        await self._prepare(pool)
        return await self._run(function, *args)

    def _explain(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, sqlite3.Error | OSError):
            raise LibraryError(f"the outbox {self.path} cannot be used: {error}") from error
        return failure

    async def _close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            # In its thread, after all else, so that closing has nothing to write in ours.
            await pool.runWithConnection(_checkpoint)
        except (sqlite3.Error, OSError):
            pass  # what is in the WAL is read when it is opened next
        finally:
            pool.close()


def _pool(path: Path, reactor: Any) -> ConnectionPool:
    def opened(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = FULL")  # nothing else has what is in here

    return ConnectionPool(
        "sqlite3", str(path), timeout=_PATIENCE, isolation_level="IMMEDIATE",
        check_same_thread=False,  # the pool closes it from the reactor's thread
        cp_min=1, cp_max=1, cp_openfun=opened, cp_reactor=reactor,
    )  # fmt: skip


def _prepare(path: Path) -> Path | None:
    """
    Make the file, or see that it is whole.

    @return: where a damaged one was put.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        _make(path)
    except sqlite3.DatabaseError as error:
        damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in damaged:
            raise
    else:
        return None
    aside = path.with_name(f"{path.name}.corrupt")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}{suffix}", f"{aside}{suffix}")
    _make(path)
    return aside


def _make(path: Path) -> None:
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_TABLE)
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("quick_check found damage")
        connection.execute(_FIRST, ("", 0))


def _count(cursor: Any, destinations: list[str]) -> list[tuple[str, int]]:
    known = ", ".join("?" * len(destinations))
    cursor.execute(f"DELETE FROM outbox WHERE destination NOT IN ({known})", destinations)
    cursor.execute("SELECT destination, count(*) FROM outbox GROUP BY destination")
    return list(cursor.fetchall())


def _insert(
    cursor: Any, text: str, destinations: list[str], limit: int
) -> list[tuple[str, int, bool]]:
    """How many wait now for each destination, and whether one was dropped for that."""
    found = []
    for destination in destinations:
        cursor.execute(_ADD, (destination, text))
        cursor.execute(_TRIM, (destination, destination, limit))
        found.append((destination, cursor.rowcount > 0))
    return [(name, _waiting(cursor, name), full) for name, full in found]


def _delete(cursor: Any, destination: str, number: int) -> int:
    """How many wait now."""
    cursor.execute("DELETE FROM outbox WHERE number = ?", (number,))
    return _waiting(cursor, destination)


def _waiting(cursor: Any, destination: str) -> int:
    cursor.execute("SELECT count(*) FROM outbox WHERE destination = ?", (destination,))
    return int(cursor.fetchone()[0])


def _checkpoint(connection: Any) -> None:
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
