"""
A scripted camera, as fast as a camera can be: nobody shall have to wait for it.

It has a window of 64 datagrams, obeys acknowledgements, and sends again what
got none. Bursts go to the kernel in one call, where it can cut them into
datagrams itself, so that sending costs a fraction of receiving; C{bare} mode
sends the same way to a receiver that does next to nothing, which proves it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat
from struct import unpack_from
from typing import Any

from benchmarks import material
from benchmarks.processes import Json, Stopwatch, say
from trailcam.commands import MediaFile, decode_text, encode_text
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, MessageId
from trailcam.wire.device_id import FAMILY

__all__ = ["BARE", "Script", "main"]

#: A receiver that is none of a camera's clients begins with this and a count.
BARE = b"BARE"
#: Datagrams on their way at most.
WINDOW = 64
#: Datagrams that go to the kernel in one call, as many as a camera's bursts have (W).
BURST = 14
#: What got no acknowledgement for so many seconds is sent again …
RESEND = 0.05
#: … and so many when many cameras send to one receiver, where datagrams wait for their turn.
PATIENCE = 1.0
#: A page of the media list.
PAGE = 45

#: From C{linux/udp.h}: one buffer, many datagrams of that size.
UDP_SEGMENT = 103
FULL = pppp.MAX_DRW_DATA + 8

Address = tuple[str, int]


class Stream:
    """One channel's datagrams on their way out."""

    def __init__(self, channel: int, patience: float = RESEND) -> None:
        self._channel = channel
        self._patience = patience
        self._sources: deque[Iterator[bytes]] = deque()
        self._flying: dict[int, bytes] = {}
        self._next = 0
        self._moved_at = 0.0

    def add(self, pieces: Iterable[bytes]) -> None:
        """Send these pieces after what is being sent."""
        self._sources.append(iter(pieces))

    def acknowledge(self, indexes: Iterable[int]) -> None:
        """Forget what has arrived."""
        for index in indexes:
            self._flying.pop(index, None)
        self._moved_at = time.monotonic()

    def burst(self) -> list[bytes]:
        """The next datagrams that the window has room for; a whole burst, or the last ones."""
        if not self._sources or len(self._flying) > WINDOW - BURST:
            return []
        datagrams = []
        for piece in islice(chain.from_iterable(self._remaining()), BURST):
            index = self._next
            datagram = pppp.encode_drw(self._channel, index, piece)
            self._flying[index] = datagram
            self._next = (index + 1) & 0xFFFF
            datagrams.append(datagram)
        if datagrams and len(self._flying) == len(datagrams):
            self._moved_at = time.monotonic()
        return datagrams

    def _remaining(self) -> Iterator[Iterator[bytes]]:
        while self._sources:
            yield self._sources[0]
            self._sources.popleft()

    def overdue(self, now: float) -> list[bytes]:
        """What got no acknowledgement in time; all of it, as a camera does (F)."""
        if not self._flying or now < self._moved_at + self._patience:
            return []
        self._moved_at = now
        return list(self._flying.values())


class Script:
    """
    One camera on one port, and its one client.

    @ivar beats: when heartbeats came, by the monotonic clock.
    @ivar logged_in: when the login was answered.
    @ivar resent: how many datagrams were sent again.
    """

    def __init__(self, options: Json) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self.socket.setsockopt(socket.SOL_SOCKET, option, 1 << 21)
        self._segments = False
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, FULL)
            self._segments = not options.get("one_by_one")
        self._options = options
        self._client: Address | None = None
        self._began = 0.0
        self.beats: list[float] = []
        self.logged_in = 0.0
        self.resent = 0
        self._reset()

    def _reset(self) -> None:
        self._later: tuple[float, list[bytes]] | None = None
        patience = PATIENCE if self._options.get("cameras", 1) > 1 else RESEND
        self._streams = {channel: Stream(channel, patience) for channel in range(8)}
        self._expected = 0
        self.beats = []
        files = material.media(self._options.get("files", 0))
        self._files = {file.number: file for file in files}

    # -- what comes --------------------------------------------------------

    def read(self) -> None:
        """Take all that has come, then send what there is room for."""
        with contextlib.suppress(BlockingIOError):
            while True:
                datagram, source = self.socket.recvfrom(65536)
                self._take(datagram, source)
        self._send_all()

    def _take(self, datagram: bytes, source: Address) -> None:
        if datagram.startswith(BARE):
            self._client = source
            self._reset()
            self._streams[3].add(repeat(bytes(pppp.MAX_DRW_DATA), int(datagram[4:])))
        elif datagram[1] == pppp.DrwAck.code:
            indexes = unpack_from(f">{len(datagram) // 2 - 4}H", datagram, 8)
            self._streams[datagram[5]].acknowledge(indexes)
        elif datagram[1] == pppp.PunchPkt.code:
            self._punched(source)
        elif source == self._client:
            self._follow(pppp.decode(datagram))

    def _punched(self, source: Address) -> None:
        now = time.monotonic()
        if source != self._client or now > self._began + 1.0:
            self._client, self._began = source, now
            self._reset()
            self._streams[0].add([b"ACK"])
        self._emit(pppp.P2PRdy(FAMILY))

    def _follow(self, value: pppp.Datagram) -> None:
        match value:
            case pppp.Drw(channel, index, data):
                self._emit(pppp.DrwAck(channel, (index,)))
                if index == self._expected:
                    self._expected = (index + 1) & 0xFFFF
                    self._command(data)
            case pppp.Alive():
                self._emit(pppp.AliveAck())
            case pppp.Close():
                self._client = None

    def _emit(self, value: pppp.Datagram) -> None:
        if self._client is not None:
            self.socket.sendto(pppp.encode(value), self._client)

    # -- what is asked -----------------------------------------------------

    def _command(self, data: bytes) -> None:
        if data.startswith(b"\x06\x0a"):
            self._rival_command(json.loads(data[8:]))
            return
        message = Message.decode(data)
        request = decode_text(message.payload)
        answer = self._answer(request)
        if answer is not None:
            fields = {**answer, "result": 0, "cmdId": request["cmdId"]}
            response = Message(MessageId.RESPONSE, message.sequence, encode_text(fields))
            self._streams[0].add(material.cut(response.encode()))

    def _answer(self, request: Json) -> Json | None:
        match request["cmdId"]:
            case 0:
                self.logged_in = time.monotonic()
                return {"token": 1, "bat_percent": 80}
            case 525:
                self.beats.append(time.monotonic())
                return None
            case 258:
                frames = [material.cut(material.live_frame(n)) for n in range(material.LIVE_FRAMES)]
                count = self._options["frames"]
                self._streams[1].add(
                    piece for number in range(count) for piece in frames[number % len(frames)]
                )
                return {}
            case 768:
                page = list(self._files.values())[request["pageNo"] * PAGE :][:PAGE]
                return {"mediaFiles": [_entry(file) for file in page], "cnt": len(page)}
            case 769:
                messages = material.video(request["mediaNum"] << 20, request["sessionNo"])
                self._streams[2].add(piece for each in messages for piece in material.cut(each))
                return {"totalFrame": material.filmed(request["mediaNum"] << 20)}
            case 1285:
                wanted = [self._files[each["mediaNum"]] for each in request["downloadReqs"]]
                self._streams[3].add(
                    piece for file in wanted for piece in material.cut(material.photo_message(file))
                )
                return {"cmdRet": 0}
        return {}

    def _rival_command(self, request: Json) -> None:
        """A command as aiopppp writes it."""
        text = json.dumps({"cmd": request["cmd"], "result": 0}).encode()
        answer = b"\x06\x0a\xa0\x80" + len(text).to_bytes(4, "little") + text
        # It loses an answer that comes before it has taken in the acknowledgement.
        self._later = time.monotonic() + 0.02, [answer]
        if request["cmd"] == 111 and request["video"]:
            frame = material.cut(material.rival_frame())
            self._streams[1].add(chain.from_iterable(repeat(frame, self._options["rival_frames"])))

    # -- what goes ---------------------------------------------------------

    def _send_all(self) -> None:
        for stream in self._streams.values():
            while burst := stream.burst():
                self._send(burst)

    def tick(self, now: float) -> None:
        """Send again what is overdue, and what had to wait."""
        if self._later is not None and now >= self._later[0]:
            self._streams[0].add(self._later[1])
            self._later = None
            self._send_all()
        for stream in self._streams.values():
            overdue = stream.overdue(now)
            self.resent += len(overdue)
            self._send(overdue)

    def _send(self, datagrams: list[bytes]) -> None:
        if self._client is None:
            return
        group: list[bytes] = []
        for datagram in datagrams:
            group.append(datagram)
            # The kernel cuts every so many bytes: only the last one may be shorter.
            if not self._segments or len(datagram) < FULL or len(group) == BURST:
                self._write(group)
                group = []
        if group:
            self._write(group)

    def _write(self, group: list[bytes]) -> None:
        assert self._client is not None
        with contextlib.suppress(BlockingIOError):  # then it is lost, and sent again
            self.socket.sendto(b"".join(group), self._client)


def _entry(file: MediaFile) -> Json:
    return {
        "fileType": file.file_type,
        "mediaDirNum": file.directory,
        "mediaNum": file.number,
        "mediaId": file.media_id,
        "mediaTime": file.media_time,
    }


def lateness(script: Script, now: float, interval: float) -> float:
    """How late the latest heartbeat of a session came, or is by now, in seconds."""
    due = [script.logged_in + interval * (n + 1) for n in range(len(script.beats) + 1)]
    return max(came - when for came, when in zip([*script.beats, now], due, strict=True))


def _report(scripts: list[Script], watch: Stopwatch) -> Json:
    now = time.monotonic()
    return {
        **watch.read(),
        "resent": sum(script.resent for script in scripts),
        "beats": sum(len(script.beats) for script in scripts),
        "late": max(lateness(script, now, 3.0) for script in scripts),
    }


def main(options: Json) -> None:
    """Play so many cameras until standard input ends; C{report} tells what was counted."""
    scripts = [Script(options) for _ in range(options.get("cameras", 1))]
    if options.get("video"):
        list(material.video(1, 0))  # encoded now, not while somebody waits for it
    selector = selectors.DefaultSelector()
    for script in scripts:
        selector.register(script.socket, selectors.EVENT_READ, script)
    selector.register(0, selectors.EVENT_READ)
    say({"ports": [script.socket.getsockname()[1] for script in scripts]})
    watch, looked = Stopwatch(), time.monotonic()
    while True:
        for key, _ in selector.select(RESEND / 2):
            what: Any = key.data
            if what is not None:
                what.read()
            elif not (line := os.read(0, 65536)):
                return
            else:
                scripts[0]._options.update(json.loads(line))
                say(_report(scripts, watch))
        now = time.monotonic()
        if now > looked + RESEND / 2:
            looked = now
            for script in scripts:
                script.tick(now)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
