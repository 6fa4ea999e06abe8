"""What several tests share."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest
from zope.interface import implementer

from trailcam.client import Camera
from trailcam.commands import MediaFile
from trailcam.errors import DecodeError
from trailcam.interfaces import ICameraReactor
from trailcam.radio.station import Radios
from trailcam.session.events import Event, Received
from trailcam.session.session import ACCEPTED, ACK_DELAY, Session
from trailcam.simulator.card import Card
from trailcam.target import Target
from trailcam.testing import FakeCamera, InlineWorker, MemoryNetwork, MemoryPort, Sent
from trailcam.wire import pppp
from trailcam.wire.artemis import Message
from trailcam.wire.device_id import FAMILY
from trailcam.wire.pppp import Drw, decode
from trailcam.wire.wakeup import Access

CAPTURES = ("login", "live-view", "album")


def capture_file(name: str) -> Path:
    """A file of the captures; skips where there are none, and fails where one is missing."""
    folder = os.environ.get("TRAILCAM_CAPTURES")
    if not folder:
        raise SkipTest("TRAILCAM_CAPTURES does not name the folder with captures of real cameras")
    path = Path(folder) / name
    assert path.is_file(), f"{path} is missing"
    return path


def capture(name: str) -> list[tuple[str, bytes]]:
    """The datagrams of one capture: C{("camera" or "app", bytes)}."""
    lines = capture_file(f"{name}.jsonl").read_text("utf-8").splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(entry["from"], bytes.fromhex(entry["hex"])) for entry in entries]


def whole_messages(name: str) -> list[tuple[str, Drw, Message]]:
    """The messages of one capture that sit whole in one DRW, copies too: who, DRW, message."""
    found = []
    for sender, datagram in capture(name):
        value = decode(datagram)
        if isinstance(value, Drw):
            with suppress(DecodeError):
                found.append((sender, value, Message.decode(value.data)))
    return found


class PlainCard(Card):
    """
    A card whose photos are made of noise, quickly: for tests that look at bytes, not pictures.

    @ivar size: bytes of each photo.
    """

    size = 50_000

    def photo(self, file: MediaFile) -> bytes:
        """C{size} bytes that differ from file to file, and end as a JPEG does."""
        seed = f"{file.directory}-{file.number}".encode()
        body = (seed * (self.size // len(seed) + 1))[: self.size - 4]
        return b"\xff\xd8" + body + b"\xff\xd9"

    def thumbnail(self, file: MediaFile) -> bytes:
        """A few bytes."""
        return b"\xff\xd8" + f"{file.label}".encode() * 40 + b"\xff\xd9"


# -- sessions ----------------------------------------------------------------

CLIENT, CAMERA = "client", "camera"


def client_session(now: float = 0.0, **options: Any) -> Session:
    """A client's session that has just been accepted; what it said and told is taken away."""
    session = Session(now, **options)
    session.connect(now)
    session.receive_datagram(pppp.encode(pppp.P2PRdy(FAMILY)), now)
    session.receive_datagram(pppp.encode_drw(0, 0, ACCEPTED), now)
    pass_time(session, now + ACK_DELAY)
    events_of(session)
    return session


def camera_session(now: float = 0.0, **options: Any) -> Session:
    """A camera's session whose client has just answered; its C{ACK} is acknowledged."""
    session = Session(now, **options)
    session.receive_datagram(pppp.encode(pppp.PunchPkt(FAMILY)), now)
    session.receive_datagram(pppp.encode(pppp.DrwAck(0, (0,))), now)
    session.datagrams_to_send()
    events_of(session)
    return session


def said(session: Session) -> list[pppp.Datagram]:
    """What a session wants to send now, decoded."""
    return [pppp.decode(datagram) for datagram in session.datagrams_to_send()]


def events_of(session: Session) -> list[Event]:
    """What a session has to tell now."""
    events = []
    while (event := session.next_event()) is not None:
        events.append(event)
    return events


def pass_time(session: Session, until: float) -> list[tuple[float, pppp.Datagram]]:
    """Serve a session's timer up to a moment: what it said, and when."""
    told = [(float("-inf"), value) for value in said(session)]
    for _ in range(100_000):
        due = session.next_timer()
        if due is None or due > until:
            return told
        session.handle_timer(due)
        told += [(due, value) for value in said(session)]
    raise AssertionError("the session's timer spins")


class VirtualLink:
    """
    A client's and a camera's session, joined by a function that says what becomes of a datagram.

    @ivar fate: who sends and the datagram, to the delays in seconds of the copies
        that arrive: C{()} is a lost one.
    @ivar sent: when, by whom, what.
    @ivar handlers: by side, who hears its events besides C{told} and C{streams};
        L{None}: that side's events are never asked for.
    """

    def __init__(
        self,
        fate: Callable[[str, bytes], Iterable[float]] = lambda who, datagram: (0.005,),
        **options: Any,
    ) -> None:
        """@param options: for both sessions."""
        self.now = 0.0
        self.fate = fate
        self.sides = {CLIENT: Session(0.0, **options), CAMERA: Session(0.0, **options)}
        self.client, self.camera = self.sides[CLIENT], self.sides[CAMERA]
        self.sent: list[tuple[float, str, bytes]] = []
        self.told: dict[str, list[Event]] = {CLIENT: [], CAMERA: []}
        self.streams: defaultdict[tuple[str, int], bytearray] = defaultdict(bytearray)
        self.handlers: dict[str, Callable[[Event], None] | None] = {
            CLIENT: lambda event: None, CAMERA: lambda event: None,
        }  # fmt: skip
        self._flying: list[tuple[float, int, str, bytes]] = []
        self._numbers = count()

    def open(self) -> VirtualLink:
        """Connect, and let time pass until both sides stand."""
        self.client.connect(self.now)
        self.run_until(lambda: self.client.is_open and self.camera.is_open)
        return self

    def send(self, who: str, channel: int, data: bytes) -> None:
        """One side sends."""
        self.sides[who].send(channel, data, self.now)

    def received(self, who: str, channel: int) -> bytes:
        """What one side has received on a channel, without the camera's C{ACK}."""
        stream = bytes(self.streams[who, channel])
        return stream.removeprefix(ACCEPTED) if channel == 0 and who == CLIENT else stream

    def run_until(self, done: Callable[[], bool], seconds: float = 120.0) -> None:
        """Let time pass until something holds; so many seconds at most."""
        end = self.now + seconds
        while not done():
            if not self._step(end):
                raise AssertionError(f"not within {seconds} s")

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self._step(end):
            pass
        self.now = end

    def _step(self, end: float) -> bool:
        """Let the next thing happen; L{False} when there is none before C{end}."""
        self._settle()
        timers = [(at, who) for who in self.sides if (at := self.sides[who].next_timer())]
        at, who = min(timers, default=(end + 1, ""))
        flies = bool(self._flying) and self._flying[0][0] <= at
        self.now = max(self.now, self._flying[0][0] if flies else at)
        if self.now > end:
            self.now = end
            return False
        if flies:
            _, _, who, datagram = heappop(self._flying)
            self.sides[who].receive_datagram(datagram, self.now)
        else:
            self.sides[who].handle_timer(self.now)
        self._settle()
        return True

    def _settle(self) -> None:
        for who, session in self.sides.items():
            handler = self.handlers[who]
            while handler is not None and (event := session.next_event()) is not None:
                if isinstance(event, Received):
                    self.streams[who, event.channel] += event.data
                else:
                    self.told[who].append(event)
                handler(event)
        for who, other in ((CLIENT, CAMERA), (CAMERA, CLIENT)):
            for datagram in self.sides[who].datagrams_to_send():
                self.sent.append((self.now, who, datagram))
                for delay in self.fate(who, datagram):
                    flight = (self.now + delay, next(self._numbers), other, datagram)
                    heappush(self._flying, flight)


# -- a camera and its clients, where time is virtual -------------------------

#: The wall clock of clients on a L{Stage}.
NOW = 1_780_000_100
#: What such a client calls.
GARDEN = Target(host="127.0.0.1", port=40611, name="garden")


@implementer(ICameraReactor)
class Process:
    """
    A program on a L{MemoryNetwork} that can be killed as by SIGKILL: not a word, nothing tidied.

    @ivar asked: the ports that it asked for; 0 for any.
    @ivar refused: those of them that it did not get.
    """

    def __init__(self, network: MemoryNetwork) -> None:
        self.network = network
        self.asked: list[int] = []
        self.refused: list[int] = []
        self._calls: list[IDelayedCall] = []
        self._ports: list[MemoryPort] = []

    def seconds(self) -> float:
        return self.network.seconds()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> IDelayedCall:
        self._calls = [call for call in self._calls if call.active()]
        call: IDelayedCall = self.network.callLater(delay, callable, *args)
        self._calls.append(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return [call for call in self._calls if call.active()]

    def listenUDP(
        self,
        port: int,
        protocol: DatagramProtocol,
        interface: str = "",
        maxPacketSize: int = 8192,
    ) -> MemoryPort:
        self.asked.append(port)
        try:
            listening = self.network.listenUDP(port, protocol, interface, maxPacketSize)
        except CannotListenError:
            self.refused.append(port)
            raise
        self._ports.append(listening)
        return listening

    @property
    def bound(self) -> list[int]:
        """The ports that it holds."""
        held = set(self.network.bound)
        return [port.address[1] for port in self._ports if port.protocol and port.address in held]

    def kill(self) -> None:
        """End it."""
        for call in self.getDelayedCalls():
            call.cancel()
        for port in self._ports:
            if port.protocol is not None:
                port.protocol, port._stopping = None, succeed(None)
                self.network.release(port.address)


class Stage:
    """
    A simulated camera on a L{MemoryNetwork}, and clients for it.

    @ivar network: the network, and the clock.
    @ivar fake: the camera.
    """

    def __init__(
        self, photos: int = 3, videos: int = 0, *, card: Card | None = None, **options: Any
    ) -> None:
        """@param options: as for L{FakeCamera}."""
        self.network = MemoryNetwork()
        card = card or PlainCard(photos, videos, newest=NOW - 100)
        self.fake = FakeCamera(self.network, card=card, **options)
        self.fake.start()

    def client(self, target: Target = GARDEN, reactor: Any = None, **options: Any) -> Camera:
        """A client that has not connected yet."""
        options = {"worker": InlineWorker(), "zone": UTC, "wall_clock": lambda: NOW, **options}
        return Camera(reactor or self.network, target, **options)

    def guest(self, target: Target = GARDEN, reactor: Any = None, **options: Any) -> Camera:
        """A client that is logged in."""
        camera = self.client(target, reactor, **options)
        self.run(camera.connect())
        self.run(camera.login())
        return camera

    def run(self, deferred: Deferred[Any], seconds: float = 300.0) -> Any:
        """Let time pass until this has fired; its result, or its failure raised."""
        return self.network.run_until(deferred, seconds)

    def wait(self, seconds: float) -> None:
        """Let so much time pass, with everything that happens in it at its own time."""
        self.network.run_until(deferLater(self.network, seconds), seconds + 1)

    def until(self, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let time pass until something holds."""
        end = self.network.seconds() + seconds
        while not holds():
            if self.network.seconds() > end:
                raise AssertionError(f"not within {seconds} s")
            self.wait(0.001)

    def power_cycle(self, seconds: float = 0.0) -> None:
        """Switch the camera off, and on again after so many seconds."""
        self.run(self.fake.switch_off())
        self.wait(seconds)
        self.fake.switch_on()

    def over(self, *cameras: Camera) -> None:
        """Close everything, and see that nothing is left: no port, no delayed call."""
        for camera in cameras:
            self.run(camera.close())
        self.run(self.fake.stop())
        self.wait(2 * self.network.delay)  # what was said last arrives
        calls, bound = self.network.getDelayedCalls(), self.network.bound
        if calls or bound:
            raise AssertionError(f"left over: {[str(call) for call in calls]}, {bound}")


#: What cameras on a L{Stage} say their network's passphrase is.
PASSPHRASE = "correct horse battery"


class FakeRadios(Radios):
    """
    Radios whose answers are under a test's control; waiting for a turn is as with real ones.

    @ivar asked: C{wake}, C{join}, C{leave} and C{close}, in the order they were asked for.
    @ivar vanished: lets what was joined be there no more, where somebody wants to know.
    @ivar given: what they were given, likewise.
    @ivar takes: how many seconds each takes; infinity: for ever, until it is cancelled.
    @ivar trouble: what each fails with the next times, C{None} for not; then it goes well.
    @ivar cancelled: what was cancelled before it had ended.
    """

    def __init__(self, reactor: Any, **options: Any) -> None:
        """@param options: as for L{Radios}."""
        super().__init__(reactor, **options)
        self.asked: list[str] = []
        self.given: list[tuple[Any, ...]] = []
        self.takes = {"wake": 2.0, "join": 3.0, "leave": 1.0, "close": 0.0}
        self.trouble: defaultdict[str, list[Exception | None]] = defaultdict(list)
        self.cancelled: list[str] = []
        self.vanished: Deferred[None] = Deferred()

    def wake(self, which: Any) -> Deferred[Access]:
        return self._answer("wake", Access("CAM-1234", "02:00:00:00:12:34", PASSPHRASE), which)

    def join(
        self, ssid: str, passphrase: str, bssid: str | None = None, device: str | None = None
    ) -> Deferred[Any]:
        from trailcam.radio.wifi import Joined

        joined = Joined(device or "wlan0", "127.0.0.1", ssid)
        return self._answer("join", joined, ssid, passphrase, bssid, device)

    def lasts(self) -> Deferred[None]:
        self.vanished = Deferred()
        return self.vanished

    def leave(self) -> Deferred[None]:
        return self._answer("leave", None)

    def close(self) -> Deferred[None]:
        return self._answer("close", None)

    def _answer(self, what: str, result: Any, *given: Any) -> Deferred[Any]:
        self.asked.append(what)
        self.given.append(given)
        answer: Deferred[Any] = Deferred(lambda _: self._cancel(what, call))
        error = self.trouble[what].pop(0) if self.trouble[what] else None
        outcome = Failure(error) if error is not None else result
        call = None
        if self.takes[what] != float("inf"):
            call = self._reactor.callLater(self.takes[what], answer.callback, outcome)
        return answer

    def _cancel(self, what: str, call: IDelayedCall | None) -> None:
        self.cancelled.append(what)
        if call is not None:
            call.cancel()


def kind_of(sent: Sent) -> str:
    """What a datagram is, by the name of its class; a DRW with its channel, C{Drw0}."""
    value = pppp.decode(sent.data)
    name = type(value).__name__
    return f"{name}{value.channel}" if isinstance(value, Drw) else name


def losing(kind: str, source: int, times: float = float("inf")) -> Callable[[Sent], bool]:
    """For C{MemoryNetwork.drops}: lose so many of one kind that come from one port."""
    left = times

    def drops(sent: Sent) -> bool:
        nonlocal left
        if left <= 0 or sent.source[1] != source or kind_of(sent) != kind:
            return False
        left -= 1
        return True

    return drops


def story(events: Iterable[LogEvent], least: LogLevel = LogLevel.info) -> list[str]:
    """What people read in the log."""
    return [formatEvent(event) for event in events if event["log_level"] >= least]
