"""
The pictures at home, for whoever runs in a reactor.

What is here is here whole: a file gets its name only once the disk has it,
and is in the index only after that. A run that was killed in between is set
right by the next L{Library.open}.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger

from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library.database import Database, InlineDatabase, PooledDatabase
from trailcam.library.files import explained
from trailcam.library.folders import Found
from trailcam.library.index import Index
from trailcam.library.records import (
    Identity,
    RescanReport,
    Source,
    StoredFile,
    identity,
    normal,
)
from trailcam.library.shelf import Arrival, Shelf
from trailcam.library.visits import Visit, newest_visits, record_visit
from trailcam.logs import make_logger
from trailcam.worker import InlineWorker, ThreadWorker, Worker

__all__ = ["Library"]

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

#: So many files are read before others have their turn with the disk.
_BATCH = 20


class Library:
    """
    A folder of pictures, one folder in it for each camera, and in that one for each day.

    Every method that returns a C{Deferred} fails with L{LibraryError} where
    the disk or the index cannot do it; what was committed stays.

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

    def missing(self, source: Source, files: Sequence[MediaFile]) -> Deferred[list[MediaFile]]:
        """
        Which files were never brought home, in the order given, each once.

        A file that was and has been deleted since is not missing.
        """
        return self._run(self._missing, source, files)

    def copies(
        self, source: Source, files: Sequence[MediaFile]
    ) -> Deferred[dict[MediaFile, StoredFile]]:
        """
        Of which files a whole copy is here: in the index, and on the disk with the size and
        the SHA-256 that it was written down with.
        """
        return self._run(self._copies, source, files)

    def part_path(self, source: Source, file: MediaFile) -> Deferred[Path]:
        """Where to write a file while it comes; the folder is there, the file is not."""
        return self._run(self._part_path, source, file)

    def commit(
        self, source: Source, file: MediaFile, part: Path, size: int, sha256: str
    ) -> Deferred[StoredFile]:
        """
        Take a complete file in: it is safe, and known, once this fires.

        @param part: what L{part_path} gave; it is gone afterwards.
        @param size: how many bytes it has; if it has not, this fails with
            L{trailcam.errors.DamagedTransfer}.
        @param sha256: of them, in hexadecimal.
        """
        return self._run(self._commit, source, file, part, size, sha256)

    def discard(self, part: Path) -> Deferred[None]:
        """Delete a C{.part} file that will not be completed."""
        return self._run(self._discard, part)

    def rescan(self) -> Deferred[RescanReport]:
        """Write into the index what it does not know of the files that are here."""
        return self._run(self._compare, False)

    def files(
        self, device_id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Deferred[list[StoredFile]]:
        """
        What was brought home, newest first; some of it may be deleted since.

        @param device_id: of one camera only.
        @param limit: at most so many; below 0 for all.
        @param offset: leave out so many.
        """
        return self._run(self._files, device_id, limit, offset)

    def forget(self, source: Source, file: MediaFile) -> Deferred[None]:
        """Let a file that was deleted be missing again."""
        return self._run(self._forget, source, file)

    def mark_deleted(self, file: StoredFile, when: datetime | None = None) -> Deferred[None]:
        """
        Remember that a file was deleted from the camera's card; it stays known, and here.

        @param when: aware; C{None} for now.
        """
        return self._run(self._mark_deleted, file, when or self._now())

    def record_visit(self, visit: Visit) -> Deferred[None]:
        """Remember a visit; of each camera the newest 10000 are kept."""
        return self._run(self._record_visit, visit)

    def visits(self, camera: str | None = None, limit: int = 100) -> Deferred[list[Visit]]:
        """
        The visits that were recorded, the latest recorded first.

        @param camera: the name of one; C{None} for all.
        @param limit: at most so many; below 0 for all.
        """
        return self._run(self._visits, camera, limit)

    def last_visit(self, camera: str) -> Deferred[Visit | None]:
        """The visit to a camera that was recorded last, however it ended."""
        return self._run(self._last_visit, camera)

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
            report = await self._compare(True)
        except Exception:
            await self._shut()
            raise
        self._usable = True
        if report.added:
            self._log.info("{count} files on the disk were new to the index", count=report.added)

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

    async def _missing(self, source: Source, files: Sequence[MediaFile]) -> list[MediaFile]:
        await self._folder(source)
        return await self._index.read(_missing, source.device_id, files)

    async def _copies(
        self, source: Source, files: Sequence[MediaFile]
    ) -> dict[MediaFile, StoredFile]:
        found = await self._index.read(_known, source.device_id, files)
        stored = list(found.values())
        whole: set[Identity] = set()
        for start in range(0, len(stored), _BATCH):
            kept = await self._worker.call(self._shelf.whole, stored[start : start + _BATCH])
            whole.update(each.identity for each in kept)
        return {file: copy for file, copy in found.items() if copy.identity in whole}

    async def _part_path(self, source: Source, file: MediaFile) -> Path:
        folder = await self._folder(source)
        return await self._worker.call(self._shelf.part_path, source, folder, normal(file))

    async def _commit(
        self, source: Source, file: MediaFile, part: Path, size: int, sha256: str
    ) -> StoredFile:
        folder = await self._folder(source)
        arrival = Arrival(source, folder, normal(file), part, size, sha256, self._now())
        stored = await self._worker.call(self._shelf.place, arrival)
        await self._index.write(Index.add, [stored])
        return stored

    async def _discard(self, part: Path) -> None:
        await self._worker.call(self._shelf.discard, part)

    async def _files(self, device_id: str | None, limit: int, offset: int) -> list[StoredFile]:
        return await self._index.read(Index.rows, device_id, limit, offset)

    async def _forget(self, source: Source, file: MediaFile) -> None:
        await self._index.write(Index.forget, source.device_id, normal(file))

    async def _mark_deleted(self, file: StoredFile, when: datetime) -> None:
        await self._index.write(Index.mark_deleted, file.device_id, file.file, when)

    async def _record_visit(self, visit: Visit) -> None:
        await self._index.write(record_visit, visit)

    async def _visits(self, camera: str | None, limit: int) -> list[Visit]:
        return await self._index.read(newest_visits, camera, limit)

    async def _last_visit(self, camera: str) -> Visit | None:
        return next(iter(await self._visits(camera, 1)), None)

    async def _compare(self, clean: bool) -> RescanReport:
        known = await self._index.read(Index.paths)
        survey = await self._worker.call(self._shelf.survey, known, clean)
        added = 0
        for start in range(0, len(survey.new), _BATCH):
            batch = survey.new[start : start + _BATCH]
            batch = await self._index.read(_without_copies, batch, survey.gone)
            stored, problems = await self._worker.call(self._shelf.examine, batch)
            for problem in problems:
                self._log.warn("{problem}", problem=problem)
            await self._index.write(Index.add, stored)
            added += len(stored)
        gone = survey.gone & await self._index.read(Index.paths)
        skipped = survey.copies + len(survey.new) - added
        return RescanReport(added, len(gone), survey.kept, skipped)

    async def _folder(self, source: Source) -> str:
        if source not in self._folders:
            mine = await self._worker.call(self._shelf.claim, source)
            if mine.adopted:  # what lies in it is this camera's
                await self._compare(False)
            self._folders[source] = mine.name
        return self._folders[source]

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


def _missing(index: Index, device_id: str, files: Sequence[MediaFile]) -> list[MediaFile]:
    once: dict[object, MediaFile] = {}
    for file in files:
        once.setdefault(identity(device_id, normal(file)), file)
    return [file for file in once.values() if index.known(device_id, normal(file)) is None]


def _known(
    index: Index, device_id: str, files: Sequence[MediaFile]
) -> dict[MediaFile, StoredFile]:
    found = ((file, index.find(device_id, normal(file))) for file in files)
    return {file: stored for file, stored in found if stored is not None}


def _without_copies(index: Index, batch: list[Found], gone: set[str]) -> list[Found]:
    """Those that the index does not have, or had where they are no longer."""
    wanted = []
    for found in batch:
        path = index.known(found.source.device_id, found.name.file)
        if path is None or path in gone:
            wanted.append(found)
    return wanted
