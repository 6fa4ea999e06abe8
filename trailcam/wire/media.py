"""Headers of thumbnails, files, and live and playback frames (PROTOCOL, section 3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from trailcam.errors import DecodeError
from trailcam.wire.cipher import decrypt_frame, encrypt_frame

__all__ = [
    "FILE_HEADER_SIZE",
    "FRAME_HEADER_SIZE",
    "FileHeader",
    "FileType",
    "Frame",
    "ThumbnailHeader",
]

FILE_HEADER_SIZE = 72
FRAME_HEADER_SIZE = 108

_FILE = struct.Struct("<32sHHI8sI20s")
_FRAME = struct.Struct("<I4xQIIIIIII4xI14x4s38x")
#: The longest id of a camera: 32 bytes, of which the last is NUL.
_CAMERA_LENGTH = 31
#: The frame that says something and shows nothing (evidence P). What only begins so is a picture.
_MARK = b"\0\0\0\1\1"


class FileType(IntEnum):
    """What a medium on the card is."""

    PHOTO = 0
    VIDEO_MP4 = 1
    VIDEO_AVI = 2


@dataclass(frozen=True, slots=True)
class FileHeader:
    """
    The 72 bytes before a file's data on channel 3.

    @ivar camera: the camera's own id as text; from outside, so checked before it names anything.
    @ivar directory: the card's directory number.
    @ivar number: the medium's number in it.
    @ivar length: how many bytes of data follow.
    @ivar tail: the last 8 bytes of the data, to verify it by.
    @ivar media_id: as in the media list.
    """

    camera: str
    directory: int
    number: int
    length: int
    tail: bytes
    media_id: int

    @classmethod
    def decode(cls, data: bytes) -> FileHeader:
        """
        Read the first 72 bytes of C{data}.

        @raise DecodeError: when there are fewer, or the text is none.
        """
        fields = _unpack_file(data)
        return cls(_camera(fields[0]), *fields[1:6])

    def encode(self) -> bytes:
        """The 72 bytes."""
        return _FILE.pack(
            _camera_bytes(self.camera),
            self.directory,
            self.number,
            self.length,
            self.tail,
            self.media_id,
            bytes(20),
        )


@dataclass(frozen=True, slots=True)
class ThumbnailHeader:
    """
    The 72 bytes before a thumbnail's JPEG data on channel 4; see L{FileHeader}.

    @ivar file_type: 0 photo, 1 or 2 video.
    """

    camera: str
    directory: int
    number: int
    length: int
    file_type: int

    @classmethod
    def decode(cls, data: bytes) -> ThumbnailHeader:
        """
        Read the first 72 bytes of C{data}.

        @raise DecodeError: when there are fewer, or the text is none.
        """
        camera, directory, number, length, kind, _, _ = _unpack_file(data)
        return cls(_camera(camera), directory, number, length, int.from_bytes(kind[:4], "little"))

    def encode(self) -> bytes:
        """The 72 bytes."""
        kind = self.file_type.to_bytes(4, "little")
        camera = _camera_bytes(self.camera)
        return _FILE.pack(camera, self.directory, self.number, self.length, kind, 0, bytes(20))


@dataclass(frozen=True, slots=True)
class Frame:
    """
    One live or playback frame, decrypted.

    @ivar counter: the frame counter.
    @ivar pts: presentation time: microseconds live, milliseconds in playback.
    @ivar video: H.264, Annex B, or nothing.
    @ivar audio: AAC with ADTS headers, or nothing.
    @ivar key_frame: whether a decoder can begin here.
    @ivar width: pixels.
    @ivar height: pixels.
    @ivar audio_parameter: unknown meaning.
    @ivar stage: in playback 2 in the first message, 4 in the end mark (evidence L).
    @ivar session_number: the C{sessionNo} of the playback that asked for it.
    @ivar intact: whether the check bytes agree with the data.
    """

    counter: int
    pts: int
    video: bytes
    audio: bytes
    key_frame: bool
    width: int
    height: int
    audio_parameter: int = 0
    stage: int = 0
    session_number: int = 0
    intact: bool = True

    @property
    def is_end(self) -> bool:
        """Whether this is the end mark of a playback."""
        return self.stage == 4

    @property
    def is_mark(self) -> bool:
        """Whether this is a mark, not a picture: to be dropped."""
        return self.video == _MARK

    @classmethod
    def decode(cls, data: bytes) -> Frame:
        """
        Read the payload of a live or playback message.

        What lies behind video and audio is ignored. Wrong check bytes are
        told by C{intact}, for the caller knows what to do about them.

        @raise DecodeError: when the payload is shorter than it says.
        """
        if len(data) < FRAME_HEADER_SIZE:
            raise DecodeError("a frame shorter than its header")
        (counter, pts, video_length, audio_length, key, width, height, parameter, stage, session,
         check) = _FRAME.unpack_from(data)  # fmt: skip
        end = FRAME_HEADER_SIZE + video_length + audio_length
        if end > len(data):
            raise DecodeError("a frame longer than its message")
        plain = decrypt_frame(data[FRAME_HEADER_SIZE:end])
        return cls(
            counter,
            pts,
            plain[:video_length],
            plain[video_length:],
            key == 1,
            width,
            height,
            parameter,
            stage,
            session,
            not plain or _check_bytes(plain) == check,  # an end mark has nothing to check
        )

    def encode(self) -> bytes:
        """Header and partly encrypted data; with wrong check bytes if not C{intact}."""
        plain = self.video + self.audio
        check = _check_bytes(plain)
        if not self.intact:
            check = bytes(byte ^ 0xFF for byte in check)
        return _FRAME.pack(
            self.counter,
            self.pts,
            len(self.video),
            len(self.audio),
            int(self.key_frame),
            self.width,
            self.height,
            self.audio_parameter,
            self.stage,
            self.session_number,
            check,
        ) + encrypt_frame(plain)


def _check_bytes(plain: bytes) -> bytes:
    return plain[-4:].ljust(4, b"\0")


def _unpack_file(data: bytes) -> tuple[bytes, int, int, int, bytes, int, bytes]:
    if len(data) < FILE_HEADER_SIZE:
        raise DecodeError("a file or thumbnail header has 72 bytes")
    return _FILE.unpack_from(data)


def _camera(field: bytes) -> str:
    try:
        return field[:_CAMERA_LENGTH].split(b"\0", 1)[0].decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("a camera's id that is not ASCII") from None


def _camera_bytes(camera: str) -> bytes:
    if len(camera) > _CAMERA_LENGTH or not camera.isascii() or "\0" in camera:
        raise DecodeError("a camera's id has at most 31 ASCII characters")
    return camera.encode("ascii")
