"""
What people do with the pictures at home: look at them, say something of them, delete them.

The index says what is meant, and the files follow: whatever moves into the trash or out of it is
written down first, and a run that is killed in between is set right by the next start. Only what
is deleted for good goes the other way, so that nothing is left of it unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from trailcam.errors import LibraryError
from trailcam.library import browse, quota, remarks, thumbnails, trash
from trailcam.library.base import BATCH, Base
from trailcam.library.browse import CameraSummary, Filter, Page
from trailcam.library.index import Index
from trailcam.library.medium import Medium, find, must_find
from trailcam.library.quota import Quota
from trailcam.library.thumbnails import Thumbnail
from trailcam.worker import InlineWorker, ThreadWorker, Worker

__all__ = ["UNDO", "Gallery"]

Result = TypeVar("Result")

#: So long what was deleted at home can be had back.
UNDO = timedelta(days=1)


class Gallery(Base):
    """
    What people do with a library. A picture is called by its L{Medium.id}.

    Where there is none of that number, methods fail with
    L{UnknownMedium <trailcam.errors.UnknownMedium>}.
    """

    def __init__(self, path: Path, reactor: Any, *, inline: bool = False, **options: Any) -> None:
        super().__init__(path, reactor, inline=inline, **options)
        # Of its own, so that bringing pictures home does not wait for it; and only one, for the
        # memory that it takes.
        self._painter: Worker = InlineWorker() if inline else ThreadWorker(reactor)

    # -- looking -----------------------------------------------------------

    def browse(
        self, wanted: Filter | None = None, cursor: str | None = None, limit: int = 60
    ) -> Deferred[Page]:
        """
        A page of pictures: newest first, those without a time last.

        What arrives between two pages shifts nothing. What was deleted by hand is left out.

        @param wanted: C{None} for all.
        @param cursor: L{Page.next} of the page before; C{None} for the first. One that is none
            fails with L{WrongRequest <trailcam.errors.WrongRequest>}.
        @param limit: at most so many, 1 to 1000.
        """
        return self._run(self._browse, wanted or Filter(), cursor, limit)

    def medium(self, id: int) -> Deferred[Medium | None]:
        """One picture, in the trash or not; C{None} where there is nothing of it here."""
        return self._run(self._read, find, id)

    def neighbours(
        self, id: int, wanted: Filter | None = None
    ) -> Deferred[tuple[int | None, int | None]]:
        """The ids of the next newer and the next older one in the order of pages."""
        return self._run(self._read, browse.neighbours, id, wanted or Filter())

    def days(self, wanted: Filter | None = None) -> Deferred[list[tuple[date, int]]]:
        """How many pictures there are of each day, by the camera's clock; the last day first."""
        return self._run(self._read, browse.days, wanted or Filter())

    def cameras(self) -> Deferred[list[CameraSummary]]:
        """The cameras that there are pictures of, in the order of their names."""
        return self._run(self._read, browse.cameras)

    def thumbnail(self, id: int) -> Deferred[Path | None]:
        """
        A small JPEG of a picture, or of a video's first frame: 480 pixels at most.

        It is made when it is first asked for, one at a time, and kept.

        @return: C{None} where none can be made: it is damaged, or larger than 60 megapixels.
        """
        return self._run(self._thumbnail, id)

    # -- saying something --------------------------------------------------

    def set_favourite(self, id: int, favourite: bool) -> Deferred[None]:
        """Mark a picture, or no longer."""
        return self._run(self._write, remarks.set_favourite, id, favourite)

    def set_note(self, id: int, text: str) -> Deferred[None]:
        """
        Write of a picture; nothing is a note too.

        @param text: at most 2000 characters, none of them a control character but for newlines;
            else this fails with L{WrongRequest <trailcam.errors.WrongRequest>}.
        """
        return self._run(self._write, remarks.set_note, id, text)

    # -- deleting ----------------------------------------------------------

    def remove(self, id: int) -> Deferred[None]:
        """Move a picture into the trash; it is not brought home again."""
        return self._whole(lambda: self._remove(id))

    def restore(self, id: int) -> Deferred[None]:
        """Have a picture back from the trash, which is possible for a day."""
        return self._whole(lambda: self._restore(id))

    def purge(self, now: datetime | None = None) -> Deferred[int]:
        """
        Delete what has been in the trash for more than a day; also done when it is opened.

        @param now: aware; C{None} for now.
        @return: fires with how many these were.
        """
        return self._whole(lambda: self._purge(now or self._now()))

    def tidy(self, wanted: Quota, *, dry_run: bool = False) -> Deferred[list[Medium]]:
        """
        Delete what is too old, and then the oldest until there is room; never favourites or
        what has a note, and nothing that came home less than a day ago.

        This fails with L{LibraryError <trailcam.errors.LibraryError>} where
        L{quota.check <trailcam.library.quota.check>} says that nothing may be deleted.

        @param dry_run: delete nothing.
        @return: fires with what was deleted, or would be.
        """
        return self._whole(lambda: self._tidy(wanted, dry_run))

    def delete(self, media: Sequence[Medium], wanted: Quota) -> Deferred[list[Medium]]:
        """
        Delete for good what L{tidy} said that it would.

        @param wanted: what L{tidy} was told: where room is wanted and none comes, this stops.
        @return: fires with what was: not what somebody has marked meanwhile.
        """
        return self._whole(lambda: self._delete(media, wanted))

    # -- how ---------------------------------------------------------------

    async def _open(self) -> None:
        await super()._open()
        try:
            await self._alone_do(lambda: self._purge(self._now()))
        except LibraryError as error:
            self._log.warn("the trash was not emptied: {why}", why=str(error))
        except BaseException:  # cancelled, say
            await self._shut()
            raise

    def _whole(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Deferred[Result]:
        """What moves files: not two at once, and to its end once it was asked for."""
        told: Deferred[Result] = Deferred()
        self._run(self._alone_do, work).chainDeferred(told)
        return told

    async def _alone_do(self, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        return await self._alone.run(lambda: Deferred.fromCoroutine(work()))

    async def _read(self, function: Callable[..., Result], *args: object) -> Result:
        return await self._index.read(function, *args)

    async def _write(self, function: Callable[..., Result], *args: object) -> Result:
        return await self._index.write(function, *args)

    async def _browse(self, wanted: Filter, cursor: str | None, limit: int) -> Page:
        page, gone = await self._index.read(browse.page, wanted, cursor, limit)
        if gone:  # nobody waits for that
            self._whole(lambda: self._note_gone(gone)).addErrback(_not_now)
        return page

    async def _note_gone(self, ids: list[int]) -> None:
        await self._worker.call(self._shelf.check)
        await self._index.write(remarks.note_gone, ids)

    async def _thumbnail(self, id: int) -> Path | None:
        medium, thumbnail = await self._index.read(_look_for_thumbnail, id)
        if thumbnail is None:
            thumbnail = await self._painter.call(self._paint, medium)
        return thumbnail.path

    def _paint(self, medium: Medium) -> Thumbnail:
        if not self._usable:  # it is being closed, and has no time for pictures
            raise LibraryError(f"library {self.path} is not open")
        is_photo = medium.file.is_photo
        return self._shelf.run(thumbnails.make, medium.sha256, medium.path, is_photo)

    async def _remove(self, id: int) -> None:
        medium = await self._index.read(must_find, id)
        if medium.removed is None:
            await self._move(medium, self._now(), trash.bury)

    async def _restore(self, id: int) -> None:
        medium = await self._index.read(must_find, id)
        if medium.removed is not None:
            await self._move(medium, None, trash.unbury)

    async def _move(
        self, medium: Medium, removed: datetime | None, move: Callable[[Path, str], None]
    ) -> None:
        """Write down first, then do; what cannot be done is not written down any more."""
        base = self.path / trash.TRASH if medium.removed else self.path
        path = medium.path.relative_to(base).as_posix()
        await self._index.write(remarks.set_removed, medium.id, removed)
        try:
            await self._worker.call(self._shelf.run, move, path)
        except LibraryError:
            await self._index.write(remarks.set_removed, medium.id, medium.removed)
            raise

    async def _purge(self, now: datetime) -> int:
        old = await self._index.read(remarks.expired, now - UNDO)
        for start in range(0, len(old), BATCH):
            batch = old[start : start + BATCH]
            await self._worker.call(self._shelf.run, trash.empty, [path for _, path, _ in batch])
            await self._forget_looks([sha256 for _, _, sha256 in batch])
            await self._index.write(remarks.set_gone, [id for id, _, _ in batch])
        return len(old)

    async def _tidy(self, wanted: Quota, dry_run: bool) -> list[Medium]:
        await self._worker.call(self._shelf.run, quota.check, wanted)
        media = await self._index.read(quota.plan, wanted, self._now(), await self._free())
        return media if dry_run else await self._delete(media, wanted)

    async def _delete(self, media: Sequence[Medium], wanted: Quota) -> list[Medium]:
        free = await self._free()
        deleted: list[Medium] = []
        for start in range(0, len(media), BATCH):
            batch = await self._index.read(quota.still, media[start : start + BATCH])
            paths = [medium.path.relative_to(self.path).as_posix() for medium in batch]
            await self._worker.call(self._shelf.run, trash.delete, paths)
            await self._forget_looks([medium.sha256 for medium in batch])
            await self._index.write(remarks.set_gone, [medium.id for medium in batch])
            deleted += batch
            if wanted.keep_free and deleted and await self._free() <= free:
                self._log.warn(
                    "{count} files were deleted, but the disk of {path} has no more room than"
                    " before: nothing more is deleted for now", count=len(deleted), path=self.path
                )  # fmt: skip
                break
        return deleted

    def _free(self) -> Deferred[int]:
        return self._worker.call(self._shelf.run, quota.free_bytes)

    async def _forget_looks(self, all_sha256: list[str]) -> None:
        await self._worker.call(self._shelf.run, thumbnails.drop, all_sha256)


def _look_for_thumbnail(index: Index, id: int) -> tuple[Medium, Thumbnail | None]:
    medium = must_find(index, id)
    return medium, thumbnails.cached(index.root, medium.sha256)


def _not_now(failure: Failure) -> None:
    """It will be seen again."""
    failure.trap(LibraryError)
