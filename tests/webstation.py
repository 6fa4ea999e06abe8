"""A station that shows itself at a port of loopback, and a client that says what it likes."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase

from tests.test_web_passwords import cheap_line
from trailcam.board import StatusBoard
from trailcam.cameraservice import CameraService, LibraryService
from trailcam.commands import MediaFile
from trailcam.config import CameraConfig
from trailcam.extras import missing
from trailcam.library import Library, Source
from trailcam.target import Target
from trailcam.web.private import changing, write_private
from trailcam.web.settings import WebSettings
from trailcam.web.tokens import add_token
from trailcam.worker import InlineWorker

reactor: Any = global_reactor

PASSWORD = "owls at night"
PAGE = {"Accept": "text/html,application/xhtml+xml"}
FIRST = int(datetime(2026, 5, 1, 7, 14, 33, tzinfo=UTC).timestamp())
DAY = 86400


class Reply(NamedTuple):
    """
    What came back.

    @ivar headers: by their names in small letters; of several the last.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body."""
        return self.body.decode()

    @property
    def cookie(self) -> str:
        """The cookie that is to be kept, as it is sent back."""
        return self.headers["set-cookie"].partition(";")[0]


class Talk(Protocol):
    """
    A connection.

    @ivar came: all that came.
    @ivar over: fires when the other side has ended it.
    """

    def __init__(self) -> None:
        self.came = b""
        self.over: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.came += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.over.callback(self.came)


def read_reply(raw: bytes) -> Reply:
    """Take one answer apart."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines:
        name, _, value = line.partition(": ")
        headers[name.lower()] = value
    if headers.get("transfer-encoding") == "chunked":
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
        body = whole
    return Reply(int(first.split()[1]), headers, body)


@cache
def picture(shade: int) -> bytes:
    """A JPEG of one colour."""
    stream = io.BytesIO()
    colour = (shade * 5 % 256, shade * 71 % 256, shade * 149 % 256)
    Image.new("RGB", (640, 480), colour).save(stream, "JPEG")
    return stream.getvalue()


class WebTestCase(TestCase):
    """
    Has a station that is not there until L{serve} is called.

    @ivar cameras: their names; they are simulated ones that nobody visits.
    @ivar folder: where passwords and tokens are.
    """

    def setUp(self) -> None:
        """Prepare its folders."""
        if missing("web"):
            raise SkipTest("needs the extra web")
        root = Path(self.mktemp()).absolute()
        self.folder = root / "state" / "web"
        self.folder.mkdir(parents=True)
        self.library = Library(root / "library", reactor)
        self.port = 0
        self.metrics: Any = None
        self.cameras: tuple[str, ...] = ()

    async def serve(self, **options: Any) -> None:
        """Begin to listen."""
        from trailcam.web.access import Access
        from trailcam.web.context import Context
        from trailcam.web.service import WebService

        shared = LibraryService(self.library)
        settings = WebSettings("tcp:0:interface=127.0.0.1", **options)
        access = Access(self.folder, InlineWorker())
        cameras = {
            name: CameraService(reactor, CameraConfig(name, Target("127.0.0.1", 1, name)), shared,
                                state=self.folder)
            for name in self.cameras
        }  # fmt: skip
        self.context = Context(
            reactor, settings, shared, cameras, access, StatusBoard(), self.metrics,
            {name: lambda seconds: None for name in self.cameras},
        )  # fmt: skip
        self.web = WebService(self.context)
        shared.startService()
        self.web.startService()
        self.addCleanup(shared.stopService)
        self.addCleanup(self.web.stopService)
        await self.web.listen()
        self.port = self.web._port.getHost().port

    def set_password(self) -> None:
        """As C{trailcam passwd} does, but cheaper."""
        with changing(self.folder):
            write_private(self.folder / "password", cheap_line(PASSWORD) + "\n")

    def token(self) -> dict[str, str]:
        """The headers of a machine."""
        return {"Authorization": f"Bearer {add_token(self.folder, 'test')}"}

    async def bring(self, count: int = 1, size: int = 0, device: str = "C60000000001",
                    name: str = "garden", videos: bool = False) -> list[Path]:  # fmt: skip
        """Pictures come home, one each day."""
        source = Source(device, name, UTC)
        await self.context.open_library()
        paths = []
        for number in range(1, count + 1):
            file = MediaFile(int(videos), 100, number, 5000 * videos, 1000 + number,
                             FIRST + number * DAY)  # fmt: skip
            data = picture(number % 250) + b"\0" * size
            part = await self.library.part_path(source, file)
            part.write_bytes(data.rstrip(b"\0"))
            os.truncate(part, len(data))  # zeros take no room
            digest = sha256(data).hexdigest()
            stored = await self.library.commit(source, file, part, len(data), digest)
            paths.append(stored.path)
        return paths

    async def say(self, raw: bytes, port: int = 0) -> bytes:
        """Say something, and hear all that comes until the connection ends."""
        talk = await self.talk(port)
        talk.transport.write(raw)
        return await talk.over

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that nothing tells of."""
        for _ in range(1000):
            if holds():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("not within 10 s")

    async def talk(self, port: int = 0) -> Talk:
        """A connection."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port or self.port)
        talk: Talk = await connectProtocol(endpoint, Talk())
        return talk

    async def ask(self, method: str, path: str, headers: dict[str, str] | None = None,
                  body: bytes = b"", port: int = 0) -> Reply:  # fmt: skip
        """One request."""
        lines = {"Host": f"127.0.0.1:{port or self.port}", "Connection": "close",
                 **({"Content-Length": str(len(body))} if body or method == "POST" else {}),
                 **(headers or {})}  # fmt: skip
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
        raw = f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1")
        return read_reply(await self.say(raw + body, port))

    async def get(self, path: str, **headers: str) -> Reply:
        """GET; C{_} in a header's name stands for C{-}."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("GET", path, named)
