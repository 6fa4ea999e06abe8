"""Pictures, videos and thumbnails as they are sent: whole, in parts, and only what is ours."""

from __future__ import annotations

import gzip
import os
import threading
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from tests.webstation import PAGE, Reply, WebTestCase, picture, reactor
from trailcam.extras import missing
from trailcam.happenings import NewMedia, PhaseBegan

MEGA = 1 << 20
FILE = "/api/v1/media/1/file"
SMALL = "/api/v1/media/1/thumbnail"


class ConditionTests(TestCase):
    """What is to be sent of a file: pure."""

    def setUp(self) -> None:
        """Skip where there is no web part."""
        if missing("web"):
            raise SkipTest("needs the extra web")
        from trailcam.web import conditions

        self.of = conditions
        self.version = conditions.FileVersion('"abc"', 1_700_000_000)

    def span(self, header: str | None, size: int = 100, if_range: str | None = None) -> Any:
        """C{(start, length, partial)}; C{None}: there is no such part."""
        try:
            return tuple(self.of.span_of(self.version, size, header, if_range))
        except self.of.Unsatisfiable:
            return None

    def test_ranges(self) -> None:
        """One range is cut out; what is none, or several, is the whole; what is beyond, nothing."""
        whole = (0, 100, False)
        for header, span in (
            (None, whole), ("bytes=0-0", (0, 1, True)), ("bytes=10-", (10, 90, True)),
            ("bytes=90-1000", (90, 10, True)), ("bytes=-5", (95, 5, True)),
            ("bytes=-1000", (0, 100, True)), ("Bytes=0-99", (0, 100, True)),
            ("bytes=100-", None), ("bytes=100-200", None), ("bytes=-0", None),
            ("bytes=5-4", whole), ("bytes=-", whole), ("bytes=0-1,5-6", whole),
            ("bytes=a-b", whole), ("lines=0-1", whole), ("bytes=0x1-2", whole),
            ("bytes=+1-2", whole), ("bytes=" + "9" * 400 + "-", whole), ("", whole),
        ):  # fmt: skip
            self.assertEqual(self.span(header), span, header)
        self.assertIsNone(self.span("bytes=0-", size=0))

    @settings(deadline=None, max_examples=200)
    @given(st.text(alphabet="bytes=-, 0123456789", max_size=30), st.integers(0, 200))
    def test_any_range(self, header: str, size: int) -> None:
        """Whatever is asked for, it lies within the file."""
        for text in (header, f"bytes={header}"):
            span = self.span(text, size)
            if span is not None:
                self.assertTrue(0 <= span[0] <= size and 0 <= span[1] <= size - span[0], text)
                self.assertTrue(span[2] or span[1] == size)

    def test_if_range(self) -> None:
        """A part of another version is never sent."""
        date = self.version.date
        for known in ('"abc"', date):
            self.assertEqual(self.span("bytes=5-9", if_range=known), (5, 5, True))
        for other in ('"abd"', 'W/"abc"', "Mon, 01 Jan 2001 00:00:00 GMT", ""):
            self.assertEqual(self.span("bytes=5-9", if_range=other), (0, 100, False), other)

    def test_known(self) -> None:
        """Tags say first whether a file is known; dates only where there is no tag."""
        date, older = self.version.date, "Tue, 14 Nov 2023 22:13:19 GMT"
        for tags, since, known in (
            (None, None, False), ('"abc"', None, True), ('W/"abc"', None, True),
            ('"x", "abc"', None, True), ("*", None, True), ('"x"', date, False),
            ("", date, False), (None, date, True), (None, older, False), (None, "soon", False),
            (None, "Mon, 01 Jan 99999 00:00:00 GMT", False), ('"ab\u00ffc', None, False),
        ):  # fmt: skip
            self.assertEqual(self.of.is_known(self.version, tags, since), known, (tags, since))


class FileTests(WebTestCase):
    """What comes over the wire."""

    async def begin(self, **options: Any) -> None:
        """One picture."""
        await self.serve()
        (self.path,) = await self.bring(1, **options)

    def assert_refused(self, reply: Reply, status: int = 404) -> None:
        """One line, and nothing of the disk."""
        self.assertEqual(reply.status, status, reply.body[:200])
        self.assertEqual(reply.headers["content-type"], "application/problem+json")
        self.assertNotIn(str(self.path.parent), reply.text)

    async def test_whole(self) -> None:
        """A file comes as it is, small or large, with what browsers need to keep it."""
        await self.begin()
        paths = [self.path, *await self.bring(1, size=3 * MEGA, device="C60000000002")]
        for path, url in zip(paths, (FILE, FILE.replace("/1/", "/2/")), strict=True):
            reply = await self.get(url)
            self.assertEqual(reply.body, path.read_bytes())
            self.assertEqual(reply.headers["content-type"], "image/jpeg")
            self.assertEqual(reply.headers["accept-ranges"], "bytes")
            self.assertEqual(reply.headers["x-content-type-options"], "nosniff")
            self.assertEqual(reply.headers["cache-control"], "private, no-cache")
            self.assertNotIn("content-disposition", reply.headers)
            head = await self.ask("HEAD", url)
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("content-length", "etag", "last-modified", "content-type"):
                self.assertEqual(head.headers[name], reply.headers[name])

    async def test_parts(self) -> None:
        """Small and large parts come as such; one that is not there is refused with the size."""
        await self.begin(size=3 * MEGA)
        data = self.path.read_bytes()
        for start, end in ((0, 1), (5, 1005), (10, 2 * MEGA), (len(data) - 5, len(data))):
            reply = await self.get(FILE, Range=f"bytes={start}-{end - 1}")
            self.assertEqual((reply.status, reply.body == data[start:end]), (206, True))
            self.assertEqual(
                reply.headers["content-range"], f"bytes {start}-{end - 1}/{len(data)}"
            )
            self.assertEqual(reply.headers["content-length"], str(end - start))
        beyond = await self.get(FILE, Range="bytes=99999999-")
        self.assert_refused(beyond, 416)
        self.assertEqual(beyond.headers["content-range"], f"bytes */{len(data)}")
        head = await self.ask("HEAD", FILE, {"Range": "bytes=0-1"})
        self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(data))))

    async def test_conditions(self) -> None:
        """What is known is not sent again; once the file is another by hand, it is."""
        await self.begin()
        first = await self.get(FILE)
        tag, date = first.headers["etag"], first.headers["last-modified"]
        for headers in ({"If_None_Match": tag}, {"If_Modified_Since": date}):
            known = await self.get(FILE, **headers)
            self.assertEqual((known.status, known.body, known.headers["etag"]), (304, b"", tag))
        part = await self.get(FILE, Range="bytes=0-9", If_Range=tag)
        self.assertEqual(part.status, 206)
        self.path.write_bytes(picture(7))
        self.assertEqual((await self.get(FILE, If_None_Match=tag)).body, picture(7))
        whole = await self.get(FILE, Range="bytes=0-9", If_Range=tag)
        self.assertEqual(whole.status, 200)

    async def test_for_ever(self) -> None:
        """Only a URL with the picture's own hash may be kept without asking again."""
        await self.begin()
        medium = (await self.get("/api/v1/media/1")).json
        for version, lasting in ((medium["sha256"][:12], True), ("0" * 12, False), ("", False),
                                 (medium["sha256"][:2], False)):  # fmt: skip
            reply = await self.get(f"{FILE}?v={version}")
            self.assertEqual("immutable" in reply.headers["cache-control"], lasting, version)

    async def test_download(self) -> None:
        """To be saved, it has the name that it has at home."""
        await self.begin()
        reply = await self.get(f"{FILE}?download=true")
        self.assertEqual(
            reply.headers["content-disposition"],
            f"attachment; filename*=UTF-8''{self.path.name.replace('+', '%2B')}",
        )
        self.assert_refused(await self.get(f"{FILE}?download=maybe"), 400)

    async def test_replaced(self) -> None:
        """What people put into the place of a picture is not sent, and keeps nobody waiting."""
        await self.begin()
        secret = self.path.parents[3] / "secret"
        secret.write_bytes(b"not for you")
        (secret.parent / "folder").mkdir()
        for put in (
            lambda: self.path.symlink_to(secret), lambda: os.mkfifo(self.path),
            lambda: self.path.mkdir(), lambda: self.path.symlink_to("/dev/zero"),
            lambda: self.path.symlink_to(self.path), lambda: self.path.symlink_to("/nowhere"),
        ):  # fmt: skip
            self.path.unlink()
            put()
            reply = await self.get(FILE)
            self.assertIn(reply.status, (404, 503))
            self.assertNotIn(b"not for you", reply.body)
            if self.path.is_dir() and not self.path.is_symlink():
                self.path.rmdir()
                self.path.touch()
        self.path.unlink()
        self.assert_refused(await self.get(FILE))

    async def test_folder_elsewhere(self) -> None:
        """A folder that leads out of the library leads nowhere."""
        await self.begin()
        elsewhere = self.library.path.parent / "elsewhere"
        self.path.parent.rename(elsewhere)
        self.path.parent.symlink_to(elsewhere)
        self.assert_refused(await self.get(FILE))

    async def test_shorter(self) -> None:
        """A file that becomes shorter while it is sent is broken off, not taken for whole."""
        await self.begin(size=30 * MEGA)
        talk = await self.talk()
        talk.transport.pauseProducing()
        talk.transport.write(f"GET {FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await deferLater(reactor, 0.3)
        self.path.write_bytes(b"short")
        talk.transport.resumeProducing()
        self.assertLess(len(await talk.over), 30 * MEGA)

    async def test_gone(self) -> None:
        """Who goes in the middle leaves nothing behind: no open file, no word in the log."""
        await self.begin(size=30 * MEGA)
        for _ in range(5):
            talk = await self.talk()
            talk.transport.pauseProducing()
            talk.transport.write(f"GET {FILE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await deferLater(reactor, 0.05)
            talk.transport.abortConnection()
            await talk.over

        def is_open() -> bool:
            names = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
            return str(self.path) in map(os.path.realpath, names)

        await self.until(lambda: not is_open() and not self.web._visitors.protocols)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_static(self) -> None:
        """Our own files are for everybody, with their version for ever; no others are there."""
        self.set_password()
        await self.serve()
        from trailcam.web.templating import asset

        style = await self.get("/" + asset("trailcam.css"))
        self.assertEqual(style.headers["content-type"], "text/css; charset=utf-8")
        self.assertIn("immutable", style.headers["cache-control"])
        packed = await self.get("/static/trailcam.css", Accept_Encoding="gzip, br")
        self.assertEqual(gzip.decompress(packed.body), style.body)
        self.assertNotEqual(packed.headers["etag"], style.headers["etag"])
        again = await self.get("/static/trailcam.css", If_None_Match=style.headers["etag"])
        self.assertEqual((again.status, again.headers["cache-control"]), (304, "no-cache"))
        for path in ("..%2Faccess.py", "../access.py", "..", "", "no.css", ".hidden.css",
                     "trailcam.css/", "%00.css", "trailcam.css%00", "x/trailcam.css"):  # fmt: skip
            self.assertEqual((await self.get(f"/static/{path}", **PAGE)).status, 404, path)


class ThumbnailTests(WebTestCase):
    """Small pictures, which are made when they are first asked for."""

    async def test_before_anybody_asks(self) -> None:
        """When a visit is over they are made of what is new; not while a camera is visited."""
        self.cameras = ("garden",)
        await self.serve()
        await self.bring(3)
        board, now = self.context.board, datetime.now(UTC)
        board.happened(PhaseBegan("garden", "syncing", now))
        for file in await self.library.files():
            board.happened(NewMedia("garden", file))
        board.happened(PhaseBegan("garden", "leaving", now))
        made = self.library.path / ".trailcam" / "thumbnails"
        self.assertEqual(list(made.glob("*/*.jpg")), [])
        board.happened(PhaseBegan("garden", None, now))
        await self.until(lambda: len(list(made.glob("*/*.jpg"))) == 3)

    async def test_many(self) -> None:
        """Many at once all come, each the picture it belongs to, and are kept."""
        await self.serve()
        await self.bring(40)
        paths = [f"/api/v1/media/{id}/thumbnail" for id in range(1, 41)] * 2
        replies = [Deferred.fromCoroutine(self.get(path)) for path in paths]
        bodies = []
        for reply in replies:
            came = await reply
            self.assertEqual((came.status, came.body[:2]), (200, b"\xff\xd8"))
            bodies.append(came.body)
        self.assertEqual(bodies[:40], bodies[40:])
        self.assertEqual(len(set(bodies)), 40)

    async def test_given_up(self) -> None:
        """What nobody waits for any more is not made."""
        await self.serve()
        await self.bring(3)
        made: list[int] = []
        real, painter = self.library._paint, self.library._painter

        def paint(medium: Any) -> Any:
            made.append(medium.id)
            return real(medium)

        self.patch(self.library, "_paint", paint)
        busy = threading.Event()
        self.addCleanup(busy.set)
        painter.call(busy.wait, 20.0)
        talks = []
        for id in (1, 2, 3):
            talk = await self.talk()
            path = f"/api/v1/media/{id}/thumbnail"
            talk.transport.write(
                f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            )
            talks.append(talk)
        await self.until(lambda: painter.pending == 4)
        for talk in talks[:2]:
            talk.transport.abortConnection()
            await talk.over
        await self.until(lambda: painter.pending == 2)
        busy.set()
        self.assertIn(b" 200 OK", await talks[2].over)
        self.assertEqual(made, [3])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_none(self) -> None:
        """Of what is no picture there is none, and that is said."""
        await self.serve()
        await self.bring(1, videos=True)
        self.assertEqual((await self.get(SMALL)).status, 404)
