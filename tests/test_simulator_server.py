"""The simulated camera on the network: whom it answers, how it sends, and what goes wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from tests.support import NOW, PlainCard
from trailcam.commands import encode_text
from trailcam.errors import ConfigError
from trailcam.simulator.faults import EVIL_ID, BadLink, Faults
from trailcam.simulator.recording import Recording, Sample
from trailcam.simulator.server import Firewall
from trailcam.simulator.streams import Feeder, LiveFeed, file_message, play, thumbnail_message
from trailcam.testing import FakeCamera, InlineWorker, MemoryNetwork, MemoryPort
from trailcam.wire import pppp
from trailcam.wire.artemis import Message, MessageId
from trailcam.wire.device_id import FAMILY
from trailcam.wire.media import FileHeader, Frame, ThumbnailHeader

SESSION = ("127.0.0.1", 40611)
SEARCH = ("127.0.0.1", 32108)


class Raw(DatagramProtocol):
    """A client that does only what the test does."""

    def __init__(self, network: MemoryNetwork, port: int = 0) -> None:
        self.network = network
        self.heard: list[tuple[float, pppp.Datagram, tuple[str, int]]] = []
        self.port: MemoryPort = network.listenUDP(port, self)

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        self.heard.append((self.network.seconds(), pppp.decode(datagram), addr))

    def say(self, value: pppp.Datagram, to: tuple[str, int] = SESSION) -> None:
        """Send one datagram."""
        self.port.write(pppp.encode(value), to)

    def punch(self) -> None:
        """Send PUNCH_PKT."""
        self.say(pppp.PunchPkt(FAMILY))

    def kinds(self) -> Counter[str]:
        """How many of each kind were heard."""
        return Counter(type(value).__name__ for _, value, _ in self.heard)

    def drws(self, channel: int) -> dict[int, bytes]:
        """The data of a channel, by index."""
        return {
            value.index: value.data
            for _, value, _ in self.heard
            if isinstance(value, pppp.Drw) and value.channel == channel
        }

    def acknowledge(self) -> None:
        """Acknowledge all that was heard, and forget it."""
        for _, value, _ in self.heard:
            if isinstance(value, pppp.Drw):
                self.say(pppp.DrwAck(value.channel, (value.index,)))


class ServerTestCase(TestCase):
    """A camera, and a client of the rawest kind."""

    options: dict[str, Any] = {}

    def setUp(self) -> None:
        """The camera listens."""
        self.network = MemoryNetwork()
        self.start(**self.options)
        self.client = Raw(self.network)

    def start(self, **options: Any) -> None:
        """A camera."""
        self.faults = options.setdefault("faults", Faults())
        options.setdefault("card", PlainCard(3, 0, newest=NOW))
        self.fake = FakeCamera(self.network, **options)
        self.fake.start()

    def tearDown(self) -> None:
        """Without the camera there is no timer left, and no port."""
        self.network.run_until(self.fake.stop())
        self.network.advance(0.001)
        self.network.advance(0.001)
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertEqual([port for _, port in self.network.bound if port in (40611, 32108)], [])

    def wait(self, seconds: float) -> None:
        """Let time pass, with everything that happens in it at its own time."""
        self.network.run_until(deferLater(self.network, seconds))

    def open(self, client: Raw | None = None) -> None:
        """Open a session by a direct punch."""
        client = client or self.client
        client.punch()
        self.wait(0.01)
        client.say(pppp.DrwAck(0, (0,)))
        self.wait(0.01)
        client.heard.clear()

    def command(self, index: int, sequence: int, **fields: object) -> None:
        """Send a command."""
        message = Message(MessageId.REQUEST, sequence, encode_text(fields))
        self.client.say(pppp.Drw(0, index, message.encode()))
        self.wait(0.01)

    def log_in(self) -> None:
        """Open, and log in."""
        self.open()
        self.command(0, 1, cmdId=0, usrName="admin", password="admin", utcTime=NOW)
        self.token = self.fake._guest._visit.token  # type: ignore[union-attr]
        self.client.acknowledge()
        self.client.heard.clear()


class OpeningTests(ServerTestCase):
    """PROTOCOL, "Opening a session"."""

    def test_search(self) -> None:
        """LAN_SEARCH is answered with PUNCH_PKT, twice, from the session's port."""
        self.client.say(pppp.LanSearch(), SEARCH)
        self.wait(0.01)
        self.assertEqual(
            [(value, source) for _, value, source in self.client.heard],
            [(pppp.PunchPkt(FAMILY), SESSION)] * 2,
        )

    def test_after_a_search(self) -> None:
        """Echo, 51 TCP offers within 325 ms that name the camera, then P2P_RDY and ACK."""
        self.client.say(pppp.LanSearch(), SEARCH)
        self.wait(0.01)
        self.client.heard.clear()
        began = self.network.seconds()
        self.client.punch()
        self.wait(0.5)
        kinds = [type(value).__name__ for _, value, _ in self.client.heard]
        self.assertEqual(kinds[:51], ["P2PRdyTcp"] * 51)
        self.assertEqual(self.client.kinds()["P2PRdyTcp"], 51)
        self.assertEqual(
            self.client.heard[0][1], pppp.P2PRdyTcp(FAMILY, IPv4Address("127.0.0.1"), 40611)
        )
        last = self.client.heard[50][0] - began
        self.assertTrue(0.3 < last < 0.33, last)
        self.assertEqual(kinds[51:53], ["P2PRdy", "Drw"])
        self.assertEqual(self.client.drws(0), {0: b"ACK"})

    def test_direct_punch(self) -> None:
        """PUNCH_PKT alone: P2P_RDY and ACK at once, and not one TCP offer."""
        self.client.punch()
        self.wait(0.4)
        self.assertEqual(set(self.client.kinds()), {"P2PRdy", "Drw"})

    def test_repeated_until_answered(self) -> None:
        """P2P_RDY and ACK come about every 42 ms until the client sends a DRW or DRW_ACK."""
        self.client.punch()
        self.wait(0.422)
        self.assertApproximates(self.client.kinds()["P2PRdy"], 10, 1)
        self.assertApproximates(self.client.kinds()["Drw"], 10, 1)
        self.client.say(pppp.DrwAck(0, (0,)))
        self.wait(0.01)
        self.client.heard.clear()
        self.wait(0.9)
        self.assertEqual(self.client.kinds(), {})
        self.assertEqual(self.fake.sources, [self.client.port.address[1]])

    def test_alive(self) -> None:
        """ALIVE is answered, and sent after a second of quiet."""
        self.open()
        self.client.say(pppp.Alive())
        self.wait(0.01)
        self.assertEqual(self.client.kinds(), {"AliveAck": 1})
        self.wait(1.1)
        self.assertEqual(self.client.kinds()["Alive"], 1)

    def test_silence(self) -> None:
        """7.3 s after the client's last datagram it says CLOSE."""
        self.open()
        self.wait(7.25)
        self.assertNotIn("Close", self.client.kinds())
        self.wait(0.1)
        self.assertIn("Close", self.client.kinds())
        self.assertIsNone(self.fake.session)

    def test_punch_to_a_young_session(self) -> None:
        """PUNCH_PKT within the first second: P2P_RDY, and the session goes on."""
        self.open()
        session = self.fake.session
        self.client.punch()
        self.wait(0.01)
        self.assertEqual(self.client.kinds(), {"P2PRdy": 1})
        self.assertIs(self.fake.session, session)

    def test_punch_to_an_old_session(self) -> None:
        """After that it begins a new one: index 0 again, the login void."""
        self.log_in()
        session = self.fake.session
        self.wait(1.1)
        self.client.heard.clear()
        self.client.punch()
        self.wait(0.01)
        self.assertIsNot(self.fake.session, session)
        self.assertEqual(self.client.drws(0), {0: b"ACK"})
        self.client.say(pppp.DrwAck(0, (0,)))
        self.wait(0.01)
        self.assertEqual(self.fake.sources, [self.client.port.address[1]] * 2)
        self.assertIsNone(self.fake._guest._visit.token)  # type: ignore[union-attr]

    def test_search_in_an_old_session(self) -> None:
        """A client that searches has lost its session: it is answered, and may punch."""
        self.open()
        self.wait(1.1)
        self.client.heard.clear()
        self.client.say(pppp.LanSearch(), SEARCH)
        self.wait(0.01)
        self.assertEqual(self.client.kinds(), {"PunchPkt": 2})

    def test_nonsense(self) -> None:
        """What is no datagram, or no beginning, is not answered."""
        for data in (b"", b"\xf1", b"\0" * 100, b"\xf1\x41\x00\x14" + b"\xff" * 20):
            self.client.port.write(data, SESSION)
        for value in (pppp.Alive(), pppp.Drw(0, 0, b"x"), pppp.DrwAck(0, (0,)), pppp.Close(),
                      pppp.P2PRdy(FAMILY)):  # fmt: skip
            self.client.say(value)
        self.wait(1)
        self.assertEqual(self.client.heard, [])


class FirewallTests(ServerTestCase):
    """Whom it answers besides the client that it knows."""

    def answers(self, client: Raw) -> bool:
        """Whether it says anything to a punch or a search."""
        client.heard.clear()
        client.punch()
        client.say(pppp.LanSearch(), SEARCH)
        self.wait(0.05)
        return bool(client.heard)

    def test_strict(self) -> None:
        """Nobody else, also long after the session: until a restart."""
        stranger = Raw(self.network)
        self.open()
        self.assertFalse(self.answers(stranger))
        self.wait(10)
        self.assertIsNone(self.fake.session)
        self.assertFalse(self.answers(stranger))
        self.assertTrue(self.answers(self.client))
        self.wait(8)
        self.network.run_until(self.fake.switch_off())
        self.fake.switch_on()
        self.assertTrue(self.answers(stranger))

    def test_strict_close(self) -> None:
        """A client that says CLOSE lets others in."""
        stranger = Raw(self.network)
        self.open()
        self.client.say(pppp.Close())
        self.wait(0.01)
        self.assertTrue(self.answers(stranger))

    def test_strict_by_address_and_port(self) -> None:
        """The same port of another host is a stranger, too."""
        self.open()
        twin = Raw.__new__(Raw)
        twin.network, twin.heard = self.network, []
        twin.port = self.network.listenUDP(self.client.port.address[1], twin, "127.0.0.2")
        self.assertFalse(self.answers(twin))

    def test_strict_before_the_session(self) -> None:
        """Whoever only knocked is not known yet."""
        self.client.punch()
        self.wait(0.01)
        stranger = Raw(self.network)
        self.open(stranger)
        self.assertEqual(self.fake.sources, [stranger.port.address[1]])

    def test_session(self) -> None:
        """Nobody else while the session lasts, everybody afterwards."""
        self.network.run_until(self.fake.stop())
        self.start(firewall=Firewall.SESSION)
        stranger = Raw(self.network)
        self.open()
        self.assertFalse(self.answers(stranger))
        self.wait(8)
        self.assertTrue(self.answers(stranger))

    def test_off(self) -> None:
        """Everybody, at any time: the newcomer takes the session over."""
        self.network.run_until(self.fake.stop())
        self.start(firewall=Firewall.OFF)
        stranger = Raw(self.network)
        self.open()
        self.assertTrue(self.answers(stranger))
        self.open(stranger)
        self.client.heard.clear()
        self.wait(2)
        self.assertEqual(self.client.heard, [])
        self.assertEqual(len(set(self.fake.sources)), 2)


class PowerTests(ServerTestCase):
    """On, off, asleep."""

    def test_stop_says_close(self) -> None:
        """A camera that is stopped says CLOSE."""
        self.open()
        self.network.run_until(self.fake.stop())
        self.wait(0.01)
        self.assertEqual(set(self.client.kinds()), {"Close"})

    def test_power_cut_says_nothing(self) -> None:
        """A power cut does not; afterwards it is at the same port, and knows nobody."""
        self.open()
        self.network.run_until(self.fake.switch_off())
        self.wait(10)
        self.assertEqual(self.client.heard, [])
        self.fake.switch_on()
        self.assertEqual(self.fake.address, SESSION)
        self.open(Raw(self.network))

    def test_sleep_after_close(self) -> None:
        """With that fault a CLOSE sends it to sleep, until it is switched on again."""
        self.faults.sleep_after_close = True
        self.open()
        self.client.say(pppp.Close())
        self.wait(0.01)
        self.client.heard.clear()
        self.client.punch()
        self.client.say(pppp.LanSearch(), SEARCH)
        self.wait(1)
        self.assertEqual(self.client.heard, [])
        self.network.run_until(self.fake.switch_off())
        self.fake.switch_on()
        self.open()

    def test_sleep_command(self) -> None:
        """1281: it answers, and then it sleeps."""
        self.log_in()
        self.command(1, 2, cmdId=1281, token=self.token)
        self.assertIn("Drw", self.client.kinds())
        self.client.acknowledge()
        self.wait(0.3)
        self.client.heard.clear()
        self.client.punch()
        self.wait(0.5)
        self.assertEqual(self.client.heard, [])

    def test_switched_off_while_it_falls_asleep(self) -> None:
        """What was to be is forgotten with the power."""
        self.log_in()
        self.command(1, 2, cmdId=1281, token=self.token)
        self.network.run_until(self.fake.switch_off())
        self.fake.switch_on()
        self.wait(1)
        self.client.heard.clear()
        self.client.punch()
        self.wait(0.01)
        self.assertNotEqual(self.client.heard, [])

    def test_ports_taken(self) -> None:
        """A port that cannot be had is told in a line that says what to do; none stays bound."""
        for taken, options in ((50_000, {"port": 50_000}), (50_001, {"search_port": 50_001})):
            self.network.taken.add(taken)
            other = FakeCamera(self.network, **{"port": 0, "search_port": None, **options})
            before = len(self.network.bound)
            error = self.assertRaises(ConfigError, other.start)
            self.assertEqual(
                str(error),
                f"the simulated camera cannot listen on 127.0.0.1:{taken}: Address already in use; "
                "choose another with --port or --search-port",
            )
            self.network.advance(0)
            self.assertEqual(len(self.network.bound), before)


class StreamTests(ServerTestCase):
    """How pictures are sent."""

    def fetch(self, code: int, name: str) -> dict[int, bytes]:
        """Ask for everything on the card, and take all that comes."""
        self.log_in()
        requests = [file.request() for file in self.fake.card.files]
        self.command(1, 2, cmdId=code, token=self.token, **{name: requests})
        channel = 3 if code == 1285 else 4
        pieces: dict[int, bytes] = {}
        for _ in range(200):
            self.wait(0.002)
            pieces |= self.client.drws(channel)
            self.client.acknowledge()
            self.client.heard.clear()
        return pieces

    def test_cut_every_1024(self) -> None:
        """Whatever the messages are: all DRWs are full but the last, and photos begin within."""
        pieces = self.fetch(1285, "downloadReqs")
        sizes = [len(pieces[index]) for index in sorted(pieces)]
        self.assertEqual(set(sizes[:-1]), {1024})
        self.assertLess(sizes[-1], 1024)
        stream = b"".join(pieces[index] for index in sorted(pieces))
        at = 0
        begins = []
        for file in self.fake.card.files:
            begins.append(at % 1024)
            length = int.from_bytes(stream[at + 16 : at + 20], "little")
            self.assertEqual(stream[at : at + 16], b"ARTEMIS\0\5\0\0\0\2\0\0\0")
            header = FileHeader.decode(stream[at + 20 :])
            data = stream[at + 92 : at + 92 + header.length]
            self.assertEqual(data, self.fake.card.photo(file))
            self.assertEqual(header.tail, data[-8:])
            self.assertEqual(length, 72 + header.length + 3, "a little more than header and data")
            at += 20 + length
        self.assertEqual(at, len(stream))
        self.assertEqual(begins[0], 0)
        self.assertNotIn(0, begins[1:])

    def test_thumbnails(self) -> None:
        """Numbered from 1, on channel 4, each with its type."""
        pieces = self.fetch(772, "thumbnailReqs")
        stream = b"".join(pieces[index] for index in sorted(pieces))
        for number, file in enumerate(self.fake.card.files, 1):
            length = int.from_bytes(stream[16:20], "little")
            message = Message.decode(stream[: 20 + length])
            self.assertEqual((message.id, message.sequence), (MessageId.THUMBNAIL, number))
            header = ThumbnailHeader.decode(message.payload)
            self.assertEqual((header.number, header.file_type), (file.number, file.file_type))
            self.assertEqual(message.payload[72:], self.fake.card.thumbnail(file))
            stream = stream[20 + length :]
        self.assertEqual(stream, b"")

    def test_answer_first(self) -> None:
        """The answer to 1285 comes before the first byte of a file."""
        self.log_in()
        files = [file.request() for file in self.fake.card.files]
        self.client.heard.clear()
        self.command(1, 2, cmdId=1285, token=self.token, downloadReqs=files)
        channels = [v.channel for _, v, _ in self.client.heard if isinstance(v, pppp.Drw)]
        self.assertEqual(channels[0], 0)
        self.assertIn(3, channels[1:])

    def test_waits_for_the_client(self) -> None:
        """Nothing acknowledged: no more is sent than may be in flight, nor drawn than is needed."""
        self.log_in()
        files = [file.request() for file in self.fake.card.files]
        self.command(1, 2, cmdId=1285, token=self.token, downloadReqs=files)
        self.wait(2)
        self.assertEqual(len(self.client.drws(3)), 64)


class FeederTests(TestCase):
    """The supply of bytes for one channel."""

    def setUp(self) -> None:
        """A session that takes what it is given, up to a limit."""
        self.sent: list[bytes] = []
        self.room = 1 << 30
        self.drawn = 0
        self.feeder = Feeder(InlineWorker(), self.pending, self.sent.append)

    def pending(self) -> int:
        """How much waits in the session."""
        return max(0, sum(map(len, self.sent)) - self.room)

    def messages(self, *sizes: int) -> Any:
        """Messages of these sizes, drawn when they are asked for."""
        for number, size in enumerate(sizes):
            self.drawn += 1
            yield bytes([number]) * size

    def test_everything(self) -> None:
        """All of it, in order."""
        self.feeder.add(self.messages(10, 3000, 1, 100_000))
        self.assertEqual(
            b"".join(self.sent), b"\0" * 10 + b"\1" * 3000 + b"\2" + b"\3" * 100_000
        )

    def test_draws_only_what_is_needed(self) -> None:
        """As long as the session is full, nothing is drawn in advance but a little."""
        self.room = 0
        self.feeder.add(self.messages(*[50_000] * 100))
        self.assertLess(self.drawn, 5)
        self.room = 1 << 30
        self.feeder.feed()
        self.assertEqual(sum(map(len, self.sent)), 5_000_000)

    def test_stop_finishes_the_message(self) -> None:
        """Stopped: the message that was begun is finished, nothing more; then it begins again."""
        self.room = 0
        self.feeder.add(self.messages(70_000, 70_000, 70_000))
        self.assertLess(sum(map(len, self.sent)), 70_000)
        self.feeder.stop()
        self.room = 1 << 30
        self.feeder.feed()
        self.assertEqual(b"".join(self.sent), b"\0" * 70_000)
        self.feeder.add(self.messages(5))
        self.assertEqual(sum(map(len, self.sent)), 70_005)

    def test_stop_between(self) -> None:
        """Stopped where nothing was begun: nothing more comes."""
        self.feeder.add(self.messages(100))
        self.feeder.stop()
        self.feeder.feed()
        self.assertEqual(len(b"".join(self.sent)), 100)

    def test_end(self) -> None:
        """After the end nothing is sent, whatever is added."""
        self.feeder.end()
        self.feeder.add(self.messages(100))
        self.feeder.feed()
        self.assertEqual(self.sent, [])

    def test_cannot_be_drawn(self) -> None:
        """A picture that cannot be drawn is logged, and ends what was asked for, not the camera."""

        def broken() -> Any:
            yield b"one"
            raise LookupError("gone")

        self.feeder.add(broken())
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)
        self.feeder.add(self.messages(5))
        self.assertEqual(self.sent[-1], b"\0" * 5)


class Painter:
    """A worker that draws when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []
        self.pending = 0

    def call(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        self.waiting.append(lambda: maybeDeferred(function, *args).chainDeferred(done))
        return done

    def work(self) -> None:
        """Draw what waits."""
        while self.waiting:
            self.waiting.pop(0)()


class LiveFeedTests(TestCase):
    """The live view."""

    def setUp(self) -> None:
        """A clock, and a viewer that takes everything."""
        self.clock, self.painter = Clock(), Painter()
        self.sent: list[bytes] = []
        self.waiting = 0
        self.feed = LiveFeed(self.clock, self.painter, lambda: self.waiting, self.sent.append)

    def frames(self) -> list[Frame]:
        """What was sent."""
        messages = [Message.decode(data) for data in self.sent]
        self.assertEqual(
            [message.sequence for message in messages if message.id == MessageId.LIVE],
            [Frame.decode(message.payload).counter for message in messages],
        )
        return [Frame.decode(message.payload) for message in messages]

    def test_in_time(self) -> None:
        """Frames come when they are due, a key frame first, times in microseconds."""
        self.painter.work()
        self.clock.pump([0.02] * 100)
        frames = self.frames()
        self.assertTrue(frames[0].key_frame)
        self.assertTrue(1_800_000 < frames[-1].pts <= 2_000_000)
        self.assertApproximates(sum(bool(frame.video) for frame in frames), 30, 2)
        self.feed.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_slow_viewer(self) -> None:
        """A viewer that cannot keep up misses frames."""
        self.painter.work()
        self.clock.pump([0.02] * 10)
        sent = len(self.sent)
        self.waiting = 2 << 20
        self.clock.pump([0.02] * 50)
        self.assertEqual(len(self.sent), sent)
        self.waiting = 0
        self.clock.pump([0.02] * 10)
        self.assertGreater(self.frames()[-1].counter, len(self.sent))
        self.feed.stop()

    def test_stopped_before_it_began(self) -> None:
        """Stopped while the first picture is drawn: it never begins, and leaves no timer."""
        self.feed.stop()
        self.painter.work()
        self.clock.advance(1)
        self.assertEqual((self.sent, self.clock.getDelayedCalls()), ([], []))


class GuestTests(ServerTestCase):
    """Guests that leave while something is drawn for them."""

    def setUp(self) -> None:
        """A camera that draws slowly."""
        self.painter = Painter()
        self.options = {"worker": self.painter, "card": PlainCard(1, 1, newest=NOW)}
        super().setUp()

    def leave_during(self, **fields: object) -> None:
        """Ask, cut the power, and let the drawing be finished then."""
        self.log_in()
        self.command(1, 2, token=self.token, **fields)
        self.assertEqual(len(self.painter.waiting), 1)
        self.network.run_until(self.fake.switch_off())
        self.client.heard.clear()
        self.painter.work()
        self.wait(2)
        self.assertEqual(self.client.heard, [])
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.fake.switch_on()

    def test_live(self) -> None:
        """The live view."""
        self.leave_during(cmdId=258)

    def test_video(self) -> None:
        """A video."""
        (video,) = [file for file in self.fake.card.files if not file.is_photo]
        self.leave_during(cmdId=769, sessionNo=1, **video.request())

    def test_photo(self) -> None:
        """A photo."""
        (photo,) = [file for file in self.fake.card.files if file.is_photo]
        self.leave_during(cmdId=1285, downloadReqs=[photo.request()])

    def test_live_twice(self) -> None:
        """Asked for twice, the live view runs once, and stops when told."""
        self.log_in()
        self.command(1, 2, cmdId=258, token=self.token)
        self.command(2, 3, cmdId=258, token=self.token)
        self.assertEqual(len(self.painter.waiting), 1)
        self.painter.work()
        self.command(3, 4, cmdId=259, token=self.token)
        self.client.acknowledge()
        self.wait(0.3)
        self.client.acknowledge()
        self.wait(0.1)
        self.client.heard.clear()
        self.wait(0.5)
        self.assertEqual(self.client.drws(1), {})


class FaultTests(TestCase):
    """Faults on request."""

    def test_strikes(self) -> None:
        """Counted faults happen as often as they were asked for."""
        faults = Faults(damaged_tails=2)
        struck = [faults.strikes("damaged_tails") for _ in range(4)]
        self.assertEqual(struck, [True, True, False, False])

    def test_damaged_tail(self) -> None:
        """The last bytes are not those that the header names."""
        card, faults = PlainCard(1, 0, newest=NOW), Faults(damaged_tails=1)
        (file,) = card.files
        for damaged in (True, False):
            payload = Message.decode(file_message(card, faults, 5, file)).payload
            header = FileHeader.decode(payload)
            data = payload[72 : 72 + header.length]
            self.assertEqual(data[-8:] != header.tail, damaged)

    def test_wrong_length(self) -> None:
        """The header claims more than there is."""
        card, faults = PlainCard(1, 0, newest=NOW), Faults(wrong_lengths=1)
        (file,) = card.files
        for wrong in (True, False):
            payload = Message.decode(file_message(card, faults, 5, file)).payload
            self.assertEqual(FileHeader.decode(payload).length > len(payload) - 72, wrong)

    def test_unit(self) -> None:
        """The unit's id is in every header, as far as it fits."""
        card, faults = PlainCard(1, 0, newest=NOW), Faults(unit=EVIL_ID)
        (file,) = card.files
        payload = Message.decode(file_message(card, faults, 5, file)).payload
        self.assertEqual(FileHeader.decode(payload).camera, EVIL_ID[:31])
        payload = Message.decode(thumbnail_message(card, faults, 5, file)).payload
        self.assertEqual(ThumbnailHeader.decode(payload).camera, EVIL_ID[:31])

    def test_play(self) -> None:
        """A video is its frames and the end mark; with a fault one has wrong check bytes."""
        samples = tuple(
            Sample(n * 40, b"\0\0\0\1e" + bytes(200) + b"tail", n % 2 == 0, n == 0)
            for n in range(6)
        )
        recording = Recording(640, 360, 240, samples)
        for damage in (None, 3):
            messages = [Message.decode(data) for data in play(recording, 77, damage)]
            self.assertEqual([m.sequence for m in messages], list(range(1, 8)))
            frames = [Frame.decode(message.payload) for message in messages]
            self.assertEqual([f.counter for f in frames if not f.intact], [3] if damage else [])
            self.assertEqual([frame.stage for frame in frames], [2, 0, 0, 0, 0, 0, 4])
            self.assertEqual({frame.session_number for frame in frames}, {77})
            self.assertEqual(sum(bool(f.video) for f in frames), recording.total_frames)
            self.assertEqual(frames[-1].video + frames[-1].audio, b"")


class BadLinkTests(TestCase):
    """A link that loses, repeats and delays."""

    def carry(self, faults: Faults, count: int = 2000) -> tuple[list[bytes], BadLink, Clock]:
        """Send so many; what arrived within a second."""
        clock = Clock()
        link = BadLink(clock, faults)
        arrived: list[bytes] = []
        for number in range(count):
            link.carry(number.to_bytes(2, "big"), arrived.append)
            clock.advance(0.001)
        clock.advance(1)
        self.assertEqual(clock.getDelayedCalls(), [])
        return arrived, link, clock

    def test_good(self) -> None:
        """Without faults everything arrives at once, in order."""
        arrived, link, _ = self.carry(Faults())
        self.assertEqual(arrived, [number.to_bytes(2, "big") for number in range(2000)])
        self.assertEqual(link.lost, 0)

    def test_loss(self) -> None:
        """The share that was asked for."""
        arrived, link, _ = self.carry(Faults(loss=0.1))
        self.assertEqual(len(arrived) + link.lost, 2000)
        self.assertTrue(150 < link.lost < 250)

    def test_duplicate(self) -> None:
        """Twice, and none lost."""
        arrived, _, _ = self.carry(Faults(duplicate=0.1))
        self.assertEqual(len(set(arrived)), 2000)
        self.assertTrue(2150 < len(arrived) < 2250)

    def test_reorder(self) -> None:
        """Later than those after it, and none lost."""
        arrived, _, _ = self.carry(Faults(reorder=0.1))
        self.assertEqual(len(arrived), 2000)
        self.assertNotEqual(arrived, sorted(arrived))
        self.assertEqual(sorted(arrived), sorted(set(arrived)))

    def test_seed(self) -> None:
        """The same seed, the same fate."""
        faults = {"loss": 0.1, "duplicate": 0.1, "reorder": 0.1}
        one, two, three = (self.carry(Faults(**faults, seed=seed))[0] for seed in (1, 1, 2))
        self.assertEqual(one, two)
        self.assertNotEqual(one, three)

    def test_silence(self) -> None:
        """Silent once, for as long as asked."""
        clock = Clock()
        link = BadLink(clock, Faults(silence=8))
        arrived: list[bytes] = []
        link.fall_silent()
        for _ in range(10):
            link.carry(b"x", arrived.append)
            clock.advance(1)
        self.assertEqual(len(arrived), 2)
        link.fall_silent()
        link.carry(b"x", arrived.append)
        self.assertEqual(len(arrived), 3)

    def test_stop(self) -> None:
        """What is late when the power is cut never arrives."""
        clock = Clock()
        link = BadLink(clock, Faults(reorder=1.0))
        link.carry(b"x", self.fail)
        link.stop()
        self.assertEqual(clock.getDelayedCalls(), [])
