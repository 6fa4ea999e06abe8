"""The wake-up over Bluetooth LE: bytes there and back, however they are cut."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import DecodeError
from trailcam.wire.wakeup import (
    MAX_PAYLOAD,
    NOTIFICATION_SIZE,
    WAKE_UP,
    Access,
    Assembler,
    answer,
    encode,
    is_wake_up,
)

INPUTS = 1_000_000 if os.environ.get("TRAILCAM_LONG") else 20_000
#: The example of PROTOCOL, section 4, as text and as what it says.
TEXT = b'{"ret":0,"ssid":"KJK_1234","bssid":"02:00:00:00:12:34","pwd":"12345678"}'
ACCESS = Access("KJK_1234", "02:00:00:00:12:34", "12345678")

PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")


def text(shortest: int, longest: int) -> st.SearchStrategy[str]:
    """Printable text of so many bytes."""
    sized = st.text(PRINTABLE, min_size=shortest, max_size=longest)
    return sized.filter(lambda value: len(value.encode()) <= longest)


ACCESSES = st.builds(
    Access,
    text(1, 32),
    st.lists(st.integers(0, 255), min_size=6, max_size=6).map(lambda six: bytes(six).hex(":")),
    text(0, 63),
)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The data in pieces, cut at these places."""
    places = sorted({0, len(data), *(place % len(data) for place in cuts)})
    return [data[start:end] for start, end in pairwise(places)]


def said(notifications: Iterable[bytes], assembler: Assembler | None = None) -> list[Access]:
    """All that notifications say."""
    assembler = assembler or Assembler()
    return [access for piece in notifications if (access := assembler.feed(piece)) is not None]


def fields(**changes: object) -> bytes:
    """An answer with other fields; C{None} leaves one out."""
    changed = {**json.loads(TEXT), **changes}
    return encode(json.dumps({k: v for k, v in changed.items() if v is not None}).encode())


class WakeUpTests(TestCase):
    """What is written to the camera."""

    def test_bytes(self) -> None:
        """The wake-up is the 20 bytes of the protocol; 8 of them do as well, others do not."""
        self.assertEqual(WAKE_UP.hex(), "1357010000000000" + "00" * 12)
        self.assertTrue(is_wake_up(WAKE_UP))
        self.assertTrue(is_wake_up(WAKE_UP[:8]))
        for wrong in (b"", WAKE_UP[:7], b"\x13\x58" + WAKE_UP[2:], WAKE_UP[:-1] + b"\1"):
            self.assertFalse(is_wake_up(wrong), wrong)


class AnswerTests(TestCase):
    """What the camera answers."""

    def test_example(self) -> None:
        """The protocol's example is read, and written in notifications of at most 20 bytes."""
        notifications = answer(ACCESS)
        self.assertEqual(b"".join(notifications), b"\x13\x57\1\0\x48\0\0\0" + TEXT)
        self.assertEqual({len(piece) for piece in notifications[:-1]}, {NOTIFICATION_SIZE})
        self.assertEqual(said(notifications), [ACCESS])

    def test_secret(self) -> None:
        """The passphrase is in no representation, and in no error."""
        self.assertNotIn("12345678", repr(ACCESS))
        for broken in (fields(ret=1), fields(bssid="12345678"), encode(TEXT[:-1])):
            error = self.assertRaises(DecodeError, Assembler().feed, broken)
            self.assertNotIn("12345678", str(error))
            self.assertIsNone(error.__cause__)

    @given(ACCESSES, st.lists(st.integers(0, 300)))
    @settings(deadline=None)
    def test_any_cut(self, access: Access, cuts: list[int]) -> None:
        """However an answer is cut, it is read, once, with its last byte."""
        whole = b"".join(answer(access))
        assembler = Assembler()
        *first, last = cut(whole, cuts)
        self.assertEqual(said(first, assembler), [])
        self.assertEqual(assembler.feed(last), access)
        self.assertFalse(assembler.has_begun)
        self.assertEqual(assembler.dropped, 0)

    @given(st.integers(1, 79), st.lists(st.integers(0, 300)), st.binary(max_size=20))
    @example(7, [3], b"\x13")
    @settings(deadline=None)
    def test_comes_twice(self, kept: int, cuts: list[int], noise: bytes) -> None:
        """An answer that breaks off anywhere is forgotten when the next one comes."""
        whole = b"".join(answer(ACCESS))
        noise = noise.replace(b"\x57", b"")
        self.assertEqual(said(cut(noise + whole[:kept] + whole, cuts)), [ACCESS])
        self.assertEqual(said(cut(noise + whole + whole, [*cuts, 100])), [ACCESS, ACCESS])

    def test_refused(self) -> None:
        """What a camera cannot say is refused."""
        rets: tuple[object, ...] = (1, -1, 10**4000, True, "0", 0.0, [])
        wrong: tuple[bytes, ...] = (
            *(fields(**{name: None}) for name in ("ret", "ssid", "bssid", "pwd")),
            *(fields(**{name: 7}) for name in ("ssid", "bssid", "pwd")),
            *(fields(ret=ret) for ret in rets),
            *(fields(ssid=value) for value in ("", "a" * 33, "ä" * 17, "a\x1b[31m", "a\nb")),
            *(fields(pwd=value) for value in ("1" * 64, "12345678\0", "\ud800", "1\u20282")),
            *(fields(bssid=value) for value in ("", "02:00", "../../..:..:..:..", "é")),
            *map(encode, (b"7", b"null", b"[" * 3000, b"\xff\xfe", b"x", b"{}", b"\0" + TEXT)),
        )
        for message in wrong:
            self.assertRaises(DecodeError, Assembler().feed, message)
            assembler = Assembler()
            self.assertRaises(DecodeError, assembler.feed, message)
            self.assertEqual(assembler.feed(encode(TEXT)), ACCESS)

    def test_headers(self) -> None:
        """A header of another type, or with an impossible length, is passed over."""
        good = encode(TEXT)
        for bad in (
            b"\x13\x57\2" + good[3:],
            b"\x13\x56" + good[2:],
            encode(),
            good[:4] + (MAX_PAYLOAD + 1).to_bytes(4, "little") + TEXT,
            good[:4] + b"\xff" * 4 + TEXT,
        ):
            assembler = Assembler()
            self.assertIsNone(assembler.feed(bad))
            self.assertEqual(assembler.dropped, len(bad))
            self.assertEqual(assembler.feed(good), ACCESS)

    def test_longest(self) -> None:
        """The longest names and passphrases, and what a camera adds, are no matter."""
        longest = fields(ssid="ß" * 16, pwd="9" * 63, more=["x" * 3800])
        self.assertEqual(said([longest]), [Access("ß" * 16, ACCESS.bssid, "9" * 63)])
        self.assertEqual(said([encode(TEXT + b"\0\0\0left over")]), [ACCESS])


class FuzzTests(TestCase):
    """Damaged and hostile notifications, by the thousand."""

    def mutations(self, rng: random.Random) -> Iterable[bytes]:
        """Notifications that were good once."""
        whole = b"".join(answer(ACCESS))
        ways: tuple[Callable[[bytearray], bytes], ...] = (
            bytes,
            bytes,
            lambda data: bytes(data[: rng.randrange(len(data))]),
            lambda data: bytes(data) + rng.randbytes(rng.randint(0, 30)),
            lambda data: rng.randbytes(rng.randint(0, 600)),
            lambda data: bytes(data) * rng.randint(2, 9),
            lambda data: encode(bytes(rng.randint(0, 70_000)))[: rng.randint(0, 30)],
        )
        while True:
            for piece in cut(whole, [rng.randrange(80) for _ in range(rng.randint(0, 5))]):
                data = bytearray(piece)
                if rng.random() < 0.2:
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
                yield rng.choice(ways)(data) if rng.random() < 0.3 else bytes(data)

    def test_nothing_but_decode_error(self) -> None:
        """Whatever comes, it is read or refused, and little of it is kept."""
        assembler = Assembler()
        notifications = iter(self.mutations(random.Random(1)))
        read = refused = 0
        for _ in range(INPUTS):
            try:
                read += assembler.feed(next(notifications)) is not None
            except DecodeError:
                refused += 1
            self.assertLessEqual(len(assembler._buffer), MAX_PAYLOAD + 520)
        self.assertGreater(read, INPUTS // 50)
        self.assertGreater(refused, INPUTS // 500)

    def test_flood(self) -> None:
        """An answer that never ends is not kept for ever."""
        assembler = Assembler()
        assembler.feed(encode(bytes(MAX_PAYLOAD))[:-1])
        for _ in range(1000):
            assembler.feed(b"\x13\x57\1\0\0\x10\0\0" + b"a" * 4000)
        assembler.feed(b"\x13\x57\1\0\0\x10\0\0" * 100_000)
        self.assertLessEqual(len(assembler._buffer), MAX_PAYLOAD + 520)
