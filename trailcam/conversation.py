"""
What is said within one session: requests and their responses, heartbeats,
and who hears which channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from trailcam.commands import Command, Heartbeat, Login, clean, decode_text, encode_text
from trailcam.errors import CameraLost, DecodeError, SendBufferFull
from trailcam.logs import make_logger
from trailcam.protocol import CameraProtocol
from trailcam.session.events import CloseReason
from trailcam.session.session import CHANNELS
from trailcam.wire.artemis import Message, MessageId, Part, StreamScanner

__all__ = [
    "COMMANDS",
    "EVENTS",
    "FILES",
    "LIVE",
    "PLAYBACK",
    "THUMBNAILS",
    "Conversation",
    "PartHandler",
]

Reply = TypeVar("Reply")
PartHandler = Callable[[Part, StreamScanner], None]

# What the channels carry (PROTOCOL, section 2).
COMMANDS, LIVE, PLAYBACK, FILES, THUMBNAILS, EVENTS = 0, 1, 2, 3, 4, 6

#: Heartbeats count in a range of their own (C).
FIRST_HEARTBEAT = 0x10001


class Conversation:
    """
    One session's requests, responses and streams. A new session gets a new one.

    @ivar token: what the camera gave at login; C{None} before.
    @ivar ended: why it is over; C{None} while it is not.
    @ivar unexpected: how many responses nobody waited for.
    """

    log = make_logger(__name__)

    def __init__(self, clock: IReactorTime, patience: float, heartbeat: float) -> None:
        """
        @param patience: so many seconds without progress end a request, and the session with it.
        @param heartbeat: seconds between heartbeats.
        """
        self._clock = clock
        self._patience = patience
        self._heartbeat = heartbeat
        self._protocol: CameraProtocol | None = None
        self._scanners = [StreamScanner() for _ in range(CHANNELS)]
        self._heard_at = [clock.seconds()] * CHANNELS
        self._handlers: dict[int, PartHandler] = {}
        self._waiting: dict[int, Deferred[dict[str, Any]]] = {}
        self._watched: set[Deferred[Any]] = set()
        self._paused: set[int] = set()
        self._sequence = 0
        self._beats = FIRST_HEARTBEAT
        self._beating: LoopingCall = LoopingCall(self.beat)
        self._beating.clock = clock
        self._on_end: Callable[[CameraLost], None] | None = None
        self.token: int | None = None
        self.ended: CameraLost | None = None
        self.unexpected = 0

    # -- the link ----------------------------------------------------------

    def attach(self, protocol: CameraProtocol, on_end: Callable[[CameraLost], None]) -> None:
        """
        Talk over this protocol from now on.

        @param on_end: called once, when the conversation ends without L{hang_up}.
        @raise CameraLost: when it has ended already.
        """
        self._protocol = protocol
        if self.ended is not None:
            raise self.ended
        self._on_end = on_end

    def link_received(self, channel: int, data: bytes) -> None:
        """Data of a channel: found messages go to whoever waits for them."""
        self._heard_at[channel] = self._clock.seconds()
        scanner = self._scanners[channel]
        scanner.feed(data)
        while (part := scanner.next_part()) is not None:
            if channel == COMMANDS:
                self._responded(part)
            elif (handler := self._handlers.get(channel)) is not None:
                handler(part, scanner)
            elif channel == EVENTS and isinstance(part, Message):
                self.log.debug("event: {text}", text=clean(part.payload.decode("ascii", "replace")))
            if self.ended is not None:
                return

    def link_lost(self, reason: CloseReason) -> None:
        """The session is over."""
        self._end(CameraLost(f"the camera was lost: {reason.value}"))

    def hang_up(self) -> Deferred[None] | None:
        """End it from our side, with CLOSE; whoever still waits is told."""
        protocol, self._protocol = self._protocol, None
        self._on_end = None
        self._end(CameraLost("the session was closed"))
        return protocol.close() if protocol is not None else None

    @property
    def protocol(self) -> CameraProtocol | None:
        """What it talks over."""
        return self._protocol

    # -- requests ----------------------------------------------------------

    def request(self, command: Command[Reply]) -> Deferred[Reply]:
        """
        Ask, and wait for the answer.

        @return: fires with what the command makes of the answer; fails with
            L{CommandFailed <trailcam.errors.CommandFailed>}, with L{DecodeError}
            when the answer lacks something, and with L{CameraLost}.
        """
        if self.ended is not None or self._protocol is None:
            return fail(self.ended or CameraLost("there is no session"))
        self._sequence += 1
        message = self._message(self._sequence, command)
        answer: Deferred[dict[str, Any]] = Deferred()
        self._waiting[self._sequence] = answer
        reply = self.watch(answer, COMMANDS).addCallback(command.reply)
        try:
            self._protocol.send(COMMANDS, message)
        except SendBufferFull:
            answer.errback()
        return reply

    def log_in(self, login: Login) -> Deferred[None]:
        """Ask to be let in; heartbeats begin when the camera agrees."""

        def agreed(token: int) -> None:
            self.token = token
            if not self._beating.running:
                self._beating.start(self._heartbeat, now=False)

        return self.request(login).addCallback(agreed)

    def watch(self, waiting: Deferred[Reply], channel: int) -> Deferred[Reply]:
        """
        End the session when nothing comes on a channel for too long while somebody waits.

        The Deferred given also fails when the session ends for another reason.
        """
        began = self._clock.seconds()
        call: IDelayedCall

        def check() -> None:
            nonlocal call
            idle = self._clock.seconds() - max(began, self._heard_at[channel])
            if channel in self._paused:
                idle = 0.0  # it is our disk that takes so long, not the camera
            if idle >= self._patience:
                self._end(CameraLost(f"no answer for {idle:.0f} s"))
            else:
                call = self._clock.callLater(self._patience - idle, check)

        def done(result: Any) -> Any:
            self._watched.discard(waiting)
            if call.active():
                call.cancel()
            return result

        call = self._clock.callLater(self._patience, check)
        self._watched.add(waiting)
        return waiting.addBoth(done)

    def hear(self, channel: int, handler: PartHandler | None) -> None:
        """Let somebody hear a channel's messages; C{None}: nobody, they are passed over."""
        if handler is None:
            self._handlers.pop(channel, None)
        else:
            self._handlers[channel] = handler

    def pause(self, channel: int) -> None:
        """Read no more of a channel for now."""
        self._paused.add(channel)
        if self._protocol is not None:
            self._protocol.pause(channel)

    def resume(self, channel: int) -> None:
        """Go on reading it."""
        self._paused.discard(channel)
        # What the pause itself took does not count against the camera.
        self._heard_at[channel] = self._clock.seconds()
        if self._protocol is not None:
            self._protocol.resume(channel)

    # -- inside ------------------------------------------------------------

    def _message(self, sequence: int, command: Command[Any]) -> bytes:
        fields = {"cmdId": command.code, **command.fields()}
        if self.token is not None and not isinstance(command, Heartbeat | Login):
            fields["token"] = self.token
        return Message(MessageId.REQUEST, sequence, encode_text(fields)).encode()

    def beat(self) -> None:
        """Send one heartbeat."""
        if self._protocol is not None:
            self._protocol.send(COMMANDS, self._message(self._beats, Heartbeat()))
            self._beats += 1

    def _responded(self, part: Part) -> None:
        if not isinstance(part, Message) or part.id != MessageId.RESPONSE:
            return
        answer = self._waiting.pop(part.sequence, None)
        if answer is None:
            self.unexpected += 1
            return
        try:
            response = decode_text(part.payload)
        except DecodeError:
            answer.errback(Failure())
        else:
            answer.callback(response)

    def _end(self, why: CameraLost) -> None:
        if self.ended is not None:
            return
        self.ended = why
        if self._beating.running:
            self._beating.stop()
        self._handlers.clear()
        self._waiting.clear()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(why)  # first: whoever is told below may ask again at once
        for waiting in list(self._watched):
            if not waiting.called:
                waiting.errback(why)
