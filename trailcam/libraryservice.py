"""The service for a library that several cameras share."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredLock, succeed

from trailcam.errors import LibraryError
from trailcam.library import Library, Quota
from trailcam.logs import make_logger
from trailcam.waiting import when_over

__all__ = ["LibraryService"]


class LibraryService(Service):
    """
    A library that several cameras share: open while the service runs.

    @ivar library: the library.
    """

    log = make_logger(__name__)

    def __init__(self, library: Library, quota: Quota | None = None) -> None:
        """
        @param quota: what is deleted after a visit; C{None} for nothing.
        """
        self.library = library
        self._quota = quota or Quota()
        self._lock = DeferredLock()
        self._open = False
        self._users: set[Deferred[Any]] = set()

    def ready(self) -> Deferred[None]:
        """Open it, if it is not; fails with L{LibraryError <trailcam.errors.LibraryError>}."""
        return self._lock.run(self._ensure)

    def keep_open_for(self, work: Deferred[Any]) -> None:
        """Close it only when C{work}, which uses it, has ended."""
        self._users.add(work)

        def ended(result: Any) -> Any:
            self._users.discard(work)
            return result

        work.addBoth(ended)

    def tidy(self) -> None:
        """
        Delete what is to be deleted: the log tells, and closing waits for it.

        Not while other visits go on, lest one takes for home what goes: the last does it.
        """
        if self._open and len(self._users) <= 1:
            tidying = Deferred.fromCoroutine(self._tidy())
            tidying.addErrback(lambda failure: self.log.failure("tidying has failed", failure))
            self.keep_open_for(tidying)

    async def _tidy(self) -> None:
        try:
            await self.library.purge()
            deleted = await self.library.tidy(self._quota) if self._quota else []
        except LibraryError as error:
            self.log.warn("nothing more is deleted for now: {why}", why=str(error))
            return
        if deleted:
            size = sum(medium.size for medium in deleted) / 1e6
            self.log.info("{count} old files deleted ({size:.1f} MB), for {quota}",
                          count=len(deleted), size=size, quota=str(self._quota))  # fmt: skip

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        while self._users:
            await when_over(next(iter(self._users)))
        if self._open:
            self._open = False
            await self.library.close()

    def _ensure(self) -> Deferred[None]:
        if self._open:
            return succeed(None)

        def opened(_: None) -> None:
            self._open = True

        return self.library.open().addCallback(opened)
