"""The streams of a captured session, in order as far as they were captured, and what they say."""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any

from trailcam.capturefile import ACCEPTED
from trailcam.commands import decode_text
from trailcam.errors import DecodeError
from trailcam.session.sequence import advance, ahead
from trailcam.wire import artemis, media, pppp
from trailcam.wire.artemis import MessageId

__all__ = ["Session", "fields"]

Json = dict[str, Any]

#: So many datagrams beyond a gap, and the gap is given up: a camera goes 110 beyond (PROTOCOL).
_REACH = 256
#: So many indexes of a stream are remembered, to know copies by.
_REMEMBERED = 2048
#: So many channels a session has (PROTOCOL, section 2).
_CHANNELS = 8
#: How deep JSON from a camera may be nested.
_DEPTH = 16


_MESSAGES = {int(ident): ident.name for ident in MessageId}


class Session:
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


def fields(value: pppp.Datagram) -> Json:
    """What a datagram says, as JSON."""
    match value:
        case pppp.P2PRdyTcp(device_id, address, port):
            return {"device_id": str(device_id), "address": str(address), "port": port}
        case pppp.PunchPkt(device_id) | pppp.P2PRdy(device_id):
            return {"device_id": str(device_id)}
        case pppp.Drw(channel, index, data):
            row: Json = {"channel": channel, "index": index, "size": len(data), "again": False}
            return row | {"text": "ACK"} if data == ACCEPTED else row
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
    """JSON from outside, such that it can be written as JSON again."""
    if depth > _DEPTH:
        return "…"
    if isinstance(value, dict):
        return {key: _harmless(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_harmless(item, depth + 1) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
