"""
The live view for browsers: H.264 into fragmented MP4, one fragment a frame.

Nothing is encoded again. libav writes the L{Opening}, for which it reads the
stream's parameters; the fragments, a hundred bytes before each picture, are
put together here. Fed live, libav's demuxer holds the first picture back for
seconds, and its muxer each one until the next has come.

Sound is left out: browsers play a live picture unasked only without it, and
with it a picture would wait until it is known whether there is any.

Synchronous, without Twisted; at most one frame is held.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TypeAlias

import av
from av.error import FFmpegError

from trailcam.errors import DamagedTransfer
from trailcam.movie import MOST_PIXELS
from trailcam.wire.media import Frame

__all__ = ["Fragment", "Fragmenter", "Opening", "Piece", "jpeg"]

#: Ticks of the video a second.
_CLOCK = 90_000
#: How long a picture lasts before it is known how often they come; microseconds.
_FIRST_STEP = 100_000
#: Between two pictures; what is less, more or negative is no time but a jump.
_SHORTEST_STEP, _LONGEST_STEP = 1_000, 1_000_000

_OPTIONS = {
    "movflags": "empty_moov+default_base_moof+frag_custom+skip_trailer+cmaf",
    "video_track_timescale": str(_CLOCK),
}

_SLICES = frozenset(range(1, 6))
_IDR, _SPS, _PPS, _DELIMITER = 5, 7, 8, 9
#: What a fragment says of its picture: others need it and it needs none, or it needs others.
_KEY, _NOT_KEY = 0x02000000, 0x01010000


@dataclass(frozen=True)
class Opening:
    """
    What a player needs before the first fragment: an initialization segment.

    @ivar codec: for C{MediaSource.addSourceBuffer}, like C{avc1.640028}.
    @ivar width: pixels.
    @ivar height: pixels.
    """

    data: bytes
    codec: str
    width: int
    height: int

    @property
    def mime(self) -> str:
        """The whole type for C{MediaSource}."""
        return f'video/mp4; codecs="{self.codec}"'


@dataclass(frozen=True)
class Fragment:
    """
    One picture: a media segment.

    @ivar key: whether a player can begin here, after the opening.
    @ivar time: when it is shown, in seconds since the first.
    """

    data: bytes
    key: bool
    time: float


Piece: TypeAlias = Opening | Fragment


@dataclass(frozen=True)
class _Picture:
    """A picture that waits for the next one, to know how long it lasts; times in microseconds."""

    sample: bytes
    key: bool
    time: int


class Fragmenter:
    """
    Makes fragments of live frames.

    It begins with the first key frame that has what a decoder needs (SPS and
    PPS), whose picture comes out at once; each other when the next frame has
    come, so that each lasts exactly until the next: browsers take a gap for a
    jump. When the camera changes size or coding, another opening comes. Times
    are the camera's; where they jump, more than a second or backwards, the
    gap is closed. What is damaged is left out, up to the next key frame.

    @ivar dropped: how many frames were left out.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._parameters: list[bytes] = []
        self._need_key = True
        self._waiting: _Picture | None = None
        self._number = 0
        self._pts: int | None = None
        self._time = 0
        self._step = _FIRST_STEP

    def feed(self, frame: Frame) -> list[Piece]:
        """What the next frame of the camera makes ready; nothing for one without a picture."""
        if not frame.video or frame.is_mark:
            return []
        units = _split(frame.video)
        kinds = {unit[0] & 0x1F for unit in units}
        if not units:
            self._need_key = True
        if not kinds & _SLICES or (self._need_key and _IDR not in kinds):
            self.dropped += 1
            return []
        opening = None
        if {_IDR, _SPS, _PPS} <= kinds:
            parameters = [unit for unit in units if unit[0] & 0x1F in (_SPS, _PPS)]
            if parameters != self._parameters:
                opening = self._open(frame.video, parameters)
        if not self._parameters:
            self.dropped += 1
            return []
        self._need_key = False
        return self._add(frame.pts, units, _IDR in kinds, opening)

    def end(self) -> list[Piece]:
        """The last picture, for there is no next."""
        return self._release(self._time + self._step)

    def _open(self, picture: bytes, parameters: list[bytes]) -> Opening | None:
        """Begin with other parameters; C{None} when they are none, and nothing can follow."""
        try:
            opening = _opening(picture, next(unit for unit in parameters if unit[0] & 0x1F == _SPS))
        except (FFmpegError, ValueError, IndexError):
            self._parameters, self._need_key = [], True
            return None
        self._parameters = parameters
        return opening

    def _add(self, pts: int, units: list[bytes], key: bool, opening: Opening | None) -> list[Piece]:
        self._place(pts)
        pieces = self._release(self._time)
        self._waiting = _Picture(_sample(units), key, self._time)
        if opening is not None:
            pieces.append(opening)
            pieces += self._release(self._time + self._step)
        return pieces

    def _place(self, pts: int) -> None:
        """Find the time of a frame on our own time line, which only goes forward."""
        if self._pts is not None:
            step = pts - self._pts
            if _SHORTEST_STEP <= step <= _LONGEST_STEP:
                self._step = step
            self._time += self._step
        self._pts = pts

    def _release(self, until: int) -> list[Piece]:
        picture, self._waiting = self._waiting, None
        if picture is None:
            return []
        self._number += 1
        begin = _ticks(picture.time)
        data = _fragment(self._number, begin, _ticks(until) - begin, picture)
        return [Fragment(data, picture.key, picture.time / 1e6)]


def jpeg(opening: Opening, fragment: Fragment, quality: int = 90) -> bytes:
    """
    The picture of a key frame, which takes some 30 ms.

    @raise DamagedTransfer: when it shows none.
    """
    try:
        whole = io.BytesIO(opening.data + fragment.data)
        with av.open(whole, "r", format="mp4") as container:
            image = next(container.decode(video=0)).to_image()
    except (FFmpegError, ValueError, StopIteration):
        raise DamagedTransfer("the live view's picture is damaged: try again") from None
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _split(video: bytes) -> list[bytes]:
    """The NAL units of an Annex B access unit, without start codes; none when it is none."""
    if not video.startswith((b"\0\0\1", b"\0\0\0\1")):
        return []
    units = [unit for part in video.split(b"\0\0\1") if (unit := part.rstrip(b"\0"))]
    return [] if any(unit[0] & 0x80 for unit in units) else units


def _sample(units: list[bytes]) -> bytes:
    """A picture as an MP4 has it: its units with their lengths; the opening has the parameters."""
    kept = (unit for unit in units if unit[0] & 0x1F not in (_SPS, _PPS, _DELIMITER))
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in kept)


def _opening(picture: bytes, sps: bytes) -> Opening:
    """
    The initialization segment for what the key frame C{picture} says.

    @raise ValueError: when it says nothing of use; libav's errors likewise.
    """
    buffer = io.BytesIO()
    bounds = {"max_pixels": str(MOST_PIXELS)}
    with av.open(io.BytesIO(picture), format="h264", options=bounds) as probe:
        template = probe.streams.video[0]
        width, height = template.codec_context.width, template.codec_context.height
        if not 0 < width * height <= MOST_PIXELS or not template.codec_context.extradata:
            raise ValueError("a key frame of no size, or of one that cannot be")
        with av.open(buffer, "w", format="mp4", options=_OPTIONS) as container:
            container.add_stream_from_template(template)
            container.start_encoding()
    return Opening(buffer.getvalue(), "avc1." + sps[1:4].hex(), width, height)


def _ticks(microseconds: int) -> int:
    return microseconds * _CLOCK // 1_000_000


def _box(kind: bytes, *fields: bytes) -> bytes:
    body = b"".join(fields)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def _fragment(number: int, begin: int, duration: int, picture: _Picture) -> bytes:
    """A movie fragment of one sample, and the sample (ISO/IEC 14496-12); times in ticks."""
    flags, size = _KEY if picture.key else _NOT_KEY, len(picture.sample)
    # The offset of the sample: behind this box, which has 100 bytes, and the header of the next.
    run = struct.pack(">IIiIII", 0x000701, 1, 108, duration, size, flags)
    track = _box(
        b"traf",
        _box(b"tfhd", struct.pack(">II", 0x020000, 1)),
        _box(b"tfdt", struct.pack(">IQ", 1 << 24, begin)),
        _box(b"trun", run),
    )
    movie = _box(b"moof", _box(b"mfhd", struct.pack(">II", 0, number)), track)
    return movie + _box(b"mdat", picture.sample)
