"""What is said within one session."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from trailcam.commands import (
    GetDeviceInformation,
    ListMedia,
    Login,
    Raw,
    decode_text,
    encode_text,
)
from trailcam.conversation import COMMANDS, EVENTS, FILES, LIVE, Conversation
from trailcam.errors import (
    CameraLost,
    CommandFailed,
    DecodeError,
    LoginRefused,
    SendBufferFull,
    TrailcamError,
)
from trailcam.protocol import CameraProtocol
from trailcam.session.events import CloseReason
from trailcam.wire.artemis import Message, MessageId, Part, StreamScanner, encode_header

LOGIN = Login(1_780_000_100)


class Link:
    """In the place of a L{CameraProtocol}: what goes out can be read, what comes in is made up."""

    def __init__(self) -> None:
        self.said: list[tuple[int, dict[str, Any]]] = []
        self.flow: list[tuple[str, int]] = []
        self.full = False
        self.closed = 0

    def send(self, channel: int, data: bytes) -> None:
        if self.full:
            raise SendBufferFull("full")
        message = Message.decode(data)
        assert (channel, message.id) == (COMMANDS, MessageId.REQUEST)
        self.said.append((message.sequence, decode_text(message.payload)))

    def pause(self, channel: int) -> None:
        self.flow.append(("pause", channel))

    def resume(self, channel: int) -> None:
        self.flow.append(("resume", channel))

    def close(self) -> Deferred[None]:
        self.closed += 1
        return succeed(None)


class ConversationTestCase(TestCase):
    """A conversation over a link that is made up."""

    def setUp(self) -> None:
        """Attached, not logged in."""
        self.clock, self.link = Clock(), Link()
        self.ends: list[CameraLost] = []
        self.talk = Conversation(self.clock, 10, 3)
        self.talk.attach(cast(CameraProtocol, self.link), self.ends.append)

    def tearDown(self) -> None:
        """Whatever happened, no timer outlives the conversation."""
        self.talk.hang_up()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def respond(self, sequence: int, **fields: object) -> None:
        """The camera answers."""
        self.hear(Message(MessageId.RESPONSE, sequence, encode_text(fields) + bytes(20)))

    def hear(self, message: Message, channel: int = COMMANDS) -> None:
        """A message comes."""
        self.talk.link_received(channel, message.encode())

    def log_in(self, token: int = 77) -> None:
        """Log in, as request 1."""
        done = self.talk.log_in(LOGIN)
        self.respond(1, result=0, token=token)
        self.successResultOf(done)

    def pass_time(self, seconds: float) -> None:
        """In steps of a tenth of a second."""
        self.clock.pump([0.1] * round(seconds * 10))


class RequestTests(ConversationTestCase):
    """Asking and being answered."""

    def test_numbers(self) -> None:
        """Commands count 1, 2, 3, and carry their fields."""
        for page in range(3):
            self.talk.request(ListMedia(page)).addErrback(lambda _: None)
        self.assertEqual(
            self.link.said,
            [
                (number, {"cmdId": 768, "itemCntPerPage": 45, "pageNo": number - 1})
                for number in (1, 2, 3)
            ],
        )

    def test_token(self) -> None:
        """After login every command carries the token; the login itself never does."""
        self.log_in(77)
        self.talk.request(GetDeviceInformation()).addErrback(lambda _: None)
        self.assertNotIn("token", self.link.said[0][1])
        self.assertEqual(self.link.said[1][1], {"cmdId": 512, "token": 77})
        self.talk.log_in(LOGIN).addErrback(lambda _: None)
        self.assertNotIn("token", self.link.said[2][1])

    def test_answer(self) -> None:
        """The answer is what the command makes of it."""
        asked = self.talk.request(GetDeviceInformation())
        self.assertNoResult(asked)
        self.respond(1, result=0, batPercent=55)
        self.assertEqual(self.successResultOf(asked).battery_percent, 55)

    def test_out_of_order(self) -> None:
        """Answers are matched by number, not by order."""
        first, second = (self.talk.request(Raw({"cmdId": 900 + n})) for n in (1, 2))
        self.respond(2, which="second")
        self.assertNoResult(first)
        self.respond(1, which="first")
        self.assertEqual(self.successResultOf(first), {"which": "first"})
        self.assertEqual(self.successResultOf(second), {"which": "second"})

    def test_unexpected(self) -> None:
        """Answers that nobody waits for, late ones and second ones, are counted and passed over."""
        asked = self.talk.request(Raw({"cmdId": 900}))
        self.respond(7)
        self.respond(1)
        self.respond(1)
        self.respond(0)
        self.assertEqual(self.successResultOf(asked), {})
        self.assertEqual(self.talk.unexpected, 3)

    def test_answer_cut_anywhere(self) -> None:
        """The stream is read as a stream: C{ACK} before, cuts within, two in one piece."""
        one, two = (self.talk.request(Raw({"cmdId": 900 + n})) for n in (1, 2))
        stream = b"ACK" + b"".join(
            Message(MessageId.RESPONSE, n, encode_text({"n": n}) + bytes(20)).encode()
            for n in (1, 2)
        )
        for start in range(0, len(stream), 7):
            self.talk.link_received(COMMANDS, stream[start : start + 7])
        self.assertEqual(self.successResultOf(one), {"n": 1})
        self.assertEqual(self.successResultOf(two), {"n": 2})

    def test_answer_within_the_request(self) -> None:
        """An answer that is there before the caller gets its Deferred is not lost."""
        self.link.send = lambda channel, data: self.respond(1, n=1)  # type: ignore[method-assign]
        self.assertEqual(self.successResultOf(self.talk.request(Raw({"cmdId": 900}))), {"n": 1})

    def test_error_result(self) -> None:
        """A result that is not 0 is L{CommandFailed}, with what the camera said."""
        asked = self.talk.request(GetDeviceInformation())
        self.respond(1, result=-1, errorMsg="Token\x1b[31m error")
        error = self.failureResultOf(asked, CommandFailed).value
        self.assertEqual(str(error), "the camera refused command 512: Token?[31m error")
        self.assertEqual(error.response["result"], -1)
        self.assertIsNone(self.talk.ended)

    def test_nonsense(self) -> None:
        """An answer that cannot be read fails its own request, and nothing else."""
        for payload in (b"", b"\0" * 30, b"!!!\0", b"AAAA\0", b"A" * 60_000,
                        encode_text({"x": 1})[:20]):  # fmt: skip
            asked = self.talk.request(GetDeviceInformation())
            number = self.link.said[-1][0]
            self.hear(Message(MessageId.RESPONSE, number, payload))
            self.failureResultOf(asked, DecodeError)
        self.assertIsNone(self.talk.ended)

    def test_lacks_something(self) -> None:
        """An answer without what it must have is L{DecodeError}."""
        asked = self.talk.request(ListMedia(0))
        self.respond(1, result=0, mediaFiles="many")
        self.failureResultOf(asked, DecodeError)

    def test_no_json(self) -> None:
        """What cannot be said in JSON is refused before anything is sent or waited for."""
        self.assertRaises(TypeError, self.talk.request, Raw({"cmdId": 900, "x": b"bytes"}))
        self.assertEqual(self.link.said, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_much_at_once(self) -> None:
        """When the camera takes nothing any more, asking fails instead of piling up."""
        self.link.full = True
        self.failureResultOf(self.talk.request(GetDeviceInformation()), SendBufferFull)

    def test_cancelled(self) -> None:
        """Who no longer wants to know cancels; the answer, when it comes, does no harm."""
        asked = self.talk.request(GetDeviceInformation())
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.respond(1, result=0)
        self.pass_time(20)
        self.assertIsNone(self.talk.ended)

    def test_only_responses_count(self) -> None:
        """Requests and whatever else on channel 0 are no answers."""
        asked = self.talk.request(GetDeviceInformation())
        for ident in (MessageId.REQUEST, MessageId.EVENT, MessageId.LIVE, 77):
            self.hear(Message(ident, 1, encode_text({"result": 0})))
        self.assertNoResult(asked)
        self.talk.hang_up()
        self.failureResultOf(asked, CameraLost)

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=60)), max_size=20))
    def test_any_bytes(self, pieces: list[tuple[int, bytes]]) -> None:
        """No bytes on any channel raise."""
        talk = Conversation(Clock(), 10, 3)
        for channel, data in pieces:
            talk.link_received(channel, data)
            talk.link_received(channel, encode_header(3, 1, len(data)) + data)


class LoginTests(ConversationTestCase):
    """Being let in."""

    def test_refused(self) -> None:
        """A refusal is L{LoginRefused}: no token, no heartbeats."""
        done = self.talk.log_in(LOGIN)
        self.respond(1, result=-1, errorMsg="Password error")
        error = self.failureResultOf(done, LoginRefused).value
        self.assertIn("Password error; check user and password", str(error))
        self.assertIsNone(self.talk.token)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_token(self) -> None:
        """An agreement without a token is none."""
        done = self.talk.log_in(LOGIN)
        self.respond(1, result=0)
        self.failureResultOf(done, DecodeError)

    def test_twice(self) -> None:
        """Logging in again is no harm: a new token, and still one heartbeat at a time."""
        self.log_in()
        again = self.talk.log_in(LOGIN)
        self.respond(2, result=0, token=88)
        self.successResultOf(again)
        self.assertEqual(self.talk.token, 88)
        self.pass_time(3.05)
        self.assertEqual(len(self.link.said), 3)

    def test_password_is_not_shown(self) -> None:
        """Whoever prints a login does not print the password."""
        self.assertNotIn("secret", repr(Login(0, "admin", "secret")))


class HeartbeatTests(ConversationTestCase):
    """Point 6 of the seed."""

    def test_every_three_seconds(self) -> None:
        """From login on, every 3 s, without token, in a range of their own, without an answer."""
        self.pass_time(10)
        self.assertEqual(self.link.said, [], "none before login")
        self.log_in()
        self.talk.request(GetDeviceInformation()).addErrback(lambda _: None)
        self.pass_time(9.05)
        self.assertEqual(
            self.link.said[2:], [(0x10001 + n, {"cmdId": 525}) for n in range(3)]
        )

    def test_command_numbers_go_on(self) -> None:
        """Heartbeats do not use up the numbers of commands."""
        self.log_in()
        self.pass_time(7)
        self.talk.request(GetDeviceInformation()).addErrback(lambda _: None)
        self.assertEqual(self.link.said[-1][0], 2)

    def test_on_the_wire(self) -> None:
        """The first is the datagram of the protocol's own example, but for its padding."""
        sent: list[bytes] = []
        self.link.send = lambda channel, data: sent.append(data)  # type: ignore[method-assign]
        self.talk.beat()
        self.assertEqual(sent[0][:20].hex(), "415254454d495300020000000100010019000000")
        self.assertEqual(decode_text(sent[0][20:]), {"cmdId": 525})

    def test_end_with_the_session(self) -> None:
        """However it ends, no heartbeat is sent after it."""
        self.log_in()
        self.talk.link_lost(CloseReason.SILENT)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.pass_time(10)
        self.assertEqual(len(self.link.said), 1)

    def test_by_hand(self) -> None:
        """One can be sent by hand; after the end that does nothing."""
        self.talk.beat()
        self.talk.hang_up()
        self.talk.beat()
        self.assertEqual(len(self.link.said), 1)


class PatienceTests(ConversationTestCase):
    """10 s without progress end a session."""

    def test_no_answer(self) -> None:
        """A command without an answer ends it, for everybody who waits."""
        asked = [self.talk.request(GetDeviceInformation()) for _ in range(2)]
        self.pass_time(9.9)
        self.assertIsNone(self.talk.ended)
        self.pass_time(0.2)
        for each in asked:
            error = self.failureResultOf(each, CameraLost).value
            self.assertEqual(str(error), "no answer for 10 s")
        self.assertEqual(len(self.ends), 1)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_progress(self) -> None:
        """As long as something comes on the channel it goes on."""
        waiting: Deferred[None] = Deferred()
        watched = self.talk.watch(waiting, FILES)
        for _ in range(5):
            self.pass_time(9)
            self.talk.link_received(FILES, b"x")
        self.assertNoResult(watched)
        self.pass_time(10.1)
        self.failureResultOf(watched, CameraLost)

    def test_each_channel_for_itself(self) -> None:
        """Pictures that come do not excuse an answer that does not."""
        asked = self.talk.request(GetDeviceInformation())
        for _ in range(3):
            self.pass_time(4)
            self.talk.link_received(FILES, b"x")
        self.failureResultOf(asked, CameraLost)

    def test_asked_late(self) -> None:
        """What counts is the time since the question, however long nothing was said before."""
        self.pass_time(60)
        asked = self.talk.request(GetDeviceInformation())
        self.pass_time(9)
        self.assertNoResult(asked)
        self.respond(1, result=0)
        self.successResultOf(asked)

    def test_our_own_disk(self) -> None:
        """A pause that we asked for does not count, however long; after it the clock runs anew."""
        watched = self.talk.watch(Deferred(), FILES)
        self.talk.pause(FILES)
        self.pass_time(60)
        self.assertIsNone(self.talk.ended)
        self.talk.resume(FILES)
        self.pass_time(9.9)
        self.assertNoResult(watched)
        self.pass_time(10.2)
        self.failureResultOf(watched, CameraLost)
        self.assertEqual(self.link.flow, [("pause", FILES), ("resume", FILES)])

    def test_watch_what_is_over(self) -> None:
        """Watching what has fired already leaves no timer."""
        self.assertEqual(self.successResultOf(self.talk.watch(succeed(5), FILES)), 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class EndTests(ConversationTestCase):
    """All the ways it ends."""

    def test_lost(self) -> None:
        """A lost link ends it, with the reason."""
        asked = self.talk.request(GetDeviceInformation())
        self.talk.link_lost(CloseReason.SILENT)
        error = self.failureResultOf(asked, CameraLost).value
        self.assertEqual(str(error), "the camera was lost: the other side fell silent")
        self.assertEqual(self.ends, [error])

    def test_owner_first(self) -> None:
        """The owner hears of the end before those who wait, who may ask it again at once."""
        order: list[str] = []
        talk = Conversation(self.clock, 10, 3)
        talk.attach(cast(CameraProtocol, self.link), lambda why: order.append("owner"))
        talk.request(GetDeviceInformation()).addErrback(lambda _: order.append("waiting"))
        talk.link_lost(CloseReason.PEER)
        self.assertEqual(order, ["owner", "waiting"])

    def test_once(self) -> None:
        """It ends only once, and the first reason stays."""
        self.talk.link_lost(CloseReason.PEER)
        self.talk.link_lost(CloseReason.SILENT)
        self.talk.hang_up()
        self.assertEqual(len(self.ends), 1)
        self.assertIn("closed by the other side", str(self.talk.ended))

    def test_hang_up(self) -> None:
        """Our own end closes the link, tells those who wait, and is no news to the owner."""
        self.log_in()
        asked = self.talk.request(GetDeviceInformation())
        closing = self.talk.hang_up()
        assert closing is not None
        self.successResultOf(closing)
        self.failureResultOf(asked, CameraLost)
        self.assertEqual((self.link.closed, self.ends), (1, []))
        self.assertIsNone(self.talk.hang_up(), "a second time there is nothing to close")

    def test_asked_afterwards(self) -> None:
        """Asking after the end fails at once."""
        self.talk.link_lost(CloseReason.PEER)
        self.failureResultOf(self.talk.request(GetDeviceInformation()), CameraLost)
        talk = Conversation(self.clock, 10, 3)
        self.failureResultOf(talk.request(GetDeviceInformation()), CameraLost)

    def test_over_before_it_was_attached(self) -> None:
        """A link that was lost before anybody could listen is told at C{attach}."""
        talk = Conversation(self.clock, 10, 3)
        talk.link_lost(CloseReason.PEER)
        link = cast(CameraProtocol, Link())
        self.assertRaises(CameraLost, talk.attach, link, self.fail)

    def test_ended_within_a_handler(self) -> None:
        """Who hangs up while being told hears no more."""
        heard: list[Part] = []

        def handler(part: Part, scanner: StreamScanner) -> None:
            heard.append(part)
            self.talk.hang_up()

        self.talk.hear(LIVE, handler)
        message = Message(MessageId.LIVE, 1, b"frame").encode()
        self.talk.link_received(LIVE, message * 3)
        self.assertEqual(len(heard), 1)


class ChannelTests(ConversationTestCase):
    """Who hears which channel."""

    def test_handlers(self) -> None:
        """A channel's messages go to who asked for them, and only as long as they do."""
        heard: list[Part] = []
        message = Message(MessageId.LIVE, 1, b"frame")
        self.hear(message, LIVE)
        self.talk.hear(LIVE, lambda part, scanner: heard.append(part))
        self.hear(message, LIVE)
        self.hear(message, FILES)
        self.talk.hear(LIVE, None)
        self.talk.hear(LIVE, None)
        self.hear(message, LIVE)
        self.assertEqual(heard, [message])

    def test_nobody_reads(self) -> None:
        """A channel that nobody reads holds nothing: it is drained all the same."""
        scanner = self.talk._scanners[7]
        for _ in range(2000):
            self.talk.link_received(7, b"\0" * 1024)
        self.assertLess(len(scanner._buffer), 32)

    def test_event(self) -> None:
        """An event, as cameras send one after login, disturbs nobody."""
        self.talk.link_received(
            EVENTS,
            bytes.fromhex("415254454d49537709000000010000000c0000007b226576744964223a347d00"),
        )  # fmt: skip
        self.hear(Message(MessageId.EVENT, 2, b"\xff\xfe\x1b[31m"), EVENTS)
        self.assertIsNone(self.talk.ended)

    def test_errors_have_a_family(self) -> None:
        """Whatever a conversation raises is one of ours."""
        for error in (CameraLost, CommandFailed, DecodeError, LoginRefused, SendBufferFull):
            self.assertTrue(issubclass(error, TrailcamError))
