"""
A second reading of the camera's protocol, as a blocking camera and a blocking client.

Nothing of the package is imported here, so that a mistake which client and simulator share is
found by somebody who did not make it. Both sides are as simple as they may be, and strict: what
the other side does against the protocol is noted in C{complaints}, one line each. All times are
seconds of the monotonic clock.
"""

from __future__ import annotations

import base64
import heapq
import itertools
import json
import random
import select
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SEARCH, PUNCH, READY, OFFER = 0x30, 0x41, 0x42, 0x43
DRW, DRW_ACK, ALIVE, ALIVE_ACK, CLOSE = 0xD0, 0xD1, 0xE0, 0xE1, 0xF0
LIVE, REQUEST, RESPONSE, PLAYBACK, FILE, THUMBNAIL, EVENT = 0, 2, 3, 4, 5, 8, 9
DEVICE_ID = b"LBCS\0\0\0\0" + bytes(4) + b"CCCJJ\0\0\0"
CAMERA_ID = b"C6:00:00:00:00:01"
KEY = b"xs38nul7cqf7m1va"
PAGE = 45

Address = tuple[str, int]


# -- bytes -------------------------------------------------------------------------------------


def datagram(kind: int, payload: bytes = b"") -> bytes:
    """One PPPP datagram."""
    return struct.pack(">BBH", 0xF1, kind, len(payload)) + payload


def opened(data: bytes) -> tuple[int, bytes] | None:
    """Type and payload of a datagram, None if magic or length are wrong."""
    if len(data) < 4 or data[0] != 0xF1 or int.from_bytes(data[2:4], "big") != len(data) - 4:
        return None
    return data[1], data[4:]


def message(kind: int, number: int, body: bytes, flag: int = 0) -> bytes:
    """One ARTEMIS message."""
    return b"ARTEMIS" + struct.pack("<BIII", flag, kind, number, len(body)) + body


def _aes() -> Any:
    return Cipher(algorithms.AES(KEY), modes.CBC(bytes(16)))


def encrypted(plain: bytes) -> bytes:
    """AES-128-CBC with the family's key."""
    return bytes(_aes().encryptor().update(plain))


def decrypted(secret: bytes) -> bytes:
    """The reverse of L{encrypted}."""
    return bytes(_aes().decryptor().update(secret))


def partly(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A frame's data, the first 96 of every 4096 bytes changed, unless fewer remain."""
    blocks = (data[at : at + 4096] for at in range(0, len(data), 4096))
    return b"".join(change(b[:96]) + b[96:] if len(b) >= 96 else b for b in blocks)


def text_of(value: dict[str, Any], leftover: bytes = b"") -> bytes:
    """A command's or response's body, without the 20 NULs of a response."""
    plain = json.dumps(value, separators=(",", ":")).encode() + b"\0"
    room = -len(plain) % 16
    plain += (leftover * 16)[:room] if leftover else bytes(room)
    return base64.b64encode(encrypted(plain)) + b"\0"


def token_of(seed: int) -> int:
    """The token for a login at C{seed}: the first C{rand()} of glibc after C{srand(seed)}."""
    r = [seed or 1]
    for _ in range(30):
        r.append(16807 * r[-1] % 0x7FFFFFFF)
    r += r[:3]
    for n in range(34, 345):
        r.append((r[n - 3] + r[n - 31]) & 0xFFFFFFFF)
    return (r[344] >> 1) % 0x8FFFFFF + 1


@dataclass
class Frame:
    """A frame of live view or playback."""

    counter: int = 0
    time: int = 0
    video: bytes = b""
    audio: bytes = b""
    key: bool = False
    width: int = 1280
    height: int = 720
    stage: int = 0
    session: int = 0
    whole: bool = True

    def encode(self) -> bytes:
        """The 108 bytes and what follows, with a little too much behind them."""
        data = self.video + self.audio
        head = bytearray(108)
        sizes = len(self.video), len(self.audio), int(self.key), self.width, self.height
        struct.pack_into("<I4xQ5I", head, 0, self.counter, self.time, *sizes)
        struct.pack_into("<I4xI", head, 40, self.stage, self.session)
        head[66:70] = data[-4:].rjust(4, b"\0") if self.whole else b"\1\2\3\4"
        return bytes(head) + partly(data, encrypted) + b"beyond"

    @classmethod
    def decode(cls, body: bytes) -> Frame:
        """The reverse of L{encode}."""
        counter, when, video, audio, key, width, height = struct.unpack_from("<I4xQ5I", body)
        stage, session = struct.unpack_from("<I4xI", body, 40)
        data = partly(body[108 : 108 + video + audio], decrypted)
        whole = len(data) == video + audio and (not data or body[66:70] == data[-4:])
        picture, sound = data[:video], data[video:]
        return cls(counter, when, picture, sound, key == 1, width, height, stage, session, whole)


MARK = b"\0\0\0\1\1"  # these five bytes and no more, with the check bytes 00 00 01 01


@dataclass
class Movie:
    """What a video consists of: pictures with their key mark, and sounds, in order."""

    video: list[tuple[bytes, bool]]
    audio: list[bytes]
    width: int
    height: int

    @property
    def milliseconds(self) -> int:
        """Its duration, at 25 pictures a second."""
        return 40 * len(self.video)

    def frames(self, session: int) -> Iterator[Frame]:
        """Its messages: left-overs of another playback, pictures and sounds by time, the end."""
        yield Frame(7, 0, b"\0\0\0\1\x65 of before" * 9, key=True, session=session ^ 1)
        sounds = deque(enumerate(self.audio))
        for n, (picture, key) in enumerate(self.video):
            stage = 2 if n == 0 else 0
            yield Frame(n, 40 * n, picture, b"", key, self.width, self.height, stage, session)
            if n == 3:
                yield Frame(n, 40 * n, MARK, b"", False, session=session)
            while sounds and sounds[0][0] * 64 <= 40 * n + 40:
                when, sound = sounds.popleft()
                yield Frame(n, 64 * when, b"", sound, session=session)
        yield Frame(len(self.video), self.milliseconds, stage=4, session=session)


@dataclass
class Media:
    """What is on the card: a photo (bytes) or a video (L{Movie})."""

    number: int
    content: bytes | Movie
    media_id: int | None = None
    time: int | None = None
    directory: int = 100

    @property
    def kind(self) -> int:
        """The C{fileType}."""
        return 1 if isinstance(self.content, Movie) else 0

    def listed(self) -> dict[str, int]:
        """Its entry in the media list."""
        length = self.content.milliseconds if isinstance(self.content, Movie) else 0
        entry = {"fileType": self.kind, "mediaDirNum": self.directory, "mediaNum": self.number}
        entry["durationMs"] = length
        optional = {"mediaId": self.media_id, "mediaTime": self.time}
        return entry | {name: value for name, value in optional.items() if value is not None}

    def file(self, whole: bool = True) -> bytes:
        """The body of its file message: 72 bytes, the data, and a little too much."""
        data = self.content if isinstance(self.content, bytes) else b""
        tail = data[-8:] if whole else b"not this"
        numbers = struct.pack("<HHI8sI", self.directory, self.number, len(data), tail,
                              self.media_id or 0)
        return CAMERA_ID.ljust(32, b"\0") + numbers + b"?" * 20 + data + b"junk!"

    def thumbnail(self) -> bytes:
        """The body of its thumbnail message."""
        data = b"\xff\xd8 small \xff\xd9"
        numbers = struct.pack("<HHIII4x", self.directory, self.number, len(data), self.kind, 0)
        return CAMERA_ID.ljust(32, b"\0") + numbers + bytes(20) + data


# -- one channel -------------------------------------------------------------------------------


@dataclass
class Piece:
    """A DRW that is under way."""

    data: bytes
    first: float
    last: float
    copies: int = 1


class Channel:
    """
    One channel, both directions. Indexes are counted on here, and cut to 16 bits on the wire.

    @ivar waiting: pieces not sent yet.
    @ivar flying: pieces not acknowledged yet, by index.
    @ivar acks: indexes to acknowledge, one for every copy that came.
    @ivar stream: what came, in order, and was not taken yet.
    """

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.flying: dict[int, Piece] = {}
        self.copies: Counter[int] = Counter()
        self.sent = 0
        self.expected = 0
        self.early: dict[int, bytes] = {}
        self.acks: list[int] = []
        self.stream = bytearray()

    def write(self, data: bytes, odd: bool = False) -> None:
        """Queue data; C{odd} with a short piece inside and a last one of one byte."""
        sizes: Iterator[int] = itertools.repeat(1024)
        if odd:
            sizes = itertools.chain([1024, 92], sizes)
        at, end = 0, len(data) - odd
        while at < end:
            size = min(next(sizes), end - at)
            self.waiting.append(data[at : at + size])
            at += size
        if odd:
            self.waiting.append(data[end:])

    def next_piece(self, now: float) -> tuple[int, bytes]:
        """Take the next waiting piece for sending."""
        data, index = self.waiting.popleft(), self.sent
        self.flying[index] = Piece(data, now, now)
        self.copies[index & 0xFFFF] += 1
        self.sent += 1
        return index, data

    def received(self, wire_index: int, data: bytes) -> list[bytes]:
        """Note a DRW; what is now in order is returned."""
        self.acks.append(wire_index)
        index = self.expected + ((wire_index - self.expected + 0x8000) & 0xFFFF) - 0x8000
        if index >= self.expected:
            self.early.setdefault(index, data)
        ordered = []
        while self.expected in self.early:
            ordered.append(self.early.pop(self.expected))
            self.expected += 1
        return ordered

    def acknowledged(self, wire_indexes: tuple[int, ...]) -> str:
        """Note a DRW_ACK; what is wrong with it, if anything."""
        for wire_index in wire_indexes:
            if self.copies[wire_index] <= 0:
                return f"acknowledged {wire_index} more often than it was sent"
            self.copies[wire_index] -= 1
            index = self.sent - ((self.sent - wire_index) & 0xFFFF or 0x10000)
            self.flying.pop(index, None)
        return ""

    def messages(self) -> Iterator[tuple[int, int, bytes]]:
        """Take the whole messages out of the stream: id, number, body."""
        while True:
            at = self.stream.find(b"ARTEMIS")
            if at < 0 or len(self.stream) < at + 20:
                return
            kind, number, length = struct.unpack_from("<III", self.stream, at + 8)
            if len(self.stream) < at + 20 + length:
                return
            body = bytes(self.stream[at + 20 : at + 20 + length])
            del self.stream[: at + 20 + length]
            yield kind, number, body


def ack_datagrams(number: int, channel: Channel) -> Iterator[bytes]:
    """DRW_ACKs of at most 17 entries for all that waits to be acknowledged."""
    while channel.acks:
        batch, channel.acks = channel.acks[:17], channel.acks[17:]
        head = struct.pack(">BBH", 0xD1, number, len(batch))
        yield datagram(DRW_ACK, head + struct.pack(f">{len(batch)}H", *batch))


def drw(channel: int, index: int, data: bytes) -> bytes:
    """A DRW datagram."""
    return datagram(DRW, struct.pack(">BBH", 0xD1, channel, index & 0xFFFF) + data)


def ack_entries(payload: bytes) -> tuple[int, tuple[int, ...]] | None:
    """Channel and indexes of a DRW_ACK, None if it is damaged."""
    if len(payload) < 4 or payload[0] != 0xD1 or payload[1] > 7:
        return None
    count = int.from_bytes(payload[2:4], "big")
    if len(payload) != 4 + 2 * count or not 1 <= count <= 17:
        return None
    return payload[1], struct.unpack(f">{count}H", payload[4:])


# -- the camera --------------------------------------------------------------------------------


class Camera(threading.Thread):
    """
    A camera on 127.0.0.1 with a session port and a search port. Use it with C{with}.

    @ivar complaints: what a client did against the protocol.
    @ivar sessions: what was opened, and how it ended (C{"client"}: by the client's CLOSE).
    @ivar punches: when PUNCH_PKT came from the client.
    @ivar strangers: datagrams from a port that is not the client's.
    @ivar deletions: the media numbers that were to be deleted, in order, there or not.
    @ivar busy: set once a photo is under way.
    @ivar perfect: nothing is lost or said twice, so delays and repetitions are the client's own.
    """

    def __init__(
        self,
        media: list[Media],
        *,
        password: str = "admin",
        loss: float = 0.0,
        duplicates: float = 0.0,
        seed: int = 1,
        repeat_last_page: bool = False,
        listing: float = 0.05,
        close_after: int = 0,
        silence_after: int = 0,
        spoil: tuple[int, ...] = (),
        live: Movie | None = None,
        spoil_live: int = -1,
        every: float = 0.007,
        noise: bool = True,
    ) -> None:
        """
        @param loss: share of datagrams lost, each way.
        @param listing: seconds the first page of the list takes.
        @param close_after: CLOSE after so many datagrams of photos, once.
        @param silence_after: nothing heard or said for 9 s after so many, once.
        @param spoil: media numbers that come damaged the first time.
        @param spoil_live: which live frame has wrong check bytes.
        @param every: seconds from burst to burst of 14 datagrams.
        @param noise: whether each session has a few datagrams that a client must not mind.
        """
        super().__init__(daemon=True)
        self.media = sorted(media, key=lambda m: -m.number)
        self.password, self.live, self.spoil_live = password, live, spoil_live
        self.loss, self.duplicates, self.random = loss, duplicates, random.Random(seed)
        self.repeat_last_page, self.listing, self.every = repeat_last_page, listing, every
        self.noise, self.perfect = noise, not (loss or duplicates)
        self.close_after, self.silence_after, self.spoil = close_after, silence_after, set(spoil)
        self.complaints: list[str] = []
        self.sessions: list[Session] = []
        self.strangers: list[tuple[Address, int]] = []
        self.punches: list[float] = []
        self.logins: list[dict[str, Any]] = []
        self.live_sent: list[Frame] = []
        self.fetched: Counter[int] = Counter()
        self.deletions: list[int] = []
        self.client: Address | None = None
        self.session: Session | None = None
        self.busy, self.stopping = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.file_pieces, self.deaf_until = 0, 0.0
        self.searched: set[Address] = set()
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for one in self.sockets:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            one.bind(("127.0.0.1", 0))
        self.port, self.search_port = (one.getsockname()[1] for one in self.sockets)

    def __enter__(self) -> Camera:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.join()
        for one in self.sockets:
            one.close()

    @property
    def ports(self) -> set[int]:
        """The source ports from which sessions were opened."""
        return {session.address[1] for session in self.sessions}

    def restart(self) -> None:
        """Off and on: client and session are forgotten."""
        with self.lock:
            self.client = self.session = None

    def complain(self, what: str) -> None:
        """Note what the client did wrong."""
        self.complaints.append(what)

    def run(self) -> None:
        """Hear, and do what is due, every 3 ms."""
        while not self.stopping.is_set():
            readable, _, _ = select.select(self.sockets, [], [], 0.003)
            with self.lock:
                for one in readable:
                    self._drain(one)
                if self.session and time.monotonic() >= self.deaf_until:
                    self.session.tick(time.monotonic())

    def _drain(self, one: socket.socket) -> None:
        """Take what has arrived at one socket, some 200 datagrams at most."""
        for _ in range(200):
            try:
                data, address = one.recvfrom(2048, socket.MSG_DONTWAIT)
            except (BlockingIOError, ConnectionError):
                return
            now = time.monotonic()
            if now >= self.deaf_until and self.random.random() >= self.loss:
                self._arrived(one is self.sockets[1], data, address, now)

    def send(self, kind: int, payload: bytes, address: Address) -> None:
        """Send from the session port, if it is not lost."""
        self.send_raw(datagram(kind, payload), address)

    def send_raw(self, data: bytes, address: Address) -> None:
        """Send any bytes, if they are not lost, and sometimes twice."""
        if time.monotonic() < self.deaf_until or self.random.random() < self.loss:
            return
        for _ in range(2 if self.random.random() < self.duplicates else 1):
            self.sockets[0].sendto(data, address)

    def _arrived(self, search: bool, data: bytes, address: Address, now: float) -> None:
        found = opened(data)
        if found is None:
            self.complain(f"no datagram: {data[:20].hex()}")
            return
        kind, payload = found
        if self.client not in (None, address):
            self.strangers.append((address, kind))
        elif search:
            self._search(kind, payload, address)
        elif kind == PUNCH:
            self._punch(payload, address, now)
        elif self.session:
            self.session.receive(kind, payload, now)

    def _search(self, kind: int, payload: bytes, address: Address) -> None:
        if kind == PUNCH:  # a direct punch at a known port: not the one we are at
            return
        if kind != SEARCH or payload:
            self.complain(f"type {kind:#x} at the search port")
            return
        self.searched.add(address)
        for _ in range(2):
            self.send(PUNCH, DEVICE_ID, address)

    def _punch(self, payload: bytes, address: Address, now: float) -> None:
        self.punches.append(now)
        if payload != DEVICE_ID:
            self.complain(f"PUNCH_PKT for {payload!r}")
        elif self.session is None or now - self.session.opened > 1.0:
            self.client = address
            self.session = Session(self, address, address in self.searched, now)
            self.searched.clear()
            self.sessions.append(self.session)
        elif self.session.channels[0].sent:
            self.send(READY, DEVICE_ID, address)

    def photo_piece(self) -> None:
        """A datagram of a photo is about to go: have the faults that come in the middle of one."""
        self.file_pieces += 1
        self.busy.set()
        session = self.session
        if self.file_pieces == self.close_after and session:
            self.send(CLOSE, b"", session.address)
            session.end("fault")
        elif self.file_pieces == self.silence_after:
            self.perfect, self.deaf_until = False, time.monotonic() + 9.0


class Session:
    """
    What a camera knows of one session.

    @ivar quiet: when the camera last had a reason not to send ALIVE; C{client_quiet}: the client.
    @ivar ended: how it ended, empty while it stands.
    """

    def __init__(self, camera: Camera, address: Address, searched: bool, now: float) -> None:
        self.camera, self.address, self.searched = camera, address, searched
        self.opened = self.heard = self.quiet = self.client_quiet = self.burst = now
        self.said_ready = now
        self.awake, self.ended, self.token, self.alive_missing = False, "", 0, 0
        self.command_number, self.heartbeat_number, self.heartbeat_at = 0, 0x10000, 0.0
        self.channels = [Channel() for _ in range(8)]
        self.plan: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.respond_at = self.ack_at = now
        self.live_on = False
        self.playing: Iterator[bytes] | None = None
        self._open(searched)

    def _open(self, searched: bool) -> None:
        """Plan the opening: TCP offers after a search, P2P_RDY, C{ACK}."""
        if searched:
            place = struct.pack("<HH", 0x0200, self.camera.port) + bytes([1, 0, 0, 127])
            for n in range(51):
                self.after(0.005 + n * 0.0064, lambda: self.say(OFFER, DEVICE_ID + place +
                                                                bytes(16)))
            self.after(0.33, lambda: self.say(READY, DEVICE_ID))
        start = 0.41 if searched else 0.03
        for n in range(4):
            self.after(start + n * 0.001, lambda: self.say(READY, DEVICE_ID))
        self.after(start + 0.005, lambda: self.channels[0].write(b"ACK"))
        if self.camera.noise:
            self._plan_noise()

    def _plan_noise(self) -> None:
        """A few datagrams that a client must pass over, and one it must acknowledge."""
        self.after(0.7, lambda: self.say(PUNCH, DEVICE_ID))
        self.after(0.75, lambda: self.say(0x99, b"of no known type"))
        self.after(0.8, lambda: self.camera.send_raw(b"\xf1\xd0\0\x50wrong length", self.address))
        self.after(0.85, lambda: self.channels[7].write(b"nobody reads this"))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Plan something."""
        heapq.heappush(self.plan, (time.monotonic() + seconds, next(self.order), action))

    def say(self, kind: int, payload: bytes = b"") -> None:
        """Send a datagram to the client."""
        if kind in (DRW, DRW_ACK):
            self.quiet = self.client_quiet = time.monotonic()
        self.camera.send(kind, payload, self.address)

    def end(self, how: str) -> None:
        """The session is over; only the client's CLOSE lets another port in."""
        self.ended = how
        self.camera.session = None
        if how == "client":
            self.camera.client = None
        for number, channel in enumerate(self.channels):
            for index, piece in channel.flying.items():
                if piece.copies > 8 and self.camera.perfect:
                    self.camera.complain(f"never acknowledged: channel {number}, index {index}")

    # -- what arrives

    def receive(self, kind: int, payload: bytes, now: float) -> None:
        """A datagram of the client."""
        self.heard = now
        if kind == DRW and len(payload) > 4 and payload[0] == 0xD1 and payload[1] < 8:
            self._drw(payload[1], int.from_bytes(payload[2:4], "big"), payload[4:], now)
        elif kind == DRW_ACK:
            self._drw_ack(payload, now)
        elif kind == ALIVE and not payload:
            self._alive(now)
        elif kind == ALIVE_ACK and not payload:
            self.quiet, self.alive_missing = now, 0
        elif kind == CLOSE and not payload:
            self.end("client")
        else:
            self.camera.complain(f"unexpected: type {kind:#x}, {payload[:20].hex()}")

    def _alive(self, now: float) -> None:
        pause = now - self.client_quiet
        if self.awake and self.camera.perfect and 0.05 < pause < 0.8:  # 0.05: they may cross
            self.camera.complain(f"ALIVE after {pause:.2f} s")
        self.client_quiet = now
        self.say(ALIVE_ACK)

    def _drw(self, number: int, index: int, data: bytes, now: float) -> None:
        self.awake, self.quiet, self.client_quiet = True, now, now
        channel = self.channels[number]
        if number != 0 or len(data) > 1024:
            self.camera.complain(f"DRW on channel {number} with {len(data)} bytes")
        for piece in channel.received(index, data):
            if not channel.stream and not piece.startswith(b"ARTEMIS\0"):
                self.camera.complain(f"no message: {piece[:20]!r}")
            channel.stream += piece
            for kind, command_number, body in channel.messages():
                if kind != REQUEST or channel.stream:
                    self.camera.complain(f"message {kind}, with {len(channel.stream)} bytes more")
                try:
                    self._request(command_number, body)
                except (ValueError, KeyError, TypeError) as error:
                    self.camera.complain(f"makes no sense: {body!r}: {error!r}")

    def _drw_ack(self, payload: bytes, now: float) -> None:
        self.awake, self.quiet, self.client_quiet = True, now, now
        entries = ack_entries(payload)
        wrong = f"DRW_ACK {payload.hex()}"
        if entries:
            wrong = self.channels[entries[0]].acknowledged(entries[1])
            if "more often" in wrong and self.camera.duplicates:
                wrong = ""
        if wrong:
            self.camera.complain(wrong)
            self.say(CLOSE)
            self.end("bad acknowledgement")

    # -- what is due

    def tick(self, now: float) -> None:
        """Do what is due."""
        if now - self.heard > 7.3 or (not self.token and now - self.opened > 10.0):
            self.say(CLOSE)
            self.end("silence" if self.token else "no login")
        while self.plan and self.plan[0][0] <= now and not self.ended:
            heapq.heappop(self.plan)[2]()
        if self.ended:
            return
        if not self.awake and self.channels[0].sent and now - self.said_ready > 0.042:
            self.said_ready = now
            self.say(READY, DEVICE_ID)
        self._play()
        if now >= self.ack_at or any(len(c.acks) >= 17 for c in self.channels):
            self._acknowledge(now)
        if now - self.burst >= self.camera.every:
            self.burst = now
            self._send_burst(now)
        if not self.ended:
            self._keep_alive(now)

    def _play(self) -> None:
        """Queue playback messages, a few ahead."""
        while self.playing is not None and len(self.channels[2].waiting) < 100:
            one = next(self.playing, b"")
            if not one:
                return
            self.channels[2].write(one)

    def _acknowledge(self, now: float) -> None:
        self.ack_at = now + 0.02
        for number, channel in enumerate(self.channels):
            for data in ack_datagrams(number, channel):
                self.quiet = self.client_quiet = now
                self.camera.send_raw(data, self.address)

    def _send_burst(self, now: float) -> None:
        """At most 14 datagrams: what is unacknowledged for 65 ms first, then new ones."""
        room = 14
        resend = 0.065 if self.awake else 0.042
        for number, channel in enumerate(self.channels):
            for index, piece in channel.flying.items():
                if room and now - piece.last >= resend:
                    room -= 1
                    piece.last, piece.copies = now, piece.copies + 1
                    channel.copies[index & 0xFFFF] += 1
                    self.say(DRW, drw(number, index, piece.data)[4:])
                    if now - piece.first > 15.0:
                        self.end("never acknowledged")
                        return
            while room and self._may_send(channel):
                room -= 1
                if number == 3:
                    self.camera.photo_piece()
                    if self.ended:
                        return
                self.say(DRW, drw(number, *channel.next_piece(now))[4:])

    @staticmethod
    def _may_send(channel: Channel) -> bool:
        oldest = next(iter(channel.flying), channel.sent)
        return bool(channel.waiting) and len(channel.flying) < 69 and channel.sent - oldest < 110

    def _keep_alive(self, now: float) -> None:
        perfect = self.camera.perfect
        if now - self.opened > 1.2 and now - self.quiet > 1.0:
            self.quiet = now
            if self.alive_missing and perfect:
                self.camera.complain("an ALIVE had no answer within 1 s")
            self.alive_missing += 1
            self.say(ALIVE)
        if perfect and self.awake and now - max(self.client_quiet, self.opened + 0.2) > 2.5:
            self.camera.complain("no ALIVE for 2.5 s")
            self.client_quiet = now
        if perfect and self.heartbeat_at and now - self.heartbeat_at > 4.5:
            self.camera.complain("no heartbeat for 4.5 s")
            self.heartbeat_at = now

    # -- commands

    def _request(self, number: int, body: bytes) -> None:
        """Check a command to the last byte, and answer it."""
        complain = self.camera.complain
        secret, nul, rest = body.partition(b"\0")
        if not nul or rest:
            complain(f"the base64 text is not ended by one NUL: {body!r}")
        plain = decrypted(base64.b64decode(secret, validate=True))
        text, nul, padding = plain.partition(b"\0")
        if not nul or padding.strip(b"\0") or len(padding) > 15:
            complain(f"not padded with NULs to a multiple of 16: {plain!r}")
        request = json.loads(text)
        if json.dumps(request, separators=(",", ":"), ensure_ascii=False).encode() != text:
            complain(f"JSON is not compact: {text!r}")
        command = request.pop("cmdId", None)
        if command == 525:
            self._heartbeat(number, request)
            return
        self.command_number += 1
        if number != self.command_number:
            complain(f"command {command} has number {number}, not {self.command_number}")
        if command != 0 and (not self.token or request.pop("token", None) != self.token):
            complain(f"command {command} with a wrong token")
            return
        answer = getattr(self, f"_answer_{command}", None)
        if answer is None:
            complain(f"command {command}")
        else:
            answer(number, request)

    def _heartbeat(self, number: int, request: dict[str, Any]) -> None:
        now = time.monotonic()
        self.heartbeat_number += 1
        if number != self.heartbeat_number or request or not self.token:
            self.camera.complain(f"heartbeat number {number:#x} with {request}")
        if self.heartbeat_number > 0x10001 and now - self.heartbeat_at < 2.5:
            self.camera.complain(f"heartbeat after {now - self.heartbeat_at:.2f} s")
        self.heartbeat_at = now

    def _respond(self, number: int, command: int, delay: float = 0.01, result: int = 0,
                 then: Callable[[], None] | None = None, **fields: object) -> None:
        """Answer after C{delay}, in the order of the requests."""
        text = {"errorMsg": "Success" if result == 0 else "refused"}
        if command in (769, 770, 772, 1285):
            text = {}  # seen without
        value = fields | text | {"result": result, "cmdId": command}
        body = text_of(value, b"x=:\xff\0") + bytes(20)

        def answer() -> None:
            self.channels[0].write(message(RESPONSE, number, body))
            if then:
                then()

        self.respond_at = max(self.respond_at, time.monotonic()) + delay
        self.after(self.respond_at - time.monotonic(), answer)

    def _expect(self, command: int, request: dict[str, Any], **types: object) -> None:
        """Complain unless the request has exactly these fields, with these types or values."""
        right = request.keys() == types.keys() and all(
            type(request[k]) is t if isinstance(t, type) else request[k] == t
            for k, t in types.items()
        )
        if not right:
            self.camera.complain(f"command {command} with {request}")

    def _answer_0(self, number: int, request: dict[str, Any]) -> None:
        self._expect(0, request, usrName=str, password=str, needVideo=0, needAudio=0,
                     utcTime=int, supportHeartBeat=True)
        self.camera.logins.append(request)
        if (request["usrName"], request["password"]) != ("admin", self.camera.password):
            self._respond(number, 0, result=-1)
            return
        self.token = token_of(request["utcTime"])
        self.heartbeat_at = time.monotonic()
        self._respond(number, 0, 0.05, token=self.token, bat_percent=80)
        event = message(EVENT, 1, b'{"evtId":4}\0', flag=0x77)
        self.after(0.1, lambda: self.channels[6].write(event))

    def _answer_512(self, number: int, request: dict[str, Any]) -> None:
        self._expect(512, request)
        more: dict[str, Any] = {f"setting{n}": n for n in range(40)}
        self._respond(number, 512, 0.09, devId=CAMERA_ID.decode(), fwVerName="2.3.0.4",
                      modelName="KJK230", customName="HDKing", batPercent=20, sdTotalMB=30196,
                      sdFreeMB=30034, isCharging=False, languageCode="de", timeZoneOffset=0,
                      temperature=19, capability={"languages": [{"langCode": "en"}]}, **more)

    def _answer_768(self, number: int, request: dict[str, Any]) -> None:
        self._expect(768, request, itemCntPerPage=PAGE, pageNo=int)
        pages = [self.camera.media[at : at + PAGE] for at in range(0, len(self.camera.media), PAGE)]
        page = request["pageNo"]
        shown = pages[page] if page < len(pages) else []
        if self.camera.repeat_last_page and page >= len(pages):
            shown = pages[-1]
        delay = 0.05 if page else self.camera.listing
        self._respond(number, 768, delay, mediaFiles=[m.listed() for m in shown],
                      cnt=len(shown), pageNo=page, getMediaListRet=0)

    def _wanted(self, entries: list[dict[str, Any]]) -> list[Media]:
        """The media that a request asks for."""
        found = []
        for entry in entries:
            self._expect(0, entry, fileType=int, dirNum=int, mediaNum=int)
            key = entry["fileType"], entry["dirNum"], entry["mediaNum"]
            found += [m for m in self.camera.media if (m.kind, m.directory, m.number) == key]
        if len(found) != len(entries):
            self.camera.complain(f"asked for what is not there: {entries}")
        return found

    def _answer_772(self, number: int, request: dict[str, Any]) -> None:
        self._expect(772, request, thumbnailReqs=list)
        wanted = self._wanted(request["thumbnailReqs"])
        stream = b"".join(message(THUMBNAIL, n, m.thumbnail()) for n, m in enumerate(wanted, 1))
        self._respond(number, 772, cmdRet=0, then=lambda: self.channels[4].write(stream))

    def _answer_1285(self, number: int, request: dict[str, Any]) -> None:
        self._expect(1285, request, downloadReqs=list)
        wanted = self._wanted(request["downloadReqs"])
        if not 1 <= len(wanted) <= 3 or any(m.kind for m in wanted):
            self.camera.complain(f"command 1285 for {wanted}")
        stream = b""
        for m in wanted:
            self.camera.fetched[m.number] += 1
            stream += message(FILE, number, m.file(m.number not in self.camera.spoil))
            self.camera.spoil.discard(m.number)
        self._respond(number, 1285, cmdRet=0, then=lambda: self.channels[3].write(stream, True))

    def _answer_769(self, number: int, request: dict[str, Any]) -> None:
        self._expect(769, request, fileType=1, dirNum=int, mediaNum=int, sessionNo=int)
        chosen = request.pop("sessionNo")
        found = self._wanted([request])
        if not 0 <= chosen < 65536 or not found:
            self.camera.complain(f"command 769 with sessionNo {chosen}")
            return
        if self.playing is not None:
            self.camera.complain("played without stopping what played before")
        media = found[0]
        movie = media.content
        assert isinstance(movie, Movie)
        self.camera.fetched[media.number] += 1
        frames = list(movie.frames(chosen))
        if media.number in self.camera.spoil:
            self.camera.spoil.discard(media.number)
            frames[len(frames) // 2].whole = False
        stream = (message(PLAYBACK, n, frame.encode()) for n, frame in enumerate(frames, 1))

        def start() -> None:
            self.playing = stream

        self._respond(number, 769, startPbRet=0, videoWidth=movie.width, videoHeight=movie.height,
                      totalFrame=len(movie.video), totalTime=movie.milliseconds, then=start)

    def _answer_770(self, number: int, request: dict[str, Any]) -> None:
        self._expect(770, request)
        if self.playing is None:
            self.camera.complain("stopped what does not play")
        self.playing = None  # what is queued still comes: whole messages only
        self._respond(number, 770)

    def _answer_773(self, number: int, request: dict[str, Any]) -> None:
        self._expect(773, request, fileType=int, dirNum=int, mediaNum=int)
        key = request["fileType"], request["dirNum"], request["mediaNum"]
        there = [m for m in self.camera.media if (m.kind, m.directory, m.number) == key]
        self.camera.deletions.append(request["mediaNum"])
        for m in there:
            self.camera.media.remove(m)
        result = 0 if there else -1
        self._respond(number, 773, result=result, delRet=result)

    def _answer_518(self, number: int, request: dict[str, Any]) -> None:
        self._expect(518, request)
        self.camera.media.clear()
        self._respond(number, 518, 0.3, formatRet=0, sdTotalMB=30196, sdFreeMB=30190)

    def _answer_641(self, number: int, request: dict[str, Any]) -> None:
        self._expect(641, request)
        newest = max((m.number for m in self.camera.media), default=0) + 1
        self.camera.media.insert(0, Media(newest, b"\xff\xd8 snap \xff\xd9", newest, 1766527999))
        self._respond(number, 641)

    def _answer_258(self, number: int, request: dict[str, Any]) -> None:
        self._expect(258, request)
        self.live_on = True
        self._respond(number, 258, then=lambda: self._live_frame(0, 2))

    def _answer_259(self, number: int, request: dict[str, Any]) -> None:
        self._expect(259, request)
        self.live_on = False
        self._respond(number, 259)

    def _live_frame(self, count: int, more: int) -> None:
        """The next live frame, every 40 ms; two more after the stop."""
        movie = self.camera.live
        assert movie is not None
        if more == 0:
            return
        picture, key = movie.video[count % len(movie.video)]
        sound = movie.audio[count % len(movie.audio)] if count % 2 else b""
        frame = Frame(500 + count, 10**9 + 40_000 * count, picture, sound, key)
        frame.whole = count != self.camera.spoil_live
        self.camera.live_sent.append(frame)
        self.channels[1].write(message(LIVE, count + 1, frame.encode()))
        self.after(0.04, lambda: self._live_frame(count + 1, more if self.live_on else more - 1))


# -- the client --------------------------------------------------------------------------------


class Client:
    """
    A client as simple as the public scripts: it punches directly, asks, and acknowledges what
    comes. It sends nothing twice, so it is for a link that loses nothing. Use it with C{with}.

    @ivar complaints: what the camera did against the protocol.
    """

    def __init__(self, address: Address, port: int = 0) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(("127.0.0.1", port))
        self.port: int = self.socket.getsockname()[1]
        self.complaints: list[str] = []
        self.messages: dict[int, deque[tuple[int, bytes]]] = {}
        self._begin()

    def _begin(self) -> None:
        """Everything that starts again with a session."""
        self.channels = [Channel() for _ in range(8)]
        self.standing, self.over, self.token, self.ready = False, False, 0, 0
        self.number, self.heartbeats, self.heartbeat_at = 0, 0x10000, 0.0
        self.quiet = self.camera_quiet = self.heard = self.ack_at = time.monotonic()
        self.alive_at = 0.0
        self.alives = self.alive_acks = 0
        self.messages = {n: deque() for n in range(8)}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def connect(self, seconds: float = 5.0) -> bool:
        """Punch until the camera says `ACK`; whether it did."""
        self._begin()
        end, punch_at = time.monotonic() + seconds, 0.0
        while not self.standing and time.monotonic() < end:
            if time.monotonic() >= punch_at:
                punch_at = time.monotonic() + 0.5
                self._send(PUNCH, DEVICE_ID)
            self._pump(0.02)
        return self.standing

    def close(self) -> None:
        """Acknowledge what came, say CLOSE, and forget the session."""
        end = time.monotonic() + 0.5
        while any(c.flying for c in self.channels) and time.monotonic() < end and not self.over:
            self._pump(0.01)
        self._acknowledge()
        for number, channel in enumerate(self.channels):
            if channel.flying and self.standing and not self.over:
                self._complain(f"the camera never acknowledged {list(channel.flying)} on {number}")
        self._send(CLOSE)
        self.standing = False

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 10.0) -> None:
        """Go on with the session until something holds; complain if that takes too long."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end or self.over:
                self._complain(f"waited in vain for {what}")
                raise TimeoutError(what)
            self._pump(0.01)

    def idle(self, seconds: float) -> None:
        """Do nothing but keep the session alive."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._pump(0.01)

    # -- commands

    def login(self, password: str = "admin") -> dict[str, Any]:
        """Log in with the wall clock; the answer."""
        now = int(time.time()) - time.timezone
        answer = self.command(0, usrName="admin", password=password, needVideo=0, needAudio=0,
                              utcTime=now, supportHeartBeat=True)
        if answer.get("result") == 0:
            self.token, self.heartbeat_at = answer["token"], time.monotonic()
            if self.token != token_of(now):
                self._complain("the token is not that of glibc")
            if type(answer.get("bat_percent")) is not int:
                self._complain(f"login answered {answer}")
        return answer

    def command(self, command: int, **fields: object) -> dict[str, Any]:
        """Send a command; its answer."""
        self.number += 1
        token = {"token": self.token} if command else {}
        self._write(self.number, {"cmdId": command} | fields | token)
        self.wait(lambda: self.messages[0], f"the answer to {command}")
        number, body = self.messages[0].popleft()
        if number != self.number:
            self._complain(f"the answer to {command} has number {number}, not {self.number}")
        secret, _, rest = body.partition(b"\0")
        if rest != bytes(20):
            self._complain(f"an answer ends in {rest!r}, not in 20 NULs")
        answer: dict[str, Any] = json.loads(
            decrypted(base64.b64decode(secret, validate=True)).partition(b"\0")[0]
        )
        if answer.get("cmdId") != command or (command != 770 and "result" not in answer):
            self._complain(f"the answer to {command} is {answer}")
        return answer

    def media(self) -> list[dict[str, Any]]:
        """The whole media list."""
        found: list[dict[str, Any]] = []
        for page in itertools.count():
            answer = self.command(768, itemCntPerPage=PAGE, pageNo=page)
            files = answer["mediaFiles"]
            if (answer["cnt"], answer["pageNo"]) != (len(files), page):
                self._complain(f"page {page} says {answer['cnt']}, {answer['pageNo']}")
            found += [one for one in files if one not in found]
            if len(files) < PAGE:
                break
        numbers = [one["mediaNum"] for one in found]
        if numbers != sorted(numbers, reverse=True):
            self._complain(f"not the highest number first: {numbers}")
        return found

    @staticmethod
    def _requests(files: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"fileType": f["fileType"], "dirNum": f["mediaDirNum"],
                 "mediaNum": f["mediaNum"]} for f in files]

    def thumbnails(self, files: list[dict[str, Any]]) -> list[bytes]:
        """The thumbnails of files, 45 at most."""
        self.command(772, thumbnailReqs=self._requests(files))
        self.wait(lambda: len(self.messages[4]) >= len(files), "thumbnails")
        found = []
        for count, one in enumerate(files, 1):
            number, body = self.messages[4].popleft()
            data = self._entry(one, body)
            if number != count or int.from_bytes(body[40:44], "little") != one["fileType"]:
                self._complain(f"thumbnail {count} has number {number}")
            found.append(data)
        return found

    def photos(self, files: list[dict[str, Any]]) -> list[bytes]:
        """Photos, 3 at most."""
        answer = self.command(1285, downloadReqs=self._requests(files))
        if answer.get("cmdRet") != 0:
            self._complain(f"1285 answered {answer}")
        found = []
        for one in files:
            self.wait(lambda: self.messages[3], "a photo", 60.0)
            number, body = self.messages[3].popleft()
            data = self._entry(one, body)
            if number != self.number or body[40:48] != data[-8:]:
                self._complain(f"photo {one} came with number {number}, tail {body[40:48]!r}")
            if int.from_bytes(body[48:52], "little") != one.get("mediaId", 0):
                self._complain(f"photo {one} came with another mediaId")
            found.append(data)
        return found

    def _entry(self, one: dict[str, Any], body: bytes) -> bytes:
        """The data of a thumbnail or file message, which must be the one asked for."""
        directory, number, length = struct.unpack_from("<HHI", body, 32)
        data = body[72 : 72 + length]
        if (directory, number, len(data)) != (one["mediaDirNum"], one["mediaNum"], length):
            self._complain(f"for {one} came {directory}-{number}, {len(data)} of {length} bytes")
        if not body[:32].rstrip(b"\0") or body[31] or not data.endswith(b"\xff\xd9"):
            self._complain(f"the message for {one} has id {body[:32]!r}, ends {data[-2:]!r}")
        return data

    def play(self, one: dict[str, Any], session: int) -> tuple[list[Frame], list[Frame]]:
        """Play a video to its end: pictures and sounds."""
        request = self._requests([one])[0]
        answer = self.command(769, **request, sessionNo=session)
        if answer.get("startPbRet") != 0 or one["durationMs"] != answer.get("totalTime"):
            self._complain(f"{one} played with {answer}")
        frames: list[Frame] = []
        while not frames or frames[-1].stage != 4:
            self.wait(lambda: self.messages[2], "a playback frame")
            frame = self._frame(self.messages[2].popleft()[1])
            if frame.session == session and frame.video != MARK:
                frames.append(frame)
        self.command(770)
        pictures, sounds = [f for f in frames if f.video], [f for f in frames if f.audio]
        if frames[0].stage != 2:
            self._complain(f"playback begins with stage {frames[0].stage}, not 2")
        if any(f.video and f.audio for f in frames):
            self._complain("video and audio in one playback message")
        if len(pictures) != answer["totalFrame"] or not pictures[0].key:
            self._complain(f"{len(pictures)} pictures instead of {answer['totalFrame']}")
        self._check_times(frames, answer["totalTime"] + 100)
        return pictures, sounds

    def live(self, count: int) -> list[Frame]:
        """So many frames of the live view."""
        self.command(258)
        frames: list[Frame] = []
        for expected in range(1, count + 1):
            self.wait(lambda: self.messages[1], "a live frame")
            number, body = self.messages[1].popleft()
            if number != expected:
                self._complain(f"live message {number} instead of {expected}")
            frames.append(self._frame(body))
        self.command(259)
        self._check_times(frames, 10**15)
        if not frames[0].key:
            self._complain("the live view does not begin with a key frame")
        return frames

    def _frame(self, body: bytes) -> Frame:
        frame = Frame.decode(body)
        if not frame.whole or (frame.video and not frame.video.startswith(b"\0\0\0\1")):
            self._complain(f"frame {frame.counter} has wrong check bytes or no start code")
        return frame

    def _check_times(self, frames: list[Frame], limit: int) -> None:
        for kind in ("video", "audio"):
            times = [f.time for f in frames if getattr(f, kind)]
            if times != sorted(times) or (times and times[-1] - times[0] > limit):
                self._complain(f"{kind} times {times[:3]} … {times[-3:]}")

    # -- the session

    def _complain(self, what: str) -> None:
        self.complaints.append(what)

    def _send(self, kind: int, payload: bytes = b"") -> None:
        if kind in (DRW, DRW_ACK):
            self.quiet = self.camera_quiet = time.monotonic()
        self.socket.sendto(datagram(kind, payload), self.address)

    def _write(self, number: int, value: dict[str, Any]) -> None:
        channel = self.channels[0]
        channel.write(message(REQUEST, number, text_of(value)))
        while channel.waiting:
            self._send(DRW, drw(0, *channel.next_piece(time.monotonic()))[4:])

    def _pump(self, seconds: float) -> None:
        """Take what arrives within some seconds, and send what is due."""
        if select.select([self.socket], [], [], seconds)[0]:
            for _ in range(17):
                try:
                    data, address = self.socket.recvfrom(2048, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                self._arrived(data, address)
        now = time.monotonic()
        if not self.standing or self.over:
            return
        if any(c.acks for c in self.channels) and now >= self.ack_at:
            self._acknowledge()
        if self.token and now - self.heartbeat_at >= 3.0:
            self.heartbeat_at, self.heartbeats = now, self.heartbeats + 1
            self._write(self.heartbeats, {"cmdId": 525})
        self._keep_alive(now)

    def _keep_alive(self, now: float) -> None:
        if self.alive_at and now - self.alive_at > 0.5:
            self._complain("an ALIVE had no answer within 0.5 s")
            self.alive_at = 0.0
        if now - self.quiet > 1.05:
            self.quiet, self.alive_at = now, now
            self.alives += 1
            self._send(ALIVE)
        if now - self.camera_quiet > 2.5:
            self._complain("the camera sent no ALIVE for 2.5 s")
            self.camera_quiet = now

    def _acknowledge(self) -> None:
        self.ack_at = time.monotonic() + 0.004
        for number, channel in enumerate(self.channels):
            for data in ack_datagrams(number, channel):
                self._send(DRW_ACK, data[4:])

    def _arrived(self, data: bytes, address: Address) -> None:
        found, now = opened(data), time.monotonic()
        if found is None or address != self.address:
            self._complain(f"from {address}: {data[:20].hex()}")
            return
        kind, payload = found
        self.heard = now
        if kind == ALIVE and not payload:
            pause = now - self.camera_quiet
            if self.standing and 0.05 < pause < 0.8:  # 0.05: they may cross
                self._complain(f"the camera sent ALIVE after {pause:.2f} s")
            self.camera_quiet = now
            self._send(ALIVE_ACK)
        elif kind == ALIVE_ACK and not payload:
            self.quiet, self.alive_at = now, 0.0
            self.alive_acks += 1
        elif kind == READY and payload == DEVICE_ID:
            self.ready += 1
        elif kind == CLOSE and not payload:
            self.over = True
        elif kind == DRW and len(payload) > 4 and payload[0] == 0xD1 and payload[1] < 8:
            self._drw(payload[1], int.from_bytes(payload[2:4], "big"), payload[4:], now)
        elif kind == DRW_ACK:
            self._drw_ack(payload, now)
        else:
            self._complain(f"unexpected: type {kind:#x}, {payload[:20].hex()}")

    def _drw(self, number: int, index: int, data: bytes, now: float) -> None:
        self.quiet = self.camera_quiet = now
        if not self.standing:
            if (number, index, data) != (0, 0, b"ACK") or not self.ready:
                return  # it may belong to the session before
            self.standing = True
        if len(data) > 1024:
            self._complain(f"a DRW with {len(data)} bytes")
        channel = self.channels[number]
        for piece in channel.received(index, data):
            self._ordered(number, channel, piece)

    def _ordered(self, number: int, channel: Channel, piece: bytes) -> None:
        begins = not channel.stream
        channel.stream += piece
        if begins and number in (0, 6) and not piece.startswith((b"ARTEMIS", b"ACK")):
            self._complain(f"on channel {number}: {piece[:20]!r}")
        for kind, count, body in channel.messages():
            expected = (RESPONSE, LIVE, PLAYBACK, FILE, THUMBNAIL, -1, EVENT, -1)[number]
            if kind != expected:
                self._complain(f"message {kind} on channel {number}")
            self.messages[number].append((count, body))
        if number == 0 and bytes(channel.stream) == b"ACK":
            channel.stream.clear()

    def _drw_ack(self, payload: bytes, now: float) -> None:
        self.quiet = self.camera_quiet = now
        entries = ack_entries(payload)
        wrong = f"DRW_ACK {payload.hex()}"
        if entries:
            wrong = self.channels[entries[0]].acknowledged(entries[1])
        if wrong:
            self._complain(wrong)
