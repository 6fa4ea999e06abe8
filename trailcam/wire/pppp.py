"""
One PPPP datagram, the outermost layer (PROTOCOL, sections 1 and 2).

L{decode} turns bytes into one of the values below or raises
L{DecodeError}; L{encode} turns a value back into the same bytes. No value
keeps the bytes that it came from.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import ClassVar, NamedTuple, TypeAlias

from trailcam.errors import DecodeError
from trailcam.wire.device_id import DeviceId

__all__ = [
    "MAX_ACK_INDEXES",
    "MAX_DRW_DATA",
    "Alive",
    "AliveAck",
    "Close",
    "Datagram",
    "Drw",
    "DrwAck",
    "Hello",
    "HelloAck",
    "LanSearch",
    "P2PRdy",
    "P2PRdyTcp",
    "PunchPkt",
    "ReportSessionReady",
    "Unknown",
    "decode",
    "decode_drws",
    "encode",
    "encode_drw",
    "split",
]

MAGIC = 0xF1
DRW = 0xD0
DRW_MAGIC = 0xD1
REPORT_SIZE = 84
#: The most data that one DRW carries, in bytes (evidence C).
MAX_DRW_DATA = 1024
#: The most indexes that one DRW_ACK lists (evidence C).
MAX_ACK_INDEXES = 17

_HEADER = struct.Struct(">BBH")
_DRW = struct.Struct(">BBH")
_DRW_START = bytes((MAGIC, DRW))
_DRW_HEAD = struct.Struct(">HBBH")
#: A DRW with as much data as one can have, which nearly all are: its first five bytes are these.
_FULL_DRW = struct.Struct(f">6sH{MAX_DRW_DATA}s")
_FULL_DRW_START = struct.pack(">HHB", MAGIC << 8 | DRW, MAX_DRW_DATA + 4, DRW_MAGIC)
_TCP_ADDRESS = struct.Struct("<HH4s16s")  # the family is 00 02: see _decode_p2p_rdy_tcp


@dataclass(frozen=True, slots=True)
class Hello:
    """To the vendor's servers (0x00). Never sent by us; known so that captures can be read."""

    code: ClassVar[int] = 0x00
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class HelloAck:
    """From the vendor's servers (0x01). Never sent by us."""

    code: ClassVar[int] = 0x01
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class LanSearch:
    """Is there a camera? (0x30)"""

    code: ClassVar[int] = 0x30


@dataclass(frozen=True, slots=True)
class PunchPkt:
    """Here I am, from the port that I will use (0x41)."""

    code: ClassVar[int] = 0x41
    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class P2PRdy:
    """The session may begin (0x42)."""

    code: ClassVar[int] = 0x42
    device_id: DeviceId


@dataclass(frozen=True, slots=True)
class P2PRdyTcp:
    """
    An offer to go on over TCP (0x43), which everybody ignores.

    @ivar address: the camera's own IPv4 address.
    @ivar port: its port.
    """

    code: ClassVar[int] = 0x43
    device_id: DeviceId
    address: IPv4Address
    port: int


class Drw(NamedTuple):
    """
    A piece of a channel's stream (0xD0). (A tuple: nearly all datagrams are of this type.)

    @ivar channel: 0 to 7 in this family.
    @ivar index: 0 to 65535, wrapping.
    @ivar data: 1 to 1024 bytes.
    """

    channel: int
    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody misses
    data: bytes

    @property
    def code(self) -> int:
        """Its type."""
        return DRW


@dataclass(frozen=True, slots=True)
class DrwAck:
    """
    An acknowledgement of exactly the indexes listed (0xD1).

    @ivar indexes: in the order of arrival; one entry for each copy, so some repeat.
    """

    code: ClassVar[int] = 0xD1
    channel: int
    indexes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """Are you there? (0xE0)"""

    code: ClassVar[int] = 0xE0


@dataclass(frozen=True, slots=True)
class AliveAck:
    """I am. (0xE1)"""

    code: ClassVar[int] = 0xE1


@dataclass(frozen=True, slots=True)
class Close:
    """The session is over (0xF0)."""

    code: ClassVar[int] = 0xF0


@dataclass(frozen=True, slots=True)
class ReportSessionReady:
    """Obfuscated, to the vendor's servers (0xF9). Never sent by us."""

    code: ClassVar[int] = 0xF9
    data: bytes


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed datagram of a type that nobody has named: ignored and counted."""

    code: int
    data: bytes


Datagram: TypeAlias = (
    Hello
    | HelloAck
    | LanSearch
    | PunchPkt
    | P2PRdy
    | P2PRdyTcp
    | Drw
    | DrwAck
    | Alive
    | AliveAck
    | Close
    | ReportSessionReady
    | Unknown
)


def decode(datagram: bytes) -> Datagram:
    """
    Read one datagram.

    @raise DecodeError: on a wrong magic, a length that disagrees with the
        size, or a payload that its type cannot have.
    """
    if datagram[:2] == _DRW_START:
        return _decode_drw(datagram)
    if len(datagram) < 4:
        raise DecodeError("shorter than a PPPP header")
    magic, code, length = _HEADER.unpack_from(datagram)
    if magic != MAGIC:
        raise DecodeError(f"magic 0x{magic:02x} is not 0xf1")
    if length != len(datagram) - 4:
        raise DecodeError(f"the length says {length}, the datagram has {len(datagram) - 4}")
    decoder = _DECODERS.get(code)
    payload = datagram[4:]
    return Unknown(code, payload) if decoder is None else decoder(payload)


def decode_drws(run: bytes) -> tuple[int, tuple[int, ...], tuple[bytes, ...]] | None:
    """
    Read a run of full DRW of one channel without making a L{Drw} of each: for the path that counts.

    @param run: one datagram, or several that the kernel handed over in one piece.
    @return: the channel, the indexes, and the data of each; C{None} when it is anything else.
    """
    if not run.startswith(_FULL_DRW_START) or len(run) % _FULL_DRW.size:
        return None
    starts, indexes, pieces = zip(*_FULL_DRW.iter_unpack(run), strict=True)
    if starts.count(starts[0]) != len(starts):
        return None
    return starts[0][-1], indexes, pieces


def split(run: bytes) -> list[bytes]:
    """
    Part what the kernel may have handed over in one piece (C{UDP_GRO}).

    Such a run has datagrams of one size, the last of which may be shorter, so
    they must all say that size. What is no such run is one datagram, as it came.
    """
    size = _HEADER.size + int.from_bytes(run[2:4])
    if size >= len(run):
        return [run]
    parts = [run[start : start + size] for start in range(0, len(run), size)]
    honest = all(
        part[0] == MAGIC and _HEADER.size + int.from_bytes(part[2:4]) == len(part)
        for part in parts
    )
    return parts if honest else [run]


def encode(value: Datagram) -> bytes:
    """
    Write one datagram.

    @raise DecodeError: when the value does not fit the format.
    """
    try:
        payload = _payload(value)
        return _HEADER.pack(MAGIC, value.code, len(payload)) + payload
    except struct.error as error:
        raise DecodeError(f"{type(value).__name__} with a number that does not fit") from error


def encode_drw(channel: int, index: int, data: bytes) -> bytes:
    """Write a L{Drw} without making one: the same bytes as L{encode}, for the path that counts."""
    return b"%b%b%b" % (
        _DRW_START, _DRW_HEAD.pack(len(data) + 4, DRW_MAGIC, channel, index), data
    )  # fmt: skip


def _payload(value: Datagram) -> bytes:
    match value:
        case Drw(channel, index, data):
            if not 1 <= len(data) <= MAX_DRW_DATA:
                raise DecodeError(f"a DRW carries 1 to 1024 bytes, not {len(data)}")
            return _DRW.pack(DRW_MAGIC, channel, index) + data
        case DrwAck(channel, indexes):
            head = _DRW.pack(DRW_MAGIC, channel, len(indexes))
            return head + struct.pack(f">{len(indexes)}H", *indexes)
        case PunchPkt(device_id) | P2PRdy(device_id):
            return device_id.encode()
        case P2PRdyTcp(device_id, address, port):
            family = 0x0200  # 00 02 on the wire
            host = address.packed[::-1]
            return device_id.encode() + _TCP_ADDRESS.pack(family, port, host, bytes(16))
        case ReportSessionReady(data) if len(data) != REPORT_SIZE:
            raise DecodeError("a session report has 84 bytes")
        case Hello(data) | HelloAck(data) | ReportSessionReady(data) | Unknown(_, data):
            return data
        case _:
            return b""


def _decode_nothing(value: Datagram) -> Callable[[bytes], Datagram]:
    def decoder(payload: bytes) -> Datagram:
        if payload:
            raise DecodeError(f"{type(value).__name__} has no payload, not {len(payload)} bytes")
        return value

    return decoder


def _decode_p2p_rdy_tcp(payload: bytes) -> P2PRdyTcp:
    if len(payload) != 44:
        raise DecodeError("a TCP offer has 44 bytes")
    family, port, host, rest = _TCP_ADDRESS.unpack_from(payload, 20)
    if family != 0x0200 or any(rest):
        raise DecodeError("a TCP offer of an unknown family")
    return P2PRdyTcp(DeviceId.decode(payload[:20]), IPv4Address(host[::-1]), port)


def _decode_report(payload: bytes) -> ReportSessionReady:
    if len(payload) != REPORT_SIZE:
        raise DecodeError("a session report has 84 bytes")
    return ReportSessionReady(payload)


def _decode_drw(datagram: bytes) -> Drw:
    if not 9 <= len(datagram) <= 8 + MAX_DRW_DATA:
        raise DecodeError("a DRW carries 1 to 1024 bytes")
    length, magic, channel, index = _DRW_HEAD.unpack_from(datagram, 2)
    if length != len(datagram) - 4:
        raise DecodeError(f"the length says {length}, the datagram has {len(datagram) - 4}")
    if magic != DRW_MAGIC:
        raise DecodeError(f"DRW magic 0x{magic:02x} is not 0xd1")
    return Drw(channel, index, datagram[8:])


def _decode_drw_ack(payload: bytes) -> DrwAck:
    if len(payload) < 4:
        raise DecodeError("a DRW_ACK has at least 4 bytes")
    magic, channel, count = _DRW.unpack_from(payload)
    if magic != DRW_MAGIC:
        raise DecodeError(f"DRW_ACK magic 0x{magic:02x} is not 0xd1")
    if len(payload) != 4 + 2 * count:
        raise DecodeError("a DRW_ACK's count disagrees with its size")
    return DrwAck(channel, struct.unpack_from(f">{count}H", payload, 4))


_DECODERS: dict[int, Callable[[bytes], Datagram]] = {
    Hello.code: Hello,
    HelloAck.code: HelloAck,
    LanSearch.code: _decode_nothing(LanSearch()),
    PunchPkt.code: lambda payload: PunchPkt(DeviceId.decode(payload)),
    P2PRdy.code: lambda payload: P2PRdy(DeviceId.decode(payload)),
    P2PRdyTcp.code: _decode_p2p_rdy_tcp,
    DrwAck.code: _decode_drw_ack,
    Alive.code: _decode_nothing(Alive()),
    AliveAck.code: _decode_nothing(AliveAck()),
    Close.code: _decode_nothing(Close()),
    ReportSessionReady.code: _decode_report,
}
