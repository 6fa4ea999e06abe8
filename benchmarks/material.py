"""What the scripted camera sends: photos, live frames and a video, as they look on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from trailcam.commands import MediaFile
from trailcam.wire.artemis import HEADER_SIZE, Message, MessageId
from trailcam.wire.media import FILE_HEADER_SIZE, FRAME_HEADER_SIZE, FileHeader, Frame
from trailcam.wire.pppp import MAX_DRW_DATA

__all__ = [
    "FRAME_DATAGRAMS",
    "LIVE_FRAMES",
    "PHOTO_DATAGRAMS",
    "cut",
    "filmed",
    "live_frame",
    "media",
    "photo",
    "photo_message",
    "rival_frame",
    "video",
]

#: A photo fills so many datagrams: half a megabyte.
PHOTO_DATAGRAMS = 512
#: A live frame fills so many.
FRAME_DATAGRAMS = 16
#: So many live frames are made, then they come again.
LIVE_FRAMES = 8
#: An access unit of the long video, with its filler: 100 kB.
UNIT_DATAGRAMS = 100

#: Starts a frame for aiopppp: its video marker, in a header of 32 bytes.
RIVAL_MARKER = b"\x55\xaa\x15\xa8\x03".ljust(32, b"\0")


def cut(message: bytes) -> list[bytes]:
    """The pieces of a message, one for each datagram."""
    return [message[at : at + MAX_DRW_DATA] for at in range(0, len(message), MAX_DRW_DATA)]


def media(count: int) -> list[MediaFile]:
    """So many photos."""
    return [MediaFile(0, 100, number + 1, 0, number, 1_780_000_000) for number in range(count)]


def photo(file: MediaFile) -> bytes:
    """The data of one photo; it differs from file to file and ends as a JPEG does."""
    size = PHOTO_DATAGRAMS * MAX_DRW_DATA - HEADER_SIZE - FILE_HEADER_SIZE
    return b"\xff\xd8%06d" % file.number + _noise()[: size - 10] + b"\xff\xd9"


def photo_message(file: MediaFile) -> bytes:
    """The photo as it comes on channel 3."""
    data = photo(file)
    header = FileHeader(
        "C6:00:00:00:00:01", file.directory, file.number, len(data), data[-8:], file.media_id or 0
    )
    return Message(MessageId.FILE, 1, header.encode() + data).encode()


def live_frame(number: int) -> bytes:
    """A live frame as it comes on channel 1, all bytes H.264 by their looks."""
    size = FRAME_DATAGRAMS * MAX_DRW_DATA - HEADER_SIZE - FRAME_HEADER_SIZE
    picture = b"\0\0\0\1\x65" + _noise()[number : number + size - 5]
    frame = Frame(number, number * 66_000, picture, b"", number % LIVE_FRAMES == 0, 1280, 720)
    return Message(MessageId.LIVE, number + 1, frame.encode()).encode()


def rival_frame() -> bytes:
    """A frame as aiopppp's cameras send it, of as many datagrams as a live frame."""
    size = FRAME_DATAGRAMS * MAX_DRW_DATA - len(RIVAL_MARKER)
    return RIVAL_MARKER + _noise()[:size]


def filmed(size: int) -> int:
    """How many frames a video of about C{size} bytes has."""
    return max(1, size // (UNIT_DATAGRAMS * MAX_DRW_DATA))


def video(size: int, session_number: int) -> Iterator[bytes]:
    """A video of about C{size} bytes, frame by frame, and the end mark: channel 2."""
    count = filmed(size)
    units = _access_units()
    for number in range(count):
        data, key = units[number % len(units)]
        stage = 2 if number == 0 else 0
        frame = Frame(number, number * 66, data, b"", key, 1280, 720, 0, stage, session_number)
        yield Message(MessageId.PLAYBACK, number + 1, frame.encode()).encode()
    end = Frame(count, count * 66, b"", b"", False, 1280, 720, 0, 4, session_number)
    yield Message(MessageId.PLAYBACK, count + 1, end.encode()).encode()


@lru_cache(1)
def _access_units() -> list[tuple[bytes, bool]]:
    """Real access units of H.264, each padded with a filler NAL unit (type 12)."""
    from trailcam.simulator.recording import LiveSource, record

    size = UNIT_DATAGRAMS * MAX_DRW_DATA - HEADER_SIZE - FRAME_HEADER_SIZE
    samples = record(LiveSource.SHOT, 1000).samples
    return [
        (_padded(sample.data, size), sample.key_frame) for sample in samples if sample.is_video
    ]


def _padded(data: bytes, size: int) -> bytes:
    return data + b"\0\0\0\1\x0c" + b"\xff" * (size - len(data) - 6) + b"\x80"


@lru_cache(1)
def _noise() -> bytes:
    """A megabyte that does not compress, the same each time, without a start code in it."""
    from random import Random

    return Random(1).randbytes(1 << 20).replace(b"\0", b"\x5a")
