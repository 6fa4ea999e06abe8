"""What browsers make of a live view: a headless Chromium plays it with Media Source Extensions."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import TestCase

from tests.processes import PATIENCE, only_once
from tests.test_fragments import LARGE, live_frame, pictures
from trailcam.fragments import Fragment, Fragmenter, Opening

#: Nothing of it goes beyond loopback.
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required")  # fmt: skip

#: Appends what comes as it comes, in the mode that closes gaps, and tells how it went.
PAGE = """<!doctype html><title>live</title><video muted></video><script>
const tell = what => fetch("/told", {method: "POST", body: JSON.stringify(what)});
async function show(mime) {
  if (!MediaSource.isTypeSupported(mime)) return tell({trouble: "not supported: " + mime});
  const video = document.querySelector("video"), source = new MediaSource();
  const sizes = new Set();
  video.onresize = () => sizes.add(video.videoWidth + "x" + video.videoHeight);
  video.onerror = () => tell({trouble: video.error.message});
  video.onended = () => tell({time: video.currentTime, sizes: [...sizes], first,
                              ranges: video.buffered.length,
                              frames: video.getVideoPlaybackQuality().totalVideoFrames});
  video.src = URL.createObjectURL(source);
  await new Promise(done => source.onsourceopen = done);
  const buffer = source.addSourceBuffer(mime);
  buffer.mode = "sequence";
  video.playbackRate = 4;
  video.play();
  let first = null;
  const reader = (await fetch("/stream")).body.getReader();
  for (let part; !(part = await reader.read()).done;) {
    buffer.appendBuffer(part.value);
    await new Promise(done => buffer.onupdateend = done);
    if (first === null && buffer.buffered.length) first = buffer.buffered.start(0);
  }
  source.endOfStream();
}
show(MIME).catch(error => tell({trouble: String(error)}));
</script>"""


class Server(ThreadingHTTPServer):
    """Serves the page and the pieces on loopback, and hears what the page tells."""

    def __init__(self, opening: Opening, pieces: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.page = PAGE.replace("MIME", json.dumps(opening.mime)).encode()
        self.pieces = pieces
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle is no error."""


class Handler(BaseHTTPRequestHandler):
    """One request; its answer ends with the connection."""

    server: Server

    def do_GET(self) -> None:
        """The page, or the stream: piece by piece."""
        if self.path not in ("/", "/stream"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/" else "video/mp4")
        self.end_headers()
        for piece in [self.server.page] if self.path == "/" else self.server.pieces:
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(0.005)

    def do_POST(self) -> None:
        """What the page tells."""
        self.server.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on standard error."""


class BrowserTests(TestCase):
    """Chromium."""

    def setUp(self) -> None:
        only_once()
        names = ("chromium", "chromium-browser", "google-chrome")
        found = next(filter(None, map(shutil.which, names)), None)
        if found is None:
            raise SkipTest("there is no chromium")
        self.chromium = found

    def serve(self, opening: Opening, pieces: list[bytes]) -> Server:
        """On loopback, until the test ends."""
        server = Server(opening, pieces)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()

        def end() -> None:
            server.shutdown()
            thread.join()
            server.server_close()

        self.addCleanup(end)
        return server

    def browse(self, url: str) -> None:
        """A browser of this test's own, which ends with it."""
        profile = Path(self.mktemp()).absolute()
        process = subprocess.Popen(
            [self.chromium, *FLAGS, f"--user-data-dir={profile}", url],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

        def end() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        self.addCleanup(end)

    def test_plays(self) -> None:
        """
        It plays from a key frame in the middle, over a gap such as slow viewers get, and on when
        the size changes.
        """
        fragmenter = Fragmenter()
        frames = pictures() * 2 + pictures(size=LARGE)
        pieces = [p for n, unit in enumerate(frames) for p in fragmenter.feed(live_frame(n, unit))]
        pieces += fragmenter.end()
        opening = pieces[0]
        assert isinstance(opening, Opening)
        times = [round(p.time * 25) if isinstance(p, Fragment) else 99 for p in pieces]
        # From picture 8 on, and without those from 16 to 31.
        kept = [p.data for p, n in zip(pieces, times, strict=True) if n >= 8 and not 16 <= n < 32]
        server = self.serve(opening, kept if kept[0] is opening.data else [opening.data, *kept])
        self.browse(f"http://127.0.0.1:{server.server_port}/")
        told = server.told.get(timeout=PATIENCE)
        self.assertNotIn("trouble", told)
        self.assertEqual((told["first"], told["ranges"]), (0, 1))
        self.assertEqual(told["sizes"], ["96x64", "128x96"])
        self.assertApproximates(told["time"], 48 * 0.04, 0.15)
        self.assertGreater(told["frames"], 40)
