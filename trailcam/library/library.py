"""
The pictures at home, for whoever runs in a reactor: what a sync and a visit need of them.

L{Gallery <trailcam.library.gallery.Gallery>} has what people need of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from twisted.internet.defer import Deferred

from trailcam.commands import MediaFile
from trailcam.library.base import BATCH
from trailcam.library.gallery import Gallery
from trailcam.library.index import Index
from trailcam.library.records import (
    Identity,
    RescanReport,
    Source,
    StoredFile,
    identity,
    normal,
)
from trailcam.library.shelf import Arrival
from trailcam.library.visits import Visit, newest_visits, record_visit

__all__ = ["Library"]


class Library(Gallery):
    """
    A folder of pictures, one folder in it for each camera, and in that one for each day.

    Every method that returns a C{Deferred} fails with
    L{LibraryError <trailcam.errors.LibraryError>} where the disk or the index cannot do it; what
    was committed stays. The constructor is that of L{Base <trailcam.library.base.Base>}.
    """

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

    async def _missing(self, source: Source, files: Sequence[MediaFile]) -> list[MediaFile]:
        await self._folder(source)
        return await self._index.read(_missing, source.device_id, files)

    async def _copies(
        self, source: Source, files: Sequence[MediaFile]
    ) -> dict[MediaFile, StoredFile]:
        found = await self._index.read(_known, source.device_id, files)
        stored = list(found.values())
        whole: set[Identity] = set()
        for start in range(0, len(stored), BATCH):
            kept = await self._worker.call(self._shelf.whole, stored[start : start + BATCH])
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

    async def _folder(self, source: Source) -> str:
        if source not in self._folders:
            mine = await self._worker.call(self._shelf.claim, source)
            if mine.adopted:  # what lies in it is this camera's
                await self._compare(False)
            self._folders[source] = mine.name
        return self._folders[source]

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
