"""Tests of L{trailcam.movie}: what goes in comes out of the MP4, and nothing else does."""

from __future__ import annotations

import functools
import io
import os
import random
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import SkipTest

import av
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import DamagedTransfer, LibraryError, TrailcamError
from trailcam.movie import Movie, MovieWriter
from trailcam.wire.media import Frame

SIZE = (96, 64)
START = b"\0\0\0\1"


@functools.cache
def pictures(count: int = 24, every: int = 8) -> tuple[bytes, ...]:
    """H.264 access units, Annex B, a key frame with SPS and PPS every so many."""
    units = []
    with av.open(io.BytesIO(), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"keyint={every}:scenecut=0:repeat-headers=1:sliced-threads=0:threads=1",
        }
        for number in range(count):
            picture = av.VideoFrame(*SIZE, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([number * 9 % 256]) * plane.buffer_size)
            picture.pts = number
            units += [bytes(packet) for packet in stream.encode(picture)]
        units += [bytes(packet) for packet in stream.encode(None)]
    return tuple(units)


@functools.cache
def sounds(count: int = 24, rate: int = 16000) -> tuple[bytes, ...]:
    """AAC frames, mono, each with its ADTS header of 7 bytes."""
    out = io.BytesIO()
    with av.open(out, "w", format="adts") as container:
        stream = container.add_stream("aac", rate=rate)
        stream.layout = "mono"
        for number in range(count):
            sound = av.AudioFrame(format="fltp", layout="mono", samples=1024)
            sound.sample_rate = rate
            wave = random.Random(number).choices((-0.1, 0.0, 0.1), k=1024)
            sound.planes[0].update(struct.pack("1024f", *wave))
            sound.pts = number * 1024
            container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    data, frames = out.getvalue(), []
    while data:
        length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
        frames.append(data[:length])
        data = data[length:]
    return tuple(frames)


def frame(pts: int, video: bytes = b"", audio: bytes = b"") -> Frame:
    """As the camera sends it."""
    return Frame(0, pts, video, audio, False, *SIZE)


def nals_of(sample: bytes) -> list[bytes]:
    """The NAL units of a sample in an MP4, where each has its length before it."""
    nals = []
    while sample:
        length = int.from_bytes(sample[:4], "big")
        nals.append(sample[4 : 4 + length])
        sample = sample[4 + length :]
    return nals


def annex_b_nals(unit: bytes) -> list[bytes]:
    """The NAL units between start codes of 3 or 4 bytes."""
    return [nal for nal in unit.replace(START, START[1:]).split(START[1:]) if nal]


class MovieTestCase(TestCase):
    """What all tests of movies share."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def write(self, *frames: Frame) -> Movie:
        """Write a movie of these frames."""
        writer = MovieWriter(self.path)
        for each in frames:
            writer.write(each)
        return writer.close()

    def packets(self, kind: str) -> list[tuple[float, bytes]]:
        """Time in milliseconds and data of each packet in the file."""
        with av.open(str(self.path)) as container:
            return [
                (float(packet.pts * packet.time_base * 1000), bytes(packet))
                for packet in container.demux()
                if packet.size and packet.stream.type == kind
            ]

    def streams(self) -> list[str]:
        """The kinds of streams in the file."""
        with av.open(str(self.path)) as container:
            return [stream.type for stream in container.streams]

    def decoded(self, source: Any, **options: Any) -> list[bytes]:
        """The luma of each picture."""
        with av.open(source, **options) as container:
            return [bytes(picture.planes[0]) for picture in container.decode(video=0)]


class KeptTests(MovieTestCase):
    """What is given is what the file has."""

    def test_pictures_and_irregular_times(self) -> None:
        """Each access unit comes back with the same NAL units at the very millisecond given."""
        times = [70_000 + 66 * i + i % 3 * 7 for i in range(24)]
        movie = self.write(*map(frame, times, pictures()))
        packets = self.packets("video")
        self.assertEqual([ms for ms, _ in packets], [time - 70_000 for time in times])
        self.assertEqual(
            [nals_of(data) for _, data in packets], [annex_b_nals(unit) for unit in pictures()]
        )
        self.assertEqual((movie.frames, movie.audio_frames, movie.dropped), (24, 0, 0))
        self.assertEqual(movie.duration_ms, times[-1] - times[0] + times[-1] - times[-2])
        self.assertEqual(self.streams(), ["video"])

    def test_decoded_pictures_are_the_same(self) -> None:
        """A player shows the pictures that the camera sent, each of them."""
        self.write(*(frame(i * 67, unit) for i, unit in enumerate(pictures())))
        expected = self.decoded(io.BytesIO(b"".join(pictures())), format="h264")
        self.assertEqual(self.decoded(str(self.path)), expected)

    def test_key_frames_are_marked(self) -> None:
        """Players can jump to the key frames, and to nothing else."""
        self.write(*(frame(i * 67, unit) for i, unit in enumerate(pictures())))
        with av.open(str(self.path)) as container:
            keys = [i for i, packet in enumerate(container.demux()) if packet.is_keyframe]
        self.assertEqual(keys[:3], [0, 8, 16])

    def test_sound(self) -> None:
        """AAC comes back without ADTS headers, as 16 kHz mono, at its times."""
        times = [64 * i + i % 2 * 5 for i in range(24)]
        mixed = [
            each
            for i, time in enumerate(times)
            for each in (frame(time, pictures()[i]), frame(time + 3, audio=sounds()[i]))
        ]
        movie = self.write(*mixed)
        self.assertEqual((movie.frames, movie.audio_frames), (24, 24))
        self.assertEqual(
            self.packets("audio"),
            [(time + 3, sound[7:]) for time, sound in zip(times, sounds(), strict=False)],
        )
        self.assertEqual([ms for ms, _ in self.packets("video")], times)
        with av.open(str(self.path)) as container:
            stream = container.streams.audio[0]
            self.assertEqual(
                (stream.codec_context.sample_rate, stream.codec_context.layout.name),
                (16000, "mono"),
            )
            self.assertTrue(all(s.samples == 1024 for s in container.decode(audio=0)))

    def test_several_adts_frames_in_one_message(self) -> None:
        """The second AAC frame of a message is 1024 samples later than the first."""
        self.write(frame(0, pictures()[0]), frame(10, audio=b"".join(sounds()[:3])))
        self.assertEqual([ms for ms, _ in self.packets("audio")], [10, 74, 138])

    def test_adts_with_checksum(self) -> None:
        """A header of 9 bytes is taken off too."""
        sound = sounds()[1]
        length = len(sound) + 2
        header = bytearray(sound[:7])
        header[1] &= 0xFE
        header[4], header[5] = length >> 3, (length & 7) << 5 | header[5] & 0x1F
        self.write(frame(0, pictures()[0]), frame(1, audio=bytes(header) + b"##" + sound[7:]))
        self.assertEqual(self.packets("audio"), [(1, sound[7:])])

    def test_video_and_audio_in_one_frame(self) -> None:
        """A live frame may carry both."""
        self.write(*(frame(i * 64, pictures()[i], sounds()[i]) for i in range(8)))
        self.assertEqual([ms for ms, _ in self.packets("audio")], [i * 64 for i in range(8)])
        self.assertEqual([ms for ms, _ in self.packets("video")], [i * 64 for i in range(8)])

    def test_given_times_win(self) -> None:
        """Live frames count in microseconds, so the caller says the milliseconds."""
        writer = MovieWriter(self.path)
        writer.write(frame(999_000_000, pictures()[0]), 5)
        writer.write(frame(1, pictures()[1]), 45)
        writer.close()
        self.assertEqual([ms for ms, _ in self.packets("video")], [0, 40])

    def test_one_picture(self) -> None:
        """A movie of one picture shows it."""
        movie = self.write(frame(7, pictures()[0]))
        self.assertEqual((movie.frames, movie.duration_ms), (1, 40))
        self.assertEqual(len(self.decoded(str(self.path))), 1)

    def test_times_of_any_size(self) -> None:
        """The camera's 64 bits of time are an offset like any other."""
        top = (1 << 64) - 1
        self.write(frame(top - 50, pictures()[0]), frame(top, pictures()[1]))
        self.assertEqual([ms for ms, _ in self.packets("video")], [0, 50])


class BeginningTests(MovieTestCase):
    """Where a movie begins, and what is left out."""

    def test_begins_at_a_key_frame(self) -> None:
        """Pictures before the first key frame are dropped and counted; their times do not count."""
        movie = self.write(*(frame(i * 67, unit) for i, unit in enumerate(pictures()[3:])))
        self.assertEqual((movie.frames, movie.dropped), (16, 5))
        self.assertEqual(self.packets("video")[0][0], 0)
        self.assertEqual(len(self.decoded(str(self.path))), 16)

    def test_key_frame_without_parameters(self) -> None:
        """A key frame without SPS and PPS is no beginning."""
        bare = b"".join(START + nal for nal in annex_b_nals(pictures()[0]) if nal[0] & 31 == 5)
        movie = self.write(frame(0, bare), frame(50, pictures()[8]))
        self.assertEqual((movie.frames, movie.dropped), (1, 1))

    def test_sound_first(self) -> None:
        """Sound from before the first picture is kept, at its distance."""
        self.write(
            frame(100, audio=sounds()[0]),
            frame(164, audio=sounds()[1]),
            frame(200, pictures()[0]),
            frame(228, audio=sounds()[2]),
            frame(267, pictures()[1]),
        )
        self.assertEqual([ms for ms, _ in self.packets("audio")], [0, 64, 128])
        self.assertEqual([ms for ms, _ in self.packets("video")], [100, 167])

    def test_sound_for_ever_before_the_first_picture(self) -> None:
        """Of a long wait for the first picture only the end is kept."""
        waiting = [frame(i * 64, audio=sounds()[i % 24]) for i in range(100)]
        movie = self.write(*waiting, frame(6400, pictures()[0]))
        self.assertEqual((movie.audio_frames, movie.dropped), (64, 36))
        self.assertEqual(self.packets("video")[0][0], 64 * 64)

    def test_sound_too_late(self) -> None:
        """After a second of pictures there is no track for sound any more: it is counted."""
        movie = self.write(
            *(frame(i * 67, unit) for i, unit in enumerate(pictures())),
            frame(1700, audio=sounds()[0]),
        )
        self.assertEqual((movie.frames, movie.audio_frames, movie.dropped), (24, 0, 1))

    def test_sound_alone(self) -> None:
        """Sound without a picture is no movie."""
        with self.assertRaisesRegex(DamagedTransfer, "no key frame"):
            self.write(frame(0, audio=sounds()[0]))

    def test_nothing(self) -> None:
        """No frame at all is no movie."""
        with self.assertRaisesRegex(DamagedTransfer, "no key frame"):
            self.write()

    def test_marks_are_dropped(self) -> None:
        """What is a mark and no picture is not written."""
        movie = self.write(
            frame(0, pictures()[0]), frame(5, START + b"\1"), frame(67, pictures()[1])
        )
        self.assertEqual((movie.frames, movie.dropped), (2, 1))

    def test_parameters_alone_are_dropped(self) -> None:
        """An access unit without a slice is not written."""
        sets = b"".join(START + nal for nal in annex_b_nals(pictures()[0]) if nal[0] & 31 in (7, 8))
        movie = self.write(frame(0, pictures()[0]), frame(5, sets), frame(67, pictures()[1]))
        self.assertEqual((movie.frames, movie.dropped), (2, 1))


class TimeTests(MovieTestCase):
    """Times that a camera should not send."""

    def check(self, given: Sequence[int], ticks: Sequence[int]) -> None:
        """Pictures at C{given} milliseconds are at C{ticks} of 1/90000 s."""
        self.write(*map(frame, given, pictures()))
        found = [round(ms * 90) for ms, _ in self.packets("video")]
        self.assertEqual(found, list(ticks))

    def test_repeated(self) -> None:
        """A time that repeats is one tick later, and the next is right again."""
        self.check([100, 100, 100, 167], [0, 1, 2, 67 * 90])

    def test_backward(self) -> None:
        """A time that goes back is one tick later than the last."""
        self.check([100, 167, 120, 200], [0, 6030, 6031, 9000])

    def test_before_zero(self) -> None:
        """So is one from before the beginning."""
        self.check([100, 30, 167], [0, 1, 6030])

    def test_jump(self) -> None:
        """An hour passes; a millisecond more, to either side, is damage."""
        self.check([0, 3_600_000], [0, 3_600_000 * 90])
        for time in (3_600_001, -3_600_001):
            with self.assertRaisesRegex(DamagedTransfer, "more than an hour"):
                self.write(frame(0, pictures()[0]), frame(time, pictures()[1]))


class DamageTests(MovieTestCase):
    """Neither a camera nor a disk makes anything but errors of ours, and no handle stays open."""

    def refuse(self, *frames: Frame) -> None:
        """These end in L{DamagedTransfer}."""
        before = open_files()
        with self.assertRaises(DamagedTransfer) as caught:
            self.write(*frames)
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual(open_files(), before)

    def test_not_h264(self) -> None:
        """No start code, or a header that H.264 forbids."""
        self.refuse(frame(0, b"\xff\xd8\xff\xe0 a photo"))
        self.refuse(frame(0, pictures()[0]), frame(1, START + b"\xff" * 100))

    def test_broken_parameters(self) -> None:
        """A key frame whose SPS says nothing."""
        self.refuse(frame(0, START.join([b"", b"\x67" + bytes(9), b"\x68\0\0", b"\x65\0\0"])))
        self.refuse(frame(0, START.join([b"", b"\x67", b"\x68", b"\x65"])))

    def test_not_aac(self) -> None:
        """No ADTS header, one cut short, one that is longer than what came, an empty one."""
        sound = sounds()[1]
        picture = frame(0, pictures()[0])
        for audio in (b"RIFF" * 9, sound[:5], sound[:-1], sound + b"\xff", bytes(7)):
            self.refuse(picture, frame(1, audio=audio))
        self.refuse(picture, frame(1, audio=bytes.fromhex("fff1604000fffc")))
        self.refuse(picture, frame(1, audio=bytes.fromhex("fff1604000e0fc")))

    def test_strange_sound(self) -> None:
        """Five channels, and a rate that does not exist."""
        for second, third in ((0x61, 0x40), (0x7C, 0x40)):
            audio = bytearray(sounds()[1])
            audio[2], audio[3] = second, audio[3] & 0x3F | third
            self.refuse(frame(0, pictures()[0]), frame(1, audio=bytes(audio)))

    def test_sound_that_changes(self) -> None:
        """Another sample rate in the middle."""
        self.refuse(frame(0, pictures()[0], sounds()[1]), frame(64, audio=sounds(rate=44100)[1]))

    @given(st.binary(max_size=80), st.binary(max_size=40), st.booleans())
    @settings(deadline=None, max_examples=60)
    def test_any_bytes(self, video: bytes, audio: bytes, begun: bool) -> None:
        """Whatever comes, only our own errors come out."""
        writer = MovieWriter(Path(os.devnull))
        try:
            if begun:
                writer.write(frame(0, pictures()[0], sounds()[1]))
            writer.write(frame(1, START + b"\x67" + video, audio and b"\xff\xf1" + audio))
            writer.write(frame(2, START.join([b"", b"\x67" + video, b"\x68" + audio, b"\x65"])))
            writer.close()
        except TrailcamError:
            pass
        finally:
            writer.abort()

    def test_abort(self) -> None:
        """It closes the file, before and after the first picture, and may be repeated."""
        before = open_files()
        for frames in ((), [frame(0, pictures()[0], sounds()[0])]):
            writer = MovieWriter(self.path)
            for each in frames:
                writer.write(each)
            writer.abort()
            writer.abort()
            self.assertEqual(open_files(), before)

    def test_abort_after_close(self) -> None:
        """It does not harm what is finished."""
        writer = MovieWriter(self.path)
        writer.write(frame(0, pictures()[0]))
        writer.close()
        size = self.path.stat().st_size
        writer.abort()
        self.assertEqual((self.path.stat().st_size, len(self.packets("video"))), (size, 1))

    def test_disk_full(self) -> None:
        """A full disk is told in one line, whether it shows in the middle or at the end."""
        full = Path("/dev/full")
        if not full.exists():
            raise SkipTest("there is no /dev/full here")
        before = open_files()
        for count in (1, 500):
            writer = MovieWriter(full)
            with self.assertRaisesRegex(LibraryError, "^cannot write /dev/full: No space left"):
                for number in range(count):
                    writer.write(frame(number * 40, pictures()[0] + START + b"\x0c" * 900))
                writer.close()
            self.assertEqual(open_files(), before)

    def test_no_such_folder(self) -> None:
        """Where nothing can be written, the error says where."""
        with self.assertRaisesRegex(LibraryError, "cannot write .*: No such file"):
            MovieWriter(self.path / "none" / "movie.mp4.part")

    def test_memory_stays_flat(self) -> None:
        """Sound that ends early does not pile the video up in memory."""
        padding = START + b"\x0c" + b"\xff" * 16_000 + b"\x80"
        writer = MovieWriter(Path(os.devnull))
        writer.write(frame(0, pictures()[0], sounds()[0]))
        sizes = []
        for number in range(1, 3001):
            writer.write(frame(number * 2, pictures()[number % 8] + padding))
            if number in (1000, 3000):
                sizes.append(resident())
        writer.close()
        # The video between the two is 32 MB, and 4 s of 6.
        self.assertLess(sizes[1] - sizes[0], 8 << 20)


def open_files() -> list[str]:
    """What this process has open."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue  # the one of the listing itself
    return sorted(links)


def resident() -> int:
    """How much memory this process holds, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
