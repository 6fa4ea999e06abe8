"""
What the simulated camera sends on its media channels, as an endless supply
of bytes that is drawn on as fast as the client takes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from trailcam.commands import MediaFile
from trailcam.logs import make_logger
from trailcam.simulator.card import Card
from trailcam.simulator.faults import Faults
from trailcam.simulator.recording import LiveSource, Recording, Sample
from trailcam.wire.artemis import Message, MessageId
from trailcam.wire.media import FileHeader, Frame, ThumbnailHeader
from trailcam.wire.pppp import MAX_DRW_DATA
from trailcam.worker import Worker

__all__ = ["Feeder", "LiveFeed", "file_message", "frame_message", "play", "thumbnail_message"]

#: So many bytes are kept ready in the session.
AHEAD = 64 * MAX_DRW_DATA
#: When so many bytes of the live view wait, frames are left out.
LIVE_AHEAD = 1 << 20

Source = Iterator[bytes]


class Feeder:
    """
    Feeds one channel: draws the next message in a worker while the last one is on its way.

    The stream is cut every 1024 bytes whatever the messages are, so that some
    begin in the middle of a DRW, as they do on real cameras (W).
    """

    log = make_logger(__name__)

    def __init__(
        self, worker: Worker, pending: Callable[[], int], send: Callable[[bytes], None]
    ) -> None:
        """
        @param pending: how many bytes wait in the session.
        @param send: gives the session more.
        """
        self._worker = worker
        self._pending = pending
        self._send = send
        self._sources: deque[Source] = deque()
        self._ready = bytearray()
        # How much of each message is left in it; the first may have been begun.
        self._lengths: deque[int] = deque()
        self._begun = False
        self._drawing = self._feeding = self._over = False

    def add(self, source: Source) -> None:
        """Send these messages, after what is being sent."""
        self._sources.append(source)
        self.feed()

    def stop(self) -> None:
        """Send no more than the message that was begun; L{add} begins again."""
        self._sources.clear()
        while len(self._lengths) > self._begun:
            del self._ready[len(self._ready) - self._lengths.pop() :]
        self.feed()

    def end(self) -> None:
        """The session is over."""
        self._over = True
        self._sources.clear()
        self._ready.clear()

    def feed(self) -> None:
        """Give the session what it can take; call it whenever it may take more."""
        if self._feeding:  # a worker that does not wait has come back already
            return
        self._feeding = True
        while not self._over:
            self._give()
            if self._drawing or not self._sources or len(self._ready) >= AHEAD:
                break
            self._drawing = True
            source = self._sources[0]
            self._worker.call(next, source, None).addCallback(self._drawn, source).addErrback(
                self._failed
            )
        self._feeding = False

    def _give(self) -> None:
        while self._ready and self._pending() < AHEAD:
            size = min(len(self._ready) // MAX_DRW_DATA * MAX_DRW_DATA, AHEAD)
            if not size:
                if self._sources:
                    return  # the rest waits for the next message to fill the DRW
                size = len(self._ready)
            piece = bytes(self._ready[:size])
            del self._ready[:size]
            self._count(size)
            self._send(piece)

    def _count(self, size: int) -> None:
        while size:
            part = min(size, self._lengths[0])
            self._lengths[0] -= part
            size -= part
            self._begun = self._lengths[0] > 0
            if not self._begun:
                self._lengths.popleft()

    def _drawn(self, message: bytes | None, source: Source) -> None:
        self._drawing = False
        if self._sources and self._sources[0] is source:
            if message is None:
                self._sources.popleft()
            else:
                self._ready += message
                self._lengths.append(len(message))
        self.feed()

    def _failed(self, failure: Failure) -> None:
        self._drawing = False
        self.stop()
        self.log.failure("the simulated camera cannot draw", failure)


class LiveFeed:
    """Sends live frames when they are due, from now on until it is stopped."""

    log = make_logger(__name__)

    def __init__(
        self,
        clock: IReactorTime,
        worker: Worker,
        pending: Callable[[], int],
        send: Callable[[bytes], None],
    ) -> None:
        """
        @param worker: draws the first picture; what follows comes quickly.
        @param pending: how many bytes wait in the session.
        @param send: gives the session more.
        """
        self._clock = clock
        self._pending = pending
        self._send = send
        self._counter = 0
        self._over = False
        self._loop = LoopingCall(self._send_due)
        self._loop.clock = clock
        worker.call(LiveSource).addCallback(self._begin).addErrback(self._failed)

    def stop(self) -> None:
        """Send no more, even if it has not begun yet."""
        self._over = True
        if self._loop.running:
            self._loop.stop()

    def _begin(self, source: LiveSource) -> None:
        if not self._over:
            self._source, self._began = source, self._clock.seconds()
            self._next = next(source)
            self._loop.start(0.02)

    def _send_due(self) -> None:
        source = self._source
        while self._next.pts_ms <= (self._clock.seconds() - self._began) * 1e6:
            self._counter += 1
            # A viewer that cannot keep up misses frames; nothing piles up.
            if self._pending() < LIVE_AHEAD:
                self._send(
                    frame_message(
                        self._counter, self._next, self._counter, source.width, source.height
                    )
                )
            self._next = next(source)

    def _failed(self, failure: Failure) -> None:
        self.log.failure("the simulated camera cannot draw", failure)


def file_message(card: Card, faults: Faults, sequence: int, file: MediaFile) -> bytes:
    """A photo on channel 3. Its length exceeds header and data by a little, as real ones do."""
    data = card.photo(file)
    claimed = len(data)
    tail = data[-8:]
    if faults.strikes("wrong_lengths"):
        claimed += 1000
    if faults.strikes("damaged_tails"):
        data = data[:-4] + bytes(byte ^ 0x55 for byte in data[-4:])
    header = FileHeader(
        _unit(faults), file.directory, file.number, claimed, tail, file.media_id or 0
    )
    return Message(MessageId.FILE, sequence, header.encode() + data + bytes(3)).encode()


def thumbnail_message(card: Card, faults: Faults, sequence: int, file: MediaFile) -> bytes:
    """A thumbnail on channel 4."""
    data = card.thumbnail(file)
    header = ThumbnailHeader(
        _unit(faults), file.directory, file.number, len(data), file.file_type
    )
    return Message(MessageId.THUMBNAIL, sequence, header.encode() + data).encode()


def play(recording: Recording, session_number: int, damage: int | None) -> Source:
    """
    A video on channel 2, frame by frame, and the end mark.

    @param damage: the frame that gets wrong check bytes; C{None} for none.
    """
    for number, sample in enumerate(recording.samples):
        frame = _frame(recording, sample, number, session_number, number != damage)
        yield Message(MessageId.PLAYBACK, number + 1, frame.encode()).encode()
    count = len(recording.samples)
    end = Frame(count, recording.duration_ms, b"", b"", False, recording.width, recording.height,
                stage=4, session_number=session_number)  # fmt: skip
    yield Message(MessageId.PLAYBACK, count + 1, end.encode()).encode()


def frame_message(sequence: int, sample: Sample, counter: int, width: int, height: int) -> bytes:
    """A live frame on channel 1; C{sample.pts_ms} is in microseconds here."""
    video, audio = (sample.data, b"") if sample.is_video else (b"", sample.data)
    frame = Frame(counter, sample.pts_ms, video, audio, sample.key_frame, width, height)
    return Message(MessageId.LIVE, sequence, frame.encode()).encode()


def _frame(
    recording: Recording, sample: Sample, number: int, session_number: int, intact: bool
) -> Frame:
    return Frame(
        number,
        sample.pts_ms,
        sample.data if sample.is_video else b"",
        b"" if sample.is_video else sample.data,
        sample.key_frame,
        recording.width,
        recording.height,
        stage=2 if number == 0 else 0,
        session_number=session_number,
        intact=intact,
    )


def _unit(faults: Faults) -> str:
    return faults.unit[:31]
