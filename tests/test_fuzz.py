"""
Damaged and hostile datagrams, by the thousand, in a plain loop with a fixed seed.

20,000 inputs for each test; C{TRAILCAM_LONG=1} makes it 1,000,000.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import sys
import tracemalloc
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address

from twisted.trial.unittest import SkipTest, TestCase

from tests.support import CAPTURES, capture
from trailcam.commands import decode_text, encode_text
from trailcam.errors import DecodeError, SendBufferFull
from trailcam.session.events import Received
from trailcam.session.session import CHANNELS, Session, _Stream
from trailcam.wire import pppp
from trailcam.wire.artemis import Begin, Message, MessageId, StreamScanner
from trailcam.wire.device_id import FAMILY
from trailcam.wire.media import FileHeader, Frame, ThumbnailHeader

INPUTS = 1_000_000 if os.environ.get("TRAILCAM_LONG") else 20_000
KIB, MIB = 1 << 10, 1 << 20

#: What one session may hold of what came: 1024 datagrams ahead, and 4 MiB unread, a channel.
MOST_HELD = CHANNELS * (1024 * KIB + 4 * MIB)
#: One datagram that comes, or one timer, makes no more than so many go.
MOST_SENT = 200
#: When all sessions are gone, so many pieces of memory, and bytes, may remain: caches have them.
MOST_PIECES, MOST_KEPT = 500, 64 * KIB

CLOSE = pppp.encode(pppp.Close())


def built() -> list[bytes]:
    """Good datagrams of every kind, with good messages in the DRW."""
    frame = Frame(1, 2, b"\0\0\0\1\x65" + bytes(700), b"", True, 1280, 720)
    messages = [
        (0, b"ACK"),
        (0, Message(MessageId.REQUEST, 1, encode_text({"cmdId": 512, "token": 5})).encode()),
        (0, Message(MessageId.RESPONSE, 1, encode_text({"result": 0}) + bytes(20)).encode()),
        (1, Message(MessageId.LIVE, 1, frame.encode()).encode()),
        (2, Message(MessageId.PLAYBACK, 1, frame.encode()).encode()),
        (3, Message(MessageId.FILE, 1, FileHeader("C6", 1, 2, 8, b"x" * 8, 3).encode()).encode()),
        (4, Message(MessageId.THUMBNAIL, 1, ThumbnailHeader("C6", 1, 2, 9, 0).encode()).encode()),
        (6, Message(MessageId.EVENT, 1, b'{"evtId":4}\0').encode()),
        (5, random.Random(5).randbytes(1024)),
    ]
    values: list[pppp.Datagram] = [
        pppp.LanSearch(),
        pppp.PunchPkt(FAMILY),
        pppp.P2PRdy(FAMILY),
        pppp.P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 40611),
        pppp.DrwAck(0, (0, 1, 2)),
        pppp.DrwAck(1, tuple(range(17))),
        pppp.Alive(),
        pppp.AliveAck(),
        pppp.Close(),
        *(pppp.Drw(channel, index, data) for index, (channel, data) in enumerate(messages)),
    ]
    return [pppp.encode(value) for value in values]


@cache
def corpus() -> tuple[bytes, ...]:
    """Good datagrams: those, and the different ones of the captures where there are captures."""
    found = built()
    with contextlib.suppress(SkipTest):
        for name in CAPTURES:
            found += [datagram for _, datagram in capture(name)]
    return tuple(dict.fromkeys(found))


class Fuzzer:
    """
    Makes bad datagrams of good ones.

    @ivar rng: all its randomness.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self._next = [0] * 256
        self._ways: tuple[Callable[[bytearray], bytes], ...] = (
            bytes,
            self._flip,
            self._cut,
            self._lengthen,
            self._splice,
            self._lie,
            self._relabel,
            self._relabel,
            self._in_order,
            self._in_order,
            self._noise,
        )

    def forget(self) -> None:
        """A new session begins: so do the indexes."""
        self._next = [0] * 256

    def datagram(self) -> bytes:
        """The next one. Few are CLOSE, or no session would get far."""
        datagram = self.rng.choice(self._ways)(self._good())
        if datagram == CLOSE and self.rng.random() < 0.95:
            return self.datagram()
        return datagram

    def _good(self) -> bytearray:
        return bytearray(self.rng.choice(corpus()))

    def _flip(self, data: bytearray) -> bytes:
        for _ in range(self.rng.randint(1, 8)):
            data[self.rng.randrange(len(data))] ^= 1 << self.rng.randrange(8)
        return bytes(data)

    def _cut(self, data: bytearray) -> bytes:
        return self._perhaps_true(data[: self.rng.randrange(len(data) + 1)])

    def _lengthen(self, data: bytearray) -> bytes:
        return self._perhaps_true(data + self.rng.randbytes(self.rng.randint(1, 1100)))

    def _splice(self, data: bytearray) -> bytes:
        other = self._good()
        head, tail = self.rng.randrange(len(data) + 1), self.rng.randrange(len(other) + 1)
        return self._perhaps_true(data[:head] + other[tail:])

    def _lie(self, data: bytearray) -> bytes:
        """Another number where a length or a count is: of the datagram, a list, a message."""
        value = self.rng.choice((0, 1, 17, 0x7F, 0xFF, self.rng.randrange(256)))
        at = self.rng.choice((2, 3, 6, 7, 24, 25, 26, 27, 44, 45, 46, 47))
        if at < len(data):
            data[at] = value
        return bytes(data)

    def _relabel(self, data: bytearray) -> bytes:
        """A DRW or DRW_ACK with other channel and indexes: near, far, and around the wrap."""
        near = self._next[data[5]] if len(data) > 5 else 0
        spans = ((0, 40), (0, 1100), (-1100, 0), (-70000, 70000))
        if data[1] == 0xD0 and len(data) > 8:
            channel = self.rng.choice((data[5], self.rng.randrange(9), self.rng.randrange(256)))
            index = (near + self.rng.randint(*self.rng.choice(spans))) & 0xFFFF
            return pppp.encode_drw(channel, index, bytes(data[8:]))
        indexes = (self.rng.randint(*self.rng.choice(spans)) & 0xFFFF for _ in range(17))
        return pppp.encode(pppp.DrwAck(self.rng.randrange(9), tuple(indexes)))

    def _in_order(self, data: bytearray) -> bytes:
        """The DRW that a session waits for, so that it gets somewhere."""
        channel = self.rng.randrange(CHANNELS)
        index = self._next[channel]
        self._next[channel] = (index + 1) & 0xFFFF
        payload = bytes(data[8:]) if self.rng.random() < 0.8 else self.rng.randbytes(1024)
        return pppp.encode_drw(channel, index, payload or b"x")

    def _noise(self, data: bytearray) -> bytes:
        return self.rng.randbytes(self.rng.choice((0, 1, 3, 4, 5, 24, 60, 1500)))

    def _perhaps_true(self, data: bytearray) -> bytes:
        """With the length that it should have, half of the times."""
        if len(data) >= 4 and self.rng.random() < 0.5:
            data[2:4] = (len(data) - 4).to_bytes(2, "big")
        return bytes(data)


class Reader:
    """What a client does with a session's streams: it takes the messages apart."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._scanners = [StreamScanner() for _ in range(CHANNELS)]
        self.parts = 0

    def take(self, event: Received) -> None:
        """Read what is there; damage raises L{DecodeError} inside, and nothing else."""
        scanner = self._scanners[event.channel]
        scanner.feed(event.data)
        while (part := scanner.next_part()) is not None:
            self.parts += 1
            if isinstance(part, Begin) and self._rng.random() < 0.9:
                scanner.abandon()
            elif isinstance(part, Message):
                self._decode(part.payload)

    @staticmethod
    def _decode(payload: bytes) -> None:
        for decode in (decode_text, Frame.decode, FileHeader.decode, ThumbnailHeader.decode):
            try:
                decode(payload)
            except DecodeError:
                continue


def open_client(now: float) -> Session:
    """A client's session that stands."""
    session = Session(now)
    session.connect(now)
    session.receive_datagram(pppp.encode(pppp.P2PRdy(FAMILY)), now)
    session.receive_datagram(pppp.encode_drw(0, 0, b"ACK"), now)
    return session


def open_camera(now: float) -> Session:
    """A camera's session that stands."""
    session = Session(now)
    session.receive_datagram(pppp.encode(pppp.PunchPkt(FAMILY)), now)
    session.receive_datagram(pppp.encode(pppp.DrwAck(0, (0,))), now)
    return session


def held(session: Session) -> int:
    """How many bytes a session holds of what came. It does not tell: this looks inside."""
    ahead = sum(len(data) for half in session._receivers for data in half._waiting.values())
    streams = [event for event in session._events if isinstance(event, _Stream)]
    unread = sum(len(piece) for stream in streams for piece in stream.pieces)
    acks = sum(len(half.acks) for half in session._receivers)
    return ahead + unread + acks


def pieces_in_use() -> int:
    """How many small pieces of memory are in use."""
    gc.collect()
    return sys.getallocatedblocks()


class DecodeTests(TestCase):
    """The outermost layer."""

    def test_decode(self) -> None:
        """Bad datagrams are refused with L{DecodeError}, or read without loss."""
        fuzzer, read = Fuzzer(1), 0
        for _ in range(INPUTS):
            datagram = fuzzer.datagram()
            try:
                value = pppp.decode(datagram)
            except DecodeError:
                continue
            read += 1
            self.assertEqual(pppp.encode(value), datagram)
        # Both ways were gone often, or this would prove little.
        self.assertTrue(INPUTS // 5 < read < INPUTS * 4 // 5, f"{read} were read")


class SessionTests(TestCase):
    """An open session, on either side."""

    def check(self, open_session: Callable[[float], Session], seed: int) -> None:
        """It survives; of many datagrams no more memory is kept than of few."""
        self.fuzz(open_session, seed, INPUTS // 10)
        few = pieces_in_use()
        sessions, parts = self.fuzz(open_session, seed, INPUTS)
        self.assertLess(pieces_in_use() - few, MOST_PIECES)
        self.assertGreater(sessions, 1)
        self.assertGreater(parts, INPUTS // 200)
        # Large pieces are not counted there; to trace all of them is slow.
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.fuzz(open_session, seed, INPUTS // 10)
        gc.collect()
        self.assertLess(tracemalloc.get_traced_memory()[0], MOST_KEPT)

    def fuzz(
        self, open_session: Callable[[float], Session], seed: int, inputs: int
    ) -> tuple[int, int]:
        """
        Feed a session for long; whenever it ends, the next one begins.

        @return: how many sessions there were, and how many parts of messages came.
        """
        fuzzer, now = Fuzzer(seed), 0.0
        rng = fuzzer.rng
        session, reader = open_session(now), Reader(rng)
        self.assertTrue(session.is_open)
        sessions, parts, most = 1, 0, 0
        for count in range(inputs):
            now += rng.choice((0.0, 0.0, 0.0001, 0.003, 0.05))
            session.receive_datagram(fuzzer.datagram(), now)
            self.do_something(session, rng, now)
            self.check_output(session)
            # For long stretches nobody reads.
            if count // (inputs // 10) % 2:
                while (event := session.next_event()) is not None:
                    if isinstance(event, Received):
                        reader.take(event)
            if count % 500 == 0:
                most = max(most, held(session))
            if session.next_timer() is None:
                parts += reader.parts
                session, reader = open_session(now), Reader(rng)
                sessions += 1
                fuzzer.forget()
        self.assertLess(most, MOST_HELD)
        self.assertGreater(most, 0)
        return sessions, parts + reader.parts

    def do_something(self, session: Session, rng: random.Random, now: float) -> None:
        """What an owner of a session does from time to time."""
        chance = rng.random()
        channel = rng.randrange(CHANNELS)
        if chance < 0.3:
            session.handle_timer(now)
        elif chance < 0.35:
            with contextlib.suppress(SendBufferFull):
                session.send(channel, bytes(rng.choice((1, 100, 5000))), now)
        elif chance < 0.36:
            session.pause(channel)
        elif chance < 0.40:
            session.resume(channel, now)

    def check_output(self, session: Session) -> None:
        """What goes out is well-formed, and not much at once."""
        outgoing = session.datagrams_to_send()
        self.assertLess(len(outgoing), MOST_SENT)
        for datagram in outgoing:
            pppp.decode(datagram)

    def test_client(self) -> None:
        """A client's session survives whatever a camera sends, and holds little of it."""
        self.check(open_client, 2)

    def test_camera(self) -> None:
        """A camera's session survives whatever a client sends, and holds little of it."""
        self.check(open_camera, 3)

    def test_unread_flood(self) -> None:
        """A flood in the best order that nobody reads is held up to the limit, and no further."""
        session = open_client(0.0)
        data = bytes(1024)
        for count in range(3 * 4096):
            session.receive_datagram(pppp.encode_drw(1, count & 0xFFFF, data), count / 1000)
            session.datagrams_to_send()
        self.assertEqual(held(session) // MIB, 3)  # and what each piece costs besides
        self.assertGreater(session.statistics.dropped_bytes, 7 * MIB)
        self.assertTrue(session.is_open)

    def test_flood_with_a_gap(self) -> None:
        """A flood on every channel behind a gap is held up to the limit, and no further."""
        session = open_client(0.0)
        for index in range(2, 5000):
            for channel in range(CHANNELS):
                session.receive_datagram(pppp.encode_drw(channel, index, bytes(1024)), 0.0)
            session.datagrams_to_send()
        self.assertLess(held(session), CHANNELS * 1025 * KIB)
        self.assertGreater(session.statistics.refused, CHANNELS * 3900)
