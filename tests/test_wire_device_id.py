"""Tests of L{trailcam.wire.device_id} against PROTOCOL, section 1."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.errors import DecodeError
from trailcam.wire.device_id import FAMILY, DeviceId

FAMILY_BYTES = b"LBCS\0\0\0\0" + bytes(4) + b"CCCJJ\0\0\0"

part = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="-"),
               max_size=8)  # fmt: skip
ids = st.builds(DeviceId, part, st.integers(0, 2**32 - 1), part)


class DeviceIdTests(TestCase):
    """The 20 bytes and the written form."""

    def test_family(self) -> None:
        """The id that every camera of the family reports: bytes, text, and fields."""
        self.assertEqual(FAMILY, DeviceId("LBCS", 0, "CCCJJ"))
        self.assertEqual(FAMILY.encode(), FAMILY_BYTES)
        self.assertEqual(DeviceId.decode(FAMILY_BYTES), FAMILY)
        self.assertEqual(str(FAMILY), "LBCS-000000-CCCJJ")
        self.assertEqual(DeviceId.parse("LBCS-000000-CCCJJ"), FAMILY)

    def test_big_endian(self) -> None:
        """The serial number is big-endian, and written with at least six digits."""
        device_id = DeviceId.decode(b"ABCDEFGH\x00\x01\xe2\x40STUVWXYZ")
        self.assertEqual(device_id, DeviceId("ABCDEFGH", 123456, "STUVWXYZ"))
        self.assertEqual(str(device_id), "ABCDEFGH-123456-STUVWXYZ")
        self.assertEqual(str(DeviceId("A", 2**32 - 1, "B")), "A-4294967295-B")

    def test_damaged_bytes(self) -> None:
        """Other sizes, and parts that are not printable ASCII, are refused."""
        for data in (
            b"",
            FAMILY_BYTES[:19],
            FAMILY_BYTES + b"\0",
            b"\xffBCS\0\0\0\0" + FAMILY_BYTES[8:],
            b"L\0CS\0\0\0\0" + FAMILY_BYTES[8:],
            b"L CS\0\0\0\0" + FAMILY_BYTES[8:],
            b"L-CS\0\0\0\0" + FAMILY_BYTES[8:],
            FAMILY_BYTES[:12] + b"\x1b[31m\0\0\0",
            FAMILY_BYTES[:12] + b"CCC\n\0\0\0\0",
        ):
            self.assertRaises(DecodeError, DeviceId.decode, data)

    def test_damaged_text(self) -> None:
        """What is not written like an id is refused, however long it is."""
        for text in (
            "",
            "LBCS",
            "LBCS-CCCJJ",
            "LBCS-000000-CCCJJ-X",
            "LBCS--CCCJJ",
            "LBCS-00000x-CCCJJ",
            "LBCS-²-CCCJJ",
            "LBCS-٣-CCCJJ",
            "LBCS- 1-CCCJJ",
            "LBCS-+1-CCCJJ",
            "LBCS-1_0-CCCJJ",
            "LBCS-4294967296-CCCJJ",
            "LBCS-" + "9" * 5000 + "-CCCJJ",
            "LBCSLBCSL-000000-CCCJJ",
            "LBCS-000000-CCCJJ\n",
            "ÄBCS-000000-CCCJJ",
        ):
            self.assertRaises(DecodeError, DeviceId.parse, text)

    def test_impossible_values(self) -> None:
        """No id can be made that could not be written."""
        for prefix, serial, check in (
            ("LBCSLBCSL", 0, "CCCJJ"),
            ("LBCS", -1, "CCCJJ"),
            ("LBCS", 2**32, "CCCJJ"),
            ("LBCS", 0, "CCC JJ"),
            ("LBCS", 0, "CCC\0"),
        ):
            self.assertRaises(DecodeError, DeviceId, prefix, serial, check)

    @settings(deadline=None)
    @given(ids)
    def test_round_trip(self, device_id: DeviceId) -> None:
        """Any id comes back from its bytes and from its text, and its bytes are PROTOCOL's."""
        data = device_id.encode()
        self.assertEqual(data[:8], device_id.prefix.encode().ljust(8, b"\0"))
        self.assertEqual(list(data[8:12]), [device_id.serial >> n & 255 for n in (24, 16, 8, 0)])
        self.assertEqual(data[12:], device_id.check.encode().ljust(8, b"\0"))
        self.assertEqual(DeviceId.decode(data), device_id)
        self.assertEqual(DeviceId.parse(str(device_id)), device_id)

    @settings(deadline=None)
    @given(st.one_of(st.binary(max_size=24), st.binary(min_size=20, max_size=20)))
    def test_any_bytes(self, data: bytes) -> None:
        """Any bytes decode without loss, or are refused."""
        try:
            device_id = DeviceId.decode(data)
        except DecodeError:
            return
        self.assertEqual(device_id.encode(), data)

    @settings(deadline=None)
    @given(st.one_of(st.text(), st.from_regex(r"\w{0,9}-\d*-\w{0,9}")))
    def test_any_text(self, text: str) -> None:
        """Any text is read as an id that says the same, or is refused."""
        try:
            device_id = DeviceId.parse(text)
        except DecodeError:
            return
        prefix, serial, check = text.split("-")
        self.assertEqual(device_id, DeviceId(prefix, int(serial), check))
