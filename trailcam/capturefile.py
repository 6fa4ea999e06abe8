"""Capture files, pcap, pcapng or JSON lines, to the datagrams in them."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from trailcam.commands import clean
from trailcam.errors import ConfigError, DecodeError
from trailcam.target import KNOWN_PORTS
from trailcam.wire import artemis, pppp

__all__ = ["ACCEPTED", "Seen", "open_capture"]

#: The longest packet, block or line of a capture, in bytes; whatever claims more is damage.
_LONGEST = 1 << 20
#: So many addresses are remembered to belong to a camera or an app.
_ADDRESSES = 4096
#: With these 3 bytes a camera says that it accepts a session.
ACCEPTED = b"ACK"


class Seen(NamedTuple):
    """One datagram of a capture; C{conversation} names the two sides that talk."""

    number: int | None
    time: float | None
    source: str
    conversation: str
    value: pppp.Datagram


class _PassedOver(Exception):
    """A packet that is not ours; the text says in what way."""


def open_capture(path: Path, passed: Counter[str]) -> Iterator[Seen]:
    """
    Find out what kind of file it is.

    @raise ConfigError: when it is none that can be read.
    """
    try:
        if not path.is_file():
            raise ConfigError(f"{path} is not a capture: there is no such file")
        with path.open("rb") as file:
            magic = file.read(4)
            first = magic + file.readline(_LONGEST)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file's name"
        raise ConfigError(f"{path} is not a capture: {reason}") from None
    if not first:
        raise ConfigError(f"{path} is not a capture: it is empty")
    if magic in _PCAP_MAGICS:
        with path.open("rb") as file:
            _pcap_reader(path, file)
        return _read_pcap(path, passed)
    try:
        _from_json(first)
    except _PassedOver:
        raise ConfigError(
            f"{path} is not a capture: neither pcap, nor pcapng, nor JSON lines of datagrams"
        ) from None
    return _read_json(path, passed)


def _read_json(path: Path, passed: Counter[str]) -> Iterator[Seen]:
    with path.open("rb") as file:
        while line := file.readline(_LONGEST):
            try:
                number, source, data = _from_json(line)
                yield Seen(number, None, source, "", _decode(data))
            except _PassedOver as reason:
                passed[str(reason)] += 1


def _from_json(line: bytes) -> tuple[int | None, str, bytes]:
    try:
        entry = json.loads(line)
        data, number = bytes.fromhex(entry["hex"]), entry.get("n")
        source = clean(entry["from"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _PassedOver("damaged lines") from None
    return number if type(number) is int else None, source, data


_PCAP_MAGICS = frozenset(
    struct.pack(order + "I", magic)
    for order in "<>"
    for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34, 0x0A0D0D0A)
)


class _Careful:
    """A file that refuses to read as much as a damaged length claims."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST:
            raise ValueError("a length that cannot be")
        return self._file.read(size)


def _damage() -> tuple[type[Exception], ...]:
    """What dpkt raises when a file is damaged."""
    import dpkt

    return ValueError, dpkt.dpkt.Error, struct.error, ArithmeticError, OSError


def _pcap_reader(path: Path, file: BinaryIO) -> Any:
    import dpkt

    try:
        return dpkt.pcap.UniversalReader(_Careful(file))
    except _damage():
        raise ConfigError(f"{path} is not a capture: its first bytes are damaged") from None


def _read_pcap(path: Path, passed: Counter[str]) -> Iterator[Seen]:
    # Twice: who is who shows in some datagrams only.
    roles = _Roles()
    for _, source, target, value in _packets(path, Counter()):
        roles.learn(source, target, value)
    begin = None
    for time, source, target, value in _packets(path, passed):
        begin = time if begin is None else begin
        conversation = " ".join(sorted((source, target)))
        yield Seen(None, round(time - begin, 6), roles.of(source, target), conversation, value)


def _packets(path: Path, passed: Counter[str]) -> Iterator[tuple[float, str, str, pppp.Datagram]]:
    """Time, source, target and value of each datagram in a pcap or pcapng file."""
    with path.open("rb") as file:
        reader = _pcap_reader(path, file)
        link = reader.datalink()
        packets = iter(reader)
        while True:
            try:
                time, packet = next(packets)
                source, target, data = _udp(_ip(link, packet))
                yield float(time), source, target, _decode(data)
            except _PassedOver as reason:
                passed[str(reason)] += 1
            except StopIteration:
                return
            except _damage():
                passed["truncated"] += 1
                return


def _decode(data: bytes) -> pppp.Datagram:
    try:
        return pppp.decode(data)
    except DecodeError:
        raise _PassedOver("not of a camera") from None


#: By link type: how long its header is, and where in it the EtherType is, if it has one.
_LINKS = {
    0: (4, None), 1: (14, 12), 12: (0, None), 14: (0, None), 101: (0, None), 108: (4, None),
    113: (16, 14), 228: (0, None), 229: (0, None), 276: (20, 0),
}  # fmt: skip
_UDP, _FRAGMENT = 17, 44
_VLANS = (b"\x81\x00", b"\x88\xa8")


def _ip(link: int, packet: bytes) -> bytes:
    """The IP packet in a captured one."""
    if link not in _LINKS:
        raise _PassedOver("of an unknown link type")
    size, at = _LINKS[link]
    if at is not None:
        kind = packet[at : at + 2]
        while link == 1 and kind in _VLANS:
            size += 4
            kind = packet[size - 2 : size]
        if kind not in (b"\x08\x00", b"\x86\xdd"):
            raise _PassedOver("not of a camera")
    return packet[size:]


def _udp(packet: bytes) -> tuple[str, str, bytes]:
    """Source, target and payload of the UDP datagram in an IP packet."""
    version = packet[0] >> 4 if packet else 0
    if len(packet) < {4: 20, 6: 40}.get(version, 0):
        raise _PassedOver("truncated")
    if version == 4:
        size, protocol, hosts = (packet[0] & 15) * 4, packet[9], packet[12:20]
        fragment = protocol == _UDP and any((packet[6] & 0x3F, packet[7]))
    else:
        size, protocol, hosts = 40, packet[6] if version == 6 else 0, packet[8:40]
        fragment = protocol == _FRAGMENT
    if fragment:
        raise _PassedOver("fragments")
    if protocol != _UDP or size < 20:
        raise _PassedOver("not of a camera")
    return _ports(hosts, packet[size:])


def _ports(hosts: bytes, segment: bytes) -> tuple[str, str, bytes]:
    """Source, target and payload of the UDP datagram C{segment} between two C{hosts}."""
    if len(segment) < 8:
        raise _PassedOver("truncated")
    source, target, length = struct.unpack_from(">HHH", segment)
    data = segment[8:length]
    if data[:1] not in (b"", b"\xf1"):
        raise _PassedOver("not of a camera")
    if len(segment) < length:
        raise _PassedOver("truncated")
    half = len(hosts) // 2
    return _address(hosts[:half], source), _address(hosts[half:], target), data


def _address(packed: bytes, port: int) -> str:
    host = ip_address(packed)
    return f"{host}:{port}" if host.version == 4 else f"[{host}]:{port}"


class _Roles:
    """Which address is a camera's and which an app's, by what they send."""

    def __init__(self) -> None:
        self._roles: dict[str, str] = {}

    def learn(self, source: str, target: str, value: pppp.Datagram) -> None:
        """See a datagram pass."""
        role = self._tells(value)
        if role and len(self._roles) < _ADDRESSES:
            self._roles.setdefault(source, role)
            if not isinstance(value, pppp.LanSearch | pppp.ReportSessionReady):
                # Those two go to everybody, and to the vendor.
                self._roles.setdefault(target, _other(role))

    def of(self, source: str, target: str) -> str:
        """C{"camera"}, C{"app"}, or the address of the source."""
        if source in self._roles:
            return self._roles[source]
        if target in self._roles:
            return _other(self._roles[target])
        ports = [int(end.rpartition(":")[2]) in KNOWN_PORTS for end in (source, target)]
        if ports[0] == ports[1]:
            return source
        return "camera" if ports[0] else "app"

    @staticmethod
    def _tells(value: pppp.Datagram) -> str | None:
        match value:
            case pppp.LanSearch() | pppp.ReportSessionReady():
                return "app"
            case pppp.P2PRdy() | pppp.P2PRdyTcp():
                return "camera"
            case pppp.Drw(0, 0, data) if data == ACCEPTED:
                return "camera"
            case pppp.Drw(0, _, data) if data.startswith(artemis.MAGIC) and len(data) > 8:
                return {2: "app", 3: "camera"}.get(data[8])
        return None


def _other(role: str) -> str:
    return "app" if role == "camera" else "camera"
