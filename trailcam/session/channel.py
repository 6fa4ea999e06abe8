"""
One channel of a session: a reliable, ordered stream of bytes each way
(PROTOCOL, section 2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from trailcam.errors import SendBufferFull
from trailcam.session.roundtrip import RoundTrip
from trailcam.session.sequence import advance, ahead
from trailcam.wire.pppp import MAX_DRW_DATA

__all__ = ["ReceiveHalf", "SendHalf"]

#: How many datagrams may be unacknowledged (a camera was seen with 43 to 69) …
WINDOW = 64
#: … and how far beyond the oldest of them one may be. A camera was seen with 110, without
#: loss; at 10 % loss that would let one datagram that was lost twice hold up all others.
SPAN = 512
#: How far ahead of the next expected one an index may be: "buffer far more" than that.
REACH = 1024
#: How many bytes may wait to be sent.
SEND_LIMIT = 8 << 20


@dataclass(slots=True)
class _InFlight:
    data: bytes
    sent_at: float
    sends: int = 1


class SendHalf:
    """
    What one side sends on a channel: kept until acknowledged, sent again when lost.

    A datagram counts as lost when one that was sent clearly later has been
    acknowledged (which finds a loss within a round trip, whatever the
    order), or when nothing was acknowledged for the round trip's timeout,
    which doubles each time (which finds the loss of the last ones).

    @ivar in_flight: what was sent and not acknowledged, in the order in which it was last
        sent: what is overdue is at the front.
    @ivar resent: how many datagrams were sent again.
    @ivar refused: how many acknowledged indexes had never been sent.
    """

    def __init__(self, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self.in_flight: dict[int, _InFlight] = {}
        self._next = 0
        self._oldest = 0
        self._sent = 0
        self._back_off = 1
        self._timed_out_at = 0.0
        self._progress_at = 0.0
        self.resent = 0
        self.refused = 0

    @property
    def pending(self) -> int:
        """How many bytes wait to be sent for the first time."""
        return self._queued

    def add(self, data: bytes) -> None:
        """
        Take bytes to send. They begin in a datagram of their own.

        @raise SendBufferFull: when too much is waiting already.
        """
        if self._queued + len(data) > SEND_LIMIT:
            raise SendBufferFull(f"{self._queued} bytes wait to be sent already")
        for start in range(0, len(data), MAX_DRW_DATA):
            self._queue.append(data[start : start + MAX_DRW_DATA])
        self._queued += len(data)

    def take(self, now: float) -> Iterator[tuple[int, bytes]]:
        """What may be sent for the first time now: indexes and data."""
        if self._queue and not self.in_flight:
            self._progress_at = now
        while (
            self._queue
            and len(self.in_flight) < WINDOW
            and ahead(self._next, self._oldest) < SPAN
        ):
            data, index = self._queue.popleft(), self._next
            self._queued -= len(data)
            self.in_flight[index] = _InFlight(data, now)
            self._next = advance(index)
            self._sent += 1
            yield index, data

    def acknowledge(self, indexes: Iterable[int], now: float) -> list[tuple[int, bytes]]:
        """
        Forget what has arrived.

        @return: what is now known to be lost, and must be sent again.
        """
        newest = None
        for index in indexes:
            entry = self.in_flight.pop(index, None)
            if entry is None:
                self.refused += not 0 < ahead(self._next, index) <= self._sent
                continue
            self._progress_at = now
            if entry.sends == 1:
                self._round_trip.sample(now - entry.sent_at)
                self._back_off = 1
            elif now - entry.sent_at < (self._round_trip.smoothed or 0.0) / 2:
                continue  # too soon: this acknowledges the earlier copy
            elif self._round_trip.smoothed is not None:
                self._back_off = max(1, self._back_off // 2)
            newest = max(newest or 0.0, entry.sent_at)
        while self._oldest != self._next and self._oldest not in self.in_flight:
            self._oldest = advance(self._oldest)
        return [] if newest is None else self._send_lost(newest, now)

    def next_timer(self) -> float | None:
        """When something is overdue; C{None} when nothing is in flight."""
        for entry in self.in_flight.values():
            since = max(entry.sent_at, self._timed_out_at)
            return since + min(self._round_trip.timeout * self._back_off, RoundTrip.LONGEST)
        return None

    def overdue(self, now: float) -> list[tuple[int, bytes]]:
        """
        What must be sent again because nothing was acknowledged in time.

        Four only: when they are acknowledged, L{acknowledge} knows the rest to be lost.
        """
        deadline = self.next_timer()
        if deadline is None or now < deadline:
            return []
        self._back_off = min(self._back_off * 2, 64)
        self._timed_out_at = now
        return self._again(list(self.in_flight)[:4], now)

    def repeat(self, now: float) -> list[tuple[int, bytes]]:
        """All that is in flight once more, whether it is overdue or not."""
        return self._again(list(self.in_flight), now)

    def stalled_since(self) -> float | None:
        """Since when nothing has been acknowledged, while something should be."""
        return self._progress_at if self.in_flight else None

    def _send_lost(self, newest: float, now: float) -> list[tuple[int, bytes]]:
        before = newest - self._round_trip.reordering
        lost = []
        for index, entry in self.in_flight.items():
            if entry.sent_at >= before:
                break
            lost.append(index)
        return self._again(lost, now)

    def _again(self, indexes: list[int], now: float) -> list[tuple[int, bytes]]:
        again = []
        for index in indexes:
            entry = self.in_flight.pop(index)
            entry.sent_at, entry.sends = now, entry.sends + 1
            self.in_flight[index] = entry
            again.append((index, entry.data))
        self.resent += len(again)
        return again


class ReceiveHalf:
    """
    What one side receives on a channel: put in order, each piece once.

    @ivar acks: the indexes to acknowledge, one entry for each copy, in the order of arrival.
    @ivar duplicates: how many copies were dropped.
    @ivar refused: how many datagrams were too far ahead, or came while there was no room.
    """

    def __init__(self) -> None:
        self._expected = 0
        self._waiting: dict[int, bytes] = {}
        self._paused = False
        self.acks: list[int] = []
        self.duplicates = 0
        self.refused = 0

    def receive(self, indexes: tuple[int, ...], pieces: tuple[bytes, ...]) -> Sequence[bytes]:
        """
        Take the data of datagrams that came one after the other.

        @return: what is now in order, and was not before.
        """
        first, behind = self._expected, self._expected + len(indexes)
        if (
            indexes == tuple(range(first, behind))
            and behind <= 0xFFFF
            and not (self._waiting or self._paused)
        ):  # nearly always
            self._expected = behind
            self.acks += indexes
            return pieces
        ordered: list[bytes] = []
        for index, data in zip(indexes, pieces, strict=True):
            ordered += self._receive(index, data)
        return ordered

    def _receive(self, index: int, data: bytes) -> list[bytes]:
        distance = ahead(index, self._expected)
        if distance >= REACH:
            self.refused += 1
            return []
        self.acks.append(index)
        if distance < 0 or index in self._waiting:
            self.duplicates += 1
            return []
        self._waiting[index] = data
        return [] if distance or self._paused else self._in_order()

    def pause(self) -> None:
        """Hold back what comes; when the buffer is full, no longer acknowledge it."""
        self._paused = True

    def resume(self) -> list[bytes]:
        """
        Go on after L{pause}.

        @return: what was held back and is in order.
        """
        self._paused = False
        return self._in_order()

    def _in_order(self) -> list[bytes]:
        pieces = []
        while (piece := self._waiting.pop(self._expected, None)) is not None:
            pieces.append(piece)
            self._expected = advance(self._expected)
        return pieces
