"""Videos and the live view: frames that arrive on channels 2 and 1 (PROTOCOL, section 3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from trailcam.commands import MediaFile, PlaybackInfo
from trailcam.errors import DamagedTransfer, DecodeError
from trailcam.sinks import MovieSink
from trailcam.wire.artemis import Message, MessageId, Part, StreamScanner
from trailcam.wire.media import FRAME_HEADER_SIZE, Frame

__all__ = ["LiveFrames", "PlaybackReceiver"]

#: After the last frame the end mark has so many seconds to come.
END_MARK_PATIENCE = 3.0
#: A live view that nobody reads holds at most so many bytes.
LIVE_LIMIT = 8 << 20


class PlaybackReceiver:
    """
    Takes the frames of one video as the camera plays it.

    It is whole when as many intact video frames as the camera announced and
    the end mark have come.
    """

    def __init__(
        self, clock: IReactorTime, file: MediaFile, session_number: int, sink: MovieSink
    ) -> None:
        self._clock = clock
        self._file = file
        self._session_number = session_number
        self._sink = sink
        self._info: PlaybackInfo | None = None
        self._frames = 0
        self._ended = False
        self._timer: IDelayedCall | None = None
        self.done: Deferred[None] = Deferred(lambda _: None)
        self.done.addBoth(self._stop_timer)

    def begin(self, info: PlaybackInfo) -> None:
        """The camera has said what will come (frames may have come before)."""
        self._info = info
        self._check()

    def handle(self, part: Part, scanner: StreamScanner) -> None:
        """Take one part of channel 2's stream."""
        if self.done.called or not isinstance(part, Message) or part.id != MessageId.PLAYBACK:
            return
        try:
            frame = Frame.decode(part.payload)
        except DecodeError as error:
            self._damaged(str(error))
            return
        if frame.session_number != self._session_number:
            return  # left over from an earlier playback
        self._take(frame)

    def _take(self, frame: Frame) -> None:
        if not frame.intact:
            self._damaged(f"the check bytes of frame {frame.counter} differ")
            return
        if self._sink.failed is not None:
            self.done.errback(self._sink.failed)
            return
        if (frame.video or frame.audio) and not frame.is_mark:
            self._frames += bool(frame.video)
            self._sink.write(frame)
        self._ended = self._ended or frame.is_end
        self._check()

    def _check(self) -> None:
        if self._info is None or self.done.called:
            return
        missing = self._info.total_frames - self._frames
        if self._ended:
            if missing:
                self._damaged(f"{self._frames} of {self._info.total_frames} frames came")
            else:
                self.done.callback(None)
        elif missing <= 0 and self._timer is None:
            self._timer = self._clock.callLater(
                END_MARK_PATIENCE, self._damaged, "the end mark did not come"
            )

    def _damaged(self, why: str) -> None:
        if not self.done.called:
            self.done.errback(DamagedTransfer(f"{self._file.label} arrived damaged: {why}"))

    def _stop_timer(self, result: Failure | None) -> Failure | None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        return result


class LiveFrames:
    """
    The live view, as an asynchronous iteration over L{Frame}s.

    It begins with a key frame. After a damaged frame, and when the reader is
    too slow, it goes on with the next key frame.

    @ivar dropped: how many frames were left out.
    """

    def __init__(self, stop: Callable[[], Deferred[None]]) -> None:
        """@param stop: tells the camera to stop."""
        self._stop = stop
        self._frames: deque[Frame] = deque()
        self._held = 0
        self._need_key = True
        self._reader: Deferred[Frame | None] | None = None
        self._end: Failure | None = None
        self._closed = False
        self.dropped = 0

    def __aiter__(self) -> LiveFrames:
        return self

    async def __anext__(self) -> Frame:
        """
        The next frame.

        @raise StopAsyncIteration: when the view was closed.
        @raise CameraLost: when the session was lost.
        """
        if not self._frames and not self._closed:
            if self._end is not None:
                self._end.raiseException()
            self._reader = Deferred()
            frame = await self._reader
            if frame is not None:
                return frame
        if self._closed or not self._frames:
            raise StopAsyncIteration
        frame = self._frames.popleft()
        self._held -= _size(frame)
        return frame

    def close(self) -> Deferred[None]:
        """Stop the view, here and on the camera; an iteration ends."""
        if self._closed:
            return succeed(None)
        self._closed = True
        self._frames.clear()
        self._tell(None)
        return self._stop()

    def handle(self, part: Part, scanner: StreamScanner) -> None:
        """Take one part of channel 1's stream."""
        if not isinstance(part, Message) or part.id != MessageId.LIVE or self._closed:
            return
        try:
            frame = Frame.decode(part.payload)
        except DecodeError:
            self._skip()
            return
        if frame.is_mark:
            return
        if not frame.intact or self._held >= LIVE_LIMIT:
            self._skip()
            return
        if frame.video and frame.key_frame:
            self._need_key = False
        if self._need_key:
            self.dropped += 1
        elif not self._tell(frame):
            self._frames.append(frame)
            self._held += _size(frame)

    def lost(self, failure: Failure) -> None:
        """The session is over: what was held is still given out, then the failure."""
        self._end = failure
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.errback(failure)

    def _skip(self) -> None:
        self.dropped += 1
        self._need_key = True

    def _tell(self, frame: Frame | None) -> bool:
        reader, self._reader = self._reader, None
        if reader is None or reader.called:
            return False
        reader.callback(frame)
        return True


def _size(frame: Frame) -> int:
    """What it takes to hold a frame, in bytes, nearly: one without any data is not free."""
    return FRAME_HEADER_SIZE + len(frame.video) + len(frame.audio)
