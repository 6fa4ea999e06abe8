"""What can go wrong on request: a bad link, damaged data, a camera that lies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from twisted.internet.interfaces import IDelayedCall, IReactorTime

__all__ = ["EVIL_ID", "BadLink", "Faults"]

#: A unit's id that must never become a path.
EVIL_ID = "../../../../tmp/evil\x1b[31m"


@dataclass
class Faults:
    """
    Faults to simulate. Counts are counted down as they happen.

    @ivar loss: the share of datagrams that get lost, each way, 0 to 1.
    @ivar duplicate: the share that come twice.
    @ivar reorder: the share that come 20 ms late.
    @ivar silence: seconds of total silence, once, …
    @ivar silence_after: … after so many seconds of a session.
    @ivar damaged_tails: how many photos end in wrong bytes.
    @ivar damaged_frames: how many videos have a frame with wrong check bytes.
    @ivar wrong_lengths: how many photos come with a header that lies about the length.
    @ivar refuse_login: whether no login is accepted.
    @ivar unit: the unit's own id.
    @ivar sleep_after_close: whether it answers nobody after a CLOSE.
    @ivar repeat_pages: whether it answers every page of the list with the first.
    @ivar without_ids: whether it leaves out mediaId and mediaTime.
    @ivar seed: of the randomness.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    silence: float = 0.0
    silence_after: float = 1.0
    damaged_tails: int = 0
    damaged_frames: int = 0
    wrong_lengths: int = 0
    refuse_login: bool = False
    unit: str = "C6:00:00:00:00:01"
    sleep_after_close: bool = False
    repeat_pages: bool = False
    without_ids: bool = False
    seed: int = 0

    def strikes(self, name: str) -> bool:
        """Whether a counted fault happens now; counts it down."""
        left = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return bool(left)


class BadLink:
    """
    A link that loses, repeats and delays datagrams, and falls silent.

    @ivar lost: how many it has lost.
    """

    LATE = 0.02

    def __init__(self, clock: IReactorTime, faults: Faults) -> None:
        self._clock = clock
        self._faults = faults
        self._random = random.Random(faults.seed)
        self._silent_until = 0.0
        self._late: set[IDelayedCall] = set()
        self.lost = 0

    def fall_silent(self) -> None:
        """Let nothing through for a while, once."""
        silence, self._faults.silence = self._faults.silence, 0.0
        self._silent_until = self._clock.seconds() + silence

    def carry(self, datagram: bytes, deliver: Callable[[bytes], None]) -> None:
        """Bring a datagram to the other end, or not, or twice, or late."""
        if self._clock.seconds() < self._silent_until:
            return
        for late in self._fates():
            if late:
                self._deliver_late(datagram, deliver)
            else:
                deliver(datagram)

    def stop(self) -> None:
        """Deliver nothing more of what is late."""
        late, self._late = self._late, set()
        for call in late:
            call.cancel()

    def _deliver_late(self, datagram: bytes, deliver: Callable[[bytes], None]) -> None:
        def arrive() -> None:
            self._late.discard(call)
            deliver(datagram)

        call = self._clock.callLater(self.LATE, arrive)
        self._late.add(call)

    def _fates(self) -> Iterator[bool]:
        faults, chance = self._faults, self._random.random
        if faults.loss and chance() < faults.loss:
            self.lost += 1
            return
        yield bool(faults.reorder) and chance() < faults.reorder
        if faults.duplicate and chance() < faults.duplicate:
            yield True
