"""
Where the index is used: one thread that writes and others that read.

Several writers, or one that reads before it writes, end in C{database is
locked} whatever the patience; so every change goes through one thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from trailcam.library.files import explain
from trailcam.library.index import Index

__all__ = ["Database", "InlineDatabase", "PooledDatabase"]

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

#: How long SQLite waits for a lock, in seconds.
_PATIENCE = 30
_READERS = 2


class Database(Protocol):
    """Calls functions with an L{Index}, in a transaction each."""

    def read(
        self,
        function: Callable[Concatenate[Index, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        """Look something up."""

    def write(
        self,
        function: Callable[Concatenate[Index, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        """Change something."""

    def close(self) -> Deferred[None]:
        """Finish what was begun, and let go of the files."""


class PooledDatabase:
    """
    A L{Database} in threads of its own.

    @ivar root: the library.
    """

    def __init__(self, path: Path, root: Path, reactor: Any) -> None:
        """
        @param path: the index, L{prepared<trailcam.library.index.prepare>}.
        @param reactor: provides C{IReactorCore} and C{IReactorThreads}.
        """
        self.root = root
        # Favourites and notes are nowhere else: a power cut must not take them back.
        self._writer = _pool(path, reactor, 1, "synchronous = FULL", "IMMEDIATE")
        self._readers = _pool(path, reactor, _READERS, "query_only = ON", None)

    def read(
        self,
        function: Callable[Concatenate[Index, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        return self._run(self._readers, function, *args, **kwargs)

    def write(
        self,
        function: Callable[Concatenate[Index, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        return self._run(self._writer, function, *args, **kwargs)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._close())

    def _run(
        self, pool: ConnectionPool, function: Callable[..., Result], *args: object, **kwargs: object
    ) -> Deferred[Result]:
        def transact(cursor: Any) -> Result:
            return function(Index(cursor, self.root), *args, **kwargs)

        result: Deferred[Result] = pool.runInteraction(transact)
        return result.addErrback(self._explain)

    def _explain(self, failure: Failure) -> Failure:
        error = failure.value
        if isinstance(error, sqlite3.Error | OSError):  # whoever asks looks at files too
            raise explain(self.root, error) from error
        return failure

    async def _close(self) -> None:
        # First in its thread, so that closing has nothing to write in the reactor's.
        try:
            await self._writer.runWithConnection(_checkpoint)
        except sqlite3.Error:
            pass  # what is in the WAL is read when it is opened next
        finally:
            self._readers.close()
            self._writer.close()


def _pool(
    path: Path, reactor: Any, threads: int, pragma: str, isolation: str | None
) -> ConnectionPool:
    def opened(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA {pragma}")

    return ConnectionPool(
        "sqlite3",
        str(path),
        timeout=_PATIENCE,
        isolation_level=isolation,
        check_same_thread=False,  # the pool closes them all from the reactor's thread
        cp_min=1,
        cp_max=threads,
        cp_openfun=opened,
        cp_reactor=reactor,
    )


def _checkpoint(connection: Any) -> None:
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


class InlineDatabase:
    """
    A L{Database} that blocks: for tests with a C{Clock}.

    @ivar root: the library.
    """

    def __init__(self, path: Path, root: Path) -> None:
        self.root = root
        self._connection = sqlite3.connect(path, isolation_level="IMMEDIATE")

    def read(
        self,
        function: Callable[Concatenate[Index, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        return maybeDeferred(lambda: self._run(function, *args, **kwargs))

    def write(
        self,
        function: Callable[Concatenate[Index, Arguments], Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        return self.read(function, *args, **kwargs)

    def close(self) -> Deferred[None]:
        return maybeDeferred(self._connection.close)

    def _run(self, function: Callable[..., Result], *args: object, **kwargs: object) -> Result:
        try:
            with self._connection, closing(self._connection.cursor()) as cursor:
                return function(Index(cursor, self.root), *args, **kwargs)
        except (sqlite3.Error, OSError) as error:
            raise explain(self.root, error) from error
