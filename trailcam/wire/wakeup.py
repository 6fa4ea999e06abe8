"""
What wakes a camera over Bluetooth LE, and what it answers (PROTOCOL, section 4).

The camera gets L{WAKE_UP} and answers in notifications of at most 20 bytes;
an L{Assembler} makes an L{Access} of them, L{answer} the other way round.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass, field

from trailcam.errors import DecodeError

__all__ = [
    "MAX_PAYLOAD",
    "NOTIFICATION_SIZE",
    "NOTIFY",
    "SERVICE",
    "WAKE_UP",
    "WRITE",
    "Access",
    "Assembler",
    "answer",
    "encode",
    "is_wake_up",
]

#: The GATT service of such cameras,
SERVICE = "00008800-0000-1000-8000-00805f9b34fb"
#: its characteristic that is written to,
WRITE = "00000002-0000-1000-8000-00805f9b34fb"
#: and the one that the answer comes from.
NOTIFY = "00000003-0000-1000-8000-00805f9b34fb"

#: The most bytes of one notification (evidence C).
NOTIFICATION_SIZE = 20
#: The longest answer that is listened to, in bytes; real ones have about 80.
MAX_PAYLOAD = 4096

_MAGIC = b"\x13\x57"
_TYPE = 1
_HEADER = struct.Struct("<2sHI")
#: What is kept at most: an answer that is not whole, and the longest notification there can be.
_MOST_KEPT = _HEADER.size + MAX_PAYLOAD + 512

_LONGEST_SSID = 32
_LONGEST_PASSPHRASE = 63
_BSSID = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


def encode(payload: bytes = b"") -> bytes:
    """A header, and what it announces."""
    return _HEADER.pack(_MAGIC, _TYPE, len(payload)) + payload


#: What is written to wake a camera: a header alone, padded with zeros.
WAKE_UP = encode().ljust(NOTIFICATION_SIZE, b"\0")


def is_wake_up(value: bytes) -> bool:
    """Whether a camera wakes of it: the header is enough, zeros may follow."""
    return value.startswith(encode()) and not any(value[_HEADER.size :])


@dataclass(frozen=True, slots=True)
class Access:
    """
    The network that a camera opens.

    @ivar ssid: its name, 1 to 32 bytes of printable text.
    @ivar bssid: the address of its radio, like C{02:00:00:00:12:34}.
    @ivar passphrase: at most 63 bytes; empty for an open network.
    @raise DecodeError: when one of them cannot be that.
    """

    ssid: str
    bssid: str
    passphrase: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_text("ssid", self.ssid, _LONGEST_SSID)
        _check_text("pwd", self.passphrase, _LONGEST_PASSPHRASE)
        if not self.ssid:
            raise DecodeError("an answer with an empty ssid")
        if not _BSSID.fullmatch(self.bssid):
            raise DecodeError("an answer whose bssid is no address")


class Assembler:
    """
    Puts notifications together again, however they were cut.

    An answer that breaks off is forgotten when the next one begins, which a
    byte of the magic shows: JSON text cannot contain it.

    @ivar dropped: how many bytes belonged to no answer.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.dropped = 0

    @property
    def has_begun(self) -> bool:
        """Whether there is a part of an answer."""
        return bool(self._buffer)

    def feed(self, notification: bytes) -> Access | None:
        """
        Take the next notification.

        @return: what the camera says, once it is whole.
        @raise DecodeError: when a whole answer is none. The next one may be good.
        """
        self._buffer += notification[-_MOST_KEPT:]
        self._drop(max(0, len(self._buffer) - _MOST_KEPT))
        damage = None
        while (payload := self._next()) is not None:
            try:
                return _decode(payload)
            except DecodeError as error:
                damage = error
        if damage is not None:
            raise damage
        return None

    def _next(self) -> bytes | None:
        """Take out the payload of the next answer that is whole."""
        while True:
            self._drop(_beginning(self._buffer))
            if len(self._buffer) < _HEADER.size:
                return None
            _, kind, length = _HEADER.unpack_from(self._buffer)
            if kind != _TYPE or not 0 < length <= MAX_PAYLOAD:
                self._drop(len(_MAGIC))
                continue
            end = _HEADER.size + length
            again = self._buffer.find(_MAGIC[:1], _HEADER.size, end)
            if again >= 0:
                self._drop(again)
                continue
            if len(self._buffer) < end:
                return None
            payload = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            return payload

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self.dropped += count


def answer(access: Access) -> list[bytes]:
    """A camera's answer, as notifications."""
    fields = {"ret": 0, "ssid": access.ssid, "bssid": access.bssid, "pwd": access.passphrase}
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False)
    message = encode(text.encode("utf-8"))
    starts = range(0, len(message), NOTIFICATION_SIZE)
    return [message[start : start + NOTIFICATION_SIZE] for start in starts]


def _beginning(data: bytearray) -> int:
    """Where a header begins, or may begin once more has come."""
    found = data.find(_MAGIC)
    if found >= 0:
        return found
    return len(data) - data.endswith(_MAGIC[:1])


def _decode(payload: bytes) -> Access:
    """Read the JSON text of an answer. What is wrong is told without what it says."""
    try:
        fields = json.loads(payload.partition(b"\0")[0].decode("utf-8"))
    except (ValueError, RecursionError):
        raise DecodeError("an answer that is not JSON") from None
    if not isinstance(fields, dict):
        raise DecodeError("an answer that is not a JSON object")
    ret = fields.get("ret")
    if type(ret) is not int:
        raise DecodeError("an answer without ret")
    if ret != 0:
        raise DecodeError(f"an answer that refuses, with ret {str(ret)[:12]}")
    return Access(*(_text(fields, name) for name in ("ssid", "bssid", "pwd")))


def _text(fields: dict[str, object], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise DecodeError(f"an answer without {name}")
    return value


def _check_text(name: str, text: str, longest: int) -> None:
    if not text.isprintable():  # lone surrogates, which have no bytes, are not either
        raise DecodeError(f"an answer with control characters in {name}")
    if len(text.encode("utf-8")) > longest:
        raise DecodeError(f"an answer whose {name} is longer than {longest} bytes")
