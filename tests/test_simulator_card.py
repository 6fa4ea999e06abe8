"""The simulated camera's card: its list, its pictures, its videos, its live view."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from functools import cache
from itertools import islice, pairwise

import av
from PIL import Image, ImageChops
from twisted.trial.unittest import TestCase

from trailcam.commands import MediaFile
from trailcam.simulator import pictures
from trailcam.simulator.card import Card
from trailcam.simulator.recording import FRAMES_PER_SECOND, LiveSource, Recording, Sample

#: 2025-12-23 22:12:18, as a camera of this family said it.
NEWEST = 1_766_527_938
START = b"\0\0\0\1"


def card(photos: int = 60, videos: int = 6, seed: int = 0, without_ids: bool = False) -> Card:
    return Card(photos, videos, newest=NEWEST, seed=seed, without_ids=without_ids)


def video_of(some: Card) -> MediaFile:
    return next(file for file in some.files if not file.is_photo)


@cache
def recording() -> Recording:
    """One for all tests, for it takes a second."""
    some = card()
    return some.recording(video_of(some))


def video(samples: tuple[Sample, ...]) -> list[Sample]:
    return [sample for sample in samples if sample.is_video]


def sound(samples: tuple[Sample, ...]) -> list[Sample]:
    return [sample for sample in samples if not sample.is_video]


def units(access_unit: bytes) -> list[int]:
    """The types of the NAL units in it."""
    return [part[0] & 31 for part in access_unit.split(b"\0\0\1")[1:]]


def pictures_in(samples: tuple[Sample, ...]) -> list[av.VideoFrame]:
    data = b"".join(sample.data for sample in samples if sample.is_video)
    with av.open(io.BytesIO(data), "r", format="h264") as container:
        return list(container.decode(video=0))


def sounds_in(samples: tuple[Sample, ...]) -> list[av.AudioFrame]:
    data = b"".join(sample.data for sample in samples if not sample.is_video)
    with av.open(io.BytesIO(data), "r", format="aac") as container:
        return list(container.decode(audio=0))


class Listing(TestCase):
    def test_numbers(self) -> None:
        """Numbers go down to 1 without a gap, and the newest is first."""
        files = card().files
        self.assertEqual([file.number for file in files], list(range(66, 0, -1)))
        self.assertEqual({file.directory for file in files}, {100})
        self.assertEqual(files[0].media_time, NEWEST)
        self.assertEqual(max(file.media_time or 0 for file in files), NEWEST)

    def test_kinds(self) -> None:
        """As many photos and videos as were asked for; videos last 3 to 5 s, photos not at all."""
        files = card().files
        videos = [file for file in files if not file.is_photo]
        self.assertEqual(len(videos), 6)
        self.assertTrue(all(file.file_type == 1 for file in videos))
        self.assertTrue(all(3000 <= file.duration_ms <= 5000 for file in videos))
        self.assertEqual({file.duration_ms for file in files if file.is_photo}, {0})

    def test_times(self) -> None:
        """As in real lists, times are nearly, but not quite, in order; bursts stay together."""
        times = [file.media_time or 0 for file in card(400, 0).files]
        steps = [newer - older for newer, older in pairwise(times)]
        self.assertGreater(sum(step < 0 for step in steps), 0)
        self.assertGreater(sum(step > 0 for step in steps), len(steps) * 0.8)
        self.assertGreater(sum(0 < step < 60 for step in steps), len(steps) * 0.3)

    def test_deterministic(self) -> None:
        """The seed, and nothing else, makes the list."""
        self.assertEqual(card().files, card().files)
        self.assertNotEqual(card().files, card(seed=1).files)

    def test_ids(self) -> None:
        """Ids are 32 bits and tell files apart."""
        ids = {file.media_id for file in card(500).files}
        self.assertEqual(len(ids), 506)
        self.assertTrue(all(number is not None and 0 <= number < 1 << 32 for number in ids))

    def test_without_ids(self) -> None:
        """A camera that leaves out ids and times still stamps its photos with the time."""
        some = card(3, 0, without_ids=True)
        self.assertEqual({(f.media_id, f.media_time) for f in some.files}, {(None, None)})
        exif = Image.open(io.BytesIO(some.photo(some.files[0]))).getexif()
        self.assertEqual(exif[0x0132], "2025:12:23 22:12:18")

    def test_next_directory(self) -> None:
        """After 9999 comes number 1 of the next directory; nothing is drawn for a huge card."""
        before = pictures.place.cache_info().misses
        files = card(12_000, 0).files
        self.assertEqual(pictures.place.cache_info().misses, before)
        keys = [(file.directory, file.number) for file in files]
        self.assertEqual(keys[0], (101, 2001))
        self.assertEqual(keys[2000:2002], [(101, 1), (100, 9999)])
        self.assertEqual(keys, sorted(keys, reverse=True))

    def test_empty(self) -> None:
        """A card may be empty."""
        self.assertEqual(card(0, 0).files, ())


class Changing(TestCase):
    def test_find(self) -> None:
        """A file is found by type, directory and number, all three."""
        some = card()
        file = some.files[10]
        self.assertIs(some.find(*file.key), file)
        self.assertIsNone(some.find(1 - file.file_type, file.directory, file.number))
        self.assertIsNone(some.find(0, 100, 9999))

    def test_add(self) -> None:
        """A new photo gets the next number and stands first."""
        some = card()
        file = some.add(0, NEWEST + 5)
        self.assertEqual((file.number, file.media_time, file.is_photo), (67, NEWEST + 5, True))
        self.assertEqual(some.files[0], file)
        self.assertTrue(some.add(1, NEWEST + 9).duration_ms)

    def test_delete(self) -> None:
        """What is deleted is gone from the list, and its number does not come again."""
        some = card()
        newest = some.files[0]
        some.delete(newest)
        some.delete(newest)
        self.assertNotIn(newest, some.files)
        self.assertIsNone(some.find(*newest.key))
        self.assertEqual(some.add(0, NEWEST).number, 67)

    def test_deleted_on_its_way(self) -> None:
        """What is on its way while it is deleted arrives whole; what never was, does not."""
        some = card()
        file = some.files[0]
        expected = some.thumbnail(file)
        some.delete(file)
        self.assertEqual(some.thumbnail(file), expected)
        self.assertRaises(LookupError, some.thumbnail, MediaFile(0, 100, 9000))

    def test_clear(self) -> None:
        """A formatted card is empty, has its space back, and counts from 1."""
        some = card(1000, 100)
        full = some.free_mb
        some.clear()
        self.assertEqual(some.files, ())
        self.assertGreater(some.free_mb, full + 500)
        self.assertEqual(some.add(0, NEWEST).number, 1)

    def test_space(self) -> None:
        """The card has the size a real one said, and is never more than full."""
        self.assertEqual(card().total_mb, 30196)
        self.assertTrue(30000 < card().free_mb < 30196)
        self.assertEqual(card(70_000, 0).free_mb, 0)


class Photos(TestCase):
    def test_photo(self) -> None:
        """A photo is a whole JPEG of a believable size that says when and by what it was taken."""
        some = card()
        file = next(file for file in some.files if file.is_photo)
        data = some.photo(file)
        self.assertTrue(data.endswith(b"\xff\xd9"))
        self.assertTrue(250_000 < len(data) < 500_000, len(data))
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            self.assertEqual((image.format, image.mode, image.size), ("JPEG", "RGB", (2304, 1296)))
            exif = image.getexif()
        assert file.media_time is not None
        taken = f"{datetime.fromtimestamp(file.media_time, UTC):%Y:%m:%d %H:%M:%S}"
        self.assertEqual(exif[0x0132], taken)
        self.assertEqual(exif.get_ifd(0x8769)[0x9003], taken)
        self.assertEqual((exif[0x010F], exif[0x0110]), ("trailcam", "KJK230"))

    def test_deterministic(self) -> None:
        """The same card draws the same bytes, whatever was drawn before, and no two alike."""
        first, second = card(), card()
        second.photo(second.files[7])
        self.assertEqual(first.photo(first.files[3]), second.photo(second.files[3]))
        self.assertNotEqual(first.photo(first.files[3]), first.photo(first.files[4]))

    def test_thumbnails(self) -> None:
        """Photos and videos have thumbnails: small, whole, and each its own."""
        some = card()
        drawn = [some.thumbnail(file) for file in some.files]
        self.assertEqual(len(set(drawn)), len(drawn))
        for data in drawn:
            self.assertTrue(6_000 < len(data) < 15_000, len(data))
            self.assertTrue(data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9"))
            with Image.open(io.BytesIO(data)) as image:
                self.assertEqual(image.size, (320, 180))

    def test_night(self) -> None:
        """By night pictures are grey, by day they are not."""
        noon, midnight = 1_778_760_000, 1_778_716_800
        for wall_clock, colourful in ((noon, True), (midnight, False)):
            shot = pictures.Shot(0, wall_clock, "KJK230")
            image = pictures.background(shot, pictures.THUMBNAIL).convert("HSV")
            grey = image.getchannel("S").histogram()[0] == image.width * image.height
            self.assertEqual(grey, not colourful)

    def test_every_animal(self) -> None:
        """Every animal changes the picture, by day and by night, whichever way it walks."""
        for kind in pictures.KINDS:
            for wall_clock in (1_778_760_000, 1_778_716_800):
                shot = pictures.Shot(0, wall_clock, "KJK230")
                empty = pictures.background(shot, pictures.THUMBNAIL).tobytes()
                for right in (True, False):
                    image = pictures.background(shot, pictures.THUMBNAIL)
                    pictures.put(image, pictures.Animal(kind, 0.5, 0.8, right), shot)
                    self.assertNotEqual(image.tobytes(), empty)


class Videos(TestCase):
    def test_access_units(self) -> None:
        """Each frame is one Annex B access unit of one slice; a key frame comes each second."""
        frames = video(recording().samples)
        for index, sample in enumerate(frames):
            self.assertTrue(sample.data.startswith(START))
            self.assertEqual(sample.key_frame, index % FRAMES_PER_SECOND == 0)
            kinds = units(sample.data)
            self.assertEqual(kinds.count(5) + kinds.count(1), 1)
            self.assertEqual(kinds[:2] == [7, 8], sample.key_frame)
            self.assertEqual(5 in kinds, sample.key_frame)

    def test_size(self) -> None:
        """A video is as long as its file says and has a believable size."""
        some, whole = card(), recording()
        self.assertEqual(whole.duration_ms, video_of(some).duration_ms)
        self.assertEqual(whole.total_frames, whole.duration_ms * FRAMES_PER_SECOND // 1000)
        self.assertTrue(100_000 < sum(len(sample.data) for sample in whole.samples) < 800_000)

    def test_decodes(self) -> None:
        """A decoder finds as many frames as were announced, of the announced size."""
        whole = recording()
        frames = pictures_in(whole.samples)
        self.assertEqual(len(frames), whole.total_frames)
        self.assertEqual({(f.width, f.height) for f in frames}, {(whole.width, whole.height)})

    def test_something_moves(self) -> None:
        """Somebody walks through every video."""
        first, *_, last = pictures_in(recording().samples)
        difference = ImageChops.difference(first.to_image(), last.to_image()).convert("L")
        scene = difference.crop((0, 0, 1280, 670))  # above the stamp
        self.assertGreater(scene.point([0] * 60 + [1] * 196).histogram()[1], 2000)

    def test_sound(self) -> None:
        """Each AAC frame has its ADTS header (AAC-LC, 16 kHz, mono), and a decoder agrees."""
        whole = recording()
        frames = sound(whole.samples)
        self.assertEqual(len(frames), whole.duration_ms // 64)
        for index, sample in enumerate(frames):
            head = int.from_bytes(sample.data[:7], "big")
            self.assertEqual(sample.data[:4], b"\xff\xf1\x60\x40")
            self.assertEqual(head >> 13 & 0x1FFF, len(sample.data))
            self.assertEqual((sample.pts_ms, sample.key_frame), (index * 64, False))
        decoded = sounds_in(whole.samples)
        self.assertEqual(len(decoded), len(frames))
        self.assertTrue(all(f.samples == 1024 and f.sample_rate == 16000 for f in decoded))

    def test_order(self) -> None:
        """Samples come in the order of playing, a key frame first."""
        samples = recording().samples
        self.assertTrue(samples[0].key_frame)
        times = [sample.pts_ms for sample in samples]
        self.assertEqual(times, sorted(times))
        self.assertLess(times[-1], recording().duration_ms)

    def test_kept(self) -> None:
        """A video that is played again is not made again."""
        some = card()
        file = video_of(some)
        self.assertIs(some.recording(file), card().recording(file))


class Live(TestCase):
    def test_loops(self) -> None:
        """Live view goes on past its loop: times in microseconds rise, pictures begin again."""
        source = LiveSource()
        self.assertEqual((source.width, source.height), (1280, 720))
        samples = tuple(islice(source, 400))
        self.assertTrue(samples[0].is_video and samples[0].key_frame)
        for kind in video(samples), sound(samples):
            self.assertTrue(all(a.pts_ms < b.pts_ms for a, b in pairwise(kind)))
        times = [sample.pts_ms for sample in samples]
        self.assertEqual(times, sorted(times))
        again = samples[147]
        self.assertEqual((again.pts_ms, again.data), (4_800_000, samples[0].data))
        self.assertTrue(again.key_frame)
