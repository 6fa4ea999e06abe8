"""The live view over HTTP: whoever asks for it, however it ends, however slowly it is read."""

from __future__ import annotations

import io
import json
from itertools import product
from typing import Any
from unittest import mock

import av
from PIL import Image
from twisted.internet.threads import deferToThread

from tests.test_fragments import LARGE, live_frame, pictures
from tests.test_livehub import ScriptedCamera
from tests.webstation import PASSWORD, Reply, Talk, WebTestCase, reactor, read_reply
from trailcam.config import CameraConfig
from trailcam.errors import CameraBusy, CameraLost, LiveViewOver, NoCameraAnswered, TrailcamError
from trailcam.livehub import LiveHub
from trailcam.target import Target
from trailcam.testing import InlineWorker
from trailcam.web.passwords import set_password

STREAM = "/api/v1/cameras/garden/live.mp4"
STILL = "/cameras/garden/still.jpg"
OVER = LiveViewOver("the live view ended after 10 minutes, to spare the battery: start it again")


class Garden:
    """Of a L{CameraService <trailcam.cameraservice.CameraService>}, what these pages need."""

    name = "garden"

    def __init__(self, camera: ScriptedCamera, **settings: Any) -> None:
        self.live = LiveHub(reactor, camera, worker=InlineWorker(), patience=0.2)
        self.config = CameraConfig("garden", Target(name="garden"), **settings)

    @property
    def viewers(self) -> int:
        """How many watch."""
        return self.live.viewers


class LiveTestCase(WebTestCase):
    """A station with a scripted camera."""

    async def begin(self, **settings: Any) -> None:
        """Serve it."""
        self.camera = ScriptedCamera()
        self.garden: Any = Garden(self.camera, **settings)
        await self.serve()
        self.context.cameras = {"garden": self.garden}
        self.addCleanup(self.garden.live.close)

    async def watch(self, path: str = STREAM, headers: str = "") -> Talk:
        """Begin to watch; it is known at the station."""
        before = self.garden.viewers
        talk = await self.talk()
        self.addCleanup(self.leave, talk)
        headers += f"Host: 127.0.0.1:{self.port}\r\nConnection: close\r\n"
        request = f"GET {path} HTTP/1.1\r\n{headers}\r\n"
        talk.transport.write(request.encode())
        await self.until(lambda: self.garden.viewers > before or talk.came)
        return talk

    async def leave(self, talk: Talk) -> None:
        """Go away."""
        talk.transport.abortConnection()
        if not talk.over.called:
            await talk.over

    async def end(self, talk: Talk) -> Reply:
        """Wait for the end that the station makes."""
        await self.until(lambda: talk.over.called)
        return read_reply(talk.came)


def shown(data: bytes) -> int:
    """How many pictures a player finds."""
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))


def notes(data: bytes) -> list[dict[str, str]]:
    """What stands in it for a person."""
    found = []
    while data:
        size = int.from_bytes(data[:4], "big")
        if data[4:8] == b"free":
            found.append(json.loads(data[8:size]))
        data = data[size:]
    return found


class StreamTests(LiveTestCase):
    """live.mp4."""

    async def test_watched(self) -> None:
        """
        The answer begins with the first picture, and goes on as pictures come; two share one view,
        and the camera's stops when both have left.
        """
        await self.begin()
        talk, other = await self.watch(), await self.watch()
        self.assertEqual(talk.came, b"")
        self.camera.play(0, 1)
        await self.until(lambda: b"moof" in talk.came)
        reply = read_reply(talk.came)
        self.assertRegex(reply.headers["content-type"], r'^video/mp4; codecs="avc1\.[0-9a-f]{6}"$')
        self.assertEqual((reply.status, reply.headers["cache-control"]), (200, "no-store"))
        self.camera.play(1, 20)
        await self.until(lambda: talk.came.count(b"moof") == other.came.count(b"moof") == 19)
        self.assertEqual(shown(read_reply(talk.came).body), 19)
        await self.leave(talk)
        await self.until(lambda: self.garden.viewers == 1)
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 0))
        await self.leave(other)
        await self.until(lambda: self.camera.stops == 1)

    async def test_plain_player(self) -> None:
        """A player that knows nothing of all this shows it from its URL."""
        await self.begin()

        def play() -> int:
            with av.open(f"http://127.0.0.1:{self.port}{STREAM}", timeout=10) as container:
                return sum(1 for _ in container.decode(video=0))

        played = deferToThread(play)
        await self.until(lambda: self.garden.viewers == 1)
        self.camera.play(0, 40)
        self.garden.live.close(OVER)
        self.assertEqual(await played, 39)

    async def test_head(self) -> None:
        """To ask only how it would be wakes nobody."""
        await self.begin()
        for path, kind in ((STREAM, "video/mp4"), (STILL, "image/jpeg")):
            reply = await self.ask("HEAD", path)
            self.assertEqual((reply.status, reply.headers["content-type"]), (200, kind))
        self.assertEqual(self.camera.starts, 0)

    async def test_not_begun(self) -> None:
        """What is in the way is said in words, with a status that programs understand."""
        await self.begin()
        for error, status in (
            (CameraBusy("a visit is going on"), 409), (NoCameraAnswered("nobody"), 503),
        ):  # fmt: skip
            self.camera.trouble = error
            reply = await self.get(STREAM)
            self.assertEqual((reply.status, reply.json["detail"]), (status, str(error)))
        self.camera.trouble = None
        talk = await self.watch()
        self.garden.live.close(OVER)
        reply = await self.end(talk)
        self.assertEqual((reply.status, reply.json["detail"]), (503, str(OVER)))
        self.assertEqual((await self.get(STREAM.replace("garden", "yard"))).status, 404)

    async def test_ends(self) -> None:
        """
        At the limit, and for another coding, it ends as a file does; when the camera is lost it is
        broken off. Why, stands in it.
        """
        await self.begin()
        lost = CameraLost("the camera was lost")

        def recode() -> None:
            units = pictures(size=LARGE)
            self.camera.send(*(live_frame(n, unit) for n, unit in enumerate(units[:2])))

        ends: list[tuple[Any, bool, list[dict[str, str]]]] = [
            (lambda: self.garden.live.close(OVER), True, [{"over": str(OVER)}]),
            (recode, True, []),
            (lambda: self.garden.live.close(lost), False, [{"over": str(lost)}]),
        ]
        for end, whole, said in ends:
            talk = await self.watch()
            self.camera.play(0, 5)
            await self.until(lambda talk=talk: b"moof" in talk.came)
            end()
            await self.end(talk)
            self.assertEqual(talk.came.endswith(b"\r\n0\r\n\r\n"), whole)
            body = read_reply(talk.came).body
            self.assertEqual((notes(body), shown(body) >= 4), (said, True))
            await self.leave(talk)
            await self.until(lambda: self.garden.viewers == 0)

    async def test_waiting(self) -> None:
        """That no picture comes stands in it, where players do not see it; then it goes on."""
        await self.begin()
        talk = await self.watch()
        self.camera.play(0, 10)
        await self.until(lambda: b"waiting for the camera" in talk.came)
        self.camera.play(10, 20)
        self.garden.live.close(OVER)
        body = (await self.end(talk)).body
        self.assertEqual([list(note) for note in notes(body)], [["waiting"], ["over"]])
        self.assertEqual(shown(body), 19)

    async def test_slow(self) -> None:
        """Who does not read misses pictures, up to a key frame; others miss none."""
        await self.begin()
        talk, other = await self.watch(), await self.watch()
        talk.transport.pauseProducing()
        blank = b"\0\0\1\x0c" + b"\xff" * 10_000  # filler data, which players skip
        for first in range(0, 240, 8):
            units = [unit + blank for unit in pictures()[:8]]
            self.camera.send(*(live_frame(first + n, unit) for n, unit in enumerate(units)))
            await self.until(lambda count=first + 7: other.came.count(b"moof") >= count)
        viewers = self.garden.live._viewers
        dropped = sorted(viewer.dropped for viewer in viewers)
        self.assertEqual(dropped[0], 0)
        self.assertGreater(dropped[1], 40)
        self.assertLess(max(viewer._held for viewer in viewers), 5 << 20)
        talk.transport.resumeProducing()
        self.garden.live.close(OVER)
        body = (await self.end(talk)).body
        self.assertLess(shown(body), 200)

    async def test_too_many(self) -> None:
        """There is an end to how many may watch."""
        await self.begin()
        with mock.patch("trailcam.web.api.live.MOST_VIEWERS", 1):
            await self.watch()
            reply = await self.get(STREAM)
        self.assertEqual((reply.status, reply.headers["retry-after"]), (503, "10"))
        self.assertIn("1 are watching already", reply.json["detail"])

    async def test_no_more_allowed(self) -> None:
        """A new password ends it for all who watch."""
        await self.begin()
        self.set_password()
        form = await self.ask("GET", "/login", {"Accept": "text/html"})
        csrf = form.text.partition('name="csrf" value="')[2].partition('"')[0]
        reply = await self.ask("POST", "/login", {
            "Cookie": form.cookie, "Content-Type": "application/x-www-form-urlencoded",
        }, f"csrf={csrf}&password={PASSWORD.replace(' ', '+')}".encode())  # fmt: skip
        with mock.patch("trailcam.web.api.live.LOOK", 0.0):
            talk = await self.watch(headers=f"Cookie: {reply.cookie}\r\n")
            self.camera.play(0, 5)
            await self.until(lambda: talk.came.count(b"moof") == 4)
            set_password(self.folder, "foxes at noon")
            self.camera.play(5, 10)
            await self.until(lambda: talk.over.called)
        self.assertFalse(talk.came.endswith(b"\r\n0\r\n\r\n"))


class StillTests(LiveTestCase):
    """still.jpg."""

    async def test_shared(self) -> None:
        """Many who want a picture of now share one view, which stops when they have it."""
        await self.begin()
        talks = [await self.watch(STILL)]
        for path in (STILL, "/api/v1" + STILL):
            talk = await self.talk()
            self.addCleanup(self.leave, talk)
            talk.transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            talks.append(talk)
        gone = talks.pop(0)
        await self.leave(gone)  # who gives up spoils it for nobody
        await self.until(lambda: len(self.web._visitors.protocols) == 2)
        self.camera.play(0, 2)
        await self.until(lambda: all(talk.came for talk in talks))
        for talk in talks:
            reply = read_reply(talk.came)
            self.assertEqual((reply.status, reply.headers["cache-control"]), (200, "no-store"))
            with Image.open(io.BytesIO(reply.body)) as image:
                self.assertEqual((image.format, image.size), ("JPEG", (96, 64)))
        self.assertEqual((self.camera.starts, self.camera.stops), (1, 1))

    async def test_asleep(self) -> None:
        """
        A camera that sleeps is woken only for those who say so; others get the newest photo that is
        at home, or see the view that is there already.
        """
        await self.begin(wake="")
        reply = await self.get(STILL)
        self.assertEqual((reply.status, self.camera.starts), (404, 0))
        self.assertIn("?wake=yes asks the camera", reply.json["detail"])
        await self.bring(2)
        reply = await self.get(STILL)
        self.assertEqual(reply.status, 303)
        self.assertRegex(reply.headers["location"], r"^\.\./\.\./api/v1/media/2/file\?v=\w{12}$")
        self.assertEqual((await self.get("/api/v1" + STILL)).status, 303)
        self.assertEqual(self.camera.starts, 0)
        talk = await self.watch(STILL + "?wake=yes")
        self.camera.play(0, 2)
        await self.until(lambda: bool(talk.came))
        self.assertEqual((read_reply(talk.came).status, self.camera.starts), (200, 1))
        await self.watch()
        self.camera.play(8, 10)
        self.assertEqual((await self.get(STILL)).status, 200)

    async def test_refused(self) -> None:
        """Pages of others cannot wake it; nonsense is said to be such; trouble is told."""
        await self.begin()
        for path, use in product((STILL + "?wake=yes", STREAM), ("image", "document")):
            reply = await self.get(path, Sec_Fetch_Site="cross-site", Sec_Fetch_Dest=use)
            self.assertEqual(reply.status, 403)
        self.assertEqual((await self.get(STILL + "?wake=maybe")).status, 400)
        self.assertEqual(self.camera.starts, 0)
        trouble: list[TrailcamError] = [CameraBusy("a visit is going on"), NoCameraAnswered("no")]
        for error, status in zip(trouble, (409, 503), strict=True):
            self.camera.trouble = error
            reply = await self.get(STILL + "?wake=yes")
            self.assertEqual((reply.status, reply.json["detail"]), (status, str(error)))

    async def test_while_visited(self) -> None:
        """While it is visited, who asks for a picture now and then gets the newest photo."""
        await self.begin()
        self.camera.trouble = CameraBusy("a visit is going on")
        self.assertEqual((await self.get(STILL)).status, 404)
        await self.bring(1)
        self.assertEqual((await self.get(STILL)).status, 303)

    async def test_patience(self) -> None:
        """A camera that sends no picture is not waited for without end."""
        await self.begin()
        with mock.patch("trailcam.web.api.live.STILL_PATIENCE", 0.1):
            reply = await self.get(STILL)
        self.assertEqual(reply.status, 503)
        self.assertIn("no picture came", reply.json["detail"])
        await self.until(lambda: self.camera.stops == 1)


class PageTests(LiveTestCase):
    """The page."""

    async def test_page(self) -> None:
        """It says what it costs and when it ends, and calls nobody; without scripts: a still."""
        await self.begin(live_limit=1200.0)
        reply = await self.get("/cameras/garden/live", Accept="text/html")
        self.assertEqual(reply.status, 200)
        for text in ("It ends after 20 minutes", "battery", "still.jpg?wake=yes", "live.js?v="):
            self.assertIn(text, reply.text)
        self.assertEqual(self.camera.starts, 0)
        reply = await self.get("/cameras/yard/live", Accept="text/html")
        self.assertEqual(reply.status, 404)
