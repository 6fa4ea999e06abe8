"""
Frames from the camera into an MP4: nothing is encoded again, times are kept.

Synchronous and slow in the way disks are slow: call it in a thread. What
comes from the camera is not trusted, so all that would make libav guess is
checked here first. Memory does not grow with the movie, but for the sample
tables that every MP4 has (about 64 bytes a frame).
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
from av.error import FFmpegError

from trailcam.errors import DamagedTransfer, LibraryError
from trailcam.wire.media import Frame

__all__ = ["MOST_PIXELS", "Movie", "MovieWriter"]

#: No camera of this family comes near; what claims more would cost memory by its claim alone.
MOST_PIXELS = 1 << 24

#: Ticks of the video a second: whole milliseconds survive, and every player knows it.
_VIDEO_CLOCK = 90_000
#: Samples in one AAC frame.
_AAC_SAMPLES = 1024
#: How long a picture lasts before it is known how often they come; with 0, players skip it.
_FIRST_PICTURE = _VIDEO_CLOCK // 25
#: One silent AAC frame: from it PyAV makes a stream of AAC without an encoder.
_AAC_TEMPLATE = bytes.fromhex("fff16040017ffc01182007")
#: Sample rates by their index in an ADTS header.
_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)

#: Until it is known whether there is sound, packets are held: for so many milliseconds of video,
_HOLD_MS = 1000
#: so many packets,
_HOLD_PACKETS = 64
#: or so many bytes, whichever comes first.
_HOLD_BYTES = 8 << 20
#: A time so many milliseconds away from the last one is damage.
_LONGEST_JUMP_MS = 3_600_000

_OPTIONS = {
    "video_track_timescale": str(_VIDEO_CLOCK),
    # libav waits for a packet of each stream so long (microseconds of media), keeping the others
    # in memory; without it sound that ends early would keep 10 s of video there.
    "max_interleave_delta": "1000000",
}

_SLICES = range(1, 6)
_IDR, _SPS, _PPS = 5, 7, 8


@dataclass(frozen=True)
class Movie:
    """
    What was written.

    @ivar frames: pictures.
    @ivar audio_frames: AAC frames.
    @ivar duration_ms: from the first packet's time to the end of the last.
    @ivar dropped: pictures and AAC frames that had to be left out: before the first key frame,
        marks, or sound that began too late to have a track.
    """

    frames: int
    audio_frames: int
    duration_ms: int
    dropped: int = 0


class _Sound(NamedTuple):
    """How the audio is made: the AudioSpecificConfig, samples a second, channels (1 or 2)."""

    config: bytes
    rate: int
    channels: int


class _Packet(NamedTuple):
    """
    One picture (C{sound} is C{None}) or one AAC frame without its ADTS header.

    @ivar ms: its time, as the camera gave it.
    @ivar later: so many samples after C{ms}: the frames behind the first in one message.
    """

    ms: int
    data: bytes
    key: bool = True
    sound: _Sound | None = None
    later: int = 0


class MovieWriter:
    """
    Writes one movie.

    The movie begins at the first key frame that has what a decoder needs (SPS
    and PPS); sound from before it is kept. Time zero is the earliest packet
    written, for video and audio alike. An error aborts it.

    @ivar dropped: see L{Movie.dropped}.
    """

    def __init__(self, path: Path) -> None:
        """
        @param path: written over if it is there; the name may end in anything.
        @raise LibraryError: when it cannot be written.
        """
        self.dropped = 0
        self._path = path
        self._held: deque[_Packet] = deque()
        self._container: Any = None
        self._video: _Track | None = None
        self._audio: _Track | None = None
        self._sound: _Sound | None = None
        self._zero_ms = 0
        self._last_ms: int | None = None
        with self._guarded():
            # A file of our own: libav's would stay open after some of its errors.
            self._file = path.open("wb")

    def write(self, frame: Frame, pts_ms: int | None = None) -> None:
        """
        Add one frame; its video, its audio, or both may be empty.

        @param pts_ms: its time in milliseconds; C{frame.pts} if not given (playback).
        @raise DamagedTransfer: when it is not H.264 or AAC, or its time is more
            than an hour from the last.
        @raise LibraryError: when the disk is full or gone.
        """
        with self._guarded():
            ms = self._checked(frame.pts if pts_ms is None else pts_ms)
            for packet in self._packets(frame, ms):
                if self._container is not None:
                    self._mux(packet)
                elif self._hold(packet):
                    self._begin()

    def close(self) -> Movie:
        """
        Finish the file and close it.

        @raise DamagedTransfer: when no key frame came; the file is then useless.
        @raise LibraryError: when the disk is full or gone.
        """
        with self._guarded():
            if self._container is None:
                self._begin()
            self._container.close()
            self._file.close()
        self.abort()
        tracks = [track for track in (self._video, self._audio) if track is not None]
        return Movie(
            self._video.count if self._video else 0,
            self._audio.count if self._audio else 0,
            max(track.end_ms for track in tracks),
            self.dropped,
        )

    def abort(self) -> None:
        """Let go of everything, the file unfinished. Never raises; harmless after L{close}."""
        self._held.clear()
        container, self._container = self._container, None
        # The file first: then libav cannot write a trailer any more.
        with suppress(Exception):
            self._file.close()
        with suppress(Exception):
            if container is not None:
                container.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn errors of the disk and of libav into ours; after one, let go of everything."""
        trouble: DamagedTransfer | LibraryError
        try:
            yield
            return
        except DamagedTransfer as error:
            trouble = error
        except OSError as error:  # libav's are OSErrors too where they have an errno
            reason = error.strerror or type(error).__name__
            trouble = LibraryError(f"cannot write {self._path}: {reason}")
        except (FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            trouble = DamagedTransfer(f"the video is damaged: {reason}")
        self.abort()
        raise trouble from None

    def _checked(self, ms: int) -> int:
        if self._last_ms is not None and abs(ms - self._last_ms) > _LONGEST_JUMP_MS:
            raise DamagedTransfer("the video's times jump by more than an hour")
        self._last_ms = ms
        return ms

    def _packets(self, frame: Frame, ms: int) -> Iterator[_Packet]:
        if frame.video:
            # What the data says counts, not the header's key frame flag.
            nals = set() if frame.is_mark else _nal_types(frame.video)
            if self._wants(nals):
                yield _Packet(ms, frame.video, _IDR in nals)
            else:
                self.dropped += 1
        for number, (sound, data) in enumerate(_split_adts(frame.audio)):
            yield _Packet(ms, data, sound=sound, later=number * _AAC_SAMPLES)

    def _wants(self, nals: set[int]) -> bool:
        """Whether a picture of such NAL units can be shown, here where we are."""
        if self._container is None and not _has_picture(self._held):
            return {_IDR, _SPS, _PPS} <= nals
        return any(nal in _SLICES for nal in nals)

    def _hold(self, packet: _Packet) -> bool:
        """Keep a packet until the tracks are known; whether they now are."""
        self._held.append(packet)
        pictures = [held for held in self._held if held.sound is None]
        if not pictures:
            if len(self._held) > _HOLD_PACKETS:
                self._held.popleft()
                self.dropped += 1
            return False
        return (
            len(pictures) < len(self._held)
            or packet.ms - pictures[0].ms >= _HOLD_MS
            or len(pictures) >= _HOLD_PACKETS
            or sum(len(picture.data) for picture in pictures) >= _HOLD_BYTES
        )

    def _begin(self) -> None:
        """Open the tracks, and write what was held."""
        picture = next((packet for packet in self._held if packet.sound is None), None)
        if picture is None:
            raise DamagedTransfer("the video has no key frame to begin with")
        container = self._container = av.open(self._file, "w", format="mp4", options=_OPTIONS)
        self._video = _Track(_add_video(container, picture.data), _VIDEO_CLOCK)
        self._zero_ms = picture.ms
        first = next((packet for packet in self._held if packet.sound is not None), None)
        if first is not None and first.sound is not None:
            self._sound = first.sound
            self._audio = _Track(_add_audio(container, first.sound), first.sound.rate)
            self._zero_ms = min(picture.ms, first.ms)
        while self._held:
            self._mux(self._held.popleft())

    def _mux(self, packet: _Packet) -> None:
        track = self._video if packet.sound is None else self._audio
        if track is None:
            self.dropped += 1  # sound that came when the tracks were settled
        elif packet.sound is not None and packet.sound != self._sound:
            raise DamagedTransfer("the video's sound changes its format in the middle")
        else:
            self._container.mux(track.packet(packet, packet.ms - self._zero_ms))


class _Track:
    """
    One stream of the file, and how far it has come.

    @ivar count: packets.
    @ivar end_ms: when the last one ends.
    """

    def __init__(self, stream: Any, clock: int) -> None:
        self._stream = stream
        self._clock = clock
        self._last = -1
        self.count = 0
        self.end_ms = 0

    def packet(self, source: _Packet, ms: int) -> av.Packet[Any]:
        """The packet for libav; a time that does not rise becomes one tick more than the last."""
        pts = max(round(ms * self._clock / 1000) + source.later, self._last + 1)
        packet: av.Packet[Any] = av.Packet(source.data)
        packet.stream = self._stream
        packet.time_base = Fraction(1, self._clock)
        packet.pts = packet.dts = pts
        packet.is_keyframe = source.key
        # Only the last packet's duration counts: a picture lasts as long as the one before.
        duration = _AAC_SAMPLES if source.sound else pts - self._last
        if self._last < 0 and not source.sound:
            duration = _FIRST_PICTURE
        packet.duration = duration
        self._last = pts
        self.count += 1
        self.end_ms = (pts + duration) * 1000 // self._clock
        return packet


def _has_picture(packets: deque[_Packet]) -> bool:
    return any(packet.sound is None for packet in packets)


def _nal_types(video: bytes) -> set[int]:
    """
    What kinds of NAL units an Annex B access unit has.

    @raise DamagedTransfer: when it is none.
    """
    if not video.startswith((b"\0\0\1", b"\0\0\0\1")):
        raise DamagedTransfer("the video is damaged: a picture without a start code")
    types = set()
    at = video.find(b"\0\0\1")
    while 0 <= at < len(video) - 3:
        header = video[at + 3]
        if header & 0x80:
            raise DamagedTransfer("the video is damaged: not H.264")
        types.add(header & 0x1F)
        at = video.find(b"\0\0\1", at + 3)
    return types


def _split_adts(audio: bytes) -> Iterator[tuple[_Sound, bytes]]:
    """
    The AAC frames in C{audio}, without their ADTS headers (7 bytes, or 9 with a checksum).

    @raise DamagedTransfer: when it is something else.
    """
    at = 0
    while at < len(audio):
        header = audio[at : at + 7]
        if len(header) < 7 or header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[6] & 3:
            raise DamagedTransfer("the video's sound is damaged: not AAC")
        begin = at + (7 if header[1] & 1 else 9)
        end = at + ((header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5)
        if not begin < end <= len(audio):
            raise DamagedTransfer("the video's sound is damaged: a length that cannot be")
        yield _read_sound(header), audio[begin:end]
        at = end


def _read_sound(header: bytes) -> _Sound:
    profile, rate = header[2] >> 6, header[2] >> 2 & 15
    channels = (header[2] & 1) << 2 | header[3] >> 6
    if rate >= len(_RATES) or channels not in (1, 2):
        raise DamagedTransfer("the video's sound is damaged: neither mono nor stereo")
    config = (profile + 1) << 11 | rate << 7 | channels << 3
    return _Sound(config.to_bytes(2, "big"), _RATES[rate], channels)


def _add_video(container: Any, picture: bytes) -> Any:
    """Add a stream that is what the key frame C{picture} says."""
    bounds = {"max_pixels": str(MOST_PIXELS)}
    with av.open(io.BytesIO(picture), format="h264", options=bounds) as probe:
        template = probe.streams.video[0]
        if not template.codec_context.width or not template.codec_context.extradata:
            raise DamagedTransfer("the video is damaged: a key frame of no size")
        return _add_like(container, template)


def _add_audio(container: Any, sound: _Sound) -> Any:
    """Add a stream of AAC that is made as C{sound} says."""
    with av.open(io.BytesIO(_AAC_TEMPLATE), format="aac") as probe:
        stream = _add_like(container, probe.streams.audio[0])
    context = stream.codec_context
    context.sample_rate = sound.rate
    context.layout = "mono" if sound.channels == 1 else "stereo"
    context.extradata = sound.config
    return stream


def _add_like(container: Any, template: Any) -> Any:
    if hasattr(container, "add_stream_from_template"):  # PyAV 14 and later
        return container.add_stream_from_template(template)
    return container.add_stream(template=template)
