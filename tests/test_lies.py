"""
A camera that lies: about lengths, counts, times, numbers, names and its own id.

However it lies, it costs a bounded amount of memory and at most one line in the log, which is
short and printable and no traceback. A lie that also costs the session has the few lines besides
that every lost session has.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from tests.support import NOW, PlainCard, Stage, story
from tests.test_sync import Watcher
from trailcam.commands import GetDeviceInformation, ListMedia, Login, MediaFile, Play, encode_text
from trailcam.errors import CameraLost, TrailcamError
from trailcam.library import Library
from trailcam.library.sync import SyncReport, sync
from trailcam.simulator import camera as answers
from trailcam.simulator import server
from trailcam.simulator.camera import Speak
from trailcam.simulator.recording import Recording, Sample
from trailcam.testing import Sent
from trailcam.wire.artemis import Message, MessageId, encode_header
from trailcam.wire.cipher import encrypt_text
from trailcam.wire.media import FileHeader, ThumbnailHeader

MIB = 1 << 20
#: So many bytes a lie may take, besides what the stage itself takes (it keeps all that was sent).
MOST_TAKEN = 4 * MIB
#: So many characters a line in the log may have.
LONGEST = 300
#: What the camera itself says here, and what it says to us after each login.
SIMULATOR, HONEST = ("trailcam.simulator", "trailcam.testing"), 'event: {"evtId":4}?'
#: These tell how a session comes about and ends, in so many lines.
STORY, STORY_LINES = ("trailcam.presence", "trailcam.connector"), 6
EVIL = "\x1b]0;owned\x07\x9b31m\r\n\u202e\x00"

HUGE = b"9" * 4000
#: What is no answer, or one that cannot be; as JSON text.
TEXTS = {
    "deep": b'{"result":0,"mediaFiles":' + b"[" * 45_000 + b"]" * 3_000,
    "very deep": b"[" * 100_000 + b"]" * 100_000,
    "many": b'{"result":0,"mediaFiles":[' + b"{}," * 15_000 + b"{}]}",
    "digits": b'{"result":0,"token":' + b"9" * 45_000 + b"}",
    "huge": b'{"result":%b,"token":%b,"cnt":%b}' % (HUGE, HUGE, HUGE),
    "nan": b'{"result":NaN,"token":NaN,"mediaFiles":NaN}',
    "infinite": b'{"result":0,"token":-Infinity,"mediaFiles":1e999,"cnt":1e999}',
    "long": b'{"result":-1,"errorMsg":"%b"}' % (b"x" * 45_000),
    "evil": b'{"result":-1,"errorMsg":"\\u001b]0;x\\u0007\\u009b31m\\r\\n\\u202e\\u0000\\ud800"}',
    "braces": b'{"result":-1,"errorMsg":"{boom} {0} %s {log_level!r}"}',
    "empty": b"",
    "list": b'[{"result":0}]',
    "no text": b"\xff\xfe\x00",
}


class LieTestCase(TestCase):
    """A stage, and what the log says."""

    def setUp(self) -> None:
        self.lies = 0

    def begin(self, card: PlainCard | None = None, **options: Any) -> None:
        """A stage of its own, with a client that is logged in."""
        self.stage = Stage(card=card, **options)
        self.camera = self.stage.guest()

    def finish(self) -> None:
        """Close everything; nothing is left."""
        self.stage.over(self.camera)

    def answer(self, code: int, payload: bytes) -> None:
        """From now on the camera answers this command with this payload."""
        real = answers.respond

        def respond(sequence: int, fields: dict[str, Any]) -> Speak:
            if fields["cmdId"] != code:
                return real(sequence, fields)
            self.lies += 1
            return Speak(0, Message(MessageId.RESPONSE, sequence, payload).encode())

        self.patch(answers, "respond", respond)
        self.patch(server, "respond", respond)

    def told(self, work: Callable[[], Any]) -> list[LogEvent]:
        """What the log says while something is done; any error is one of ours, and short."""
        with capturedLogs() as events:
            try:
                work()
            except TrailcamError as error:
                self.assert_decent(str(error))
        ours = (event for event in events if not event["log_namespace"].startswith(SIMULATOR))
        return [event for event in ours if formatEvent(event) != HONEST]

    def assert_quiet(self, events: list[LogEvent]) -> None:
        """At most one line for each lie that was told, and the story of lost sessions."""
        for event in events:
            self.assertNotIn("log_failure", event)
            self.assertLess(event["log_level"], LogLevel.critical)
            self.assert_decent(formatEvent(event))
        coming = [event for event in events if event["log_namespace"].startswith(STORY)]
        self.assertGreater(self.lies, 0)
        self.assertLessEqual(len(events) - len(coming), self.lies)
        # Of the first session there is only the end.
        self.assertLessEqual(len(coming), STORY_LINES * self.camera.sessions)

    def assert_decent(self, text: str) -> None:
        """One short line that does nothing to a terminal."""
        self.assertLess(len(text), LONGEST)
        self.assertTrue(text.isprintable(), ascii(text))

    @contextmanager
    def little_memory(self, most: int = MOST_TAKEN) -> Iterator[None]:
        """What happens here takes little memory."""
        tracemalloc.start()
        try:
            yield
            self.assertLess(tracemalloc.get_traced_memory()[1], most)
        finally:
            tracemalloc.stop()


class AnswerTests(LieTestCase):
    """Answers that are none."""

    def ask(self, code: int, payload: bytes, work: Callable[[], Deferred[Any]]) -> None:
        """Something fails, or not; and the next, when the camera is honest again, succeeds."""
        self.begin()
        self.lies = 0
        with self.little_memory():
            self.answer(code, payload)
            events = self.told(lambda: self.stage.run(work()))
        self.assert_quiet(events)
        self.doCleanups()  # the patches: it is honest again
        self.stage.run(self.camera.connect())
        self.stage.run(self.camera.login())
        self.assertEqual(self.stage.run(self.camera.info()).model, "KJK230")
        self.finish()

    def test_information(self) -> None:
        """Of the device."""
        for text in TEXTS.values():
            self.ask(GetDeviceInformation.cmd_id, encrypt_text(text), lambda: self.camera.info())

    def test_list(self) -> None:
        """Of the list."""

        async def listed() -> list[MediaFile]:
            return [file async for file in self.camera.media()]

        for text in TEXTS.values():
            self.ask(ListMedia.cmd_id, encrypt_text(text), lambda: Deferred.fromCoroutine(listed()))

    def test_login(self) -> None:
        """Of the login."""
        for text in TEXTS.values():
            self.ask(Login.cmd_id, encrypt_text(text), lambda: self.camera.login())

    def test_no_cipher(self) -> None:
        """Not even encrypted."""
        for payload in (b"", bytes(65_000), b"A" * 65_000, b"{}" * 30_000, b"\xff" * 65_000):
            self.ask(GetDeviceInformation.cmd_id, payload, lambda: self.camera.info())

    def test_unasked(self) -> None:
        """Thousands of answers that nobody has asked for, and long events, are passed over."""
        self.begin()
        guest = self.stage.fake._guest
        assert guest is not None
        evil = Message(MessageId.EVENT, 1, (EVIL * 4000).encode("utf-8")[:60_000]).encode()
        events = 0
        with self.little_memory(8 * MIB):
            told = self.told(lambda: None)
            for number in range(3_000):
                self.stage.network.sent.clear()
                unasked = Message(MessageId.RESPONSE, number + 99, encode_text({"result": 0}))
                guest.pump.send(0, unasked.encode())
                if number % 300 == 0:
                    guest.pump.send(6, evil)
                    events += 1
                if number % 50 == 0:
                    told += self.told(lambda: self.stage.wait(0.05))
        self.lies = events
        self.assert_quiet(told)
        self.assertEqual(len(told), events)
        self.assertEqual(self.camera.sessions, 1)
        self.finish()


class SyncLieTests(LieTestCase):
    """Lies about media, on the way home."""

    photos = 1

    def begin(self, card: PlainCard | None = None, **options: Any) -> None:
        """… with a library."""
        super().begin(card or PlainCard(self.photos, 0, newest=NOW - 100), **options)
        self.library = Library(Path(self.mktemp()), self.stage.network, inline=True)
        self.stage.run(self.library.open())
        self.watcher = Watcher()

    def finish(self) -> None:
        self.stage.run(self.library.close())
        super().finish()

    def sync(self) -> tuple[SyncReport | None, list[LogEvent]]:
        """Sync: its report, where there is one, and what the log says."""
        reports = []

        def work() -> None:
            running = sync(self.stage.network, self.camera, self.library, self.watcher, UTC)
            reports.append(self.stage.run(running, 2000))

        events = self.told(work)
        return (reports or [None])[0], events

    def test_entries(self) -> None:
        """Times, counts and ids that cannot be: what has a name still comes home."""
        numbers = [float("nan"), float("inf"), 1e308, -1, 1 << 62, 1 << 63, 10**3000, "x" * 2000,
                   EVIL, None, [], {}, True, 253_402_300_800]  # fmt: skip
        names = ("mediaTime", "mediaId", "durationMs")
        self.begin(PlainCard(3 * len(numbers), 0, newest=NOW - 100))
        lies = [(name, number) for number in numbers for name in names]
        real = answers._entry
        self.patch(answers, "_entry", lambda file: {
            **real(file), **dict([lies[file.number % len(lies)]]),
        })  # fmt: skip
        with self.little_memory(8 * MIB):
            report, events = self.sync()
        self.lies = len(lies)
        self.assert_quiet(events)
        assert report is not None
        self.assertEqual((report.new, report.failed), (len(lies), 0))
        self.finish()

    def test_names(self) -> None:
        """Entries whose name cannot be are counted, in one line for all."""
        wrong = [-1, 1 << 16, float("nan"), "../../x", EVIL, None, 10**3000]
        self.begin(PlainCard(20, 0, newest=NOW - 100))
        real = answers._entry
        self.patch(answers, "_entry", lambda file: {
            **real(file), "mediaDirNum": (wrong * 3)[file.number],
        })  # fmt: skip
        report, events = self.sync()
        self.lies = 1
        self.assert_quiet(events)
        self.assertEqual([formatEvent(event) for event in events],
                         ["20 entries of the camera's list made no sense"])  # fmt: skip
        self.assertEqual(report and (report.new, report.failed), (0, 0))
        self.finish()

    def test_who_it_is(self) -> None:
        """A name that is long, or evil, names a folder all the same, and only one."""
        for unit in (EVIL, "\x1b[31m" * 4000, "../" * 10_000, "x" * 45_000, "{boom}"):
            self.begin()
            self.patch(self.stage.fake.faults, "unit", unit)
            self.patch(answers, "device_information", lambda unit, *rest: {"devId": unit})
            self.patch(server, "file_message", honest_file)
            with self.little_memory():
                report, events = self.sync()
            self.lies = 1
            self.assert_quiet(events)
            self.assertEqual(report and report.new, 1)
            (folder,) = (path for path in self.library.path.iterdir() if path.name[0] != ".")
            self.assertRegex(folder.name, r"^[A-Za-z0-9-]{1,64}$")
            self.finish()

    def test_lengths(self) -> None:
        """Photos that claim gigabytes, or to be longer or shorter than they are."""
        for message, data in (
            (0xFFFFFFFF, 0xFFFFFF00),
            (0xFFFFFFFF, 200 * MIB),
            (200 * MIB, 0xFFFFFFFF),
            (0xFFFFFFFF, 0),
            (50_075, 200 * MIB),
            (0, 50_000),
            (71, 50_000),
            (200 * MIB, 200 * MIB - 72),
        ):
            self.begin()
            self.lies = 0
            self.patch(server, "file_message", self.lying_file(message, data))
            with self.little_memory():
                report, events = self.sync()
            self.assert_quiet(events)
            if report is not None:
                self.assertEqual((report.new, report.failed), (0, 1))
            self.assertEqual(list(self.library.path.rglob("*.jpg")), [])
            self.assertEqual(list(self.library.path.rglob("*.part")), [])
            self.finish()

    def lying_file(self, message: int, data: int) -> Callable[..., bytes]:
        """Photos whose message and whose header claim these lengths."""

        def file_message(card: PlainCard, faults: Any, sequence: int, file: MediaFile) -> bytes:
            self.lies += 1
            photo = card.photo(file)
            header = FileHeader(
                "x", file.directory, file.number, data, photo[-8:], file.media_id or 0
            )
            head = encode_header(MessageId.FILE, sequence, message)
            return head + header.encode() + photo + bytes(3)

        return file_message


class PictureLieTests(LieTestCase):
    """Lies about videos and thumbnails."""

    def begin(self, card: PlainCard | None = None, **options: Any) -> None:
        """… with videos that are quickly made."""
        super().begin(PlainCard(1, 1, newest=NOW - 100))
        samples = (Sample(0, b"\0\0\0\1\x65" + bytes(500), True, True),
                   Sample(66, b"\0\0\0\1\x61" + bytes(500), True, False))  # fmt: skip
        self.patch(self.stage.fake.card, "recording", lambda _: Recording(64, 64, 132, samples))
        (self.video,) = (file for file in self.stage.fake.card.files if not file.is_photo)

    def test_totals(self) -> None:
        """Numbers of frames that cannot be, or do not come, make a damaged transfer at most."""
        for total in (b"-1", b"NaN", b"1e999", b"0", b"1000000000", b"9223372036854775807", HUGE,
                      b'"' + b"x" * 40_000 + b'"', b"null", b"[[[[]]]]"):  # fmt: skip
            self.begin()
            self.lies = 0
            text = b'{"result":0,"totalFrame":%b,"totalTime":%b,"videoWidth":%b}'
            path = Path(self.mktemp())
            with self.little_memory():
                self.answer(Play.cmd_id, encrypt_text(text % (total, b"-1", HUGE)))
                events = self.told(
                    lambda: self.stage.run(self.camera.download(self.video, path))  # noqa: B023
                )
            self.assert_quiet(events)
            self.assertFalse(path.exists())
            self.doCleanups()
            self.finish()

    def test_thumbnails(self) -> None:
        """Thumbnails that claim gigabytes are not believed: they never come."""
        self.begin()

        def thumbnail(card: Any, faults: Any, sequence: int, file: MediaFile) -> bytes:
            self.lies += 1
            head = ThumbnailHeader("x", file.directory, file.number, 0xFFFFFFFF, file.file_type)
            return Message(MessageId.THUMBNAIL, sequence, head.encode() + bytes(60_000)).encode()

        self.patch(server, "thumbnail_message", thumbnail)
        with self.little_memory():
            events = self.told(lambda: self.assertRaises(
                CameraLost, self.stage.run, self.camera.thumbnails(self.stage.fake.card.files)
            ))  # fmt: skip
        self.assert_quiet(events)
        self.finish()


class Untouchable(bytes):
    """A datagram at which nobody may look."""

    def _touched(self, *args: Any) -> Any:
        raise AssertionError("somebody looked at it")

    __getitem__ = __len__ = __iter__ = __eq__ = __hash__ = __add__ = _touched
    __contains__ = __bytes__ = startswith = find = split = decode = _touched


class StrangerTests(LieTestCase):
    """Datagrams from an address that is not the camera's."""

    def test_nobody_looks(self) -> None:
        """They are dropped before anything looks at them, and work goes on."""
        self.begin()
        network, (client,) = self.stage.network, self.stage.fake.sources
        protocol = self.camera._presence._conversation.protocol  # type: ignore[union-attr]
        assert protocol is not None
        host, port = self.stage.fake.address
        strangers = [(host, port + 1), ("192.0.2.1", port), ("127.0.0.1", client)]
        for number in range(999):
            sent = Sent(Untouchable(b"\xf1\xf0\0\0"), strangers[number % 3], ("127.0.0.1", client))
            network.callLater(number / 1000, network.carry, sent)
        path, photo = Path(self.mktemp()), self.stage.fake.card.files[0]
        with capturedLogs() as events:
            self.stage.run(self.camera.download(photo, path))
            self.stage.wait(1.1)
        self.assertEqual(protocol.dropped, 999)
        self.assertEqual((story(events), self.camera.sessions), ([], 1))
        self.assertEqual(
            path.read_bytes(), self.stage.fake.card.photo(self.stage.fake.card.files[0])
        )
        network.sent.clear()
        self.finish()


def honest_file(card: PlainCard, faults: Any, sequence: int, file: MediaFile) -> bytes:
    """A photo whose header names no unit."""
    photo = card.photo(file)
    header = FileHeader("", file.directory, file.number, len(photo), photo[-8:], file.media_id or 0)
    return Message(MessageId.FILE, sequence, header.encode() + photo + bytes(3)).encode()
