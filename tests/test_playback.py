"""Videos and the live view: frames as they come from the stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from trailcam.commands import MediaFile, PlaybackInfo
from trailcam.errors import CameraLost, DamagedTransfer, LibraryError
from trailcam.playback import END_MARK_PATIENCE, LIVE_LIMIT, LiveFrames, PlaybackReceiver
from trailcam.wire.artemis import Message, MessageId, StreamScanner
from trailcam.wire.media import Frame

VIDEO = MediaFile(1, 100, 7, 5000)
#: The number of the playback that is wanted.
OURS = 4711


def picture(counter: int, key: bool = False, size: int = 500, **fields: Any) -> Frame:
    """A frame of video."""
    data = b"\0\0\0\1\x65" + bytes([counter % 256]) * (size - 5)
    fields = {"session_number": OURS, **fields}
    return Frame(counter, counter * 66, data, b"", key, 1280, 720, **fields)


def sound(counter: int, **fields: Any) -> Frame:
    """A frame of audio."""
    fields = {"session_number": OURS, **fields}
    return Frame(counter, counter * 66, b"", b"\xff\xf1" + bytes(60), False, 1280, 720, **fields)


def end_mark(counter: int = 99, **fields: Any) -> Frame:
    """What comes last."""
    return replace(picture(counter, **fields), video=b"", stage=4)


MARK = replace(picture(5), video=b"\0\0\0\1\1")


class Sink:
    """In the place of a C{MovieSink}."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.failed: Failure | None = None

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)


class PlaybackTests(TestCase):
    """A video as the camera plays it."""

    def setUp(self) -> None:
        """A playback was asked for; the answer has not come yet."""
        self.clock, self.sink = Clock(), Sink()
        self.receiver = PlaybackReceiver(self.clock, VIDEO, OURS, self.sink)  # type: ignore[arg-type]

    def begin(self, frames: int) -> None:
        """The camera says how many pictures there will be."""
        self.receiver.begin(PlaybackInfo(1280, 720, frames, 5000))

    def handle(self, *frames: Frame) -> None:
        """They come."""
        for frame in frames:
            message = Message(MessageId.PLAYBACK, 1, frame.encode() + b"behind")
            self.receiver.handle(message, StreamScanner())

    def whole(self) -> None:
        """It is whole, and no timer is left."""
        self.successResultOf(self.receiver.done)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def damaged(self, why: str) -> None:
        """It is not, and no timer is left."""
        error = self.failureResultOf(self.receiver.done, DamagedTransfer).value
        self.assertEqual(str(error), f"video 100-0007 arrived damaged: {why}")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_whole(self) -> None:
        """As many pictures as were announced, and the end mark; sound does not count."""
        self.begin(3)
        self.handle(picture(0, True), sound(1), picture(2), sound(3), picture(4))
        self.assertNoResult(self.receiver.done)
        self.handle(end_mark())
        self.whole()
        self.assertEqual([frame.counter for frame in self.sink.frames], [0, 1, 2, 3, 4])

    def test_frames_before_the_answer(self) -> None:
        """A camera that begins to play before it has answered loses nothing."""
        self.handle(picture(0, True), picture(1), end_mark())
        self.assertNoResult(self.receiver.done)
        self.begin(2)
        self.whole()
        self.assertEqual(len(self.sink.frames), 2)

    def test_both_in_one(self) -> None:
        """A frame with video and audio is one picture."""
        self.begin(1)
        self.handle(replace(picture(0, True), audio=b"\xff\xf1" + bytes(9)), end_mark())
        self.whole()

    def test_end_mark_with_a_picture(self) -> None:
        """An end mark that carries the last picture carries it, too."""
        self.begin(2)
        self.handle(picture(0, True), replace(picture(1), stage=4))
        self.whole()
        self.assertEqual(len(self.sink.frames), 2)

    def test_empty_end_mark_is_no_picture(self) -> None:
        """Nor is one written that has nothing in it."""
        self.begin(0)
        self.handle(end_mark())
        self.whole()
        self.assertEqual(self.sink.frames, [])

    def test_left_over(self) -> None:
        """Frames of another playback, whole, damaged or its end, are none of ours."""
        self.begin(1)
        others = {"session_number": OURS - 1}
        self.handle(picture(7, **others), picture(8, intact=False, **others), end_mark(**others))
        self.assertNoResult(self.receiver.done)
        self.handle(picture(0, True), end_mark())
        self.whole()
        self.assertEqual([frame.counter for frame in self.sink.frames], [0])

    def test_mark_frame(self) -> None:
        """A mark is not a picture: neither counted nor written."""
        self.begin(1)
        self.handle(MARK, picture(0, True), MARK, end_mark())
        self.whole()
        self.assertEqual(len(self.sink.frames), 1)

    def test_check_bytes(self) -> None:
        """A frame whose check bytes differ damages the video; whatever comes then is ignored."""
        self.begin(3)
        self.handle(picture(0, True), picture(1, intact=False), picture(2), end_mark())
        self.damaged("the check bytes of frame 1 differ")
        self.assertEqual(len(self.sink.frames), 1)

    def test_missing(self) -> None:
        """The end comes too early."""
        self.begin(3)
        self.handle(picture(0, True), sound(1), end_mark())
        self.damaged("1 of 3 frames came")

    def test_too_many(self) -> None:
        """More pictures than were announced is not what was announced."""
        self.begin(1)
        self.handle(picture(0, True), picture(1))
        self.handle(end_mark())
        self.damaged("2 of 1 frames came")

    def test_no_end_mark(self) -> None:
        """All pictures, but no end mark: a few seconds later it counts as damaged."""
        self.begin(2)
        self.handle(picture(0, True), picture(1))
        self.clock.advance(END_MARK_PATIENCE - 0.1)
        self.assertNoResult(self.receiver.done)
        self.handle(sound(2))
        self.clock.advance(0.2)
        self.damaged("the end mark did not come")

    def test_late_end_mark(self) -> None:
        """One that comes in time stops the waiting."""
        self.begin(1)
        self.handle(picture(0, True))
        self.clock.advance(END_MARK_PATIENCE - 0.1)
        self.handle(end_mark())
        self.whole()

    def test_longer_than_its_message(self) -> None:
        """A frame that claims more than its message has is damage."""
        payload = picture(0, True).encode()[:-10]
        self.begin(1)
        self.receiver.handle(Message(MessageId.PLAYBACK, 1, payload), StreamScanner())
        self.damaged("a frame longer than its message")

    def test_other_messages(self) -> None:
        """Live frames and whatever else do not belong here."""
        self.begin(1)
        for ident in (MessageId.LIVE, MessageId.FILE, 77):
            self.receiver.handle(Message(ident, 1, b"?"), StreamScanner())
        self.assertNoResult(self.receiver.done)

    def test_sink_fails(self) -> None:
        """A full disk ends it at the next frame."""
        self.begin(3)
        self.handle(picture(0, True))
        self.sink.failed = Failure(LibraryError("cannot write: no space"))
        self.handle(picture(1), picture(2))
        self.failureResultOf(self.receiver.done, LibraryError)
        self.assertEqual(len(self.sink.frames), 1)

    def test_cancelled(self) -> None:
        """Who cancels leaves no timer."""
        self.begin(1)
        self.handle(picture(0, True))
        self.receiver.done.cancel()
        self.failureResultOf(self.receiver.done, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.handle(end_mark())

    @settings(deadline=None, max_examples=100)
    @given(st.lists(st.one_of(st.binary(max_size=200), st.integers(0, 3)), max_size=12))
    def test_anything(self, parts: list[bytes | int]) -> None:
        """Whatever comes, nothing is raised, and it ends at most once."""
        self.setUp()
        self.begin(2)
        for part in parts:
            if isinstance(part, bytes):
                self.receiver.handle(Message(MessageId.PLAYBACK, 1, part), StreamScanner())
            else:
                self.handle((picture(0, True), MARK, end_mark(), sound(0))[part])
        self.receiver.done.addErrback(lambda failure: failure.trap(DamagedTransfer, CancelledError))
        self.receiver.done.cancel()


class LiveTests(TestCase):
    """The live view."""

    def setUp(self) -> None:
        """A view that has just begun."""
        self.stops = 0
        self.view = LiveFrames(self.stop)

    def stop(self) -> Deferred[None]:
        """The camera is told."""
        self.stops += 1
        return succeed(None)

    def handle(self, *frames: Frame) -> None:
        """They come."""
        for frame in frames:
            self.view.handle(Message(MessageId.LIVE, 1, frame.encode()), StreamScanner())

    def next(self) -> Deferred[Frame]:
        """Ask for the next one."""
        return Deferred.fromCoroutine(self.view.__anext__())

    def taken(self, count: int) -> list[int]:
        """The counters of the next ones, which are there already."""
        return [self.successResultOf(self.next()).counter for _ in range(count)]

    def test_begins_with_a_key_frame(self) -> None:
        """Nothing before the first key frame, neither picture nor sound."""
        self.handle(picture(0), sound(1), picture(2, True), sound(3), picture(4))
        self.assertEqual(self.taken(3), [2, 3, 4])
        self.assertEqual(self.view.dropped, 2)

    def test_waiting_reader(self) -> None:
        """A reader that waits is told at once."""
        waiting = self.next()
        self.assertNoResult(waiting)
        self.handle(picture(0))
        self.assertNoResult(waiting)
        self.handle(picture(1, True))
        self.assertEqual(self.successResultOf(waiting).counter, 1)

    def test_damaged(self) -> None:
        """After a damaged frame it goes on with the next key frame."""
        self.handle(picture(0, True), picture(1), picture(2, intact=False), picture(3), sound(4))
        self.handle(picture(5, True), picture(6))
        self.assertEqual(self.taken(4), [0, 1, 5, 6])
        self.assertEqual(self.view.dropped, 3)

    def test_damaged_key_frame(self) -> None:
        """A damaged key frame is no beginning."""
        self.handle(picture(0, True, intact=False), picture(1), picture(2, True))
        self.assertEqual(self.taken(1), [2])

    def test_unreadable(self) -> None:
        """A message that is no frame counts as a damaged one."""
        self.handle(picture(0, True))
        self.view.handle(Message(MessageId.LIVE, 1, b"short"), StreamScanner())
        self.handle(picture(1), picture(2, True))
        self.assertEqual(self.taken(2), [0, 2])

    def test_mark_and_other_messages(self) -> None:
        """Marks and messages of other kinds are passed over, without a break."""
        self.handle(picture(0, True), MARK)
        self.view.handle(Message(MessageId.PLAYBACK, 1, b"?"), StreamScanner())
        self.handle(picture(1))
        self.assertEqual(self.taken(2), [0, 1])
        self.assertEqual(self.view.dropped, 0)

    def test_slow_reader(self) -> None:
        """Who reads too slowly misses frames, not memory; then a key frame comes first."""
        big = 1 << 20
        self.handle(picture(0, True, big))
        for counter in range(1, 30):
            self.handle(picture(counter, size=big))
        self.assertLessEqual(self.view._held, LIVE_LIMIT + big + 108)
        kept = len(self.view._frames)
        self.assertEqual(kept, 8)
        self.assertEqual(self.taken(kept), list(range(kept)))
        self.handle(picture(40), picture(41, True), picture(42))
        self.assertEqual(self.taken(2), [41, 42])
        self.assertEqual(self.view.dropped, 30 - kept + 1)

    def test_empty_frames(self) -> None:
        """Frames with nothing in them do not pile up without end, either."""
        self.handle(picture(0, True))
        nothing = replace(picture(1), video=b"")
        with mock.patch("trailcam.playback.LIVE_LIMIT", 100_000):
            for _ in range(2000):
                self.handle(nothing)
        self.assertLess(len(self.view._frames), 1000)

    def test_held_comes_down(self) -> None:
        """What was read makes room again."""
        for counter in range(100):
            self.handle(picture(counter, True, 1 << 20))
            self.taken(1)
        self.assertEqual((self.view._held, self.view.dropped), (0, 0))

    def test_close(self) -> None:
        """Closing tells the camera, once, and ends the iteration."""
        self.handle(picture(0, True))
        self.successResultOf(self.view.close())
        self.successResultOf(self.view.close())
        self.assertEqual(self.stops, 1)
        self.failureResultOf(self.next(), StopAsyncIteration)
        self.handle(picture(1, True))
        self.failureResultOf(self.next(), StopAsyncIteration)

    def test_close_while_reading(self) -> None:
        """A reader that waits is told."""
        waiting = self.next()
        self.view.close()
        self.failureResultOf(waiting, StopAsyncIteration)

    def test_lost(self) -> None:
        """What had come is given out, then the failure, as often as asked."""
        self.handle(picture(0, True), picture(1))
        self.view.lost(Failure(CameraLost("gone")))
        self.assertEqual(self.taken(2), [0, 1])
        for _ in range(2):
            self.failureResultOf(self.next(), CameraLost)

    def test_lost_while_reading(self) -> None:
        """A reader that waits is told."""
        waiting = self.next()
        self.view.lost(Failure(CameraLost("gone")))
        self.failureResultOf(waiting, CameraLost)

    def test_cancelled_reader(self) -> None:
        """A reader that gave up does not take a frame with it."""
        waiting = self.next()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.handle(picture(0, True), picture(1))
        self.assertEqual(self.taken(2), [0, 1])
