"""The product against somebody else's reading of the protocol: L{tests.independent}."""

from __future__ import annotations

import io
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame

from tests.independent import Movie


def a_movie(pictures: int = 50, width: int = 320, height: int = 192) -> Movie:
    """H.264 with a key frame every 10 pictures, and AAC with an ADTS header on each sound."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "10", "bf": "0"}
    video: list[tuple[bytes, bool]] = []
    for n in range(pictures):
        picture = VideoFrame(width, height, "yuv420p")
        for plane in picture.planes:
            plane.update(bytes((n * 5 + i * i // 7) & 0xFF for i in range(plane.buffer_size)))
        picture.pts = n
        video += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(picture)]
    video += [(bytes(packet), packet.is_keyframe) for packet in encoder.encode(None)]
    return Movie(video, sounds(pictures * 640), width, height)


def sounds(samples: int) -> list[bytes]:
    """AAC of 16 kHz, one channel: silence, one ADTS frame each."""
    file = io.BytesIO()
    with av.open(file, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=16000)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        for n in range(samples // 1024):
            sound = AudioFrame(format="fltp", layout="mono", samples=1024)
            sound.planes[0].update(bytes(4096))
            sound.sample_rate, sound.pts = 16000, 1024 * n
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    data, found = file.getvalue(), []
    while data:
        size = int.from_bytes(data[3:6], "big") >> 5 & 0x1FFF
        found.append(data[:size])
        data = data[size:]
    return found
