"""
Bringing home what is new: the main job.

It lists what is on the card, fetches what the library does not have, three
photos or one video at a time, and takes each in once it is whole. What came
damaged is fetched again; when the camera is lost, the client comes back by
itself and the sync goes on with what is missing. Only where it is wanted, the
card is emptied afterwards of what is safe at home.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from trailcam.client import BATCH, Camera, MediaListing
from trailcam.commands import PAGE_SIZE, DeviceInformation, MediaFile
from trailcam.errors import (
    CameraLost,
    CommandFailed,
    DamagedTransfer,
    DecodeError,
    LibraryError,
    TrailcamError,
)
from trailcam.library.clearing import Clearing, safe_copies, unambiguous
from trailcam.library.library import Library
from trailcam.library.records import Source, StoredFile
from trailcam.logs import make_logger
from trailcam.sinks import Downloaded

__all__ = ["Observer", "SyncReport", "sync"]

#: What came damaged, or not at all, is fetched again so often, then reported.
RETRIES = 3
#: The camera may be lost so often over one file, and so often in a row without a single
#: file having come.
LOSSES = 5
#: What may go well the next time.
_TRANSIENT = (CameraLost, CommandFailed, DamagedTransfer, DecodeError)


@dataclass
class SyncReport:
    """
    What a sync did.

    @ivar new: how many files came home.
    @ivar skipped: how many were here already.
    @ivar failed: how many could not be fetched.
    @ivar bytes: how many bytes came home.
    @ivar seconds: how long it took.
    @ivar transferring: for how many of them files came.
    @ivar cleared: how many files were deleted from the card.
    """

    new: int = 0
    skipped: int = 0
    failed: int = 0
    bytes: int = 0
    seconds: float = 0.0
    transferring: float = 0.0
    cleared: int = 0


class Observer(Protocol):
    """Who wants to know how a sync goes."""

    def informed(self, information: DeviceInformation) -> None:
        """The camera has said who it is and how it fares."""

    def found(self, new: int, known: int) -> None:
        """A part of the list was read: so many more are new, so many are here already."""

    def stored(self, file: StoredFile) -> None:
        """A file is home."""

    def failed(self, file: MediaFile, why: str) -> None:
        """A file could not be fetched."""


def sync(
    reactor: IReactorTime,
    camera: Camera,
    library: Library,
    observer: Observer,
    zone: tzinfo | None = None,
    *,
    report: SyncReport | None = None,
    clear: bool = False,
) -> Deferred[SyncReport]:
    """
    Bring home what is new.

    @param camera: logged in.
    @param library: open.
    @param zone: the camera's time zone; C{None} for the station's.
    @param report: is kept up to date meanwhile.
    @param clear: then delete from the card, one by one, what has a whole copy at home; what
        cannot be deleted is told in the log, and stays until the next time.
    @return: fires when all has been tried; fails when the camera is gone for
        good or the library can take no more. What is home by then stays.
    """
    work = _Sync(reactor, camera, library, observer, zone, report or SyncReport(), clear)
    return Deferred.fromCoroutine(work.run())


@dataclass
class _Wanted:
    """
    A file to fetch, and how often that failed.

    @ivar failures: how often it came damaged or was refused.
    @ivar losses: how often the camera was lost over it, for which the file can do nothing.
    """

    file: MediaFile
    failures: int = 0
    losses: int = 0

    def may_join(self, first: _Wanted) -> bool:
        """Whether both can be asked for at once: not what failed, lest it spoil the other."""
        return all(
            each.file.is_photo and not each.failures and not each.losses for each in (self, first)
        )

    def note(self, lost: bool) -> str | None:
        """Count a failure; which one it is, or C{None} when the file is to be given up."""
        if lost:
            self.losses += 1
        else:
            self.failures += 1
        count, most = (self.losses, LOSSES) if lost else (self.failures, RETRIES)
        return f"{count} of {most}" if count <= most else None


@dataclass
class _Sync:
    clock: IReactorTime
    camera: Camera
    library: Library
    observer: Observer
    zone: tzinfo | None
    report: SyncReport
    clear: bool
    listed: list[MediaFile] = field(default_factory=list)
    fresh: dict[MediaFile, StoredFile] = field(default_factory=dict)
    queue: deque[_Wanted] = field(default_factory=deque)
    losses: int = 0
    committing: Deferred[Any] | None = None

    log = make_logger(__name__)

    async def run(self) -> SyncReport:
        began = self.clock.seconds()
        information = await self.camera.info()
        self.observer.informed(information)
        source = Source(information.device_id, self.camera.target.name, self.zone)
        listing, session = self.camera.media(), self.camera.sessions
        try:
            more = True
            while more or self.queue:
                if self.queue:
                    await self._fetch(source, self._next_batch())
                else:
                    more = await self._look_up(source, listing)
                if not (more or self.queue):
                    await self._committed()  # which may find that one must be fetched again
        finally:
            listing.close()
            await self._committed()
        if listing.refused:
            self.log.warn("{count} entries of the camera's list made no sense",
                          count=listing.refused)  # fmt: skip
        if listing.repeated:
            self.log.warn("the camera repeats its list: if older pictures are missing at home, "
                          "do not format the card")  # fmt: skip
        if self.clear:
            # Not before: pages shift when files disappear from a list that is being read.
            await self._clear(source, session)
        self.report.seconds = self.clock.seconds() - began
        return self.report

    async def _look_up(self, source: Source, listing: MediaListing) -> bool:
        """Queue what is missing of the next part of the list; whether there was any part."""
        files: list[MediaFile] = []
        async for file in listing:
            files.append(file)
            if len(files) >= PAGE_SIZE:
                break
        missing = await self.library.missing(source, files)
        if self.clear:
            self.listed += files
        self.queue.extend(_Wanted(file) for file in missing)
        known = len(files) - len(missing)
        self.report.skipped += known
        self.observer.found(len(missing), known)
        return bool(files)

    def _next_batch(self) -> list[_Wanted]:
        """Up to three photos, or one video."""
        batch = [self.queue.popleft()]
        while len(batch) < BATCH and self.queue and self.queue[0].may_join(batch[0]):
            batch.append(self.queue.popleft())
        return batch

    async def _fetch(self, source: Source, batch: list[_Wanted]) -> None:
        wanted = [(each.file, await self.library.part_path(source, each.file)) for each in batch]
        began = self.clock.seconds()
        try:
            outcomes = await self.camera.fetch(wanted)
        except _TRANSIENT:
            outcomes = dict.fromkeys((each.file for each in batch), Failure())
        finally:
            self.report.transferring += self.clock.seconds() - began
        trouble = self._sort(batch, outcomes)
        await self._committed()
        # The disk works on these while the next ones come.
        self.committing = DeferredList(
            [
                Deferred.fromCoroutine(self._commit(source, each, got))
                for each in batch
                if isinstance(got := outcomes[each.file], Downloaded)
            ],
            fireOnOneErrback=True,
            consumeErrors=True,
        )
        if trouble is not None:
            trouble.raiseException()

    def _sort(
        self, batch: Sequence[_Wanted], outcomes: dict[MediaFile, Downloaded | Failure]
    ) -> Failure | None:
        """Queue again or give up what has not arrived; what ends the sync, if something does."""
        trouble = lost = None
        if any(isinstance(outcome, Downloaded) for outcome in outcomes.values()):
            self.losses = 0
        for wanted in batch:
            outcome = outcomes[wanted.file]
            if isinstance(outcome, Downloaded):
                continue
            if outcome.check(*_TRANSIENT):
                self._again(wanted, outcome.value)
                lost = outcome if outcome.check(CameraLost) else lost
            else:
                trouble = outcome
        self.losses += lost is not None
        return lost if self.losses > LOSSES else trouble

    def _again(self, wanted: _Wanted, error: BaseException | None) -> None:
        """Fetch it again, after the others, or give up."""
        why, file = str(error), wanted.file.label
        which = wanted.note(isinstance(error, CameraLost))
        if which is not None:
            self.log.warn("{why}; fetching {file} again ({n})", why=why, file=file, n=which)
            self.queue.append(wanted)
        else:
            self.log.error("{why}; {file} is given up", why=why, file=file)
            self.report.failed += 1
            self.observer.failed(wanted.file, why)

    async def _commit(self, source: Source, wanted: _Wanted, got: Downloaded) -> None:
        try:
            stored = await self.library.commit(
                source, wanted.file, got.path, got.size, got.sha256
            )
        except DamagedTransfer as error:
            await self.library.discard(got.path)
            self._again(wanted, error)
            return
        if self.clear:
            self.fresh[wanted.file] = stored
        self.report.new += 1
        self.report.bytes += got.size
        self.observer.stored(stored)

    async def _clear(self, source: Source, session: int) -> None:
        """Delete from the card what was brought home, now or before; what fails is no harm."""
        files = unambiguous(self.listed)
        known = [file for file in files if file not in self.fresh]
        copies = await safe_copies(self.library, source, known) | self.fresh
        clearing = Clearing(self.camera, self.library, source.device_id, session,
                            deleted=self._deleted, failed=self._not_deleted)  # fmt: skip
        try:
            # What is marked is not tried again and again: the camera said that it has gone.
            await clearing.run({file: copies[file] for file in files
                                if file in copies and copies[file].deleted is None})  # fmt: skip
        except LibraryError:
            raise
        except TrailcamError as error:
            self.log.warn("{why}: what was not deleted stays on the card for now", why=str(error))
        if self.report.cleared:
            self.log.info("{count} deleted from the card", count=self.report.cleared)

    def _deleted(self, file: MediaFile) -> None:
        self.report.cleared += 1

    def _not_deleted(self, file: MediaFile, why: str) -> None:
        self.log.warn("{why}; {file} stays on the card", why=why, file=file.label)

    async def _committed(self) -> None:
        """Wait for the disk; fails as the first commit that failed."""
        committing, self.committing = self.committing, None
        if committing is not None:
            try:
                await committing
            except Exception as error:
                inner = getattr(error, "subFailure", None)  # FirstError hides it
                if inner is not None:
                    inner.raiseException()
                raise
