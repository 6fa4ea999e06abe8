"""The live view in a browser: it moves, it is shared, it says what it waits for, and it ends."""

from __future__ import annotations

import io
import json
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser import BrowserCase, Page, Station
from tests.processes import Simulator, eventually
from tests.test_fragments import LARGE, live_frame, pictures
from trailcam.fragments import Fragmenter, Opening

PASSWORD = "owls at night"
#: By this name a station is no secure context: much of what browsers can do is not there.
PLAIN = "camera.lan"
#: Notes when the first piece was appended, and when there was a picture.
TIMES = """
const append = SourceBuffer.prototype.appendBuffer;
SourceBuffer.prototype.appendBuffer = function (data) {
  window.pieceCame ??= performance.now();
  return append.call(this, data);
};
document.addEventListener("loadeddata", () => window.pictureCame ??= performance.now(), true);
"""
#: What the video shows now, as a few numbers.
LOOKS = """() => {
  const canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 36;
  const context = canvas.getContext("2d");
  context.drawImage(document.querySelector("video"), 0, 0, 64, 36);
  return [...context.getImageData(0, 0, 64, 36).data];
}"""


def state(page: Page, which: str) -> None:
    """Wait until the page is at it: starting, playing, waiting, busy or stopped."""
    page.wait_for_selector(f"#live[data-state={which}]")


def stream(units: tuple[bytes, ...], *, missed: range = range(0), **note: str) -> bytes:
    """
    What a station sends: an opening, pictures, and in the end perhaps a note.

    @param missed: the pictures that do not come, as for one who reads too slowly.
    """
    fragmenter = Fragmenter()
    pieces = [p for n, unit in enumerate(units) for p in fragmenter.feed(live_frame(n, unit))]
    pieces = [p for p in pieces
              if isinstance(p, Opening) or round(p.time * 25) not in missed]  # fmt: skip
    body = json.dumps(note).encode()
    box = (len(body) + 8).to_bytes(4, "big") + b"free" + body if note else b""
    return b"".join(piece.data for piece in pieces) + box


class WatchTests(BrowserCase):
    """With a station, and a simulated camera."""

    def watch(self, url: str, **options: Any) -> Page:
        """Open it, logged in."""
        page = self.open(url + "cameras/garden/live", **options)
        if page.locator("input[name=password]").count():
            self.log_in(page, PASSWORD)
        return page

    def shared(self, station: Station, times: int) -> None:
        """There were so many sessions with the camera."""
        self.assertEqual(len(station.simulators["garden"].sources), times)

    def test_watched(self) -> None:
        """
        On a phone, at a plain-http address of the LAN, it moves within a second of the first key
        frame; a second viewer shares the session, and when both have left the camera is let go.
        """
        self.expect_complaint("status of 401")
        station = self.station(password=PASSWORD)
        station.visited("garden")
        page = self.watch(station.url_as(PLAIN), phone=True, script=TIMES)
        state(page, "playing")
        self.assertEqual(page.evaluate("[isSecureContext, typeof VideoDecoder]"),
                         [False, "undefined"])  # fmt: skip
        self.assertLess(page.evaluate("pictureCame - pieceCame"), 1000)
        self.moves(page)
        self.freezes(page, station.simulators["garden"])
        self.snapshot(page)
        self.look(page, "live_phone")
        other = self.watch(station.url, dark=True)
        state(other, "playing")
        self.moves(other)
        self.shared(station, 2)  # the visit at the start is one
        page.goto("about:blank")
        other.click("#stop")
        self.assertIn("goes to sleep", other.inner_text("#status"))
        station.simulators["garden"].saw_close(2)
        self.shared(station, 2)

    def moves(self, page: Page) -> None:
        """The picture moves, time goes on, and it stays close to now."""
        before, began = page.evaluate(LOOKS), page.evaluate("video.currentTime")
        page.wait_for_function("began => video.currentTime > began + 0.5", arg=began)
        after = page.evaluate(LOOKS)
        changed = sum(abs(a - b) > 8 for a, b in zip(before, after, strict=True))
        self.assertGreater(changed, 20)
        self.assertGreater(page.evaluate("video.getVideoPlaybackQuality().totalVideoFrames"), 5)
        self.assertLess(page.evaluate("video.buffered.end(0) - video.currentTime"), 2.5)
        page.wait_for_selector("#numbers:has-text('pictures/s')")

    def freezes(self, page: Page, camera: Simulator) -> None:
        """While nothing comes, the numbers say so."""
        camera.send(signal.SIGSTOP)
        page.wait_for_selector("#numbers:has-text(', 0 pictures/s')")
        camera.send(signal.SIGCONT)
        page.wait_for_selector("#numbers:has-text('s behind')")

    def snapshot(self, page: Page) -> None:
        """The button gives a JPEG, of the size that the camera sends."""
        with page.expect_download() as saved:
            page.click("#snapshot")
        name = saved.value.suggested_filename
        self.assertRegex(name, r"^garden_live_\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d\.jpg$")
        with Image.open(io.BytesIO(Path(saved.value.path()).read_bytes())) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (1280, 720)))

    def test_after_a_visit(self) -> None:
        """While a visit is going on it says so, and begins by itself when that is over."""
        self.expect_complaint("status of 409")
        station = self.station()
        station.visited("garden")
        page = self.open(station.url)
        simulator = station.simulators["garden"]
        simulator.send(signal.SIGSTOP)
        station.send(signal.SIGUSR1)  # visit it, which now takes as long as we like
        station.out_line("looking for garden", times=2)
        page.goto(station.url + "cameras/garden/live")
        state(page, "busy")
        self.assertIn("A visit is going on", page.inner_text("#status"))
        self.look(page, "live_busy")
        simulator.send(signal.SIGCONT)
        state(page, "playing")
        station.visited("garden", 2)

    def test_without_javascript(self) -> None:
        """There is a picture of now, and a way to the next one."""
        station = self.station()
        station.visited("garden")
        page = self.open(station.url + "cameras/garden/live", javascript=False)
        page.wait_for_function("() => document.querySelector('img.still').naturalWidth == 1280")
        self.assertEqual(page.inner_text("main a.primary"), "Another picture")
        self.assertFalse(page.is_visible("#live"))
        self.look(page, "live_plain")


class StateTests(BrowserCase):
    """With a station, but what comes of the live view is what a test says."""

    def setUp(self) -> None:
        """Nothing was asked yet."""
        super().setUp()
        self.asked = 0
        self.held: list[Any] = []

    def play(self, *answers: Callable[[Any], None], **options: Any) -> Page:
        """Open the page; the last answer is given again and again."""
        station = self.station()
        station.visited("garden")
        page = self.open(station.url + "cameras", **options)

        def answer(route: Any) -> None:
            self.asked += 1
            answers[min(self.asked, len(answers)) - 1](route)

        page.route("**/live.mp4", answer)
        page.goto(station.url + "cameras/garden/live")
        return page

    def until_asked(self, page: Page, times: int) -> None:
        """Wait until the live view was asked for so often."""

        def was_asked() -> bool:
            page.wait_for_timeout(20)  # or nothing happens in the browser's thread
            return self.asked >= times

        eventually(was_asked, f"it was not asked for {times} times")

    def hold(self, route: Any) -> None:
        """Let it wait for an answer."""
        self.held.append(route)

    @staticmethod
    def mp4(body: bytes) -> Callable[[Any], None]:
        """A stream that ends as a file does."""
        kind = 'video/mp4; codecs="avc1.42c00a"'
        return lambda route: route.fulfill(body=body, content_type=kind)

    @staticmethod
    def problem(status: int, text: str) -> Callable[[Any], None]:
        """An answer that says what is wrong."""
        body = json.dumps({"status": status, "detail": text})
        kind = "application/problem+json"
        return lambda route: route.fulfill(status=status, body=body, content_type=kind)

    def test_other_coding_then_over(self) -> None:
        """For another coding it begins anew; at the limit it ends, until somebody wants more."""
        over = "the live view ended after 10 minutes, to spare the battery: start it again"
        page = self.play(self.mp4(stream(pictures())),
                         self.mp4(stream(pictures(size=LARGE), over=over)))  # fmt: skip
        state(page, "stopped")
        self.assertEqual(page.inner_text("#status"), f"{over.capitalize()}.")
        self.assertEqual((page.evaluate("video.videoWidth"), self.asked), (128, 2))
        self.look(page, "live_over")
        page.wait_for_timeout(300)
        self.assertEqual(self.asked, 2)
        page.click("text=Start again")
        self.until_asked(page, 3)

    def test_over_a_gap(self) -> None:
        """Who reads too slowly misses pictures up to a key frame, and sees all others in a row."""
        body = stream(pictures() * 3, missed=range(16, 32), over="that was all")
        page = self.play(self.mp4(body))
        state(page, "stopped")
        ranges = page.evaluate("[...Array(video.buffered.length).keys()].map("
                               "n => [video.buffered.start(n), video.buffered.end(n)])")
        self.assertEqual(len(ranges), 1, ranges)
        self.assertEqual(ranges[0][0], 0)
        self.assertApproximates(ranges[0][1], (len(pictures()) * 3 - 16) * 0.04, 0.1)

    def test_given_up(self) -> None:
        """What is in the way is said; it is tried again a few times, and then given up."""
        self.expect_complaint("status of 503")
        page = self.play(self.problem(503, "the camera does not wake: is it near enough?"))
        state(page, "waiting")
        self.assertEqual(page.inner_text("#status"),
                         "The camera does not wake: is it near enough? Trying again…")  # fmt: skip
        page.click("#stop")
        page.clock.install()
        page.reload()
        for times in range(2, 5):
            self.until_asked(page, times)
            state(page, "waiting")
            page.clock.fast_forward(25_000)
        self.until_asked(page, 5)
        state(page, "stopped")
        self.assertIn("is it near enough?", page.inner_text("#status"))
        self.look(page, "live_given_up")

    def test_nobody_looks(self) -> None:
        """
        It says what the camera is at until there is a picture. A page that nobody looks at stops
        after half a minute, and goes on when it is seen.
        """
        self.expect_complaint("ERR_FAILED")  # what the test itself does in the end
        page = self.play(self.hold)
        told = 'event: camera\ndata: {"name": "garden", "phase": "waking"}\n\n'
        page.route("**/events", lambda route: route.fulfill(
            body=told, content_type="text/event-stream"))  # fmt: skip
        page.clock.install()
        page.reload()
        page.wait_for_selector("text=Waking the camera over Bluetooth")
        self.look(page, "live_waking")
        page.evaluate("""() => {
          Object.defineProperty(document, "hidden", { get: () => window.away ?? true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""")
        page.clock.fast_forward(29_000)
        self.assertEqual(page.get_attribute("#live", "data-state"), "starting")
        page.clock.fast_forward(2_000)
        state(page, "stopped")
        self.assertIn("nobody looked", page.inner_text("#status"))
        page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
        state(page, "starting")
        page.unroute("**/live.mp4")
        for route in self.held:
            route.abort()

    def test_no_media_source(self) -> None:
        """A browser without Media Source Extensions plays it as a file."""
        body = stream(pictures() * 4)
        without = "delete window.MediaSource; delete window.ManagedMediaSource;"
        page = self.play(self.mp4(body), script=without)
        state(page, "playing")
        self.assertTrue(re.search(r"/live\.mp4$", page.evaluate("video.currentSrc")))
