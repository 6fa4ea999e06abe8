"""
ARTEMIS messages inside a channel's stream, and the scanner that finds them
(PROTOCOL, section 3).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from trailcam.errors import DecodeError

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "Begin",
    "Chunk",
    "End",
    "Message",
    "MessageId",
    "Part",
    "StreamScanner",
    "encode_header",
]

MAGIC = b"ARTEMIS"
HEADER_SIZE = 20
_HEADER = struct.Struct("<7sBIII")

_KIB = 1024
_MIB = 1024 * _KIB


class MessageId(IntEnum):
    """What a message is, and so which channel carries it."""

    LIVE = 0
    REQUEST = 2
    RESPONSE = 3
    PLAYBACK = 4
    FILE = 5
    THUMBNAIL = 8
    EVENT = 9


#: The longest that a message may claim to be, in bytes. A file is streamed: its limit is the disk.
_LIMITS = {
    MessageId.LIVE: 8 * _MIB,
    MessageId.PLAYBACK: 8 * _MIB,
    MessageId.THUMBNAIL: 8 * _MIB,
    MessageId.FILE: (1 << 32) - 1,
}
_DEFAULT_LIMIT = 64 * _KIB


@dataclass(frozen=True, slots=True)
class Message:
    """
    One whole message.

    @ivar id: a L{MessageId}, or a number that nobody has named.
    @ivar sequence: 0 to 2**32 - 1.
    @ivar payload: what follows the header.
    """

    id: int
    sequence: int
    payload: bytes

    def encode(self) -> bytes:
        """Header and payload. Byte 7 of the header is NUL (events differ, and nobody cares)."""
        return encode_header(self.id, self.sequence, len(self.payload)) + self.payload

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """
        Read one message that is whole and alone.

        @raise DecodeError: when it is not.
        """
        if len(data) < HEADER_SIZE or not data.startswith(MAGIC):
            raise DecodeError("not an ARTEMIS message")
        _, _, ident, sequence, length = _HEADER.unpack_from(data)
        if length != len(data) - HEADER_SIZE:
            raise DecodeError("an ARTEMIS length that disagrees with the size")
        return cls(ident, sequence, data[HEADER_SIZE:])


def encode_header(ident: int, sequence: int, length: int, flag: int = 0) -> bytes:
    """
    The 20 bytes before a payload of C{length} bytes.

    @param flag: the byte after the magic: NUL in everything but events (F: 0x77, 0x76).
    """
    return _HEADER.pack(MAGIC, flag, ident, sequence, length)


@dataclass(frozen=True, slots=True)
class Begin:
    """A file message begins; L{Chunk}s follow, then an L{End}."""

    id: int
    sequence: int
    length: int


class Chunk(NamedTuple):
    """Some bytes of the file message that has begun. (A tuple: there is one for every DRW.)"""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The file message is over, all of the length that it claimed."""


Part: TypeAlias = Message | Begin | Chunk | End


class StreamScanner:
    """
    Finds the messages in one channel's stream.

    Whole messages come as L{Message}, a file message in pieces as it arrives:
    L{Begin}, L{Chunk} …, L{End}. What lies between messages is passed over.
    A length that the kind of message cannot have is damage: the magic is
    passed over and the scan goes on behind it. Never more is held than the
    longest message that a kind allows, and what has arrived of it.

    @ivar skipped: how many bytes were passed over.
    @ivar damaged: how many headers were refused for their length.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        # Bytes of a file message that need not wait for company: handed on as they are.
        self._passing = b""
        self._streaming = False
        self._left = 0
        self.skipped = 0
        self.damaged = 0

    def feed(self, data: bytes) -> None:
        """Add the next bytes of the stream."""
        if self._streaming and len(data) <= self._left and not (self._buffer or self._passing):
            self._passing = data
        else:
            self._buffer += data

    def next_part(self) -> Part | None:
        """The next part, or C{None} when more bytes are needed."""
        if self._streaming:
            return self._next_chunk()
        while self._find_header():
            _, _, ident, sequence, length = _HEADER.unpack_from(self._buffer)
            if length > _LIMITS.get(ident, _DEFAULT_LIMIT):
                self.damaged += 1
                # Only the magic: if the header was cut short, the next one is in what it read.
                self._skip(len(MAGIC))
                continue
            if ident == MessageId.FILE:
                del self._buffer[:HEADER_SIZE]
                self._streaming, self._left = True, length
                return Begin(ident, sequence, length)
            end = HEADER_SIZE + length
            if len(self._buffer) < end:
                return None
            payload = bytes(memoryview(self._buffer)[HEADER_SIZE:end])
            del self._buffer[:end]
            return Message(ident, sequence, payload)
        return None

    def abandon(self, unread: bytes = b"") -> None:
        """
        Want no more of the file message that has begun: look for a header from here on.

        @param unread: the end of the last chunk, to look there too.
        """
        self._streaming, self._left = False, 0
        self._buffer[:0] = unread + self._passing
        self._passing = b""

    def _next_chunk(self) -> Part | None:
        if self._left == 0:
            self._streaming = False
            return End()
        data = self._passing
        if data:
            self._passing = b""
        elif self._buffer:
            data = bytes(memoryview(self._buffer)[: self._left])
            del self._buffer[: self._left]
        else:
            return None
        self._left -= len(data)
        return Chunk(data)

    def _find_header(self) -> bool:
        """Bring a header to the front of the buffer, if there is a whole one."""
        at = self._buffer.find(MAGIC)
        if at < 0:
            # The last bytes may be the beginning of the next magic.
            at = max(0, len(self._buffer) - len(MAGIC) + 1)
            while not MAGIC.startswith(self._buffer[at:]):
                at += 1
        self._skip(at)
        return len(self._buffer) >= HEADER_SIZE and self._buffer.startswith(MAGIC)

    def _skip(self, count: int) -> None:
        if count:
            del self._buffer[:count]
            self.skipped += count
