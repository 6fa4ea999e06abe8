"""One who watches a live view: what waits for it is bounded, however slowly it reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from trailcam.fragments import Fragment, Opening, Piece

__all__ = ["LONGEST_LAG", "QUEUE_LIMIT", "Shown", "Viewer", "Waiting", "size_of"]

#: So many bytes wait for one viewer at most,
QUEUE_LIMIT = 4 << 20
#: and so many seconds of video: who is further behind goes on with the next key frame.
LONGEST_LAG = 3.0
#: What it takes to hold a piece, besides its data.
_OVERHEAD = 256


@dataclass(frozen=True)
class Waiting:
    """
    No picture has come for a while; the view goes on by itself when the camera is back.

    @ivar why: for a person.
    """

    why: str


Shown: TypeAlias = Opening | Fragment | Waiting


class Viewer:
    """
    One who watches: an asynchronous iteration over L{Opening}s, L{Fragment}s and L{Waiting}.

    An opening comes first, then a key frame. A viewer that reads too slowly
    misses pictures and goes on with a key frame; memory does not grow.

    @ivar dropped: how many fragments it has missed.
    """

    def __init__(self, leave: Callable[[Viewer], None]) -> None:
        """@param leave: called when it is closed."""
        self.dropped = 0
        self._leave = leave
        self._queue: deque[Shown] = deque()
        self._held = 0
        self._need_key = True
        # The opening that was queued last, and the one that was read last.
        self._opening: Opening | None = None
        self._read: Opening | None = None
        self._reader: Deferred[None] | None = None
        self._end: Failure | None = None
        self._closed = False

    def __aiter__(self) -> Viewer:
        return self

    async def __anext__(self) -> Shown:
        """
        What comes next.

        @raise StopAsyncIteration: when it was closed, or the hub.
        @raise TrailcamError: when the live view came to an end: why.
        """
        while not self._closed:
            if self._queue:
                return self._take()
            if self._end is not None:
                self._end.raiseException()
            self._reader = Deferred()
            await self._reader
        raise StopAsyncIteration

    def close(self) -> None:
        """Watch no more; an iteration ends. With the last viewer the camera's view stops."""
        if not self._closed:
            self._closed = True
            self._queue.clear()
            self._wake()
            self._leave(self)

    # -- what the hub gives ------------------------------------------------

    def put(self, opening: Opening, fragment: Fragment) -> None:
        """A picture, and the opening that it belongs to."""
        if self._closed:
            return
        if self._is_behind(fragment):
            self._skip()
        if self._need_key and not fragment.key:
            self.dropped += 1
            return
        self._need_key = False
        if opening is not self._opening:
            self._opening = opening
            self._add(opening)
        self._add(fragment)
        self._wake()

    def tell(self, waiting: Waiting) -> None:
        """There are no pictures."""
        if not self._closed and not (self._queue and isinstance(self._queue[-1], Waiting)):
            self._queue.append(waiting)
            self._wake()

    def fail(self, failure: Failure) -> None:
        """The view is over: what waits is still given out, then the failure."""
        self._end = failure
        self._wake()

    def _is_behind(self, fragment: Fragment) -> bool:
        if self._held + size_of(fragment) > QUEUE_LIMIT:
            return True
        oldest = next((piece for piece in self._queue if isinstance(piece, Fragment)), fragment)
        return fragment.time - oldest.time > LONGEST_LAG

    def _skip(self) -> None:
        self.dropped += sum(isinstance(piece, Fragment) for piece in self._queue)
        self._queue.clear()
        self._held = 0
        self._need_key = True
        self._opening = self._read

    def _add(self, piece: Piece) -> None:
        self._queue.append(piece)
        self._held += size_of(piece)

    def _take(self) -> Shown:
        piece = self._queue.popleft()
        if not isinstance(piece, Waiting):
            self._held -= size_of(piece)
        if isinstance(piece, Opening):
            self._read = piece
        return piece

    def _wake(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.called:
            reader.callback(None)


def size_of(piece: Piece) -> int:
    """What it takes to hold a piece, in bytes, nearly."""
    return len(piece.data) + _OVERHEAD
