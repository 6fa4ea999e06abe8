"""The webhook: a real server on loopback that fails, hangs, lies, and then takes it."""

from __future__ import annotations

import base64
import io
import ipaddress
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import av
from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import succeed
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from tests.support import story
from trailcam import extras, notifychecks
from trailcam.checks import Station
from trailcam.commands import MediaFile
from trailcam.config import parse
from trailcam.errors import ConfigError
from trailcam.happenings import BatteryLow, CameraBack, NewMedia
from trailcam.library import StoredFile
from trailcam.notify.messages import message
from trailcam.notify.outbox import Outbox
from trailcam.notify.picture import small_picture
from trailcam.notify.service import Notifier
from trailcam.notify.settings import MqttSettings, WebhookSettings
from trailcam.notify.webhook import WebhookService

try:
    from twisted.internet import ssl
except ImportError:
    ssl = None  # type: ignore[assignment]

NOW = datetime(2026, 6, 1, 5, tzinfo=UTC)


class Hook(Resource):
    """
    Takes what is posted, as it is told.

    @ivar answers: what becomes of the next requests: a status, or what is done with it; 200
        when there are none left.
    @ivar taken: the bodies that were answered with 200.
    @ivar asked: headers and body of every request.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int | Callable[[Any], None]] = []
        self.taken: list[dict[str, Any]] = []
        self.asked: list[tuple[Any, dict[str, Any]]] = []

    def render_POST(self, request: Any) -> Any:
        """What Twisted calls."""
        body = json.loads(request.content.read())
        self.asked.append((request.requestHeaders, body))
        answer = self.answers.pop(0) if self.answers else 200
        if callable(answer):
            answer(request)
            return NOT_DONE_YET
        request.setResponseCode(answer)
        if answer == 200:
            self.taken.append(body)
        elif answer == 302:
            request.setHeader("Location", "http://127.0.0.1:9/elsewhere")
        return b"ok"


def drop(request: Any) -> None:
    """Hang up without a word."""
    request.transport.abortConnection()


def hang(request: Any) -> None:
    """Say nothing."""


def endless(request: Any) -> None:
    """Say 200, and never come to an end."""
    request.write(b"x" * 100_000)


class WebhookTestCase(TestCase):
    """A server, and an outbox."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.hook = Hook()
        self.port = reactor.listenTCP(0, Site(self.hook), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)

    async def service(self, *, port: int | None = None, **more: Any) -> Outbox:
        """One that posts to it, and tries again soon; its outbox."""
        scheme = more.pop("scheme", "http")
        url = f"{scheme}://127.0.0.1:{port or self.port.getHost().port}/hook?x=1"
        outbox = Outbox(self.folder / "outbox.sqlite", reactor, ["webhook"])
        self.addCleanup(outbox.close)
        await outbox.open()
        chosen = WebhookSettings(url, **{"timeout": 0.3, **more})
        service = WebhookService(reactor, chosen, outbox, pauses=(0.01, 0.02))
        service.startService()
        self.addCleanup(service.stopService)
        return outbox

    async def tell(self, outbox: Outbox, *levels: int) -> None:
        """Batteries are low."""
        for level in levels:
            await outbox.put(message(BatteryLow("garden", level), NOW) or {}, ["webhook"])

    async def until(self, check: Callable[[], object]) -> None:
        """Wait for it, while the reactor runs."""
        for _ in range(1000):
            if check():
                return
            await deferLater(reactor, 0.01)
        raise AssertionError("it never came about")


class DeliveryTests(WebhookTestCase):
    """What arrives."""

    async def test_until_it_is_taken(self) -> None:
        """It is tried again, with the same id, until it is answered with 2xx; each comes once."""
        self.hook.answers = [drop, hang, 500, 302, 401, 429, 204, endless]
        with capturedLogs() as events:
            outbox = await self.service(token="s3cret")
            await self.tell(outbox, 19, 9, 5)
            await self.until(lambda: self.hook.taken and not outbox.waiting("webhook"))
        bodies = [body for _, body in self.hook.asked]
        self.assertEqual([body["battery"] for body in bodies], [19] * 7 + [9, 5])
        self.assertEqual(len({body["id"] for body in bodies}), 3)
        troubles = story(events, LogLevel.warn)
        for text in ("no answer in time", "status 500", "status 302", "status 401", "status 429"):
            self.assertEqual(sum(text in line for line in troubles), 1, troubles)
        self.assertNotIn("s3cret", "".join(troubles))
        headers = self.hook.asked[-1][0]
        self.assertEqual(headers.getRawHeaders("Authorization"), ["Bearer s3cret"])
        self.assertEqual(headers.getRawHeaders("Content-Type"), ["application/json"])
        self.assertEqual(headers.getRawHeaders("Idempotency-Key"), [bodies[-1]["id"]])

    async def test_server_is_away(self) -> None:
        """What happens while nobody listens waits, over a restart, and then comes in order."""
        where = self.port.getHost().port
        await self.port.stopListening()
        with capturedLogs() as events:
            outbox = await self.service(port=where, timeout=2.0)
            await self.tell(outbox, 3, 2)
            await self.until(lambda: story(events, LogLevel.warn))
            await deferLater(reactor, 0.1)
        (line,) = story(events, LogLevel.warn)
        self.assertIn("connection refused; what is to be told waits", line)
        self.assertEqual(outbox.waiting("webhook"), 2)
        self.port = reactor.listenTCP(where, Site(self.hook), interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        await self.until(lambda: not outbox.waiting("webhook"))
        self.assertEqual([body["battery"] for body in self.hook.taken], [3, 2])

    async def test_poison(self) -> None:
        """A message that the server will never take does not hold up the others for ever."""
        self.hook.answers = [400] * 5
        outbox = await self.service()
        await self.tell(outbox, 1, 2)
        await self.until(lambda: not outbox.waiting("webhook"))
        self.assertEqual([body["battery"] for body in self.hook.taken], [2])

    async def test_thumbnail(self) -> None:
        """New media come with a small JPEG; where the file is gone, with none."""
        path = self.folder / "a.jpg"
        Image.new("RGB", (2304, 1296), "green").save(path)
        outbox = await self.service()
        for each in (path, self.folder / "gone.jpg"):
            file = StoredFile("C1", MediaFile(0, 100, 1), None, each, 7, "ab", NOW)
            await outbox.put(message(NewMedia("garden", file), NOW) or {}, ["webhook"])
        await self.until(lambda: len(self.hook.taken) == 2)
        first, second = self.hook.taken
        with Image.open(io.BytesIO(base64.b64decode(first["thumbnail"]))) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (320, 180)))
        self.assertIsNone(second["thumbnail"])
        self.assertEqual((first["event_type"], first["file"], first["size"]), ("photo", "a.jpg", 7))

    async def test_certificates(self) -> None:
        """By https nothing is told to a server that nobody vouches for."""
        if ssl is None:
            raise SkipTest("needs the extra webhook")
        pem = self.folder / "server.pem"
        pem.write_bytes(certificate())
        context = ssl.DefaultOpenSSLContextFactory(str(pem), str(pem))
        port = reactor.listenSSL(0, Site(self.hook), context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        number = port.getHost().port
        with capturedLogs() as events:
            outbox = await self.service(port=number, scheme="https", timeout=2.0)
            await self.tell(outbox, 4)
            await self.until(lambda: story(events, LogLevel.warn))
        self.assertIn("certificate verify failed", story(events, LogLevel.warn)[0])
        self.assertEqual(self.hook.asked, [])
        # From now on the system trusts it.
        with mock.patch.dict(os.environ, SSL_CERT_FILE=str(pem)):
            await self.until(lambda: self.hook.taken and not outbox.waiting("webhook"))


def certificate() -> bytes:
    """A certificate for 127.0.0.1, signed by itself, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM)
    return text + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )  # fmt: skip


class PictureTests(TestCase):
    """Small pictures."""

    def test_video(self) -> None:
        """Of a video it is the first frame; of a damaged one there is none."""
        path = Path(self.mktemp() + ".mp4")
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
            for colour in ("red", "blue"):
                frame = av.VideoFrame.from_image(Image.new("RGB", (640, 480), colour))
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        with Image.open(io.BytesIO(small_picture(path, 320) or b"")) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (320, 240)))
            pixel = image.getpixel((9, 9))
            self.assertGreater(pixel[0], 200)  # type: ignore[index]
        path.write_bytes(path.read_bytes()[:100])
        self.assertIsNone(small_picture(path, 320))


class NotifierTests(WebhookTestCase):
    """The configuration, and all of it together."""

    async def test_only_what_is_wanted(self) -> None:
        """C{events} says what is told; the token comes from its file."""
        token = self.folder / "token"
        token.write_text("abc\n")
        token.chmod(0o600)
        text = (f"[trailcam]\nstate = {self.folder.absolute()}\n[camera garden]\n[webhook]\n"
                f"url = http://127.0.0.1:{self.port.getHost().port}/\n"
                f"token_file = {token.absolute()}\nevents = photo battery_low")  # fmt: skip
        config = parse(text, "tap.conf")
        notifier = Notifier(reactor, config, {"garden": lambda: None},
                            lambda name: succeed(([], None)))  # fmt: skip
        notifier.startService()
        self.addCleanup(notifier.stopService)
        notifier.happened(CameraBack("garden", 3))
        notifier.happened(BatteryLow("garden", 3))
        await self.until(lambda: self.hook.taken)
        self.assertEqual([one["event_type"] for one in self.hook.taken], ["battery_low"])
        self.assertEqual(self.hook.asked[0][0].getRawHeaders("Authorization"), ["Bearer abc"])

    def test_missing_extra(self) -> None:
        """An extra that is not installed is one clear line, and doctor has the remedy."""
        self.patch(extras, "_there", lambda module: False)
        for lines, extra in (("[mqtt]", "mqtt"), ("[webhook]\nurl = https://x.org/", "webhook"),
                             ("[trailcam]\nmetrics_file = x", "metrics")):  # fmt: skip
            config = parse(f"[camera a]\n{lines}", "tap.conf")
            error = self.assertRaises(ConfigError, extras.check_extras, config)
            self.assertIn(f"pip install 'trailcam[{extra}]'", str(error))
            found = next(notifychecks.check_notify(Station(config, None, None)))
            self.assertEqual((found.status, found.mend),
                             ("problem", f"pip install 'trailcam[{extra}]'"))  # fmt: skip
        extras.check_extras(parse("[camera a]\n[webhook]\nurl = http://x.org/", "tap.conf"))

    def test_doctor(self) -> None:
        """It says whether the broker is there, and asks no webhook."""
        for where, status in ((self.port.getHost().port, "ok"), (9, "warning")):
            config = parse(f"[camera a]\n[mqtt]\nport = {where}\n[webhook]\nurl = http://127.0.0.1:9/",
                           "tap.conf")  # fmt: skip
            found = list(notifychecks.check_notify(Station(config, None, None)))
            self.assertEqual((found[-1].name, found[-1].status), ("mqtt", status))
        config = parse("[camera a]\n[webhook]", "tap.conf")
        (found,) = notifychecks.check_notify(Station(config, None, None))
        self.assertEqual((found.status, found.text), ("problem", "[webhook] needs a url"))
        self.assertEqual(list(notifychecks.check_notify(Station(None, None, None))), [])

    def test_refused_values(self) -> None:
        """Values that cannot be are refused, with a hint where one helps."""
        for section, line, text in (
            ("webhook", "url = ftp://x.org/", "a URL like"),
            ("webhook", "url = http://me:secret@x.org/", "a URL like"),
            ("webhook", "url = http://x.org:99999/", "a URL like"),
            ("webhook", "events = photo battery_lo", "did you mean 'battery_low'"),
            ("mqtt", "topic = a/#", "letters, digits"), ("mqtt", "topic = /a", "letters, digits"),
            ("mqtt", "host = a b", "a host's name"), ("mqtt", "tls = perhaps", "yes or no"),
        ):  # fmt: skip
            error = self.assertRaises(ConfigError, parse, f"[camera a]\n[{section}]\n{line}", "t")
            self.assertIn(text, str(error))
        config = parse("[camera a]\n[mqtt]\ntls = yes", "t")
        self.assertEqual(MqttSettings.of(config.extras["mqtt"]).port, 8883)
