"""
Short videos of the simulated camera: somebody walks through the place that its photos show.

H.264 as Annex B access units and AAC with ADTS headers, one L{Sample} each,
as cameras send them in playback and live view (PROTOCOL, "Live and playback
frames").
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import count
from random import Random

import av
from PIL import Image

from trailcam.simulator.pictures import VIDEO, Animal, Shot, background, put, stamp

__all__ = ["FRAMES_PER_SECOND", "LiveSource", "Recording", "Sample", "record"]

FRAMES_PER_SECOND = 15
#: Samples a second of the sound, in one channel.
SAMPLE_RATE = 16000
#: Samples in one frame of AAC: 64 ms.
AAC_FRAME = 1024

_X264 = {
    "preset": "superfast",
    "tune": "zerolatency",
    "profile": "baseline",
    "crf": "33",
    "threads": "1",
    # A key frame each second with its parameters before it, and one slice a frame.
    "x264-params": f"keyint={FRAMES_PER_SECOND}:scenecut=0:repeat-headers=1:sliced-threads=0",
}


@dataclass(frozen=True)
class Sample:
    """
    One frame of video or of sound.

    @ivar pts_ms: when it is due: milliseconds in a L{Recording}, but
        microseconds from a L{LiveSource}, as on the wire.
    @ivar data: a whole access unit, or an AAC frame with its ADTS header.
    @ivar key_frame: whether a decoder can begin here; never for sound.
    """

    pts_ms: int
    data: bytes
    is_video: bool
    key_frame: bool


@dataclass(frozen=True)
class Recording:
    """
    A whole video.

    @ivar samples: in the order of playing, video before sound of the same moment.
    """

    width: int
    height: int
    duration_ms: int
    samples: tuple[Sample, ...]

    @property
    def total_frames(self) -> int:
        """How many frames of video there are."""
        return sum(sample.is_video for sample in self.samples)


@lru_cache(4)
def record(shot: Shot, duration_ms: int, label: str | None = None) -> Recording:
    """
    Make a video, which takes about half a second of computing. The last few are kept.

    @param shot: the first frame; its animals walk on from there.
    @param label: what the stamp says in the place of date and time.
    """
    frames = _frames(shot, duration_ms * FRAMES_PER_SECOND // 1000, label)
    video = [
        Sample(round(index * 1000 / FRAMES_PER_SECOND), data, True, key)
        for index, (data, key) in enumerate(_encode_video(frames))
    ]
    step = AAC_FRAME * 1000 // SAMPLE_RATE
    sound = [
        Sample(index * step, data, False, False)
        for index, data in enumerate(_encode_sound(duration_ms // step, shot.night))
    ]
    samples = sorted(video + sound, key=lambda sample: (sample.pts_ms, not sample.is_video))
    return Recording(*VIDEO, duration_ms, tuple(samples))


class LiveSource:
    """
    Live view without an end: a fox crosses the clearing in 4.8 s, again and again; at the
    seam nobody is in the picture. A key frame comes first.

    C{next} gives the next L{Sample}, its time in microseconds since the
    beginning; it never falls. Making one may take half a second.
    """

    #: 72 frames of video and 75 of sound end together.
    DURATION_MS = 4800
    #: A fox, on a day in May.
    SHOT = Shot(0, 1_778_744_564, "KJK230", (Animal("fox", -0.24, 0.8, True),))

    def __init__(self) -> None:
        recording = record(self.SHOT, self.DURATION_MS, "LIVE")
        self.width, self.height = recording.width, recording.height
        self._samples = (
            replace(sample, pts_ms=(start + sample.pts_ms) * 1000)
            for start in count(0, self.DURATION_MS)
            for sample in recording.samples
        )

    def __iter__(self) -> Iterator[Sample]:
        return self

    def __next__(self) -> Sample:
        return next(self._samples)


def _frames(shot: Shot, total: int, label: str | None) -> Iterator[Image.Image]:
    empty = background(shot, VIDEO)
    for index in range(total):
        if index % FRAMES_PER_SECOND == 0:
            now = replace(shot, wall_clock=shot.wall_clock + index // FRAMES_PER_SECOND)
            stamp(empty, now, label)
        frame = empty.copy()
        for animal in shot.animals:
            put(frame, animal.later(index / FRAMES_PER_SECOND), shot)
        yield frame


def _encode_video(frames: Iterable[Image.Image]) -> Iterator[tuple[bytes, bool]]:
    """Access units, and whether each is a key frame."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = VIDEO
    encoder.pix_fmt, encoder.framerate = "yuv420p", Fraction(FRAMES_PER_SECOND)
    encoder.options = _X264
    for index, image in enumerate(frames):
        frame = av.VideoFrame.from_image(image).reformat(format="yuv420p")
        frame.pts = index
        for packet in encoder.encode(frame):
            yield bytes(packet), packet.is_keyframe
    for packet in encoder.encode(None):
        yield bytes(packet), packet.is_keyframe


def _encode_sound(total: int, night: bool) -> Iterator[bytes]:
    """So many AAC frames with their headers."""
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "fltp"
    encoder.bit_rate = 24000
    sound, sent = _sound(total * AAC_FRAME, night), 0
    for start in range(0, total * AAC_FRAME, AAC_FRAME):
        frame = av.AudioFrame("fltp", "mono", AAC_FRAME)
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        frame.planes[0].update(sound[start : start + AAC_FRAME].tobytes())
        for packet in encoder.encode(frame):
            sent += 1
            yield _adts(bytes(packet))
    for packet in encoder.encode(None):
        if sent < total:  # the encoder's own delay makes one too many
            sent += 1
            yield _adts(bytes(packet))


def _adts(frame: bytes) -> bytes:
    """Put the ADTS header of seven bytes before AAC-LC, 16 kHz, mono, without checksum."""
    size = len(frame) + 7
    fields = 0xFFF1 << 40 | 1 << 38 | 8 << 34 | 1 << 30 | size << 13 | 0x7FF << 2
    return fields.to_bytes(7, "big") + frame


@lru_cache(4)
def _sound(total: int, night: bool) -> array[float]:
    """Wind in the grass; at night crickets too."""
    rng, sound = Random(3), array("f")
    low = slow = 0.0
    for index in range(total):
        seconds = index / SAMPLE_RATE
        low += 0.06 * (rng.uniform(-1, 1) - low)
        slow += 0.002 * (low - slow)
        value = (low - slow) * (0.5 + 0.3 * math.sin(seconds * 1.3))
        if night and seconds % 0.6 < 0.25:
            value += 0.04 * math.sin(math.tau * 4200 * seconds) * math.sin(math.tau * 20 * seconds)
        sound.append(value)
    return sound
