"""Photos and thumbnails as they come from the stream, whole or not."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from trailcam.commands import MediaFile
from trailcam.errors import DamagedTransfer
from trailcam.photos import PhotoReceiver, ThumbnailReceiver
from trailcam.wire.artemis import Message, MessageId, StreamScanner, encode_header
from trailcam.wire.media import FileHeader, ThumbnailHeader

UNIT = "C6:00:00:00:00:01"


def picture(number: int, size: int = 5000) -> bytes:
    """Bytes that differ from picture to picture, and end as a JPEG does."""
    return b"\xff\xd8" + (f"{number:04d}-" * size).encode()[: size - 4] + b"\xff\xd9"


def photo(number: int) -> MediaFile:
    """A photo in the list."""
    return MediaFile(0, 100, number, media_id=number)


def header(number: int, data: bytes) -> FileHeader:
    """What stands before its data."""
    return FileHeader(UNIT, 100, number, len(data), data[-8:], number)


def message(head: FileHeader, data: bytes, behind: bytes = b"", claim: int = 0) -> bytes:
    """
    A file message.

    @param behind: what follows the data within the message.
    @param claim: how much longer the message says that it is.
    """
    payload = head.encode() + data + behind
    return encode_header(MessageId.FILE, 5, len(payload) + claim) + payload


def whole(number: int, size: int = 5000) -> bytes:
    """A good one, a little longer than header and data, as cameras send them."""
    data = picture(number, size)
    return message(header(number, data), data, bytes(3))


class Sink:
    """In the place of a C{FileSink}."""

    def __init__(self, file: MediaFile) -> None:
        self.file = file
        self.data = bytearray()
        self.size = 0
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.data += data

    def abort(self) -> None:
        self.aborted = True


class Forgetful(Sink):
    """Keeps no bytes, only how many there were."""

    def write(self, data: bytes) -> None:
        self.size += len(data)


class PhotoTestCase(TestCase):
    """A receiver, and the stream it hears."""

    kind: type[Sink] = Sink

    def setUp(self) -> None:
        """Nothing is expected yet."""
        self.sinks: list[Sink] = []
        self.scanner = StreamScanner()
        self.receiver = PhotoReceiver(self.open_sink)  # type: ignore[arg-type]
        self.fates: dict[int, list[Any]] = {}

    def open_sink(self, file: MediaFile) -> Sink:
        """What is called when a header was believed."""
        self.sinks.append(self.kind(file))
        return self.sinks[-1]

    def expect(self, *numbers: int) -> None:
        """Wait for these."""
        for number in numbers:
            self.fates[number] = []
            self.receiver.expect(photo(number)).addBoth(self.fates[number].append)

    def feed(self, stream: bytes, step: int = 1024) -> None:
        """The stream, in pieces as they come from DRWs."""
        for start in range(0, len(stream), step):
            self.scanner.feed(stream[start : start + step])
            while (part := self.scanner.next_part()) is not None:
                self.receiver.handle(part, self.scanner)

    def arrived(self, *numbers: int) -> None:
        """These have come, byte for byte."""
        for number in numbers:
            (sink,) = self.fates[number]
            self.assertEqual(bytes(sink.data), picture(number, len(sink.data)))
            self.assertFalse(sink.aborted)

    def damaged(self, *numbers: int) -> None:
        """These came, but not whole; nothing of them is kept."""
        for number in numbers:
            (failure,) = self.fates[number]
            failure.trap(DamagedTransfer)
            self.assertIn(photo(number).label, str(failure.value))
            for sink in self.sinks:
                if sink.file == photo(number):
                    self.assertTrue(sink.aborted)

    def missing(self, *numbers: int) -> None:
        """These have not come yet."""
        for number in numbers:
            self.assertEqual(self.fates[number], [])


class WholeTests(PhotoTestCase):
    """What is right, however it is cut."""

    def test_three(self) -> None:
        """Three in one request."""
        self.expect(1, 2, 3)
        self.feed(whole(1) + whole(2) + whole(3))
        self.arrived(1, 2, 3)

    def test_any_order(self) -> None:
        """In whatever order they come."""
        self.expect(1, 2, 3)
        self.feed(whole(3) + whole(1) + whole(2))
        self.arrived(1, 2, 3)

    def test_cut_anywhere(self) -> None:
        """Headers split at every place, beginnings in the middle of a DRW, DRWs of one byte."""
        stream = b"".join(whole(number, 300) for number in (1, 2, 3))
        for step in (1, 2, 3, 7, 19, 20, 21, 71, 72, 73, 91, 92, 93, 250, 1000):
            self.setUp()
            self.expect(1, 2, 3)
            self.feed(stream, step)
            self.arrived(1, 2, 3)

    def test_smallest(self) -> None:
        """As many bytes as the tail has."""
        self.expect(1)
        data = b"\xff\xd8abcd\xff\xd9"
        self.feed(message(header(1, data), data))
        self.assertEqual(bytes(self.fates[1][0].data), data)

    def test_message_as_long_as_the_photo(self) -> None:
        """Without anything behind."""
        data = picture(1)
        self.expect(1, 2)
        self.feed(message(header(1, data), data) + whole(2))
        self.arrived(1, 2)

    def test_media_id_differs(self) -> None:
        """Another media id is told in the log and otherwise forgiven: some cameras have none."""
        data = picture(1)
        self.expect(1)
        self.feed(message(replace(header(1, data), media_id=0), data))
        self.arrived(1)

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(st.integers(8, 4000), min_size=1, max_size=4),
        st.lists(st.integers(1, 1024), min_size=1, max_size=40),
        st.integers(0, 30),
    )
    def test_any_sizes_any_cuts(self, sizes: list[int], cuts: list[int], behind: int) -> None:
        """Whatever the sizes and the cuts, every photo arrives byte for byte."""
        self.setUp()
        stream = b""
        for number, size in enumerate(sizes):
            self.expect(number)
            data = picture(number, size)
            stream += message(header(number, data), data, bytes(behind))
        at = 0
        while at < len(stream):
            for cut in cuts:
                self.feed(stream[at : at + cut])
                at += cut
        for number, size in enumerate(sizes):
            self.assertEqual(bytes(self.fates[number][0].data), picture(number, size))


class DamagedTests(PhotoTestCase):
    """What is not right, and what becomes of the next."""

    def test_tail(self) -> None:
        """Wrong last bytes: damaged; the next one is not."""
        data = picture(1)
        self.expect(1, 2)
        self.feed(message(header(1, data), data[:-4] + b"\0\0\0\0", bytes(3)) + whole(2))
        self.damaged(1)
        self.arrived(2)

    def test_header_says_too_much(self) -> None:
        """A length beyond the message: damaged at once, and the next one arrives."""
        data = picture(1)
        for more in (4, 1000, 256 << 20, 0xFFFFFFFF - len(data)):
            self.setUp()
            self.expect(1, 2)
            head = replace(header(1, data), length=len(data) + more)
            self.feed(message(head, data, bytes(3)) + whole(2))
            self.damaged(1)
            self.arrived(2)
            self.assertEqual(len(self.sinks), 1, "nothing was opened for it")

    def test_header_says_too_little(self) -> None:
        """A length short of the data: the tail gives it away."""
        data = picture(1)
        for length in (8, 100, 4999):
            self.setUp()
            self.expect(1, 2)
            self.feed(message(replace(header(1, data), length=length), data, bytes(3)) + whole(2))
            self.damaged(1)
            self.arrived(2)

    def test_header_says_nothing(self) -> None:
        """A length of 0 to 7 is none."""
        data = picture(1)
        for length in (0, 7):
            self.setUp()
            self.expect(1, 2)
            self.feed(message(replace(header(1, data), length=length), data) + whole(2))
            self.damaged(1)
            self.arrived(2)

    def test_message_claims_more(self) -> None:
        """The message says that it is far longer than it is: the photo is whole, and the next."""
        for claim in (1021, 5000, 1_000_000, (1 << 32) - 6000):
            for step in (1, 100, 1000, 1024):
                self.setUp()
                data = picture(1)
                self.expect(1, 2, 3)
                self.feed(message(header(1, data), data, claim=claim) + whole(2) + whole(3), step)
                self.arrived(1, 2, 3)

    def test_message_claims_more_than_it_has_behind(self) -> None:
        """The same with a little behind the photo."""
        data = picture(1)
        self.expect(1, 2)
        self.feed(message(header(1, data), data, bytes(3), claim=100_000) + whole(2))
        self.arrived(1, 2)

    def test_unbelievable_in_a_message_that_claims_more(self) -> None:
        """Both lengths absurd, 4 GB: the next one is found all the same."""
        data = picture(1)
        self.expect(1, 2)
        head = replace(header(1, data), length=0xFFFFFFFF)
        self.feed(message(head, data, claim=(1 << 32) - 6000) + whole(2))
        self.damaged(1)
        self.arrived(2)

    def test_message_claims_less(self) -> None:
        """The message ends before the photo would."""
        data = picture(1)
        self.expect(1, 2)
        self.feed(message(header(1, data), data, claim=-100) + whole(2))
        self.damaged(1)
        self.arrived(2)

    def test_next_begins_early(self) -> None:
        """Bytes are missing, so that the next header is taken for data: only the first is lost."""
        data = picture(1)
        self.expect(1, 2, 3)
        # 40 bytes are missing: the header of the second stands where they should be.
        self.feed(message(header(1, data), data[:-40], claim=40) + whole(2) + whole(3))
        self.damaged(1)
        self.missing(2)  # its header was eaten; the one after it is found
        self.arrived(3)

    def test_file_that_is_no_file(self) -> None:
        """A header that cannot be read is passed over."""
        data = picture(1)
        bad = b"\xff" * 32 + header(1, data).encode()[32:]
        self.expect(2)
        self.feed(encode_header(MessageId.FILE, 1, len(bad) + len(data)) + bad + data + whole(2))
        self.arrived(2)

    def test_message_without_a_header(self) -> None:
        """A file message that is too short for a header."""
        self.expect(1)
        self.feed(encode_header(MessageId.FILE, 1, 10) + bytes(10) + whole(1))
        self.arrived(1)

    def test_empty_message(self) -> None:
        """One without any payload."""
        self.expect(1)
        self.feed(encode_header(MessageId.FILE, 1, 0) * 3 + whole(1))
        self.arrived(1)

    def test_rubbish_between(self) -> None:
        """Bytes of no message are passed over."""
        self.expect(1, 2)
        self.feed(b"ARTEMIArtemis" * 50 + whole(1) + b"\0" * 3000 + whole(2))
        self.arrived(1, 2)

    def test_other_messages(self) -> None:
        """Messages that are no files do not belong here, and do no harm."""
        self.expect(1)
        other = Message(MessageId.THUMBNAIL, 1, bytes(100)).encode()
        self.feed(other + whole(1) + other)
        self.arrived(1)

    @settings(deadline=None, max_examples=100)
    @given(st.binary(max_size=400), st.integers(0, 500), st.integers(0, 255))
    def test_any_damage(self, junk: bytes, at: int, byte: int) -> None:
        """Whatever is inserted or changed: no exception, and nothing wrong counts as whole."""
        self.setUp()
        self.expect(1)
        stream = bytearray(whole(1, 300))
        stream[at % len(stream)] = byte
        stream[at:at] = junk
        self.feed(bytes(stream))
        for sink in self.fates[1]:
            if isinstance(sink, Sink):
                self.assertEqual(sink.data[-8:], picture(1, 300)[-8:])


class UnwantedTests(PhotoTestCase):
    """What nobody asked for."""

    def test_twice(self) -> None:
        """The same photo twice, as after a command that was sent again: one is passed over."""
        self.expect(1, 2)
        self.feed(whole(1) + whole(1) + whole(2) + whole(2))
        self.arrived(1, 2)
        self.assertEqual(len(self.sinks), 2)

    def test_stranger(self) -> None:
        """A photo that nobody waits for is not even opened."""
        self.expect(1)
        self.feed(whole(9) + whole(1))
        self.arrived(1)
        self.assertEqual([sink.file for sink in self.sinks], [photo(1)])

    def test_stranger_that_claims_more(self) -> None:
        """Nor does its length count."""
        data = picture(9)
        self.expect(1)
        self.feed(message(header(9, data), data, claim=1 << 30) + whole(1))
        self.arrived(1)

    def test_forgotten(self) -> None:
        """Who cancels waits no more; the rest of it is passed over, the others come."""
        self.expect(2)
        waiting: Deferred[Any] = self.receiver.expect(photo(1))
        stream = whole(1)
        self.feed(stream[:2000])
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertTrue(self.sinks[0].aborted)
        self.feed(stream[2000:] + whole(2))
        self.arrived(2)

    def test_joined_in_the_middle(self) -> None:
        """A receiver that comes while a message is on its way waits for the next."""
        self.feed(whole(9)[:2500])
        self.receiver = PhotoReceiver(self.open_sink)  # type: ignore[arg-type]
        self.expect(1)
        self.feed(whole(9)[2500:] + whole(1))
        self.arrived(1)


class BoundedTests(PhotoTestCase):
    """Memory does not grow with what comes."""

    kind = Forgetful

    def test_memory(self) -> None:
        """16 MB go through, and never more than some KB are held."""
        size = 16 << 20
        tail = b"\xff\xd9" * 4
        head = FileHeader(UNIT, 100, 1, size, tail, 1)
        self.expect(1)
        block = bytes(1 << 16)
        tracemalloc.start()
        self.feed(encode_header(MessageId.FILE, 1, 72 + size) + head.encode())
        for _ in range(size // len(block) - 1):
            self.feed(block)
        self.feed(block[:-8] + tail)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        self.assertEqual(self.fates[1][0].size, size)
        self.assertLess(peak, 1 << 20)

    def test_memory_of_what_nobody_wants(self) -> None:
        """Nor does what is passed over stay."""
        self.expect(1)
        self.feed(encode_header(MessageId.FILE, 1, (1 << 32) - 1) + header(9, bytes(8)).encode())
        for _ in range(100):
            self.feed(bytes(10_000))
        self.assertLess(len(self.scanner._buffer), 32)


class ThumbnailTests(TestCase):
    """Thumbnails."""

    def setUp(self) -> None:
        """Three are wanted: two photos and a video."""
        self.files = [photo(1), photo(2), MediaFile(1, 100, 3, 5000)]
        self.receiver = ThumbnailReceiver(self.files)

    def thumbnail(self, file: MediaFile, data: bytes, **changes: Any) -> Message:
        """As the camera sends it."""
        head = ThumbnailHeader(UNIT, file.directory, file.number, len(data), file.file_type)
        return Message(MessageId.THUMBNAIL, 1, replace(head, **changes).encode() + data)

    def handle(self, *parts: Message) -> None:
        """They come."""
        for part in parts:
            self.receiver.handle(part, StreamScanner())

    def test_all(self) -> None:
        """In whatever order, twice, with something behind: all are there in the end."""
        one, two, three = self.files
        self.handle(self.thumbnail(three, b"three"), self.thumbnail(one, b"one"))
        self.handle(self.thumbnail(one, b"one again"))
        self.assertNoResult(self.receiver.done)
        self.handle(self.thumbnail(two, b"two and more", length=3))
        self.handle(self.thumbnail(two, b"too late"))
        received = self.successResultOf(self.receiver.done)
        self.assertEqual(received, {one: b"one again", two: b"two", three: b"three"})

    def test_not_ours(self) -> None:
        """Others, damaged ones and other messages are passed over."""
        one = self.files[0]
        self.handle(
            self.thumbnail(photo(9), b"stranger"),
            self.thumbnail(one, b"of another type", file_type=1),
            self.thumbnail(one, b"short", length=6),
            self.thumbnail(one, b"short", length=0xFFFFFFFF),
            Message(MessageId.THUMBNAIL, 1, b"short"),
            Message(MessageId.THUMBNAIL, 1, b"\xff" * 100),
            Message(MessageId.FILE, 1, self.thumbnail(one, b"data").payload),
        )
        self.assertEqual(self.receiver.received, {})

    def test_none(self) -> None:
        """Nothing wanted is nothing to wait for."""
        self.assertEqual(self.successResultOf(ThumbnailReceiver([]).done), {})
