"""Tests of L{trailcam.fragments}: what players make of it is what the camera sent."""

from __future__ import annotations

import functools
import io
import struct
import tracemalloc
from itertools import pairwise
from unittest import mock

import av
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from twisted.trial.unittest import TestCase

from trailcam.errors import DamagedTransfer
from trailcam.fragments import Fragment, Fragmenter, Opening, Piece, jpeg
from trailcam.wire.media import Frame

SMALL, LARGE = (96, 64), (128, 96)
#: Microseconds between two pictures.
STEP = 40_000


@functools.cache
def pictures(count: int = 24, every: int = 8, size: tuple[int, int] = SMALL) -> tuple[bytes, ...]:
    """H.264 access units, Annex B, a key frame with SPS and PPS every so many; each is darker."""
    units = []
    with av.open(io.BytesIO(), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "x264-params": f"keyint={every}:scenecut=0:repeat-headers=1:sliced-threads=0:threads=1",
        }
        for number in range(count):
            picture = av.VideoFrame(*size, "yuv420p")
            for plane, value in zip(picture.planes, (220 - number * 8, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            picture.pts = number
            units += [bytes(packet) for packet in stream.encode(picture)]
        units += [bytes(packet) for packet in stream.encode(None)]
    return tuple(units)


def live_frame(number: int, video: bytes, pts: int | None = None, audio: bytes = b"") -> Frame:
    """As the camera sends it; its time follows from its number unless it is given."""
    return Frame(number, number * STEP if pts is None else pts, video, audio, False, *SMALL)


def fragments_of(pieces: list[Piece]) -> list[Fragment]:
    """The pictures among them."""
    return [piece for piece in pieces if isinstance(piece, Fragment)]


def openings_of(pieces: list[Piece]) -> list[Opening]:
    """The openings among them."""
    return [piece for piece in pieces if isinstance(piece, Opening)]


def shown(pieces: list[Piece]) -> list[tuple[float, int]]:
    """What a player shows: when, and how bright."""
    with av.open(io.BytesIO(b"".join(piece.data for piece in pieces))) as container:
        return [
            (round(frame.time, 3), bytes(frame.planes[0])[0]) for frame in container.decode(video=0)
        ]


def nals_of(data: bytes, length: int = 4) -> list[bytes]:
    """The NAL units of a sample, where each has its length before it."""
    nals = []
    while data:
        end = length + int.from_bytes(data[:length], "big")
        nals.append(data[length:end])
        data = data[end:]
    return nals


class FragmentTests(TestCase):
    """Frames into fragments."""

    def setUp(self) -> None:
        self.fragmenter = Fragmenter()

    def feed(self, *frames: Frame) -> list[Piece]:
        """What comes of them."""
        return [piece for frame in frames for piece in self.fragmenter.feed(frame)]

    def feed_all(self, units: tuple[bytes, ...] | list[bytes], begin: int = 0) -> list[Piece]:
        """Pictures in their rhythm."""
        return self.feed(*(live_frame(begin + n, unit) for n, unit in enumerate(units)))

    def test_players_find_all(self) -> None:
        """A player finds every picture, at its time, decoded as in the camera's stream."""
        units = pictures()
        frames = [live_frame(n, unit, 7_000_000_000 + n * STEP) for n, unit in enumerate(units)]
        pieces = self.feed(*frames) + self.fragmenter.end()
        found = shown(pieces)
        self.assertEqual([time for time, _ in found], [n * 0.04 for n in range(24)])
        with av.open(io.BytesIO(b"".join(units)), format="h264") as plain:
            expected = [bytes(frame.planes[0])[0] for frame in plain.decode(video=0)]
        self.assertEqual([brightness for _, brightness in found], expected)
        self.assertEqual([fragment.time for fragment in fragments_of(pieces)],
                         [n * 0.04 for n in range(24)])  # fmt: skip
        self.assertEqual(self.fragmenter.dropped, 0)

    def test_packets(self) -> None:
        """Packets last until the next one, key frames are marked, nothing is encoded again."""
        pieces = self.feed_all(pictures()) + self.fragmenter.end()
        with av.open(io.BytesIO(b"".join(piece.data for piece in pieces))) as container:
            packets = [packet for packet in container.demux() if packet.size]
        # How long the first lasts is not known yet when it is given out.
        self.assertEqual([packet.duration for packet in packets], [9000] + [3600] * 23)
        self.assertEqual([packet.is_keyframe for packet in packets],
                         [n % 8 == 0 for n in range(24)])  # fmt: skip
        self.assertEqual([fragment.key for fragment in fragments_of(pieces)],
                         [n % 8 == 0 for n in range(24)])  # fmt: skip
        for packet, unit in zip(packets, pictures(), strict=True):
            for nal in nals_of(bytes(packet)):
                self.assertIn(nal, unit)
                self.assertNotIn(nal[0] & 31, (7, 8, 9))

    def test_opening(self) -> None:
        """The opening comes first, once, and names codec and size for the browser."""
        opening, *rest = self.feed_all(pictures())
        assert isinstance(opening, Opening)
        sps = pictures()[0].split(b"\0\0\1")[1]
        self.assertEqual(opening.codec, f"avc1.{sps[1]:02x}{sps[2]:02x}{sps[3]:02x}")
        self.assertEqual(opening.mime, f'video/mp4; codecs="{opening.codec}"')
        self.assertEqual((opening.width, opening.height), SMALL)
        self.assertEqual(opening.data[4:8], b"ftyp")
        self.assertEqual(opening.data.count(b"moov"), 1)
        self.assertEqual(openings_of(rest), [])

    def test_at_once(self) -> None:
        """The first picture comes with the first key frame; each other one frame later."""
        counts = [len(self.feed(live_frame(n, unit))) for n, unit in enumerate(pictures())]
        self.assertEqual(counts, [2, 0] + [1] * 22)
        self.assertEqual(len(self.fragmenter.end()), 1)
        self.assertEqual(self.fragmenter.end(), [])

    def test_layout(self) -> None:
        """A fragment is moof and mdat; numbers rise, and the sample begins where moof says."""
        fragments = fragments_of(self.feed_all(pictures()))
        for number, fragment in enumerate(fragments, 1):
            size, kind = struct.unpack_from(">I4s", fragment.data)
            rest, data = struct.unpack_from(">I4s", fragment.data, size)
            self.assertEqual((kind, data, size + rest), (b"moof", b"mdat", len(fragment.data)))
            self.assertEqual(struct.unpack_from(">I", fragment.data, 20)[0], number)
            offset = struct.unpack_from(">I", fragment.data, fragment.data.index(b"trun") + 12)[0]
            self.assertEqual(offset, size + 8)

    def test_begins_with_a_key_frame(self) -> None:
        """What comes before the first key frame with its parameters is left out; so are marks."""
        bare = b"\0\0\1" + pictures()[0].split(b"\0\0\1")[-1]
        mark = live_frame(0, b"\0\0\0\1\1")
        sound = live_frame(0, b"", audio=b"\xff\xf1")
        self.assertEqual(self.feed(live_frame(0, pictures()[1]), mark, sound), [])
        self.assertEqual(self.feed(live_frame(1, bare)), [])
        self.assertEqual(self.fragmenter.dropped, 2)
        self.assertEqual(len(self.feed(live_frame(2, pictures()[8]), mark, sound)), 2)
        self.assertEqual(self.fragmenter.dropped, 2)

    def test_every_key_frame_is_a_picture(self) -> None:
        """With the opening, each key frame makes a JPEG by itself."""
        opening, *pieces = self.feed_all(pictures())
        assert isinstance(opening, Opening)
        keys = [fragment for fragment in fragments_of(pieces) if fragment.key]
        self.assertEqual(len(keys), 3)
        for number, key in enumerate(keys):
            with Image.open(io.BytesIO(jpeg(opening, key))) as image:
                self.assertEqual((image.format, image.size), ("JPEG", SMALL))
                grey = image.convert("L").getpixel((40, 30))
            self.assertApproximates(grey, 1.16 * (220 - number * 64 - 16), 5)

    def test_no_picture(self) -> None:
        """What shows nothing makes no JPEG."""
        opening, first, *_ = self.feed_all(pictures())
        assert isinstance(opening, Opening) and isinstance(first, Fragment)
        for data in (b"", first.data[:100], first.data[:112] + bytes(len(first.data) - 112)):
            self.assertRaises(DamagedTransfer, jpeg, opening, Fragment(data, True, 0.0))

    def test_jumps(self) -> None:
        """Times that jump, stand or fall are no gaps: it goes on in the rhythm it had."""
        offsets = [0, 1, 2, 2, 2, 500, 501, 3, 4, 4 + 24, 4 + 25]
        frames = [live_frame(n, pictures()[n], pts * STEP) for n, pts in enumerate(offsets)]
        self.feed(live_frame(0, pictures()[0], 2**64 - 1))
        self.fragmenter = Fragmenter()
        pieces = self.feed(*frames) + self.fragmenter.end()
        # Only the 0.96 s are a pause.
        expected = [0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.24, 0.28, 0.32, 1.28, 1.32]
        self.assertEqual([time for time, _ in shown(pieces)], expected)
        self.assertEqual([round(f.time, 3) for f in fragments_of(pieces)], expected)

    def test_other_size(self) -> None:
        """When the size changes there is another opening; times go on, and both parts play."""
        first = self.feed_all(pictures(5))
        second = self.feed_all(pictures(5, size=LARGE), 5) + self.fragmenter.end()
        late, opening, *_ = second
        assert isinstance(late, Fragment) and isinstance(opening, Opening)
        self.assertEqual((opening.width, opening.height), LARGE)
        self.assertEqual([time for time, _ in shown([*first, late])], [n * 0.04 for n in range(5)])
        self.assertEqual([time for time, _ in shown(second[1:])],
                         [n * 0.04 for n in range(5, 10)])  # fmt: skip
        self.assertEqual(len(openings_of(self.feed_all(pictures(5), 10))), 1)

    def test_nonsense_parameters(self) -> None:
        """A key frame whose parameters are none ends it until a good one comes."""
        self.feed_all(pictures(3))
        bad = b"\0\0\1\x67\xff\xff\xff\xff" + b"\0\0\1\x68\xff" + b"\0\0\1\x65\xff\xff"
        pieces = self.feed(live_frame(3, bad), live_frame(4, pictures()[1]))
        self.assertEqual((pieces, self.fragmenter.dropped), ([], 2))
        pieces = self.feed(live_frame(5, pictures()[0]))
        self.assertEqual([type(piece) for piece in pieces], [Fragment, Opening, Fragment])

    def test_vast(self) -> None:
        """A picture that claims to be vast is damage: nothing is made room for."""
        with mock.patch("trailcam.fragments.MOST_PIXELS", SMALL[0] * SMALL[1]):
            self.assertEqual(self.feed_all(pictures(3, size=LARGE)), [])
            self.assertEqual(len(self.feed_all(pictures(3), 3)), 3)
        self.assertEqual(self.fragmenter.dropped, 3)

    def test_damage(self) -> None:
        """After what is no H.264, it goes on with a key frame; without another opening."""
        for damage in (b"no start code", b"\0\0\1\xe5\1\2\3", b"\0\0\0\1"):
            fragmenter = self.fragmenter = Fragmenter()
            self.feed_all(pictures()[:4])
            self.assertEqual(self.feed(live_frame(4, damage), live_frame(5, pictures()[5])), [])
            pieces = self.feed_all(pictures()[8:10], 8) + fragmenter.end()
            self.assertEqual([(type(piece), piece.key) for piece in fragments_of(pieces)],
                             [(Fragment, False), (Fragment, True), (Fragment, False)])  # fmt: skip
            self.assertEqual((openings_of(pieces), fragmenter.dropped), ([], 2))

    @settings(deadline=None, max_examples=150)
    @given(
        st.lists(
            st.tuples(
                st.one_of(
                    st.sampled_from(pictures(10)),
                    st.sampled_from(pictures(2, size=LARGE)),
                    st.binary(max_size=12).map(lambda data: b"\0\0\1" + data),
                    st.binary(max_size=12),
                ),
                st.integers(0, 2**64 - 1),
            ),
            max_size=12,
        )
    )
    def test_anything(self, frames: list[tuple[bytes, int]]) -> None:
        """Whatever comes, nothing is raised; times rise, an opening is first, a key frame next."""
        fragmenter = Fragmenter()
        pieces: list[Piece] = []
        for number, (video, pts) in enumerate(frames):
            pieces += fragmenter.feed(live_frame(number, video, pts))
        pieces += fragmenter.end()
        times = [fragment.time for fragment in fragments_of(pieces)]
        self.assertTrue(all(a < b for a, b in pairwise(times)))
        self.assertTrue(not pieces or isinstance(pieces[0], Opening))
        for before, piece in pairwise(pieces):
            if isinstance(before, Opening):
                self.assertTrue(isinstance(piece, Fragment) and piece.key)

    def test_memory(self) -> None:
        """It holds one frame, however long it goes on."""
        self.feed_all(pictures())
        tracemalloc.start()
        try:
            for number in range(24, 3024):
                self.fragmenter.feed(live_frame(number, pictures()[number % 24]))
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(held, 50_000)
