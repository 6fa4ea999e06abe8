"""Tests of L{trailcam.wire.artemis} against PROTOCOL, section 3, and the captures."""

from __future__ import annotations

import os
import random
import time
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.support import CAPTURES, whole_messages
from trailcam.errors import DecodeError
from trailcam.wire.artemis import (
    Begin,
    Chunk,
    End,
    Message,
    MessageId,
    Part,
    StreamScanner,
    encode_header,
)

LONG = bool(os.environ.get("TRAILCAM_LONG"))
MIB = 1 << 20
MAGIC = b"ARTEMIS"

#: PROTOCOL's table of messages, and the longest that each may be.
KINDS = {0: 8 * MIB, 2: 65536, 3: 65536, 4: 8 * MIB, 8: 8 * MIB, 9: 65536, 77: 65536}
FILE = 5

#: A message, or a file: id, sequence number, claimed length, and what of it came.
Found: TypeAlias = tuple[int, int, int, bytes]


def little(value: int) -> bytes:
    """A little-endian number of 4 bytes."""
    return bytes(value >> shift & 0xFF for shift in (0, 8, 16, 24))


def written(ident: int, sequence: int, payload: bytes, length: int | None = None) -> bytes:
    """A message by PROTOCOL's offsets; C{length} lies about it."""
    claimed = len(payload) if length is None else length
    return MAGIC + b"\0" + little(ident) + little(sequence) + little(claimed) + payload


def parts(scanner: StreamScanner) -> Iterator[Part]:
    """Whatever the scanner has by now."""
    while (part := scanner.next_part()) is not None:
        yield part


def scan(pieces: Iterable[bytes], scanner: StreamScanner | None = None) -> list[Found]:
    """What comes out of a stream that arrives in these pieces, files put together again."""
    scanner = scanner or StreamScanner()
    found: list[Found] = []
    ended = True
    for piece in pieces:
        scanner.feed(piece)
        for part in parts(scanner):
            match part:
                case Message():
                    found.append((part.id, part.sequence, len(part.payload), part.payload))
                case Begin():
                    found.append((part.id, part.sequence, part.length, b""))
                case Chunk():
                    assert part.data, "an empty chunk"
                    ident, sequence, length, data = found[-1]
                    found[-1] = ident, sequence, length, data + part.data
                case End():
                    assert not ended and len(found[-1][3]) == found[-1][2], "ended too early"
            assert isinstance(part, Chunk | End) != ended, "a file's parts are together"
            ended = not isinstance(part, Begin | Chunk)
    return found


def cut(stream: bytes, size: int) -> Iterator[bytes]:
    """A stream in pieces of one size."""
    return (stream[at : at + size] for at in range(0, len(stream), size))


class MessageTests(TestCase):
    """One message that is whole and alone."""

    def test_ids(self) -> None:
        """The ids are those of PROTOCOL's table."""
        names = {"LIVE": 0, "REQUEST": 2, "RESPONSE": 3, "PLAYBACK": 4, "FILE": 5, "THUMBNAIL": 8,
                 "EVENT": 9}  # fmt: skip
        self.assertEqual({kind.name: kind.value for kind in MessageId}, names)

    def test_captures(self) -> None:
        """The whole messages of the captures decode, and encode to the same bytes."""
        for name in CAPTURES:
            messages = whole_messages(name)
            self.assertGreater(len(messages), 10, name)
            for _, drw, message in messages:
                self.assertEqual(message.encode(), drw.data)
                sequence = int.from_bytes(drw.data[12:16], "little")
                self.assertEqual((message.id, message.sequence), (drw.data[8], sequence))
                self.assertEqual(message.payload, drw.data[20:])
                self.assertEqual(little(len(message.payload)), drw.data[16:20])

    def test_sequence_numbers(self) -> None:
        """Commands count from 1, heartbeats from 0x10001, in one session of the captures each."""
        for name in CAPTURES:
            sent = [message for who, _, message in whole_messages(name) if who == "app"]
            self.assertEqual({message.id for message in sent}, {2})
            numbers = list(dict.fromkeys(message.sequence for message in sent))
            commands = [n for n in numbers if n < 0x10000]
            beats = [n for n in numbers if n > 0x10000]
            self.assertEqual(commands, list(range(1, len(commands) + 1)))
            self.assertEqual(beats, list(range(0x10001, 0x10001 + len(beats))))

    def test_damaged(self) -> None:
        """What is no message, or not exactly one, is refused."""
        whole = written(2, 1, b"abc")
        for data in (
            b"",
            whole[:19],
            whole[:-1],
            whole + b"\0",
            b"a" + whole[1:],
            written(2, 1, b"abc", 2),
            written(2, 1, b"", 0xFFFFFFFF),
        ):
            self.assertRaises(DecodeError, Message.decode, data)

    def test_flag(self) -> None:
        """Byte 7 is ignored: events have something there."""
        data = bytearray(written(9, 1, b"{}\0"))
        data[7] = 0x76
        self.assertEqual(Message.decode(bytes(data)), Message(9, 1, b"{}\0"))
        self.assertEqual(scan([bytes(data)]), [(9, 1, 3, b"{}\0")])
        self.assertEqual(bytes(data[:20]), encode_header(9, 1, 3, flag=0x76))

    @settings(deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=200))
    def test_round_trip(self, ident: int, sequence: int, payload: bytes) -> None:
        """Any message is written by PROTOCOL's offsets, and comes back."""
        message = Message(ident, sequence, payload)
        self.assertEqual(message.encode(), written(ident, sequence, payload))
        self.assertEqual(Message.decode(message.encode()), message)

    @settings(deadline=None)
    @given(st.binary(max_size=60), st.booleans())
    def test_any_bytes(self, data: bytes, magic: bool) -> None:
        """Any bytes decode, or are refused."""
        data = MAGIC + data if magic else data
        try:
            message = Message.decode(data)
        except DecodeError:
            return
        self.assertEqual(message.encode()[8:], data[8:])


class ScannerTests(TestCase):
    """Messages in a stream."""

    def test_ack_first(self) -> None:
        """The 3 bytes C{ACK} at the start of channel 0 are passed over."""
        scanner = StreamScanner()
        found = scan([b"ACK", written(3, 1, b"one"), written(3, 2, b"two")], scanner)
        self.assertEqual(found, [(3, 1, 3, b"one"), (3, 2, 3, b"two")])
        self.assertEqual((scanner.skipped, scanner.damaged), (3, 0))

    def test_nuls_between(self) -> None:
        """20 NULs that no length counts are passed over too."""
        stream = written(3, 1, b"one") + bytes(20) + written(3, 2, b"two") + bytes(20)
        for size in (1, 7, 20, 1024):
            found = scan(cut(stream, size))
            self.assertEqual(found, [(3, 1, 3, b"one"), (3, 2, 3, b"two")])

    def test_nuls_within(self) -> None:
        """The 20 NULs that a response's length counts belong to it."""
        payload = b"QUJD\0" + bytes(20)
        self.assertEqual(scan([written(3, 1, payload)]), [(3, 1, 25, payload)])

    def test_split_everywhere(self) -> None:
        """A message cut in two at any place is the same message."""
        stream = b"ACK" + written(3, 7, b"payload") + bytes(20) + written(0, 8, b"next")
        whole = scan([stream])
        self.assertEqual([found[1] for found in whole], [7, 8])
        for at in range(len(stream) + 1):
            self.assertEqual(scan([stream[:at], stream[at:]]), whole, f"cut at {at}")
        self.assertEqual(scan(cut(stream, 1)), whole)

    def test_beginnings_of_the_magic(self) -> None:
        """Every beginning of the magic may come before it, whole or in pieces."""
        message = written(2, 1, b"x")
        for junk in (MAGIC[:end] for end in range(1, 7)):
            for size in (1, 2, 3, 100):
                self.assertEqual(scan(cut(junk + junk + message, size)), [(2, 1, 1, b"x")])

    def test_empty_message(self) -> None:
        """A message without payload is a message."""
        self.assertEqual(scan([written(2, 1, b"")]), [(2, 1, 0, b"")])

    def test_longest(self) -> None:
        """The longest message of each kind arrives; one byte more is damage."""
        for kind, longest in KINDS.items():
            scanner = StreamScanner()
            scanner.feed(written(kind, 1, b"", longest))
            self.assertEqual((list(parts(scanner)), scanner.damaged), ([], 0))
            scanner = StreamScanner()
            stream = written(kind, 1, b"", longest + 1) + written(2, 2, b"next")
            self.assertEqual(scan([stream], scanner), [(2, 2, 4, b"next")])
            self.assertEqual((scanner.damaged, scanner.skipped), (1, 20))
        payload = bytes(65536)
        self.assertEqual(scan(cut(written(3, 1, payload), 1024)), [(3, 1, 65536, payload)])

    def test_lying_length(self) -> None:
        """Nothing is allocated for what a header claims."""
        scanner = StreamScanner()
        headers = [written(kind, 1, b"", length) for kind in range(20)
                   for length in (65537, 8 * MIB + 1, 0x7FFFFFFF, 0xFFFFFFFF)
                   if kind != FILE]  # fmt: skip
        stream = b"".join(headers) + written(4, 1, b"x" * 100, 8 * MIB)
        tracemalloc.start()
        try:
            scanner.feed(stream)
            self.assertEqual(list(parts(scanner)), [])
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 100_000)

    def test_cut_header(self) -> None:
        """A header that was cut short, and so lies, does not take the next message with it."""
        message = written(3, 5, b"whole")
        # Cut at 8 and 9 it reads the next header's id as a length that may be.
        for at in (7, *range(10, 20)):
            header = written(2, 0xFFFFFFFF, b"", 0xFFFFFFFF)[:at]
            self.assertEqual(scan([header + message]), [(3, 5, 5, b"whole")], f"cut at {at}")

    def test_file_is_streamed(self) -> None:
        """A file message is handed on as it arrives, and nothing of it is held."""
        scanner = StreamScanner()
        scanner.feed(b"junk" + written(FILE, 9, b"first", 4_000_000_000))
        self.assertEqual(list(parts(scanner)), [Begin(5, 9, 4_000_000_000), Chunk(b"first")])
        for _ in range(100):
            scanner.feed(b"ARTEMIS" * 10)
            self.assertEqual(list(parts(scanner)), [Chunk(b"ARTEMIS" * 10)])

    def test_file_between(self) -> None:
        """What follows a file is found, and its end is told."""
        scanner = StreamScanner()
        scanner.feed(written(FILE, 1, b"data") + written(FILE, 2, b"") + written(2, 3, b"x"))
        expected = [
            Begin(5, 1, 4),
            Chunk(b"data"),
            End(),
            Begin(5, 2, 0),
            End(),
            Message(2, 3, b"x"),
        ]
        self.assertEqual(list(parts(scanner)), expected)

    def test_abandon(self) -> None:
        """A file that nobody wants any more ends where it is; the next header is searched for."""
        scanner = StreamScanner()
        scanner.feed(written(FILE, 1, b"0123", 100))
        self.assertEqual(list(parts(scanner)), [Begin(5, 1, 100), Chunk(b"0123")])
        scanner.abandon()
        scanner.feed(b"the rest" + written(FILE, 2, b"next"))
        self.assertEqual(list(parts(scanner)), [Begin(5, 2, 4), Chunk(b"next"), End()])
        self.assertEqual(scanner.skipped, 8)

    def test_abandon_before_data(self) -> None:
        """Abandoned in the middle of a piece, the rest of that piece is searched."""
        scanner = StreamScanner()
        scanner.feed(written(FILE, 1, b"", 0xFFFFFFFF) + b"junk" + written(2, 2, b"x"))
        self.assertEqual(scanner.next_part(), Begin(5, 1, 0xFFFFFFFF))
        scanner.abandon()
        self.assertEqual(list(parts(scanner)), [Message(2, 2, b"x")])

    def test_abandon_nothing(self) -> None:
        """Without a file it changes nothing, not even in the middle of a message."""
        scanner = StreamScanner()
        scanner.feed(written(2, 1, b"abcd")[:-2])
        self.assertEqual(list(parts(scanner)), [])
        scanner.abandon()
        scanner.feed(b"cd")
        self.assertEqual(list(parts(scanner)), [Message(2, 1, b"abcd")])


class ScannerPropertyTests(TestCase):
    """What holds for every stream."""

    kinds = st.sampled_from([*KINDS, FILE])
    message = st.tuples(kinds, st.integers(0, 2**32 - 1), st.binary(max_size=60))
    # Damage that does not look like a header, also not together with the magic behind it.
    junk = st.one_of(
        st.binary(max_size=30),
        st.lists(st.sampled_from([b"ARTEMI", b"A", b"ART", b"SIMETRA", b"\0" * 20]), max_size=5)
        .map(b"".join),
    ).filter(lambda junk: (junk + MAGIC).find(MAGIC) == len(junk))  # fmt: skip

    @staticmethod
    def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
        """The stream, cut at these places."""
        places = sorted({0, len(stream), *(at % (len(stream) + 1) for at in cuts)})
        return [stream[a:b] for a, b in pairwise(places)]

    @settings(deadline=None)
    @given(
        st.lists(st.tuples(junk, message), max_size=5), junk, st.lists(st.integers(0), max_size=8)
    )
    def test_damage_between(
        self, entries: list[tuple[bytes, tuple[int, int, bytes]]], rest: bytes, cuts: list[int]
    ) -> None:
        """Whatever lies between messages and wherever they are cut: all are found."""
        stream = b"".join(junk + written(*message) for junk, message in entries) + rest
        expected = [(m[0], m[1], len(m[2]), m[2]) for _, m in entries]
        scanner = StreamScanner()
        self.assertEqual(scan(self.pieces(stream, cuts), scanner), expected)
        junk = sum(len(junk) for junk, _ in entries) + len(rest)
        self.assertLessEqual(scanner.skipped, junk)
        self.assertLessEqual(junk - scanner.skipped, 6)  # the rest may begin a header

    snippet = st.one_of(
        st.binary(max_size=20),
        st.just(MAGIC),
        st.builds(written, kinds, st.integers(0, 9), st.binary(max_size=20), st.integers(0, 40)),
        st.builds(written, kinds, st.just(1), st.binary(max_size=9), st.integers(0, 2**32 - 1)),
    )

    @settings(deadline=None, max_examples=300)
    @given(st.lists(snippet, max_size=8).map(b"".join), st.lists(st.integers(0), max_size=8))
    def test_chunking(self, stream: bytes, cuts: list[int]) -> None:
        """Any stream, damaged or not, gives the same parts however it is cut."""
        whole, pieces, bytewise = StreamScanner(), StreamScanner(), StreamScanner()
        expected = scan([stream], whole)
        self.assertEqual(scan(self.pieces(stream, cuts), pieces), expected)
        self.assertEqual(scan(cut(stream, 1), bytewise), expected)
        self.assertEqual((whole.skipped, whole.damaged), (pieces.skipped, pieces.damaged))
        self.assertEqual((whole.skipped, whole.damaged), (bytewise.skipped, bytewise.damaged))


class CostTests(TestCase):
    """
    Hostile streams cost time and memory in proportion to their size.

    If the work were quadratic, these would take minutes: the limit is wide.
    """

    def setUp(self) -> None:
        """Take the processor time, which does not depend on who else is at work."""
        began = time.process_time()
        limit = 600 if LONG else 60
        self.addCleanup(lambda: self.assertLess(time.process_time() - began, limit))

    def check_junk(self, pieces: Iterable[bytes]) -> None:
        """Nothing but the beginning of a magic is ever held of junk."""
        scanner, fed = StreamScanner(), 0
        for piece in pieces:
            scanner.feed(piece)
            fed += len(piece)
            self.assertIdentical(scanner.next_part(), None)
            if not 0 <= fed - scanner.skipped < len(MAGIC):
                self.fail(f"{fed - scanner.skipped} bytes of junk are held")

    def test_junk_by_bytes(self) -> None:
        """Junk that comes a byte at a time."""
        size = 10 * MIB if LONG else 200_000
        for junk in (b"\0", b"A", b"ARTEMI"):
            self.check_junk(cut(junk * (size // len(junk)), 1))

    def test_junk_at_once(self) -> None:
        """10 MB of junk, in large pieces and in one."""
        noise = random.Random(1).randbytes(10 * MIB)
        for junk in (noise, b"A" * len(noise), b"ARTEMI" * (len(noise) // 6)):
            for size in (1024, MIB, len(junk)):
                self.check_junk(cut(junk, size))

    def test_bad_headers(self) -> None:
        """Megabytes of headers that all lie."""
        scanner = StreamScanner()
        count = 10 * MIB // 20 if LONG else 100_000
        self.assertEqual(scan([written(2, 1, b"", 0xFFFFFFFF) * count], scanner), [])
        self.assertEqual((scanner.damaged, scanner.skipped), (count, 20 * count))

    def test_small_messages_at_once(self) -> None:
        """Many small messages in one piece."""
        count = 100_000
        self.assertEqual(len(scan([written(2, 1, b"x") * count])), count)

    def test_long_message(self) -> None:
        """8 MB of one frame in pieces of a DRW's size, asked for after each."""
        stream = written(0, 1, bytes(8 * MIB))
        found = scan(cut(stream, 1024))
        self.assertEqual([(ident, length) for ident, _, length, _ in found], [(0, 8 * MIB)])
