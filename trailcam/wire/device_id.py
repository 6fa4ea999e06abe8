"""The 20-byte device id that PPPP cameras report (PROTOCOL, section 1)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from trailcam.errors import DecodeError

__all__ = ["FAMILY", "DeviceId"]

_LAYOUT = struct.Struct(">8sI8s")
# What is shown to people and written to logs comes from outside: printable, and no separator.
_PART = re.compile(r"[!-,.-~]{0,8}", re.ASCII)
_SERIAL = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class DeviceId:
    """
    A device id, written C{LBCS-000000-CCCJJ}.

    @ivar prefix: at most 8 printable ASCII characters, no dash.
    @ivar serial: 0 to 2**32 - 1.
    @ivar check: at most 8 printable ASCII characters, no dash.
    """

    prefix: str
    serial: int
    check: str

    def __post_init__(self) -> None:
        if not (_PART.fullmatch(self.prefix) and _PART.fullmatch(self.check)):
            raise DecodeError("a device id has a part that is not plain ASCII")
        if not 0 <= self.serial < 1 << 32:
            raise DecodeError("a device id's serial number is out of range")

    @classmethod
    def decode(cls, data: bytes) -> DeviceId:
        """
        Read 20 bytes.

        @raise DecodeError: when they are not a device id.
        """
        if len(data) != _LAYOUT.size:
            raise DecodeError(f"a device id has 20 bytes, not {len(data)}")
        prefix, serial, check = _LAYOUT.unpack(data)
        return cls(_text(prefix), serial, _text(check))

    @classmethod
    def parse(cls, text: str) -> DeviceId:
        """
        Read the written form.

        @raise DecodeError: when it is not one.
        """
        parts = text.split("-")
        if len(parts) != 3 or not _SERIAL.fullmatch(parts[1]):
            raise DecodeError("a device id is written like LBCS-000000-CCCJJ")
        return cls(parts[0], int(parts[1]), parts[2])

    def encode(self) -> bytes:
        """The 20 bytes."""
        return _LAYOUT.pack(self.prefix.encode("ascii"), self.serial, self.check.encode("ascii"))

    def __str__(self) -> str:
        return f"{self.prefix}-{self.serial:06d}-{self.check}"


def _text(field: bytes) -> str:
    stripped = field.rstrip(b"\0")
    try:
        return stripped.decode("ascii")
    except UnicodeDecodeError:
        raise DecodeError("a device id has a part that is not ASCII") from None


#: What every camera of this family reports on its own access point (evidence C, A):
#: it names the family, not the unit.
FAMILY = DeviceId("LBCS", 0, "CCCJJ")
