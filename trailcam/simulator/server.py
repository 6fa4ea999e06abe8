"""The simulated camera's UDP shell: its ports, its firewall, and the session on them."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import DatagramProtocol

from trailcam.errors import ConfigError, DecodeError
from trailcam.interfaces import ICameraReactor
from trailcam.logs import make_logger
from trailcam.protocol import Address
from trailcam.pump import Pump
from trailcam.session.events import Closed, CloseReason, Event, Opened, Received
from trailcam.session.session import Session
from trailcam.simulator.camera import (
    Deed,
    Do,
    SendFiles,
    SendThumbnails,
    Show,
    Speak,
    Visit,
    respond,
)
from trailcam.simulator.card import Card
from trailcam.simulator.faults import BadLink, Faults
from trailcam.simulator.recording import Recording
from trailcam.simulator.streams import Feeder, LiveFeed, file_message, play, thumbnail_message
from trailcam.target import KNOWN_PORTS, SEARCH_PORT
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY
from trailcam.worker import Worker

__all__ = ["Firewall", "SimulatedCamera"]

#: A PUNCH_PKT from the client's known port begins a new session if this one is older (I).
YOUNG = 1.0


class Firewall(Enum):
    """
    Whom the camera answers besides the client that it knows.

    C{STRICT}: nobody, until CLOSE or a restart (the camera of the report).
    C{SESSION}: nobody while the session lasts. C{OFF}: everybody.
    """

    STRICT = "strict"
    SESSION = "session"
    OFF = "off"


class SimulatedCamera:
    """
    A camera with a card full of pictures.

    @ivar sources: every client port that opened a session, in order.
    @ivar address: where it listens, once it does.
    @ivar over: is told why, when a session is over.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        card: Card,
        worker: Worker,
        *,
        interface: str = "127.0.0.1",
        port: int = KNOWN_PORTS[0],
        search_port: int | None = SEARCH_PORT,
        firewall: Firewall = Firewall.STRICT,
        faults: Faults | None = None,
        user: str = "admin",
        password: str = "admin",
    ) -> None:
        """
        @param reactor: provides L{ICameraReactor}.
        @param worker: draws the pictures.
        @param port: where its sessions are; 0 for any.
        @param search_port: where it hears LAN_SEARCH; C{None}: nowhere.
        """
        self._reactor: ICameraReactor = reactor
        self._worker = worker
        self._interface = interface
        self._wanted = port, search_port
        self._firewall = firewall
        self._ports: list[Any] = []
        self._known: Address | None = None
        self._guest: _Guest | None = None
        self._asleep = False
        self._later: list[IDelayedCall] = []
        self.card = card
        self.faults = faults or Faults()
        self.link = BadLink(reactor, self.faults)
        self.credentials = user, password
        self.sources: list[int] = []
        self.address: Address = (interface, port)
        self.over: Callable[[CloseReason], None] = lambda reason: None

    def start(self) -> None:
        """
        Listen.

        @raise ConfigError: when a port cannot be had.
        """
        from twisted.internet.error import CannotListenError

        port, search_port = self._wanted
        try:
            self._ports = [self._listen(port, self._interface)]
            self.address = (self._interface, self._ports[0].getHost().port)
            if search_port is not None:
                # A broadcast does not reach a socket that is bound to one address.
                loopback = IPv4Address(self._interface).is_loopback
                self._ports.append(
                    self._listen(search_port, self._interface if loopback else "")
                )
        except CannotListenError as error:
            self.stop()
            raise ConfigError(
                f"the simulated camera cannot listen on {error.interface or 'any address'}:"
                f"{error.port}: {error.socketError.strerror}; choose another with --port or "
                "--search-port"
            ) from None

    def stop(self) -> Deferred[Any]:
        """Say CLOSE to whoever is there, and listen no more."""
        if self._guest is not None:
            self._guest.pump.close()
        return self._vanish()

    def switch_off(self) -> Deferred[Any]:
        """Power cut: no word to anybody."""
        if self._guest is not None:
            self._guest.end()
            self._guest = None
        return self._vanish()

    def switch_on(self) -> None:
        """Start again at the same port; whom it knew is forgotten."""
        self._wanted = self.address[1], self._wanted[1]
        self._known, self._asleep = None, False
        self.start()

    @property
    def session(self) -> Session | None:
        """The session with the present client."""
        return self._guest.pump.session if self._guest else None

    def _vanish(self) -> Deferred[Any]:
        ports, self._ports = self._ports, []
        self.link.stop()
        for call in self._later:
            if call.active():
                call.cancel()
        self._later.clear()
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])

    def _listen(self, port: int, interface: str) -> Any:
        return self._reactor.listenUDP(port, _Ear(self._heard), interface, 65536)

    # -- what comes --------------------------------------------------------

    def _heard(self, datagram: bytes, source: Address) -> None:
        if not self._asleep and self._admits(source):
            self.link.carry(datagram, lambda data: self._take(data, source))

    def _admits(self, source: Address) -> bool:
        if self._firewall is Firewall.STRICT:
            return self._known in (None, source)
        if self._firewall is Firewall.SESSION and self._guest is not None:
            return self._known in (None, source)
        return True

    def _take(self, datagram: bytes, source: Address) -> None:
        guest = self._guest
        try:
            kind = type(pppp.decode(datagram))
        except DecodeError:
            kind = None
        if kind in (pppp.PunchPkt, pppp.LanSearch):
            old = guest is not None and guest.age() > YOUNG
            if guest is None or guest.source != source or (kind is pppp.PunchPkt and old):
                guest = self._welcome(source)
            elif old:
                # Still in a session, but searched for: the client has lost it.
                for _ in range(2):
                    self._write(pppp.encode(pppp.PunchPkt(FAMILY)), source)
                return
        if guest is not None and guest.source == source:
            guest.receive(datagram)

    def _welcome(self, source: Address) -> _Guest:
        if self._guest is not None:
            self._guest.end()
        self._guest = _Guest(self, self._reactor, self._worker, source)
        return self._guest

    def _write(self, datagram: bytes, to: Address) -> None:
        def deliver(data: bytes) -> None:
            if self._ports and not self._asleep:
                self._ports[0].write(data, to)

        self.link.carry(datagram, deliver)

    # -- what guests report ------------------------------------------------

    def opened(self, guest: _Guest) -> None:
        """A session stands: from now on the firewall knows its client."""
        self._known = guest.source
        self.sources.append(guest.source[1])
        self.log.info("a client opened a session from {host}:{port}", host=guest.source[0],
                      port=guest.source[1])  # fmt: skip
        if self.faults.silence:
            self._call_later(self.faults.silence_after, self.link.fall_silent)

    def closed(self, guest: _Guest, reason: CloseReason) -> None:
        """A session is over."""
        if guest is self._guest:
            self._guest = None
        orderly = reason is CloseReason.PEER
        if orderly or self._firewall is not Firewall.STRICT:
            self._known = None
        self._asleep = orderly and self.faults.sleep_after_close
        self.log.info("the session is over: {why}", why=reason.value)
        self.over(reason)

    def sleep_soon(self) -> None:
        """Answer what was asked, and then nobody until switched on again."""
        self._call_later(0.2, self._fall_asleep)

    def _call_later(self, delay: float, what: Callable[[], None]) -> None:
        self._later = [call for call in self._later if call.active()]
        self._later.append(self._reactor.callLater(delay, what))

    def _fall_asleep(self) -> None:
        if self._guest is not None:
            self._guest.pump.close()
        self._asleep = True

    def write(self, datagram: bytes, to: Address) -> None:
        """Send from the session port, over the link with its faults."""
        self._write(datagram, to)


class _Ear(DatagramProtocol):
    """One UDP port of the camera."""

    noisy = False

    def __init__(self, heard: Callable[[bytes, Address], None]) -> None:
        self._heard = heard

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self._heard(datagram, addr)


class _Guest:
    """A client, its session, and what is being sent to it."""

    def __init__(
        self, camera: SimulatedCamera, reactor: ICameraReactor, worker: Worker, source: Address
    ) -> None:
        self._camera = camera
        self._reactor = reactor
        self._worker = worker
        self._began = reactor.seconds()
        self._visit = Visit(camera.card, camera.faults, *camera.credentials)
        self._feeders: dict[int, Feeder] = {}
        self._live: LiveFeed | None = None
        self._over = False
        self.source = source
        host, port = camera.address
        offer = pppp.P2PRdyTcp(FAMILY, IPv4Address(host), port)
        self.pump = Pump(
            reactor,
            Session(self._began, tcp_offer=offer),
            lambda data: camera.write(data, source),
            self._handle,
        )

    def age(self) -> float:
        """Seconds since it came."""
        return self._reactor.seconds() - self._began

    def receive(self, datagram: bytes) -> None:
        """A datagram came from it."""
        self.pump.receive(datagram)
        for feeder in self._feeders.values():
            feeder.feed()

    def end(self) -> None:
        """Forget it without a word."""
        self._stop()
        self.pump.drop()

    def _stop(self) -> None:
        self._over = True
        self._stop_live()
        for feeder in self._feeders.values():
            feeder.end()

    def _handle(self, event: Event) -> None:
        match event:
            case Opened():
                self._camera.opened(self)
            case Received(0, data):
                for deed in self._visit.receive(data):
                    self._do(deed)
            case Closed(reason):
                self._stop()
                self._camera.closed(self, reason)

    def _feeder(self, channel: int) -> Feeder:
        if channel not in self._feeders:
            self._feeders[channel] = Feeder(
                self._worker,
                lambda: self.pump.session.pending(channel),
                lambda data: self.pump.send(channel, data),
            )
        return self._feeders[channel]

    def _do(self, deed: Deed) -> None:
        card, faults = self._camera.card, self._camera.faults
        match deed:
            case Speak(channel, data):
                self.pump.send(channel, data)
            case SendFiles(sequence, files):
                self._feeder(3).add(file_message(card, faults, sequence, file) for file in files)
            case SendThumbnails(files):
                self._feeder(4).add(
                    thumbnail_message(card, faults, number, file)
                    for number, file in enumerate(files, 1)
                )
            case Show():
                self._worker.call(card.recording, deed.file).addCallback(
                    self._show, deed
                ).addErrback(lambda failure: self._camera.log.failure("no video", failure))
            case Do(what):
                self._do_by_name(what)

    def _show(self, recording: Recording, deed: Show) -> None:
        if self._over:  # it left while the video was drawn
            return
        damaged = self._camera.faults.strikes("damaged_frames")
        damage = len(recording.samples) // 2 if damaged else None
        answer = respond(deed.sequence, {
            "startPbRet": 0, "videoWidth": recording.width, "videoHeight": recording.height,
            "totalFrame": recording.total_frames, "totalTime": recording.duration_ms,
            "result": 0, "cmdId": 769,
        })  # fmt: skip
        self.pump.send(0, answer.data)
        self._feeder(2).add(play(recording, deed.session_number, damage))

    def _do_by_name(self, what: str) -> None:
        match what:
            case "live":
                self._start_live()
            case "stop-live":
                self._stop_live()
            case "stop-playing" if 2 in self._feeders:
                self._feeders[2].stop()
            case "stop-files" if 3 in self._feeders:
                self._feeders[3].stop()
            case "sleep":
                self._camera.sleep_soon()

    def _start_live(self) -> None:
        if self._live is None:
            self._live = LiveFeed(
                self._reactor,
                self._worker,
                lambda: self.pump.session.pending(1),
                lambda data: self.pump.send(1, data),
            )

    def _stop_live(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()
