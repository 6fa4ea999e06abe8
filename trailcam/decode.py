"""
Captures of a camera's traffic into readable text, or JSON for programs.

L{Capture} reads a file, pcap, pcapng or JSON lines, and yields one dict for
each datagram that belongs to a camera; L{format_text} and L{format_json} make
a person's and a program's line of it. Everything in a capture comes from
outside: what is shown is printable, the text shows no passwords, and memory
is bounded however large the file is.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter, OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from trailcam.capturefile import Seen, open_capture
from trailcam.capturestream import Session, fields
from trailcam.commands import clean
from trailcam.wire import pppp

__all__ = ["Capture", "format_json", "format_text", "run"]

Json = dict[str, Any]

#: So many sessions are followed at once.
_SESSIONS = 4
#: The longest line of text, in characters.
_WIDTH = 118

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

#: Under what name a message's content stands.
#: What the text does not show: people show it to each other.
_SECRET = re.compile(r"pass(word|wd|phrase)|pwd|ssid", re.IGNORECASE)
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

    Each has C{n}, C{time} (seconds from the first, or C{None}), C{from}
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
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._datagrams = open_capture(path, self.passed)

    def __iter__(self) -> Iterator[Json]:
        for seen in self._datagrams:
            number = self.count if seen.number is None else seen.number
            self.count += 1
            row: Json = {"n": number, "time": seen.time, "from": seen.source}
            row |= {"type": _NAMES[type(seen.value)], **fields(seen.value)}
            session = self._session(seen)
            if session is not None:
                row |= session.receive(seen.source, seen.value)
            yield row

    def summary(self) -> str:
        """How much there was, in one line."""
        passed = ", ".join(f"{number} {reason}" for reason, number in sorted(self.passed.items()))
        return f"{self.count} datagrams" + (f"; passed over: {passed}" if passed else "")

    def _session(self, seen: Seen) -> Session | None:
        """The session that a datagram belongs to; it begins with the first DRW."""
        if isinstance(seen.value, pppp.Drw):
            self._sessions.setdefault(seen.conversation, Session())
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
    said = _without_secrets(message[kind]) if kind else f"{message['length']} bytes"
    if kind in ("command", "response") and isinstance(said, dict):
        head += _command_name(said.get("cmdId"))
        said = {key: value for key, value in said.items() if key != "cmdId"}
    elif kind == "damaged":
        said = f"damaged: {said}"
    if brief or not said:
        return head
    return f"{head}: {_pairs(said) if isinstance(said, dict) else said}"


def _without_secrets(value: Any) -> Any:
    """What people show each other must not hold a password; programs get it as it is."""
    if isinstance(value, dict):
        return {
            key: "***" if _SECRET.search(key) else _without_secrets(item)
            for key, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _command_name(code: object) -> str:
    name = _COMMANDS.get(code) if isinstance(code, int) else None
    return f", {name} ({code})" if name else f", command {clean(code)}"


def _pairs(fields: Json) -> str:
    return ", ".join(f"{key} {json.dumps(fields[key], ensure_ascii=False)}" for key in fields)
