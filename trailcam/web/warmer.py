"""Thumbnails of what has come home, made before anybody asks for them."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from trailcam.errors import LibraryError
from trailcam.happenings import NewMedia
from trailcam.logs import make_logger
from trailcam.web.context import Context

__all__ = ["Warmer"]

#: No more than so many at once: nobody looks further at first.
MOST = 200


class Warmer:
    """
    Waits until the cameras are left alone, for the computer is small, and makes one after the
    other. What somebody looks at meanwhile waits for one thumbnail at most.
    """

    log = make_logger(__name__)

    def __init__(self, context: Context) -> None:
        self._context = context
        self._count = 0
        self._working: Deferred[None] | None = None
        self._stop_watching: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Begin to watch for new pictures."""
        self._stop_watching = self._context.board.watch(self)

    def stop(self) -> None:
        """Make no more."""
        stop_watching, self._stop_watching = self._stop_watching, lambda: None
        stop_watching()
        if self._working is not None:
            self._working.cancel()

    def arrived(self, what: NewMedia) -> None:
        """See L{Watcher.arrived <trailcam.board.Watcher.arrived>}."""
        self._count = min(self._count + 1, MOST)

    def changed(self, camera: str) -> None:
        """See L{Watcher.changed <trailcam.board.Watcher.changed>}."""
        if self._count and self._working is None and not self._is_busy():
            self._working = Deferred.fromCoroutine(self._work())
            self._working.addBoth(self._over)

    def _is_busy(self) -> bool:
        states = map(self._context.board.state, self._context.cameras.values())
        return any(state.phase is not None for state in states)

    async def _work(self) -> None:
        count, self._count = self._count, 0
        library = await self._context.open_library()
        for medium in (await library.browse(limit=count)).media:
            if self._is_busy():
                self._count = count
                return
            await library.thumbnail(medium.id)

    def _over(self, result: Failure | None) -> None:
        self._working = None
        # The library tells of its troubles elsewhere; whoever looks sees them.
        if isinstance(result, Failure) and not result.check(LibraryError, CancelledError):
            self.log.failure("a fault of ours, with thumbnails", result)
