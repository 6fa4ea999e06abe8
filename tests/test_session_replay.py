"""
A captured login, replayed: each side of the real conversation is fed to a L{Session}
that plays the other one, and must answer as the real one did.

The recorder missed LAN_SEARCH, ALIVE, and the camera's full datagrams (indexes 2 to 4);
the app's reports to its cloud (0xF9) are nothing that we send.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

from twisted.trial.unittest import TestCase

from tests.support import capture, events_of, said
from trailcam.session.events import Opened, Received
from trailcam.session.session import ACCEPTED, Session
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY

APP, CAMERA = "app", "camera"
#: The camera's answer to the second command: what the recorder left out was full datagrams.
MISSED = {index: bytes(pppp.MAX_DRW_DATA) for index in (2, 3, 4)}
#: From PROTOCOL's table: the echoes at 58 ms, the login at 517 ms; the rest follows closely.
ECHOED, LOGGED_IN, STEP = 0.058, 0.517, 0.004
#: The app's commands 2 to 4 are heartbeats: the first 0.2 s after the login, then every 3 s.
PAUSES = {2: 0.2, 3: 3.0, 4: 3.0}

Entry = tuple[str, pppp.Datagram]


def kinds(values: list[pppp.Datagram]) -> list[tuple[str, int]]:
    """
    Each kind of answer where it first occurs: types, a DRW for each index, an
    acknowledgement for each index.
    """
    seen: dict[tuple[str, int], None] = {}
    for value in values:
        if isinstance(value, pppp.Drw):
            seen["drw", value.index] = None
        elif isinstance(value, pppp.DrwAck):
            seen.update(dict.fromkeys(("ack", index) for index in value.indexes))
        elif not isinstance(value, pppp.ReportSessionReady | pppp.Alive | pppp.AliveAck):
            seen[type(value).__name__, 0] = None
    return list(seen)


def acknowledged(values: list[pppp.Datagram]) -> list[int]:
    """All entries of all acknowledgements, in order."""
    return [i for value in values if isinstance(value, pppp.DrwAck) for i in value.indexes]


def stream(session: Session) -> bytes:
    """What was delivered on channel 0; there is nothing on any other."""
    events = [event for event in events_of(session) if event != Opened()]
    assert all(isinstance(event, Received) and event.channel == 0 for event in events)
    return b"".join(event.data for event in events if isinstance(event, Received))


class Replay:
    """
    One session in the place of one side.

    @ivar answers: all that it said.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.now = 0.0
        self.answers: list[pppp.Datagram] = []

    def wait(self, until: float) -> None:
        """Serve its timer up to a moment."""
        while (due := self.session.next_timer()) is not None and due <= until:
            self.session.handle_timer(due)
            self.answers += said(self.session)
        self.now = until

    def do(self, step: Callable[[], None]) -> None:
        """Let something happen, and keep what it answers."""
        step()
        self.answers += said(self.session)

    def hear(self, value: pppp.Datagram) -> None:
        """The other side's datagram arrives."""
        self.do(lambda: self.session.receive_datagram(pppp.encode(value), self.now))

    def say(self, data: bytes) -> None:
        """What the program above the session sends."""
        self.do(lambda: self.session.send(0, data, self.now))


class ReplayTests(TestCase):
    """C{login.jsonl}, from both sides."""

    def setUp(self) -> None:
        self.entries: list[Entry] = [(who, pppp.decode(data)) for who, data in capture("login")]

    def half(self, side: str) -> list[pppp.Datagram]:
        """What one side said in the capture."""
        return [value for who, value in self.entries if who == side]

    def pieces(self, side: str) -> dict[int, bytes]:
        """What one side sent on channel 0, by index; nothing was sent on another."""
        values = [value for value in self.half(side) if isinstance(value, pppp.Drw)]
        self.assertEqual({value.channel for value in values}, {0})
        return dict(sorted((value.index, value.data) for value in values))

    def client(self) -> Replay:
        """A client's session hears the camera, and sends the app's commands when the app did."""
        replay = Replay(Session(0.0))
        replay.do(lambda: replay.session.connect(0.0))
        commands = self.pieces(APP)
        login = commands.pop(0)
        for who, value in self.entries:
            replay.wait(replay.now + STEP)
            match value:
                case pppp.Drw(0, index, _) if who == APP:
                    if index in commands:
                        replay.wait(replay.now + PAUSES.get(index, 0.0))
                        replay.say(commands.pop(index))
                    continue
                case pppp.Drw(0, 5, _):
                    for index, data in MISSED.items():
                        replay.hear(pppp.Drw(0, index, data))
            if who == CAMERA:
                replay.hear(value)
            if login and replay.session.is_open:
                replay.say(login)
                login = b""
        replay.wait(replay.now + 0.05)
        return replay

    def test_client(self) -> None:
        """A client's session gives the app's answers in the app's order."""
        self.assertEqual(kinds(self.client().answers), kinds(self.half(APP)))

    def test_client_acknowledges(self) -> None:
        """It acknowledges what the app did: one entry for each copy that arrived."""
        entries = acknowledged(self.client().answers)
        self.assertEqual(entries, acknowledged(self.half(APP)))
        self.assertEqual(entries.count(0), 4, "the camera repeated its ACK four times")

    def test_client_stream(self) -> None:
        """It delivers the camera's stream: C{ACK}, the login's response, the second one."""
        pieces = self.pieces(CAMERA) | MISSED
        expected = b"".join(pieces[index] for index in sorted(pieces))
        self.assertEqual(stream(self.client().session), expected)
        self.assertTrue(expected.startswith(ACCEPTED + b"ARTEMIS\0"))

    def camera(self) -> Replay:
        """A camera's session hears the app, and sends the responses when the camera did."""
        offer = pppp.P2PRdyTcp(FAMILY, IPv4Address("192.168.43.1"), 40611)
        replay = Replay(Session(0.0, tcp_offer=offer))
        replay.hear(pppp.LanSearch())
        replay.wait(ECHOED)
        responses = self.pieces(CAMERA)
        responses.pop(0)  # C{ACK} is the session's own
        for who, value in self.entries:
            match value:
                case pppp.Drw(0, 0, _) if who == APP:
                    replay.wait(max(replay.now, LOGGED_IN))
                    replay.hear(value)
                case pppp.Drw(0, index, data) if who == CAMERA:
                    if responses.pop(index, None) is not None:
                        replay.say(data if index == 1 else b"".join(MISSED.values()) + data)
                case _ if who == APP:
                    replay.hear(value)
            if replay.now >= LOGGED_IN:
                replay.wait(replay.now + STEP)
        replay.wait(replay.now + 0.05)
        return replay

    def test_camera(self) -> None:
        """A camera's session gives the camera's answers in the camera's order."""
        lacking = {("drw", index) for index in MISSED}
        ours = [kind for kind in kinds(self.camera().answers) if kind not in lacking]
        self.assertEqual(ours, kinds(self.half(CAMERA)))

    def test_camera_offers(self) -> None:
        """Two PUNCH_PKT and 51 TCP offers, byte for byte as captured."""
        replay, captured = self.camera(), self.half(CAMERA)
        for kind, number in ((pppp.PunchPkt, 2), (pppp.P2PRdyTcp, 51)):
            ours = [value for value in replay.answers if isinstance(value, kind)]
            theirs = [value for value in captured if isinstance(value, kind)]
            self.assertEqual(len(ours), number)
            self.assertEqual(set(map(pppp.encode, ours)), set(map(pppp.encode, theirs)))

    def test_camera_acknowledges(self) -> None:
        """It acknowledges what the camera did, entry for entry: one for each copy."""
        entries = acknowledged(self.camera().answers)
        self.assertEqual(entries, acknowledged(self.half(CAMERA)))

    def test_camera_stream(self) -> None:
        """It delivers the app's commands, once each and in order."""
        self.assertEqual(stream(self.camera().session), b"".join(self.pieces(APP).values()))

    def test_nothing_refused(self) -> None:
        """Neither side finds anything malformed or impossible in what the real one said."""
        for replay in (self.client(), self.camera()):
            counted = replay.session.statistics
            self.assertEqual((counted.malformed, counted.refused, counted.dropped_bytes), (0, 0, 0))
            self.assertTrue(replay.session.is_open)
