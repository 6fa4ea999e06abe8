"""
Captures of a camera's traffic into readable text, or JSON for programs.

L{Capture} reads a file, pcap, pcapng or JSON lines, and yields one dict for
each datagram that belongs to a camera; L{format_text} and L{format_json} make
a person's and a program's line of it. Everything in a capture comes from
outside: what is shown is printable, passwords are not shown at all, and
memory is bounded however large the file is.
"""

from __future__ import annotations

import json
import math
import re
import struct
import textwrap
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

from trailcam.commands import clean, decode_text
from trailcam.errors import ConfigError, DecodeError
from trailcam.session.sequence import advance, ahead
from trailcam.target import KNOWN_PORTS
from trailcam.wire import artemis, media, pppp
from trailcam.wire.artemis import MessageId

__all__ = ["Capture", "format_json", "format_text", "run"]

Json = dict[str, Any]

#: The longest packet, block or line of a capture, in bytes; whatever claims more is damage.
_LONGEST = 1 << 20
#: So many datagrams beyond a gap, and the gap is given up: a camera goes 110 beyond (PROTOCOL).
_REACH = 256
#: So many indexes of a stream are remembered, to know copies by.
_REMEMBERED = 2048
#: So many channels a session has (PROTOCOL, section 2), and so many sessions are followed at once.
_CHANNELS = 8
_SESSIONS = 4
#: So many addresses are remembered to belong to a camera or an app.
_ADDRESSES = 4096
#: With these 3 bytes a camera says that it accepts a session.
_ACCEPTED = b"ACK"
#: The longest line of text, in characters.
_WIDTH = 118
#: How deep JSON from a camera may be nested.
_DEPTH = 16

_SECRET = re.compile(r"pass(word|wd|phrase)|pwd|ssid", re.IGNORECASE)

_NAMES: dict[type, str] = {
    pppp.Hello: "HELLO",
    pppp.HelloAck: "HELLO_ACK",
    pppp.LanSearch: "LAN_SEARCH",
    pppp.PunchPkt: "PUNCH_PKT",
    pppp.P2PRdy: "P2P_RDY",
    pppp.P2PRdyTcp: "P2P_RDY_TCP",
    pppp.Drw: "DRW",
    pppp.DrwAck: "DRW_ACK",
    pppp.Alive: "ALIVE",
    pppp.AliveAck: "ALIVE_ACK",
    pppp.Close: "CLOSE",
    pppp.ReportSessionReady: "REPORT_SESSION_READY",
    pppp.Unknown: "UNKNOWN",
}

_MESSAGES = {int(ident): ident.name for ident in MessageId}

#: Under what name a message's content stands.
_KINDS = ("command", "response", "frame", "thumbnail", "file", "event", "damaged")

_COMMANDS = {
    0: "login", 1: "logout", 258: "start live view", 259: "stop live view",
    512: "device information", 513: "set device information", 518: "format the card",
    525: "heartbeat", 641: "take a photo", 643: "start recording", 644: "stop recording",
    768: "media list", 769: "play a video", 770: "stop playing", 772: "thumbnails",
    773: "delete one", 774: "delete all", 1281: "sleep", 1285: "download files",
    1286: "stop the download",
}  # fmt: skip


def run(path: Path, *, as_json: bool, out: TextIO) -> int:
    """
    Print a capture: a line for each datagram, and in text a summary.

    @return: what the command line ends with.
    @raise ConfigError: when the file is no capture.
    """
    capture = Capture(path)
    encoding = out.encoding or "utf-8"
    for row in capture:
        line = format_json(row) if as_json else format_text(row)
        out.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    if not as_json:
        out.write(capture.summary() + "\n")
    return 0


class Capture:
    """
    A capture, to be iterated once: a dict for each datagram.

    Each has C{n}, C{time} (seconds from the first, or L{None}), C{from}
    (C{"camera"}, C{"app"}, or an address where that is not known), C{type}, and
    what belongs to the type. A DRW also has C{again} (whether it is a copy)
    and what the message that it completes says: C{message}, C{sequence},
    C{length}, and C{command}, C{response}, C{frame}, C{thumbnail}, C{file},
    C{event} or C{damaged}. If it completes several, C{messages} has all.

    @ivar count: how many datagrams there were so far.
    @ivar passed: what was passed over so far, and how often.
    """

    def __init__(self, path: Path) -> None:
        """
        @raise ConfigError: when the file is no capture.
        """
        self.count = 0
        self.passed: Counter[str] = Counter()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._datagrams = _open(path, self.passed)

    def __iter__(self) -> Iterator[Json]:
        for seen in self._datagrams:
            number = self.count if seen.number is None else seen.number
            self.count += 1
            row: Json = {"n": number, "time": seen.time, "from": seen.source}
            row |= {"type": _NAMES[type(seen.value)], **_fields(seen.value)}
            session = self._session(seen)
            if session is not None:
                row |= session.receive(seen.source, seen.value)
            yield row

    def summary(self) -> str:
        """How much there was, in one line."""
        passed = ", ".join(f"{number} {reason}" for reason, number in sorted(self.passed.items()))
        return f"{self.count} datagrams" + (f"; passed over: {passed}" if passed else "")

    def _session(self, seen: _Seen) -> _Session | None:
        """The session that a datagram belongs to; it begins with the first DRW."""
        if isinstance(seen.value, pppp.Drw):
            self._sessions.setdefault(seen.conversation, _Session())
        elif seen.conversation not in self._sessions:
            return None
        self._sessions.move_to_end(seen.conversation)
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return self._sessions[seen.conversation]


def format_json(row: Json) -> str:
    """One line of ASCII without control characters."""
    return json.dumps(row, separators=(",", ":")).replace("\x7f", "\\u007f")


def format_text(row: Json) -> str:
    """One line for the datagram, and indented ones for the messages that it completes."""
    time = "" if row["time"] is None else f"{row['time']:>10.3f} "
    head = f"{row['n']:>6} {time} {row['from']:<6}  {row['type']:<11} "
    lines = [(head + _detail(row)).rstrip()]
    messages = row.get("messages", [row] if "message" in row else [])
    if row.get("again"):
        lines = ["  ".join(lines + [_message_text(message, brief=True) for message in messages])]
    else:
        indent = " " * len(head)
        for message in messages:
            lines += textwrap.wrap(
                _message_text(message, brief=False), _WIDTH, break_on_hyphens=False,
                initial_indent=indent, subsequent_indent=indent + "  ",
            )  # fmt: skip
    return "\n".join(map(_printable, lines))


# --- files ---------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    """One datagram of a capture; C{conversation} names the two sides that talk."""

    number: int | None
    time: float | None
    source: str
    conversation: str
    value: pppp.Datagram


class _PassedOver(Exception):
    """A packet that is not ours; the text says in what way."""


def _open(path: Path, passed: Counter[str]) -> Iterator[_Seen]:
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


def _read_json(path: Path, passed: Counter[str]) -> Iterator[_Seen]:
    with path.open("rb") as file:
        while line := file.readline(_LONGEST):
            try:
                number, source, data = _from_json(line)
                yield _Seen(number, None, source, "", _decode(data))
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


def _read_pcap(path: Path, passed: Counter[str]) -> Iterator[_Seen]:
    # Twice: who is who shows in some datagrams only.
    roles = _Roles()
    for _, source, target, value in _packets(path, Counter()):
        roles.learn(source, target, value)
    begin = None
    for time, source, target, value in _packets(path, passed):
        begin = time if begin is None else begin
        conversation = " ".join(sorted((source, target)))
        yield _Seen(None, round(time - begin, 6), roles.of(source, target), conversation, value)


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
            case pppp.Drw(0, 0, data) if data == _ACCEPTED:
                return "camera"
            case pppp.Drw(0, _, data) if data.startswith(artemis.MAGIC) and len(data) > 8:
                return {2: "app", 3: "camera"}.get(data[8])
        return None


def _other(role: str) -> str:
    return "app" if role == "camera" else "camera"


# --- streams -------------------------------------------------------------------------------------


class _Session:
    """The streams of one session: each direction of each channel."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, int], _Stream] = {}

    def receive(self, source: str, value: pppp.Datagram) -> Json:
        """What a datagram means in this session, as JSON."""
        match value:
            case pppp.Drw() if value.channel < _CHANNELS:
                again, messages = self._stream(source, value).receive(value)
                row: Json = {"again": again}
                for message in messages:
                    row = row | message | row  # what the first says stays
                return row | ({"messages": messages} if len(messages) > 1 else {})
            case pppp.DrwAck(channel, indexes):
                for (side, its_channel), stream in self._streams.items():
                    if side != source and its_channel == channel:
                        stream.acknowledge(indexes)
            case pppp.Close():
                self._streams.clear()
            case pppp.PunchPkt() if source != "camera":
                # A camera repeats its own while a session stands; an app that has
                # sent a DRW punches only to begin again (PROTOCOL, section 1).
                if any(side == source for side, _ in self._streams):
                    self._streams.clear()
        return {}

    def _stream(self, source: str, drw: pppp.Drw) -> _Stream:
        key = source, drw.channel
        if key in self._streams and self._streams[key].contradicts(drw):
            self._streams.clear()  # a new session, whose beginning is not in the capture
        return self._streams.setdefault(key, _Stream())


class _Stream:
    """
    One direction of one channel, put in order as far as it was captured.

    A message that is whole in one DRW that begins with it is told at once,
    with every copy; the others when the order allows.
    """

    def __init__(self) -> None:
        self._expected: int | None = None
        self._waiting: dict[int, bytes] = {}
        self._missed: set[int] = set()
        self._seen: OrderedDict[int, int] = OrderedDict()
        self._restart()

    def contradicts(self, drw: pppp.Drw) -> bool:
        """Whether that index came before, with other data."""
        return self._seen.get(drw.index, hash(drw.data)) != hash(drw.data)

    def receive(self, drw: pppp.Drw) -> tuple[bool, list[Json]]:
        """Whether it is a copy, and what messages it completes."""
        again = drw.index in self._seen
        messages = [_describe(message) for message in _whole(drw.data)]
        if not again:
            self._seen[drw.index] = hash(drw.data)
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            messages += self._order(drw.index, drw.data)
        return again, messages

    def acknowledge(self, indexes: Iterable[int]) -> None:
        """The other side has these; those that the capture has not, it will not have."""
        if self._expected is not None:
            for index in indexes:
                if index not in self._seen and 0 <= ahead(index, self._expected) < _REACH:
                    self._missed.add(index)

    def _restart(self) -> None:
        self._scanner = artemis.StreamScanner()
        self._file: _File | None = None

    def _order(self, index: int, data: bytes) -> Iterator[Json]:
        if self._expected is None:
            # Near zero it is the beginning, some of which may come late.
            self._expected = 0 if index < _REACH else index
        distance = ahead(index, self._expected)
        if abs(distance) >= 4 * _REACH:
            self._go_on(index)
        elif distance < 0:
            return
        self._waiting[index] = data
        if len(self._waiting) > _REACH:
            base = self._expected
            self._go_on(min(self._waiting, key=lambda waiting: ahead(waiting, base)))
        while self._expected in self._waiting or self._expected in self._missed:
            piece = self._waiting.pop(self._expected, None)
            if piece is None:
                self._restart()
            else:
                yield from self._scan(piece)
            self._missed.discard(self._expected)
            self._expected = advance(self._expected)

    def _go_on(self, index: int) -> None:
        """Give up a gap: go on here, with the next message that begins."""
        self._expected = index
        self._waiting = {
            other: data for other, data in self._waiting.items()
            if 0 <= ahead(other, index) < 4 * _REACH
        }  # fmt: skip
        self._missed.clear()
        self._restart()

    def _scan(self, piece: bytes) -> Iterator[Json]:
        told = _whole(piece)
        self._scanner.feed(piece)
        while (part := self._scanner.next_part()) is not None:
            match part:
                case artemis.Message():
                    if part not in told:
                        yield _describe(part)
                case artemis.Begin():
                    self._file = _File(part)
                case artemis.Chunk(data):
                    if self._file is not None:
                        yield from self._file.feed(data)
                case artemis.End():
                    if self._file is not None:
                        yield self._file.row("end")


class _File:
    """A file message: shown when its header is there, and at its end."""

    def __init__(self, begin: artemis.Begin) -> None:
        self._begin = begin
        self._head: bytes | None = b""
        self._file: Json = {}

    def feed(self, data: bytes) -> Iterator[Json]:
        """More of it."""
        if self._head is None:
            return
        self._head += data[: media.FILE_HEADER_SIZE]
        if len(self._head) < media.FILE_HEADER_SIZE:
            return
        try:
            header = media.FileHeader.decode(self._head)
            self._file = _medium(header) | {"media_id": header.media_id}
        except DecodeError as error:
            self._file = {"damaged": str(error)}
        self._head = None
        yield self.row("begin")

    def row(self, part: str) -> Json:
        """What is known of it."""
        head = {"message": "FILE", "sequence": self._begin.sequence, "length": self._begin.length}
        return head | {"file": {"part": part, **self._file}}


def _whole(data: bytes) -> list[artemis.Message]:
    """The messages, files aside, that a DRW which begins with one has in whole."""
    if not data.startswith(artemis.MAGIC):
        return []
    scanner = artemis.StreamScanner()
    scanner.feed(data)
    parts: Iterable[Any] = iter(scanner.next_part, None)
    return [part for part in parts if isinstance(part, artemis.Message)]


# --- values --------------------------------------------------------------------------------------


def _fields(value: pppp.Datagram) -> Json:
    """What a datagram says, as JSON."""
    match value:
        case pppp.P2PRdyTcp(device_id, address, port):
            return {"device_id": str(device_id), "address": str(address), "port": port}
        case pppp.PunchPkt(device_id) | pppp.P2PRdy(device_id):
            return {"device_id": str(device_id)}
        case pppp.Drw(channel, index, data):
            row: Json = {"channel": channel, "index": index, "size": len(data), "again": False}
            return row | {"text": "ACK"} if data == _ACCEPTED else row
        case pppp.DrwAck(channel, indexes):
            return {"channel": channel, "indexes": list(indexes)}
        case pppp.Unknown(code, data):
            return {"code": code, "size": len(data)}
        case pppp.Hello(data) | pppp.HelloAck(data) | pppp.ReportSessionReady(data):
            return {"size": len(data)}
    return {}


def _describe(message: artemis.Message) -> Json:
    """What an ARTEMIS message says, as JSON."""
    row: Json = {
        "message": _MESSAGES.get(message.id, f"UNKNOWN_{message.id}"),
        "sequence": message.sequence,
        "length": len(message.payload),
    }
    try:
        return row | _content(message)
    except DecodeError as error:
        return row | {"damaged": str(error)}


def _content(message: artemis.Message) -> Json:
    match message.id:
        case MessageId.REQUEST:
            return {"command": _harmless(decode_text(message.payload))}
        case MessageId.RESPONSE:
            return {"response": _harmless(decode_text(message.payload))}
        case MessageId.LIVE | MessageId.PLAYBACK:
            return {"frame": _frame(media.Frame.decode(message.payload))}
        case MessageId.THUMBNAIL:
            header = media.ThumbnailHeader.decode(message.payload)
            return {"thumbnail": _medium(header) | {"file_type": header.file_type}}
        case MessageId.EVENT:
            return {"event": _event(message.payload)}
    return {}


def _frame(frame: media.Frame) -> Json:
    return {
        "counter": frame.counter,
        "pts": frame.pts,
        "video": len(frame.video),
        "audio": len(frame.audio),
        "key": frame.key_frame,
        "intact": frame.intact,
        "width": frame.width,
        "height": frame.height,
        "stage": frame.stage,
        "session_number": frame.session_number,
    }


def _medium(header: media.FileHeader | media.ThumbnailHeader) -> Json:
    return {
        "camera": header.camera,
        "directory": header.directory,
        "number": header.number,
        "length": header.length,
    }


def _event(payload: bytes) -> object:
    """An event's text: as JSON, if it is."""
    text = payload.split(b"\0", 1)[0].decode("utf-8", "replace")
    try:
        return _harmless(json.loads(text))
    except (ValueError, RecursionError):
        return text


def _harmless(value: object, depth: int = 0) -> Any:
    """JSON from outside without secrets, and such that it can be written as JSON again."""
    if depth > _DEPTH:
        return "…"
    if isinstance(value, dict):
        return {
            key: "***" if _SECRET.search(key) else _harmless(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_harmless(item, depth + 1) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# --- text ----------------------------------------------------------------------------------------


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _detail(row: Json) -> str:
    """What a datagram itself says."""
    match row["type"]:
        case "DRW":
            parts = [f"channel {row['channel']}", f"index {row['index']}", f"{row['size']} bytes"]
            return "  ".join([*parts, *(["again"] if row["again"] else []), row.get("text", "")])
        case "DRW_ACK":
            return f"channel {row['channel']}  index {_compact(row['indexes'])}"
        case "P2P_RDY_TCP":
            return f"{row['device_id']}  TCP {row['address']}:{row['port']}"
        case "UNKNOWN":
            return f"type 0x{row['code']:02x}  {row['size']} bytes"
    return str(row.get("device_id") or (f"{row['size']} bytes" if "size" in row else ""))


def _compact(indexes: list[int]) -> str:
    """Like C{0-16, 20, 11 x6}: runs and repetitions, in the order given."""
    runs: list[list[int]] = []  # first, last, how often
    for index in indexes:
        if runs and runs[-1][:2] == [index, index]:
            runs[-1][2] += 1
        elif runs and runs[-1][1] + 1 == index and runs[-1][2] == 1:
            runs[-1][1] = index
        else:
            runs.append([index, index, 1])
    return ", ".join(
        f"{first}-{last}" if first != last else f"{first} x{times}" if times > 1 else f"{first}"
        for first, last, times in runs
    )


def _message_text(message: Json, *, brief: bool) -> str:
    """What an ARTEMIS message says; of a copy only what it is."""
    sequence = message["sequence"]
    head = f"{message['message'].lower()} {sequence if sequence < 0x10000 else hex(sequence)}"
    kind = next((kind for kind in _KINDS if kind in message), None)
    said: object = message[kind] if kind else f"{message['length']} bytes"
    if kind in ("command", "response") and isinstance(said, dict):
        head += _command_name(said.get("cmdId"))
        said = {key: value for key, value in said.items() if key != "cmdId"}
    elif kind == "damaged":
        said = f"damaged: {said}"
    if brief or not said:
        return head
    return f"{head}: {_pairs(said) if isinstance(said, dict) else said}"


def _command_name(code: object) -> str:
    name = _COMMANDS.get(code) if isinstance(code, int) else None
    return f", {name} ({code})" if name else f", command {clean(code)}"


def _pairs(fields: Json) -> str:
    return ", ".join(f"{key} {json.dumps(fields[key], ensure_ascii=False)}" for key in fields)
