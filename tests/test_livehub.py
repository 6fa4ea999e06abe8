"""Tests of L{trailcam.livehub}: many viewers, one live view, and memory that does not grow."""

from __future__ import annotations

import io
from typing import Any
from unittest import mock

from PIL import Image
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.support import Stage
from tests.test_fragments import LARGE, live_frame, openings_of, pictures, shown
from trailcam.errors import CameraBusy, CameraLost, DamagedTransfer, NoCameraAnswered
from trailcam.fragments import Fragment, Opening, Piece
from trailcam.livehub import LiveHub
from trailcam.liveview import TRIES
from trailcam.playback import LiveFrames
from trailcam.simulator.streams import LiveFeed
from trailcam.testing import InlineWorker
from trailcam.viewer import LONGEST_LAG, QUEUE_LIMIT, Shown, Viewer, Waiting
from trailcam.wire.artemis import Message, MessageId, StreamScanner
from trailcam.wire.media import Frame


class ScriptedCamera:
    """
    A camera whose live view does what a test says.

    @ivar starts: how often the view was asked for.
    @ivar stops: how often it was stopped.
    @ivar slow: whether start and stop wait for L{answer}.
    @ivar trouble: what asking for the view fails with.
    """

    def __init__(self) -> None:
        self.starts = self.stops = 0
        self.slow = False
        self.trouble: Exception | None = None
        self.view: LiveFrames | None = None
        self.waiting: list[tuple[Deferred[Any], Any]] = []

    def live(self) -> Deferred[LiveFrames]:
        self.starts += 1
        if self.trouble is not None:
            return fail(self.trouble)
        self.view = LiveFrames(self._stop)
        return self._later(self.view)

    def _stop(self) -> Deferred[None]:
        self.stops += 1
        return self._later(None)

    def _later(self, result: Any) -> Deferred[Any]:
        if not self.slow:
            return succeed(result)
        answer: Deferred[Any] = Deferred()
        self.waiting.append((answer, result))
        return answer

    def answer(self) -> None:
        """What was asked for has happened."""
        waiting, self.waiting = self.waiting, []
        for deferred, result in waiting:
            if not deferred.called:
                deferred.callback(result)

    def send(self, *frames: Frame) -> None:
        """Frames come."""
        assert self.view is not None
        for frame in frames:
            key = b"\x67" in frame.video[:8]
            frame = Frame(frame.counter, frame.pts, frame.video, b"", key, 96, 64)
            self.view.handle(Message(MessageId.LIVE, 1, frame.encode()), StreamScanner())

    def play(self, begin: int, end: int) -> None:
        """The pictures with these numbers come; each eighth is a key frame."""
        self.send(*(live_frame(number, pictures()[number % 24]) for number in range(begin, end)))

    def lose(self) -> None:
        """The session is lost."""
        view, self.view = self.view, None
        assert view is not None
        view.lost(Failure(CameraLost("the camera was lost")))


class HubTestCase(TestCase):
    """A hub on a scripted camera."""

    def setUp(self) -> None:
        self.clock, self.camera = Clock(), ScriptedCamera()
        self.hub = LiveHub(self.clock, self.camera, worker=InlineWorker())

    def tearDown(self) -> None:
        """Whatever happened: when nobody watches, the view is stopped, and no timer is left."""
        self.camera.slow = False
        self.camera.answer()
        self.successResultOf(self.hub.close())
        self.assertEqual((self.clock.getDelayedCalls(), self.hub.viewers), ([], 0))

    def next(self, viewer: Viewer) -> Deferred[Shown]:
        """Ask for what comes next."""
        return Deferred.fromCoroutine(viewer.__anext__())

    def all_of(self, viewer: Viewer) -> list[Any]:
        """What waits for a viewer."""
        found = []
        while True:
            asked = self.next(viewer)
            if not asked.called:
                asked.cancel()
                self.failureResultOf(asked, CancelledError)
                return found
            found.append(self.successResultOf(asked))

    def times(self, pieces: list[Piece]) -> list[int]:
        """The pictures' numbers, as far as their times tell."""
        return [round(piece.time * 25) for piece in pieces if isinstance(piece, Fragment)]


class WatchTests(HubTestCase):
    """Coming, watching and going."""

    def test_one(self) -> None:
        """The view starts with the viewer, who gets an opening, then pictures; then it stops."""
        self.assertEqual(self.camera.starts, 0)
        viewer = self.hub.watch()
        self.camera.play(0, 5)
        opening, *pictured = self.all_of(viewer)
        self.assertIsInstance(opening, Opening)
        self.assertEqual(self.times(pictured), [0, 1, 2, 3])
        self.assertTrue(pictured[0].key)
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 0))
        viewer.close()
        viewer.close()
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 1))
        self.failureResultOf(self.next(viewer), StopAsyncIteration)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_waiting_reader(self) -> None:
        """A reader that waits is told at once, and when it is closed; one that gave up is not."""
        viewer = self.hub.watch()
        asked = self.next(viewer)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        asked = self.next(viewer)
        self.camera.play(0, 1)
        self.assertIsInstance(self.successResultOf(asked), Opening)
        self.all_of(viewer)
        asked = self.next(viewer)
        viewer.close()
        self.failureResultOf(asked, StopAsyncIteration)

    def test_many(self) -> None:
        """All see the very same, from one view, which stops with the last of them."""
        viewers = [self.hub.watch() for _ in range(20)]
        self.camera.play(0, 10)
        first, *others = (self.all_of(viewer) for viewer in viewers)
        self.assertEqual(self.times(first), list(range(9)))
        for other in others:
            self.assertTrue(all(a is b for a, b in zip(first, other, strict=True)))
        for viewer in viewers:
            self.assertEqual(self.camera.stops, 0)
            viewer.close()
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 1))

    def test_late(self) -> None:
        """Who comes later gets the opening and the last key frame's group, without waiting."""
        first = self.hub.watch()
        self.camera.play(0, 13)
        second = self.hub.watch()
        self.camera.play(13, 15)
        opening, *pictured = found = self.all_of(second)
        self.assertIs(opening, self.all_of(first)[0])
        self.assertEqual(self.times(pictured), list(range(8, 14)))
        self.assertEqual([time for time, _ in shown(found)], [n / 25 for n in range(8, 14)])

    def test_long_group(self) -> None:
        """A group that is too long to be caught up with is not kept: the next is waited for."""
        first = self.hub.watch()
        self.camera.play(0, 1)
        for number in range(1, 100):
            self.camera.send(live_frame(number, pictures()[1]))
            self.all_of(first)
        second = self.hub.watch()
        self.assertEqual((self.all_of(second), len(self.hub._group)), ([], 0))
        self.camera.play(104, 107)
        self.assertEqual(self.times(self.all_of(second)), [104, 105])

    def test_leaving_while_told(self) -> None:
        """Who leaves in the middle of a picture, even as the last one, disturbs nothing."""

        async def one_picture(viewer: Viewer) -> None:
            async for piece in viewer:
                if isinstance(piece, Fragment):
                    viewer.close()

        watching = [Deferred.fromCoroutine(one_picture(self.hub.watch())) for _ in range(3)]
        self.camera.play(0, 4)
        for each in watching:
            self.assertIsNone(self.successResultOf(each))
        self.assertEqual((self.camera.starts, self.camera.stops, self.hub.viewers), (1, 1, 0))

    def test_leaving_while_it_starts(self) -> None:
        """Who leaves before the camera has answered stops the start."""
        self.camera.slow = True
        viewer = self.hub.watch()
        viewer.close()
        ((asked, _),) = self.camera.waiting
        self.assertTrue(asked.called, "cancelled")

    def test_coming_while_it_stops(self) -> None:
        """Who comes while the view is stopping starts it anew, after it has stopped."""
        viewer = self.hub.watch()
        self.camera.play(0, 3)
        before, *_ = self.all_of(viewer)
        self.camera.slow = True
        viewer.close()
        viewer = self.hub.watch()
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 1))
        self.camera.answer()
        self.assertEqual(self.camera.starts, 2)
        self.camera.answer()
        self.camera.play(0, 3)
        opening, *pictured = self.all_of(viewer)
        self.assertIsNot(opening, before)
        self.assertEqual(self.times(pictured), [0, 1])

    def test_close(self) -> None:
        """Closing the hub ends it for all, and tells when the camera has stopped."""
        viewers = [self.hub.watch() for _ in range(3)]
        self.camera.play(0, 3)
        self.camera.slow = True
        closed = self.hub.close()
        self.assertNoResult(closed)
        for viewer in viewers:
            self.failureResultOf(self.next(viewer), StopAsyncIteration)
        self.camera.answer()
        self.successResultOf(closed)
        self.camera.slow = False
        viewer = self.hub.watch()
        self.camera.play(0, 3)
        self.assertEqual(self.times(self.all_of(viewer)), [0, 1])


class SlowViewerTests(HubTestCase):
    """Who reads too slowly misses pictures; memory does not grow."""

    def test_behind(self) -> None:
        """Too far behind, a viewer goes on with a key frame; others miss nothing."""
        slow, quick = self.hub.watch(), self.hub.watch()
        seen = []
        for number in range(0, 1000, 4):
            self.camera.play(number, number + 4)
            seen += self.all_of(quick)
            self.assertLess(len(slow._queue), LONGEST_LAG * 25 + 3)
        self.assertEqual(self.times(seen), list(range(999)))
        late = self.all_of(slow)
        numbers = self.times(late)
        self.assertEqual(numbers, list(range(numbers[0], 999)))
        self.assertEqual((numbers[0] % 8, slow.dropped), (0, numbers[0]))
        self.assertEqual(len(openings_of(late)), 1)
        self.assertEqual(len(shown(late)), len(numbers))
        self.assertEqual(quick.dropped, 0)

    def test_too_much(self) -> None:
        """However large the pictures are, only so many bytes wait."""
        viewer = self.hub.watch()
        padding = b"\0\0\1\x06" + b"\x55" * (QUEUE_LIMIT // 8)
        for number in range(100):
            self.camera.send(live_frame(number, pictures()[number % 24] + padding))
            self.assertLessEqual(viewer._held, QUEUE_LIMIT)
            self.assertLessEqual(sum(len(f.data) for f in self.hub._group), QUEUE_LIMIT)
        numbers = self.times(self.all_of(viewer))
        self.assertTrue(numbers and numbers[0] % 8 == 0)
        self.assertEqual(viewer._held, 0)

    def test_other_size(self) -> None:
        """The opening that is read fits the pictures after it, even when one was missed."""
        viewer = self.hub.watch()
        self.camera.play(0, 3)
        first, *_ = self.all_of(viewer)
        self.camera.send(*(live_frame(3 + n, pictures(5, size=LARGE)[n]) for n in range(5)))
        self.camera.play(8, 140)
        again, *pictured = self.all_of(viewer)
        self.assertIsInstance(again, Opening)
        self.assertIsNot(again, first)
        self.assertEqual((again.width, again.height), (first.width, first.height))
        self.assertEqual(len(openings_of(pictured)), 0)
        self.assertEqual(len(shown([again, *pictured])), len(pictured))


class LossTests(HubTestCase):
    """When the camera is lost, silent, or of no use."""

    def test_comes_back(self) -> None:
        """The view goes on in the next session: no other opening, and times still rise."""
        viewer = self.hub.watch()
        self.camera.play(0, 5)
        self.camera.lose()
        self.assertEqual(self.camera.starts, 2)
        self.camera.play(0, 5)
        found = self.all_of(viewer)
        self.assertEqual(self.times(found), list(range(9)))
        self.assertEqual(len(openings_of(found)), 1)
        self.assertEqual(len(shown(found)), 9)

    def test_lost_again_and_again(self) -> None:
        """Lost five times without a frame it is given up: viewers are told, after all they had."""
        viewers = [self.hub.watch() for _ in range(2)]
        self.camera.play(0, 3)
        for _ in range(TRIES):
            self.camera.lose()
        for viewer in viewers:
            self.assertEqual(len(self.all_but_failure(viewer, CameraLost)), 3)
        self.assertEqual((self.camera.starts, self.hub.viewers), (TRIES, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        viewer = self.hub.watch()
        self.assertEqual(self.camera.starts, TRIES + 1)
        self.camera.play(0, 3)
        self.assertEqual(self.times(self.all_of(viewer)), [0, 1])

    def all_but_failure(self, viewer: Viewer, kind: type[Exception]) -> list[Any]:
        """What waits for a viewer, and then the failure, as often as it asks."""
        found = []
        while not isinstance((asked := self.next(viewer)).result, Failure):
            found.append(self.successResultOf(asked))
        self.failureResultOf(asked, kind)
        self.failureResultOf(self.next(viewer), kind)
        return found

    def test_nobody_there(self) -> None:
        """A camera that cannot be reached: whoever watches is told, and the next one too."""
        self.camera.trouble = NoCameraAnswered("no camera answered")
        for count in (1, 2):
            viewer = self.hub.watch()
            self.failureResultOf(self.next(viewer), NoCameraAnswered)
            viewer.close()
            self.assertEqual((self.camera.starts, self.hub.viewers), (count, 0))

    def test_fault_of_ours(self) -> None:
        """What should not happen ends the view, is told, and stands in the log."""
        viewer = self.hub.watch()
        with mock.patch("trailcam.livehub.Fragmenter.feed", side_effect=ZeroDivisionError):
            self.camera.play(0, 1)
        self.failureResultOf(self.next(viewer), ZeroDivisionError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.camera.stops, 1)

    def test_taken_over(self) -> None:
        """When another part of the program starts the live view for itself, viewers are told."""
        viewer = self.hub.watch()
        self.camera.play(0, 1)
        self.all_of(viewer)
        assert self.camera.view is not None
        self.camera.view.close()
        self.failureResultOf(self.next(viewer), CameraBusy)

    def test_silence(self) -> None:
        """Without a picture for a while viewers are told, once; then it goes on."""
        viewer = self.hub.watch()
        self.clock.advance(4.9)
        self.assertEqual(self.all_of(viewer), [])
        self.clock.advance(0.2)
        (waiting,) = self.all_of(viewer)
        self.assertIsInstance(waiting, Waiting)
        self.assertIn("no picture for 5 s", waiting.why)
        self.clock.advance(60)
        self.assertEqual(self.all_of(viewer), [])
        self.camera.play(0, 3)
        for _ in range(5):
            self.clock.advance(4)
            self.camera.play(3, 5)
        self.assertNotIn(waiting, self.all_of(viewer))
        self.clock.advance(5.1)
        self.assertEqual(self.all_of(viewer), [waiting])

    def test_nothing_old(self) -> None:
        """After a silence, who comes is not shown what was before it."""
        first = self.hub.watch()
        self.camera.play(0, 5)
        self.clock.advance(6)
        second = self.hub.watch()
        self.assertEqual(self.all_of(second), [])
        self.camera.play(5, 10)
        self.assertEqual(self.times(self.all_of(second)), [8])
        self.assertEqual(self.times(self.all_of(first)), list(range(9)))


class StillTests(HubTestCase):
    """One picture of now."""

    def assert_picture(self, data: bytes, number: int) -> None:
        """It is a JPEG of that picture."""
        with Image.open(io.BytesIO(data)) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (96, 64)))
            grey = image.convert("L").getpixel((40, 30))
        self.assertApproximates(grey, 1.16 * (220 - number * 8 - 16), 5)

    def test_nobody_watches(self) -> None:
        """The view is started for a moment."""
        asked = self.hub.still()
        self.assertNoResult(asked)
        self.camera.play(8, 9)
        self.assert_picture(self.successResultOf(asked), 8)
        self.assertEqual((self.camera.starts, self.camera.stops, self.hub.viewers), (1, 1, 0))

    def test_somebody_watches(self) -> None:
        """The newest key frame is taken, at once; the view goes on."""
        viewer = self.hub.watch()
        self.camera.play(0, 13)
        self.assert_picture(self.successResultOf(self.hub.still()), 8)
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 0))
        self.assertEqual(len(self.all_of(viewer)), 13)

    def test_cancelled(self) -> None:
        """Who does not want it any more stops the view."""
        asked = self.hub.still()
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual((self.camera.stops, self.hub.viewers), (1, 0))

    def test_ends(self) -> None:
        """Whatever ends the view ends the waiting."""
        asked = self.hub.still()
        self.hub.close()
        self.failureResultOf(asked, CameraLost)
        self.camera.trouble = NoCameraAnswered("no camera answered")
        self.failureResultOf(self.hub.still(), NoCameraAnswered)

    def test_damaged(self) -> None:
        """A key frame that shows nothing is no picture."""
        asked = self.hub.still()
        sps, pps = pictures()[0].split(b"\0\0\1")[1:3]
        video = b"\0\0\1" + sps + b"\0\0\1" + pps + b"\0\0\1\x65\xff"
        self.camera.send(live_frame(0, video))
        self.failureResultOf(asked, DamagedTransfer)


class SimulatorTests(TestCase):
    """With a whole camera: the simulated one, on a network in memory."""

    def setUp(self) -> None:
        """Count how often the camera's stream is started and stopped."""
        self.stage = Stage(0)
        self.camera = self.stage.guest()
        self.hub = LiveHub(self.stage.network, self.camera, worker=InlineWorker())
        self.streams: list[LiveFeed] = []
        self.stops = 0
        begin, stop = LiveFeed.__init__, LiveFeed.stop

        def beginning(feed: LiveFeed, *args: Any) -> None:
            self.streams.append(feed)
            begin(feed, *args)

        def stopping(feed: LiveFeed) -> None:
            self.stops += 1
            stop(feed)

        self.patch(LiveFeed, "__init__", beginning)
        self.patch(LiveFeed, "stop", stopping)

    def over(self) -> None:
        """Nothing is left."""
        self.stage.run(self.hub.close())
        self.stage.over(self.camera)

    def read(self, viewer: Viewer, count: int) -> list[Any]:
        """So many pictures, and whatever else comes between."""

        async def some() -> list[Any]:
            found: list[Any] = []
            while sum(isinstance(piece, Fragment) for piece in found) < count:
                found.append(await viewer.__anext__())
            return found

        found: list[Any] = self.stage.run(Deferred.fromCoroutine(some()))
        return found

    def test_watching(self) -> None:
        """Viewers come and go; the camera streams once for all, and only meanwhile."""
        for times in (1, 2):
            viewers = [self.hub.watch() for _ in range(3)]
            found = self.read(viewers[0], 30)
            self.assertIsInstance(found[0], Opening)
            self.assertEqual((found[0].width, found[0].height), (1280, 720))
            self.assertEqual(self.read(viewers[2], 30)[0], found[0])
            self.assertEqual((len(self.streams), self.stops), (times, times - 1))
            for viewer in viewers:
                viewer.close()
            self.stage.wait(0.1)
            self.assertEqual((len(self.streams), self.stops), (times, times))
        self.assertEqual(len(shown(found)), 30)
        self.over()

    def test_still(self) -> None:
        """One picture of now; the camera streams for a moment only."""
        data = self.stage.run(self.hub.still())
        self.stage.wait(0.1)
        with Image.open(io.BytesIO(data)) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (1280, 720)))
        self.assertEqual((len(self.streams), self.stops), (1, 1))
        self.over()

    def test_power_cycle(self) -> None:
        """The camera goes and comes back: viewers are told of the gap, and see on."""
        viewer = self.hub.watch()
        self.read(viewer, 20)
        self.stage.power_cycle(20)
        found = self.read(viewer, 40)
        self.assertEqual(len([piece for piece in found if isinstance(piece, Waiting)]), 1)
        self.assertEqual(self.camera.sessions, 2)
        times = [piece.time for piece in found if isinstance(piece, Fragment)]
        self.assertEqual(times, sorted(times))
        self.over()

    def test_gone_for_good(self) -> None:
        """The camera does not come back: viewers are told why, and nothing goes on."""
        viewer = self.hub.watch()
        self.read(viewer, 5)
        self.stage.run(self.stage.fake.switch_off())
        self.assertRaises(NoCameraAnswered, self.read, viewer, 1000)
        self.assertEqual(self.hub.viewers, 0)
        self.over()
