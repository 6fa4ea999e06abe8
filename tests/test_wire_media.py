"""Tests of L{trailcam.wire.media} against PROTOCOL, section 3, and the captures."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from tests.support import whole_messages
from trailcam.errors import DecodeError
from trailcam.wire.cipher import encrypt_frame
from trailcam.wire.media import (
    FILE_HEADER_SIZE,
    FRAME_HEADER_SIZE,
    FileHeader,
    FileType,
    Frame,
    ThumbnailHeader,
)

UNIT = "C6:00:00:00:00:01"
START = b"\0\0\0\1"


def place(size: int, *fields: tuple[int, int, int | bytes], filler: int = 0) -> bytes:
    """C{size} bytes with fields at offsets: (offset, size, little-endian number or bytes)."""
    out = bytearray([filler]) * size
    for offset, width, value in fields:
        data = value if isinstance(value, bytes) else value.to_bytes(width, "little")
        out[offset : offset + width] = data.ljust(width, b"\0")
    return bytes(out)


def file_bytes(header: FileHeader, filler: int = 0) -> bytes:
    """A file's header by PROTOCOL's offsets; what is unknown holds C{filler}."""
    return place(
        72,
        (0, 32, header.camera.encode()),
        (32, 2, header.directory),
        (34, 2, header.number),
        (36, 4, header.length),
        (40, 8, header.tail),
        (48, 4, header.media_id),
        filler=filler,
    )


def thumbnail_bytes(header: ThumbnailHeader, filler: int = 0) -> bytes:
    """A thumbnail's header by PROTOCOL's offsets."""
    return place(
        72,
        (0, 32, header.camera.encode()),
        (32, 2, header.directory),
        (34, 2, header.number),
        (36, 4, header.length),
        (40, 4, header.file_type),
        filler=filler,
    )


def frame_bytes(frame: Frame, filler: int = 0) -> bytes:
    """A frame by PROTOCOL's offsets."""
    data = frame.video + frame.audio
    check = data[-4:].ljust(4, b"\0")
    return place(
        108,
        (0, 4, frame.counter),
        (8, 8, frame.pts),
        (16, 4, len(frame.video)),
        (20, 4, len(frame.audio)),
        (24, 4, int(frame.key_frame)),
        (28, 4, frame.width),
        (32, 4, frame.height),
        (36, 4, frame.audio_parameter),
        (40, 4, frame.stage),
        (48, 4, frame.session_number),
        (66, 4, check if frame.intact else bytes(byte ^ 255 for byte in check)),
        filler=filler,
    ) + encrypt_frame(data)


words = st.integers(0, 2**32 - 1)
halves = st.integers(0, 2**16 - 1)
fillers = st.integers(0, 255)
cameras = st.text(st.characters(min_codepoint=1, max_codepoint=127), max_size=31)
files = st.builds(
    FileHeader, cameras, halves, halves, words, st.binary(min_size=8, max_size=8), words
)
thumbnails = st.builds(ThumbnailHeader, cameras, halves, halves, words, words)
stuff = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda piece, times: piece * times, st.binary(max_size=9), st.integers(0, 1000)),
)
frames = st.builds(
    Frame, words, st.integers(0, 2**64 - 1), stuff, stuff, st.booleans(), words, words, words,
    words, words, st.booleans(),
).filter(lambda frame: frame.intact or frame.video or frame.audio)  # nothing cannot be damaged


class CaptureTests(TestCase):
    """A frame that a real camera sent."""

    def captured(self) -> tuple[bytes, Frame]:
        """The frame in the album's capture that sits whole in one DRW."""
        found = {
            message.payload
            for who, drw, message in whole_messages("album")
            if (who, drw.channel, drw.index, message.id) == ("camera", 1, 50, 0)
        }
        (payload,) = found
        return payload, Frame.decode(payload)

    def test_live_frame(self) -> None:
        """It decrypts to a slice of H.264, and the check bytes agree."""
        payload, frame = self.captured()
        self.assertTrue(frame.intact)
        self.assertEqual(frame.video[:4], START)
        self.assertIn(frame.video[4] & 0x1F, (1, 5))
        self.assertEqual((frame.width, frame.height), (1280, 720))
        self.assertEqual(frame.key_frame, frame.video[4] & 0x1F == 5)
        self.assertEqual(frame.audio, b"")
        self.assertEqual(payload[66:70], frame.video[-4:])
        self.assertFalse(frame.is_mark or frame.is_end)

    def test_encrypted_alone_is_no_slice(self) -> None:
        """Without decryption it is none: the test above means something."""
        payload, _ = self.captured()
        self.assertNotEqual(payload[108:112], START)

    def test_same_bytes(self) -> None:
        """Encoded again, the positions that PROTOCOL names and the data have the same bytes."""
        payload, frame = self.captured()
        encoded = frame.encode()
        self.assertLess(len(encoded), len(payload))  # the camera's length exceeds the data
        self.assertEqual(encoded[108:], payload[108 : len(encoded)])
        for start, end in ((0, 4), (8, 44), (48, 52), (66, 70)):
            self.assertEqual(encoded[start:end], payload[start:end], f"bytes {start} to {end}")

    def test_damaged(self) -> None:
        """One bit changed in its last bytes, or in the first block, is told by the check bytes."""
        payload, frame = self.captured()
        end = 108 + len(frame.video)
        self.assertTrue(Frame.decode(payload[:end]).intact)
        for at in (66, end - 1, end - 4):
            damaged = bytearray(payload)
            damaged[at] ^= 1
            self.assertFalse(Frame.decode(bytes(damaged)).intact)


class FrameTests(TestCase):
    """Live and playback frames."""

    frame = Frame(7, 2**40, START + b"\x65" + b"v" * 300, b"\xff\xf1a", True, 1280, 720, 3, 2, 9)

    def test_sizes(self) -> None:
        """The headers are as long as PROTOCOL says."""
        self.assertEqual((FILE_HEADER_SIZE, FRAME_HEADER_SIZE), (72, 108))
        self.assertEqual([kind.value for kind in FileType], [0, 1, 2])

    def test_offsets(self) -> None:
        """Every field is where PROTOCOL has it, whatever lies between."""
        for filler in (0, 0xFF):
            self.assertEqual(Frame.decode(frame_bytes(self.frame, filler)), self.frame)
        self.assertEqual(self.frame.encode(), frame_bytes(self.frame))

    def test_more_than_it_says(self) -> None:
        """What lies behind video and audio is ignored."""
        self.assertEqual(Frame.decode(self.frame.encode() + bytes(170)), self.frame)
        self.assertEqual(Frame.decode(self.frame.encode() + b"\xff" * 5000), self.frame)

    def test_cut_short(self) -> None:
        """A frame shorter than it says is refused, wherever it ends."""
        data = self.frame.encode()
        for end in (*range(109), len(data) - 1):
            self.assertRaises(DecodeError, Frame.decode, data[:end])

    def test_lying_lengths(self) -> None:
        """Lengths beyond the message are refused, also when their sum would wrap."""
        for at, value in ((16, 2**32 - 1), (20, 2**32 - 1), (16, 306), (20, 5)):
            data = bytearray(self.frame.encode())
            data[at : at + 4] = value.to_bytes(4, "little")
            self.assertRaises(DecodeError, Frame.decode, bytes(data))
        both = bytearray(self.frame.encode())
        both[16:24] = (2**32 - 200).to_bytes(4, "little") + (200).to_bytes(4, "little")
        self.assertRaises(DecodeError, Frame.decode, bytes(both))

    def test_check_bytes(self) -> None:
        """The check bytes are the last 4 of video and audio together, decrypted."""
        for video, audio in ((b"v" * 200, b""), (b"", b"aud1o"), (b"v" * 96, b"ab"), (b"v", b"a")):
            frame = replace(self.frame, video=video, audio=audio)
            data = frame.encode()
            self.assertEqual(data[66:70], (video + audio)[-4:].ljust(4, b"\0"))
            self.assertTrue(Frame.decode(data).intact)
            wrong = data[:66] + bytes([data[66] ^ 1]) + data[67:]
            self.assertEqual(Frame.decode(wrong), replace(frame, intact=False))

    def test_key_frame(self) -> None:
        """Only 1 says that it is a key frame."""
        for value, expected in ((0, False), (1, True), (2, False), (256, False)):
            data = bytearray(self.frame.encode())
            data[24:28] = value.to_bytes(4, "little")
            self.assertEqual(Frame.decode(bytes(data)).key_frame, expected)

    def test_end(self) -> None:
        """Stage 4 is the end mark of a playback, and nothing else is."""
        for stage in range(6):
            self.assertEqual(replace(self.frame, stage=stage).is_end, stage == 4)

    def test_mark(self) -> None:
        """C{00 00 00 01 01} is a mark; a slice that only begins so is a picture."""
        for video, expected in (
            (START + b"\1", True),
            (START + b"\1" + b"slice", False),
            (START + b"\x41", False),
            (START, False),
            (b"", False),
        ):
            self.assertEqual(replace(self.frame, video=video).is_mark, expected, repr(video))

    @settings(deadline=None)
    @given(frames, fillers, st.binary(max_size=30))
    def test_round_trip(self, frame: Frame, filler: int, rest: bytes) -> None:
        """Any frame is written by PROTOCOL's offsets, and comes back whatever lies between."""
        self.assertEqual(frame.encode(), frame_bytes(frame))
        self.assertEqual(Frame.decode(frame_bytes(frame, filler) + rest), frame)

    @settings(deadline=None)
    @given(
        st.one_of(st.binary(max_size=300), st.binary(max_size=400).map(lambda d: bytes(108) + d))
    )
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes decode to a frame that is no longer than they are, or are refused."""
        try:
            frame = Frame.decode(data)
        except DecodeError:
            return
        self.assertLessEqual(108 + len(frame.video) + len(frame.audio), len(data))
        self.assertEqual(Frame.decode(frame.encode()), frame)


class HeaderTests(TestCase):
    """The headers of files and thumbnails."""

    file = FileHeader(UNIT, 100, 318, 250_000, b"12345678", 3361310203)
    thumbnail = ThumbnailHeader(UNIT, 100, 318, 12_000, 1)

    def test_offsets(self) -> None:
        """Every field is where PROTOCOL has it; what is unknown is ignored."""
        for filler in (0, 0xFF):
            self.assertEqual(FileHeader.decode(file_bytes(self.file, filler)), self.file)
            data = thumbnail_bytes(self.thumbnail, filler)
            self.assertEqual(ThumbnailHeader.decode(data), self.thumbnail)
        self.assertEqual(self.file.encode(), file_bytes(self.file))
        self.assertEqual(self.thumbnail.encode(), thumbnail_bytes(self.thumbnail))

    def test_data_behind(self) -> None:
        """The data behind a header does not matter to it."""
        self.assertEqual(FileHeader.decode(self.file.encode() + b"\xff\xd8"), self.file)
        data = self.thumbnail.encode() + b"\xff\xd8"
        self.assertEqual(ThumbnailHeader.decode(data), self.thumbnail)

    def test_cut_short(self) -> None:
        """Fewer than 72 bytes are refused."""
        for end in range(72):
            self.assertRaises(DecodeError, FileHeader.decode, bytes(end))
            self.assertRaises(DecodeError, ThumbnailHeader.decode, bytes(end))

    def test_camera(self) -> None:
        """The id ends at its first NUL or after 31 bytes, and is ASCII or refused."""
        for field, expected in (
            (b"C6:00\0 leftover \xff\xfe", "C6:00"),
            (bytes(32), ""),
            (b"x" * 31, "x" * 31),
            (b"x" * 32, "x" * 31),
            (b"../../etc\0", "../../etc"),
        ):
            data = field.ljust(32, b"\0") + bytes(40)
            self.assertEqual(FileHeader.decode(data).camera, expected)
            self.assertEqual(ThumbnailHeader.decode(data).camera, expected)
        for field in (b"\xff", b"C6:\xc3\xa4"):
            data = field.ljust(32, b"\0") + bytes(40)
            self.assertRaises(DecodeError, FileHeader.decode, data)
            self.assertRaises(DecodeError, ThumbnailHeader.decode, data)

    def test_impossible_camera(self) -> None:
        """An id that the 32 bytes cannot hold is refused when it is written."""
        for camera in ("x" * 32, "C6\0", "ä"):
            self.assertRaises(DecodeError, replace(self.file, camera=camera).encode)
            self.assertRaises(DecodeError, replace(self.thumbnail, camera=camera).encode)

    @settings(deadline=None)
    @given(files, fillers)
    def test_file_round_trip(self, header: FileHeader, filler: int) -> None:
        """Any file's header is written by PROTOCOL's offsets, and comes back."""
        self.assertEqual(header.encode(), file_bytes(header))
        self.assertEqual(FileHeader.decode(file_bytes(header, filler)), header)

    @settings(deadline=None)
    @given(thumbnails, fillers)
    def test_thumbnail_round_trip(self, header: ThumbnailHeader, filler: int) -> None:
        """Any thumbnail's header is written by PROTOCOL's offsets, and comes back."""
        self.assertEqual(header.encode(), thumbnail_bytes(header))
        self.assertEqual(ThumbnailHeader.decode(thumbnail_bytes(header, filler)), header)

    ascii_first = st.builds(
        lambda camera, rest: camera.encode().ljust(32, b"\0") + rest,
        cameras,
        st.binary(min_size=40, max_size=60),
    )

    @settings(deadline=None)
    @given(st.one_of(st.binary(max_size=100), ascii_first))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes decode to a header that can be written again, or are refused."""
        for kind in (FileHeader, ThumbnailHeader):
            try:
                header = kind.decode(data)
            except DecodeError:
                continue
            self.assertEqual(kind.decode(header.encode()), header)
