"""
One session between a client and a camera: the same class on both sides.

The verbs::

    session.connect(now)                       # the client begins, or
    session.receive_datagram(datagram, now)    # ... the camera's side, by what it hears
    session.send(channel, data, now)
    session.handle_timer(now)
    for datagram in session.datagrams_to_send(): ...
    deadline = session.next_timer()            # None once the session is over
    event = session.next_event()               # None when there is nothing new
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from trailcam.errors import DecodeError
from trailcam.session.channel import ReceiveHalf, SendHalf
from trailcam.session.events import Closed, CloseReason, Event, Opened, Received
from trailcam.session.link import build_link
from trailcam.session.roundtrip import RoundTrip
from trailcam.wire import pppp
from trailcam.wire.device_id import FAMILY, DeviceId

__all__ = ["ACCEPTED", "CHANNELS", "Session", "Statistics"]

#: How many channels a session has (I; 0 to 6 are used).
CHANNELS = 8
#: What a camera sends first on channel 0 to say that the session stands.
ACCEPTED = b"ACK"

#: A client punches so often until the camera's ACK has come (I).
PUNCH_INTERVAL = 0.5
#: A camera repeats P2P_RDY and ACK so often until the client answers (F).
OFFER_INTERVAL = 0.042
#: A camera that was searched for offers TCP so many times …
TCP_OFFERS = 51
#: … in 325 ms (C).
TCP_OFFER_INTERVAL = 0.325 / TCP_OFFERS
#: ALIVE goes out after so much quiet (C, F).
ALIVE_INTERVAL = 1.0
#: Acknowledgements wait so long for company.
ACK_DELAY = 0.010
#: So long without any acknowledgement while data is in flight ends a session (F: 15 s).
STALL_LIMIT = 15.0
#: What nobody reads on one channel is held up to so many bytes, then dropped.
UNREAD_LIMIT = 4 << 20
#: … where each piece counts for so many more, lest many small ones fill the memory.
PIECE_COST = 64
#: CLOSE is sent twice: nothing acknowledges it, and a camera that misses it stays awake for 7 s.
CLOSE_COPIES = 2


@dataclass
class Statistics:
    """
    What a session has counted, in datagrams.

    @ivar malformed: refused by the wire layer.
    @ivar ignored: of unknown types, or without meaning here.
    @ivar duplicates: DRW that had come before.
    @ivar refused: DRW and acknowledgements of impossible indexes.
    @ivar resent: DRW that were sent again.
    @ivar dropped_bytes: data of channels that nobody read.
    """

    received: int = 0
    sent: int = 0
    malformed: int = 0
    ignored: int = 0
    duplicates: int = 0
    refused: int = 0
    resent: int = 0
    dropped_bytes: int = 0


class _Stream(NamedTuple):
    """Bytes of one channel that wait to be read; they become one L{Received}."""

    channel: int
    pieces: list[bytes]


class Session:
    """
    The state of one session.

    @ivar device_id: the camera's id: given on the camera's side, learned on the client's.
    @ivar opened_at: when the session stood; C{None} before.
    """

    def __init__(
        self,
        now: float,
        *,
        device_id: DeviceId = FAMILY,
        silence: float = 7.3,
        tcp_offer: pppp.P2PRdyTcp | None = None,
    ) -> None:
        """
        @param silence: so many seconds without any datagram end the session.
        @param tcp_offer: what a camera that was searched for sends 51 times; C{None} for none.
        """
        self.device_id = device_id
        self.opened_at: float | None = None
        self._now = now
        self._silence = silence
        self._tcp_offer = tcp_offer
        self._tcp_offers_left = TCP_OFFERS if tcp_offer else 0
        self._link = build_link(_Core(self))
        self._seeks = self._open = self._over = self._serves = False
        self._round_trip = RoundTrip()
        self._senders = [SendHalf(self._round_trip) for _ in range(CHANNELS)]
        self._receivers = [ReceiveHalf() for _ in range(CHANNELS)]
        self._unread = [0] * CHANNELS
        self._outgoing: list[bytes] = []
        self._events: deque[Opened | _Stream | Closed] = deque()
        self._heard_at = self._quiet_since = now
        self._repeat_at: float | None = None
        self._ack_at: float | None = None
        self._counted = Statistics()

    # -- the verbs ---------------------------------------------------------

    def connect(self, now: float, *, ready: bool = False) -> None:
        """
        Begin as the client: punch until the camera accepts.

        @param ready: the camera has answered a punch with P2P_RDY just now, so
            the next is not due yet.
        """
        self._now = now
        self._seeks = True
        if ready:
            self._link.await_acceptance()
        else:
            self._link.connect()

    def receive_datagram(self, datagram: bytes, now: float) -> None:
        """Take one datagram from the other side. Bad ones are counted, never raised."""
        self.receive_datagrams((datagram,), now)

    def receive_datagrams(self, datagrams: Iterable[bytes], now: float) -> None:
        """
        Take several that came together: the cheap way to take many.

        @param datagrams: each may be a run of them, as the kernel hands them over.
        """
        self._now = now
        for run in datagrams:
            drws = pppp.decode_drws(run) if self._open else None
            if drws is not None and drws[0] < CHANNELS and not self._over:
                self._counted.received += len(drws[1])
                self._heard_at = now
                self._take(*drws)
                continue
            for datagram in pppp.split(run):
                if self._over:
                    return
                self._receive(datagram)

    def send(self, channel: int, data: bytes, now: float) -> None:
        """
        Send bytes on a channel; they begin in a datagram of their own.

        @raise SendBufferFull: when the other side takes too little of what was sent before.
        """
        self._now = now
        if not self._over:
            self._senders[channel].add(data)
            self._fill(channel)

    def pending(self, channel: int) -> int:
        """How many bytes of a channel wait to be sent for the first time."""
        return self._senders[channel].pending

    def pause(self, channel: int) -> None:
        """Read no more of a channel: the other side will have to wait."""
        self._receivers[channel].pause()

    def resume(self, channel: int, now: float) -> None:
        """Go on reading after L{pause}."""
        self._now = now
        if not self._over:
            self._deliver(channel, self._receivers[channel].resume())

    def handle_timer(self, now: float) -> None:
        """Do what is due; call it at L{next_timer}, early or late does no harm."""
        self._now = now
        if self._over:
            return
        if now >= self._heard_at + self._silence:
            end = self._link.close if self._serves else self._link.lose
            end(CloseReason.SILENT)
            return
        if self._repeat_at is not None and now >= self._repeat_at:
            self._repeat()
        if self._ack_at is not None and now >= self._ack_at:
            self._send_acks()
        if self._open:
            if now >= self._quiet_since + ALIVE_INTERVAL:
                self._emit(pppp.Alive())
                self._quiet_since = now
            self._resend()

    def close(self, now: float) -> None:
        """End the session, and say so to the other side."""
        self._now = now
        self._link.close(CloseReason.LOCAL)

    def datagrams_to_send(self) -> list[bytes]:
        """What goes to the other side now; each is handed out once."""
        if not self._outgoing:
            return []
        outgoing, self._outgoing = self._outgoing, []
        self._counted.sent += len(outgoing)
        return outgoing

    def next_timer(self) -> float | None:
        """When L{handle_timer} wants to be called; C{None} once the session is over."""
        if self._over:
            return None
        due = self._heard_at + self._silence
        if self._open:
            due = min(due, self._quiet_since + ALIVE_INTERVAL)
            for sender in self._senders:
                # Asked after every datagram: most channels have nothing in flight.
                if sender.in_flight:
                    due = min(due, sender.next_timer() or due)
        for other in (self._repeat_at, self._ack_at):
            if other is not None and other < due:
                due = other
        return due

    def next_event(self) -> Event | None:
        """The next thing that the outside should know."""
        if not self._events:
            return None
        event = self._events.popleft()
        if not isinstance(event, _Stream):
            return event
        data = b"".join(event.pieces)
        self._unread[event.channel] -= len(data) + len(event.pieces) * PIECE_COST
        return Received(event.channel, data)

    @property
    def is_open(self) -> bool:
        """Whether data can be exchanged now."""
        return self._open and not self._over

    @property
    def statistics(self) -> Statistics:
        """What was counted so far."""
        counted = self._counted
        counted.duplicates = sum(half.duplicates for half in self._receivers)
        counted.resent = sum(half.resent for half in self._senders)
        counted.refused = sum(half.refused for half in self._senders)
        counted.refused += sum(half.refused for half in self._receivers)
        return counted

    @property
    def round_trip(self) -> float | None:
        """The smoothed round-trip time in seconds, once known."""
        return self._round_trip.smoothed

    # -- what came ---------------------------------------------------------

    def _receive(self, datagram: bytes) -> None:
        self._counted.received += 1
        try:
            value = pppp.decode(datagram)
        except DecodeError:
            self._counted.malformed += 1
            return
        self._heard_at = self._now
        handler = _HANDLERS.get(type(value))
        if handler is None:
            self._counted.ignored += 1
        else:
            handler(self, value)

    def _receive_drw(self, drw: pppp.Drw) -> None:
        if not self._open and not self._opens(drw):
            return
        if drw.channel >= CHANNELS:
            # Unknown, so nobody reads it; unacknowledged it would be sent for ever.
            self._emit(pppp.DrwAck(drw.channel, (drw.index,)))
            self._quiet_since = self._now
            self._counted.ignored += 1
            return
        self._take(drw.channel, (drw.index,), (drw.data,))

    def _take(self, channel: int, indexes: tuple[int, ...], pieces: tuple[bytes, ...]) -> None:
        """Take the data of DRW that came one after the other on a channel."""
        self._quiet_since = self._now
        half = self._receivers[channel]
        self._deliver(channel, half.receive(indexes, pieces))
        while len(half.acks) >= pppp.MAX_ACK_INDEXES:
            self._send_channel_acks(channel, half)
        if self._ack_at is None and half.acks:
            self._ack_at = self._now + ACK_DELAY

    def _opens(self, drw: pppp.Drw) -> bool:
        """
        Whether a DRW opens the session, or, before that, has no place here.

        A client waits for the camera's C{ACK}: anything else may belong to the
        session before, and is neither kept nor acknowledged.
        """
        if drw.channel == 0 and drw.index == 0 and drw.data == ACCEPTED:
            self._link.accepted()
        self._link.answered()
        return self._open

    def _receive_ack(self, ack: pppp.DrwAck) -> None:
        self._link.answered()
        if not self._open or ack.channel >= CHANNELS:
            self._counted.ignored += 1
            return
        self._quiet_since = self._now
        lost = self._senders[ack.channel].acknowledge(ack.indexes, self._now)
        self._emit_drw(ack.channel, lost)
        self._fill(ack.channel)

    def _receive_search(self, _: pppp.LanSearch) -> None:
        self._link.search()

    def _receive_punch(self, punch: pppp.PunchPkt) -> None:
        self._learn(punch.device_id)
        self._link.punched()

    def _receive_ready(self, ready: pppp.P2PRdy) -> None:
        self._learn(ready.device_id)
        self._link.ready()

    def _learn(self, device_id: DeviceId) -> None:
        if self._seeks and not self._open:
            self.device_id = device_id

    def _receive_alive(self, _: pppp.Alive) -> None:
        self._emit(pppp.AliveAck())

    def _receive_alive_ack(self, _: pppp.AliveAck) -> None:
        self._quiet_since = self._now

    def _receive_close(self, _: pppp.Close) -> None:
        self._link.lose(CloseReason.PEER)

    def _deliver(self, channel: int, pieces: Sequence[bytes]) -> None:
        if not pieces:
            return
        cost = sum(map(len, pieces)) + PIECE_COST * len(pieces)
        if self._unread[channel] + cost > UNREAD_LIMIT:
            pieces, cost = self._what_fits(channel, pieces)
        self._unread[channel] += cost
        last = self._events[-1] if self._events else None
        if isinstance(last, _Stream) and last.channel == channel:
            last.pieces.extend(pieces)
        elif pieces:
            self._events.append(_Stream(channel, list(pieces)))

    def _what_fits(self, channel: int, pieces: Sequence[bytes]) -> tuple[list[bytes], int]:
        """Drop what a channel that nobody reads cannot hold."""
        fitting, cost = [], 0
        for piece in pieces:
            more = len(piece) + PIECE_COST
            if self._unread[channel] + cost + more > UNREAD_LIMIT:
                self._counted.dropped_bytes += len(piece)
            else:
                fitting.append(piece)
                cost += more
        return fitting, cost

    # -- what goes ---------------------------------------------------------

    def _repeat(self) -> None:
        self._repeat_at = None
        if not self._tcp_offers_left:
            self._link.proposed()  # without meaning except to a camera that proposes
        if self._repeat_at is None:
            self._link.tick()

    def _fill(self, channel: int) -> None:
        if self._open:
            self._emit_drw(channel, self._senders[channel].take(self._now))

    def _emit_drw(self, channel: int, pieces: Iterable[tuple[int, bytes]]) -> None:
        for index, data in pieces:
            self._outgoing.append(pppp.encode_drw(channel, index, data))
            self._quiet_since = self._now

    def _emit(self, value: pppp.Datagram) -> None:
        self._outgoing.append(pppp.encode(value))

    def _send_acks(self) -> None:
        self._ack_at = None
        for channel, half in enumerate(self._receivers):
            while half.acks:
                self._send_channel_acks(channel, half)

    def _send_channel_acks(self, channel: int, half: ReceiveHalf) -> None:
        """As many as fit into one datagram."""
        indexes = tuple(half.acks[: pppp.MAX_ACK_INDEXES])
        del half.acks[: pppp.MAX_ACK_INDEXES]
        self._emit(pppp.DrwAck(channel, indexes))
        self._quiet_since = self._now

    def _resend(self) -> None:
        for channel, sender in enumerate(self._senders):
            since = sender.stalled_since()
            if since is None:
                continue
            if self._now >= since + STALL_LIMIT:
                self._link.lose(CloseReason.STALLED)
                return
            self._emit_drw(channel, sender.overdue(self._now))


class _Core:
    """What the link machine does to its session."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def punch(self) -> None:
        self.echo()

    def echo(self) -> None:
        self._session._emit(pppp.PunchPkt(self._session.device_id))
        self.wait()

    def wait(self) -> None:
        self._session._repeat_at = self._session._now + PUNCH_INTERVAL

    def answer_search(self) -> None:
        for _ in range(2):
            self._session._emit(pppp.PunchPkt(self._session.device_id))

    def propose(self) -> None:
        session = self._session
        if session._tcp_offer:
            session._emit(session._tcp_offer)
            session._tcp_offers_left -= 1
        session._repeat_at = session._now + TCP_OFFER_INTERVAL

    def offer(self) -> None:
        session, sender = self._session, self._session._senders[0]
        self.say_ready()
        session._emit_drw(0, sender.repeat(session._now))
        if not session._serves:
            session._serves = True
            sender.add(ACCEPTED)
            session._emit_drw(0, sender.take(session._now))
        session._repeat_at = session._now + OFFER_INTERVAL

    def say_ready(self) -> None:
        self._session._emit(pppp.P2PRdy(self._session.device_id))

    def opened(self) -> None:
        session = self._session
        session._open, session._repeat_at = True, None
        session.opened_at = session._quiet_since = session._now
        session._events.append(Opened())
        for channel in range(CHANNELS):
            session._fill(channel)

    def say_close(self) -> None:
        for _ in range(CLOSE_COPIES):
            self._session._emit(pppp.Close())

    def ended(self, reason: CloseReason) -> None:
        self._session._over = True
        self._session._events.append(Closed(reason))


_HANDLERS: dict[type, Callable[[Session, Any], None]] = {
    pppp.Drw: Session._receive_drw,
    pppp.DrwAck: Session._receive_ack,
    pppp.LanSearch: Session._receive_search,
    pppp.PunchPkt: Session._receive_punch,
    pppp.P2PRdy: Session._receive_ready,
    pppp.Alive: Session._receive_alive,
    pppp.AliveAck: Session._receive_alive_ack,
    pppp.Close: Session._receive_close,
}
