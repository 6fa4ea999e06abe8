"""
A library that is open or not, and the order in which things are done with it.

What is here is here whole: a file gets its name only once the disk has it,
and is in the index only after that. A run that was killed in between is set
right by the next L{Base.open}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, fail
from twisted.logger import Logger

from trailcam.errors import LibraryError
from trailcam.library import remarks, trash
from trailcam.library.database import Database, InlineDatabase, PooledDatabase
from trailcam.library.files import explained
from trailcam.library.folders import Found
from trailcam.library.index import Index
from trailcam.library.records import RescanReport, Source
from trailcam.library.shelf import Shelf
from trailcam.logs import make_logger
from trailcam.worker import InlineWorker, ThreadWorker, Worker

__all__ = ["BATCH", "Base"]

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

#: So many files are read before others have their turn with the disk.
BATCH = 20


class Base:
    """
    What is done with a library whoever uses it.

    @ivar path: where it is; absolute.
    """

    def __init__(
        self,
        path: Path,
        reactor: Any,
        *,
        inline: bool = False,
        log: Logger | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """
        @param reactor: provides threads unless C{inline}.
        @param inline: block instead, for tests with a C{Clock}.
        @param wall_clock: the time in seconds since 1970, in UTC.
        """
        self.path = Path(os.path.abspath(path))
        self._reactor = reactor
        self._inline = inline
        self._wall_clock = wall_clock
        self._log = log or make_logger(__name__)
        self._worker: Worker = InlineWorker() if inline else ThreadWorker(reactor)
        self._shelf = Shelf(self.path)
        self._base: Database | None = None
        self._taken = self._usable = False
        self._busy = 0
        self._idle: list[Deferred[None]] = []
        self._alone = DeferredLock()
        self._folders: dict[Source, str] = {}

    def open(self) -> Deferred[None]:
        """
        Make or find the library, try whether it can be written, and set right
        what an interrupted run left.
        """
        if self._taken:
            return fail(LibraryError(f"library {self.path} is open already"))
        self._taken = True
        return Deferred.fromCoroutine(self._working(self._open))

    def close(self) -> Deferred[None]:
        """Finish what was begun, and let others have the library."""
        return Deferred.fromCoroutine(self._close())

    def _run(
        self,
        function: Callable[Arguments, Awaitable[Result]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Deferred[Result]:
        if not self._usable:
            return fail(LibraryError(f"library {self.path} is not open"))
        return Deferred.fromCoroutine(self._working(function, *args, **kwargs))

    async def _working(
        self,
        function: Callable[Arguments, Awaitable[Result]],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        self._busy += 1
        try:
            return await function(*args, **kwargs)
        finally:
            self._busy -= 1
            if not self._busy:
                idle, self._idle = self._idle, []
                for waiter in idle:
                    waiter.callback(None)

    async def _open(self) -> None:
        try:
            aside = await self._worker.call(self._shelf.acquire, self._now())
            if aside is not None:
                self._log.warn("the index was damaged: it is now {aside}, and rebuilt", aside=aside)
            self._base = self._connect()
            await self._set_trash_right()
            report = await self._compare(True)
        except Exception:
            await self._shut()
            raise
        self._usable = True
        if report.added:
            self._log.info("{count} files on the disk were new to the index", count=report.added)

    async def _set_trash_right(self) -> None:
        removed = await self._index.read(Index.removed)
        again = await self._worker.call(self._shelf.run, trash.put_back, removed)
        await self._index.write(remarks.remove_again, again, self._now())
        await self._worker.call(self._shelf.run, trash.set_right, removed)

    async def _close(self) -> None:
        self._usable = False
        if self._busy:
            waiter: Deferred[None] = Deferred()
            self._idle.append(waiter)
            await waiter
        await self._shut()

    async def _shut(self) -> None:
        self._usable = False
        base, self._base = self._base, None
        if base is not None:
            await base.close()
        await self._worker.call(self._shelf.release)
        self._folders.clear()
        self._taken = False

    def _compare(self, clean: bool) -> Deferred[RescanReport]:
        """
        Make the index fit the files; what is moved to and from the trash waits meanwhile.

        @param clean: delete what an interrupted run left.
        """
        return self._alone.run(lambda: Deferred.fromCoroutine(self._compare_now(clean)))

    async def _compare_now(self, clean: bool) -> RescanReport:
        known = await self._index.read(Index.paths)
        removed = await self._index.read(Index.removed)
        survey = await self._worker.call(self._shelf.survey, known, clean)
        added, now = 0, self._now()
        for start in range(0, len(survey.new), BATCH):
            batch = survey.new[start : start + BATCH]
            batch = await self._index.read(_without_copies, batch, survey.gone - removed)
            stored, problems = await self._worker.call(self._shelf.examine, batch, now)
            for problem in problems:
                self._log.warn("{problem}", problem=problem)
            await self._index.write(Index.add, stored)
            added += len(stored)
        missing = await self._worker.call(self._shelf.run, trash.missing, survey.gone)
        await self._index.write(Index.settle, missing, survey.cameras)
        gone = survey.gone & await self._index.read(Index.paths)
        skipped = survey.copies + len(survey.new) - added
        return RescanReport(added, len(gone), survey.kept, skipped)

    @property
    def _index(self) -> Database:
        assert self._base is not None, "only what close() waits for uses the index"
        return self._base

    def _connect(self) -> Database:
        with explained(self.path):
            if self._inline:
                return InlineDatabase(self._shelf.index_path, self.path)
            return PooledDatabase(self._shelf.index_path, self.path, self._reactor)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(int(self._wall_clock()), UTC)


def _without_copies(index: Index, batch: list[Found], gone: set[str]) -> list[Found]:
    """Those that the index does not have, or had where they are no longer."""
    wanted = []
    for found in batch:
        path = index.known(found.source.device_id, found.name.file)
        if path is None or path in gone:
            wanted.append(found)
    return wanted
