"""File names tell what the index needs, and nothing from outside becomes a path."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.commands import MediaFile
from trailcam.errors import LibraryError
from trailcam.library.names import (
    MediaName,
    day_folder,
    file_name,
    folder_name,
    is_day_folder,
    is_folder_name,
    parse,
    parse_part,
    part_name,
)
from trailcam.library.records import Source, normal
from trailcam.library.times import Moment, zone_from_name, zone_name

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [BERLIN, ZoneInfo("America/St_Johns"), ZoneInfo("UTC"), timezone(timedelta(hours=-9)), None]
PHOTO = MediaFile(0, 100, 318, 0, 3361310203, 1766527938)


def set_local_zone(name: str | None) -> None:
    """Move this process to another zone."""
    if name is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = name
    time.tzset()


@st.composite
def names(draw: st.DrawFn) -> tuple[MediaName, tzinfo | None]:
    """A name and the zone that its camera is in."""
    zone = draw(st.sampled_from(ZONES))
    seconds = draw(st.none() | st.integers(0, 4_000_000_000))
    by_camera = draw(st.booleans())
    file = MediaFile(
        draw(st.integers(0, 2)),
        draw(st.integers(0, 0xFFFF)),
        draw(st.integers(0, 0xFFFF)),
        draw(st.integers(0, 10**9 - 1)),
        draw(st.none() | st.integers(0, 2**63 - 1)),
        seconds if by_camera else None,
    )
    taken = None if seconds is None else Moment.from_seconds(seconds, zone)
    folder = folder_name(draw(st.text(max_size=20)))
    return MediaName(folder, file, taken, draw(st.integers(1, 999_999))), zone


class FileNameTests(TestCase):
    """What a file is called."""

    def test_example(self) -> None:
        """The documented name comes out, with UTC time and the clock's offset."""
        name = MediaName("C60000000001", PHOTO, Moment.from_seconds(1766527938, BERLIN))
        self.assertEqual(
            file_name(name), "C60000000001_20251223T211218Z+0100_100-0318-c85985fb.jpg"
        )
        self.assertEqual(day_folder(name.taken), "2025-12-23")

    def test_variants(self) -> None:
        """Video, undated, no media id, and a second of the same name are told apart."""
        avi = MediaName("C6", MediaFile(2, 100, 7, 12000), None, 2)
        self.assertEqual(file_name(avi), "C6_undated_100-0007-avi-12000ms-2.mp4")
        self.assertEqual(day_folder(None), "undated")
        exif = MediaName("C6", MediaFile(0, 100, 7), Moment.from_seconds(0, ZoneInfo("UTC")))
        self.assertEqual(file_name(exif), "C6_19700101T000000Z+0000_100-0007-exif.jpg")

    @given(names())
    @settings(deadline=None)
    def test_round_trip(self, drawn: tuple[MediaName, tzinfo | None]) -> None:
        """Whatever is built is read back exactly, as a final and as a .part name."""
        name, zone = drawn
        self.assertEqual(parse(file_name(name), zone), name)
        self.assertEqual(parse_part(part_name(file_name(name), 3), zone), name)
        self.assertTrue(is_day_folder(day_folder(name.taken)))
        self.assertIsNone(parse(part_name(file_name(name), 3), zone))

    @given(st.text(max_size=60))
    @settings(deadline=None)
    def test_strangers(self, text: str) -> None:
        """No other text is taken for one of our names, or raises."""
        name = parse(text, None)
        self.assertTrue(name is None or file_name(name) == text)

    def test_near_misses(self) -> None:
        """Names that a person changed, or that mean no time, are not ours."""
        for text in (
            "C6_20251223T211218Z+0100_100-0318.jpeg",
            "C6_20251323T211218Z+0100_100-0318.jpg",
            "C6_20251223T211218Z+9900_100-0318.jpg",
            "C6_20251223T211218Z_100-0318.jpg",
            "C6_20251223T211218Z+0100_100-318.jpg",
            "C6_20251223T211218Z+0100_100-0318-2 (copy).jpg",
            "C6_20251223T211218Z+0100_100-0318-1.jpg",
            "C6_undated_100-0318-exif.jpg",
            "C6_undated_100-0318-avi.jpg",
            "C6_99991231T235959Z+2359_100-0318.jpg",
            "C6_00010101T000000Z-2359_100-0318.jpg",
            "IMG_0001.jpg",
        ):
            self.assertIsNone(parse(text, BERLIN), text)

    def test_zone_changed(self) -> None:
        """A camera that moved to another zone keeps the wall time of its older pictures."""
        taken = Moment.from_seconds(1766527938, BERLIN)
        name = parse(file_name(MediaName("C6", PHOTO, taken)), ZoneInfo("Asia/Tokyo"))
        assert name is not None and name.taken is not None
        self.assertEqual(name.file, PHOTO)
        self.assertEqual(
            (name.taken.wall, name.taken.utc, name.taken.zone),
            (taken.wall, taken.utc, "UTC+01:00"),
        )


class FolderNameTests(TestCase):
    """What a camera's folder is called."""

    def test_ids(self) -> None:
        """Only letters, digits and dashes survive, none of the latter in front."""
        for device_id, folder in (
            ("C6:00:00:00:00:01", "C60000000001"),
            ("../../etc/passwd", "etcpasswd"),
            ("", "camera"),
            ("///", "camera"),
            (".trailcam", "trailcam"),
            ("Kamera-Süd ☃", "Kamera-Sd"),
            ("-rf", "rf"),
            ("--", "camera"),
            ("a\0b\nc", "abc"),
            ("٣", "camera"),
            ("x" * 500, "x" * 64),
        ):
            self.assertEqual(folder_name(device_id), folder)

    @given(st.text())
    @settings(deadline=None)
    def test_safe(self, device_id: str) -> None:
        """Every id becomes one plain folder name."""
        self.assertTrue(is_folder_name(folder_name(device_id)))
        self.assertEqual(os.path.basename(folder_name(device_id)), folder_name(device_id))

    def test_surrogates(self) -> None:
        """An id that no database can hold is changed, not refused."""
        self.assertEqual(Source("a\ud800b").device_id, "a?b")


class NormalTests(TestCase):
    """What a camera says of a file, made plausible."""

    def test_nonsense(self) -> None:
        """Times, ids and lengths that mean nothing count as not said."""
        self.assertEqual(normal(MediaFile(1, 1, 2, -5, -1, 2**62)), MediaFile(1, 1, 2))
        self.assertEqual(normal(MediaFile(1, 1, 2, 0, 0, -1)), MediaFile(1, 1, 2, 0, 0))
        self.assertEqual(normal(PHOTO), PHOTO)

    def test_impossible(self) -> None:
        """A file that no card can have is refused."""
        for file in (MediaFile(3, 1, 1), MediaFile(0, -1, 1), MediaFile(0, 1, 0x10000)):
            self.assertRaises(LibraryError, normal, file)


class MomentTests(TestCase):
    """Wall clock to UTC, once."""

    def test_zone(self) -> None:
        """Summer and winter have their own offsets."""
        winter = Moment.from_wall(datetime(2025, 1, 1, 12), BERLIN)
        summer = Moment.from_wall(datetime(2025, 7, 1, 12), BERLIN)
        self.assertEqual(winter.utc, datetime(2025, 1, 1, 11, tzinfo=UTC))
        self.assertEqual(summer.utc, datetime(2025, 7, 1, 10, tzinfo=UTC))
        self.assertEqual(winter.zone, "Europe/Berlin")

    def test_changes(self) -> None:
        """A skipped hour counts on from before the change; a double one is the first."""
        skipped = Moment.from_wall(datetime(2025, 3, 30, 2, 30), BERLIN)
        double = Moment.from_wall(datetime(2025, 10, 26, 2, 30), BERLIN)
        self.assertEqual(skipped.utc, datetime(2025, 3, 30, 1, 30, tzinfo=UTC))
        self.assertEqual(double.utc, datetime(2025, 10, 26, 0, 30, tzinfo=UTC))
        for moment in (skipped, double):
            naive = moment.utc.replace(tzinfo=None)
            self.assertEqual(Moment.from_utc(naive, moment.offset, BERLIN), moment)

    def test_seconds(self) -> None:
        """Seconds are the wall clock's, and come back the same."""
        self.assertEqual(Moment.from_seconds(1766527938, BERLIN).seconds, 1766527938)

    def test_local(self) -> None:
        """Without a zone it is the station's own, also in its skipped hour."""
        self.addCleanup(set_local_zone, os.environ.get("TZ"))
        set_local_zone("CET-1CEST,M3.5.0,M10.5.0/3")
        summer = Moment.from_wall(datetime(2025, 7, 1, 12), None)
        skipped = Moment.from_wall(datetime(2025, 3, 30, 2, 30), None)
        self.assertEqual((summer.utc.hour, summer.zone), (10, "CEST"))
        self.assertEqual(skipped.utc, datetime(2025, 3, 30, 1, 30, tzinfo=UTC))

    def test_zone_names(self) -> None:
        """A zone is found again by its name; what is none is the station's own."""
        for zone in (BERLIN, timezone(timedelta(hours=-9, minutes=-30)), ZoneInfo("UTC")):
            found = zone_from_name(zone_name(zone))
            self.assertEqual(Moment.from_seconds(0, found).utc, Moment.from_seconds(0, zone).utc)
        for name in (None, 7, "", "/etc/passwd", "../x", "Nowhere/Land", "a\0b", "UTC+99:00"):
            self.assertIsNone(zone_from_name(name))
