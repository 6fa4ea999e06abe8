"""Brings what waits in the outbox to one destination: in order, each until it has arrived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from trailcam.errors import LibraryError, TrailcamError
from trailcam.logs import make_logger
from trailcam.notify.outbox import Entry, Outbox

__all__ = ["PAUSES", "Courier", "Refused", "Undelivered"]

#: The pauses between attempts, in seconds; the last one is repeated.
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)
#: What was refused so often is given up, so that others have their turn.
TRIES = 5


class Undelivered(TrailcamError):
    """A message has not arrived; it is tried again."""


class Refused(Undelivered):
    """The destination wants this very message not; after L{TRIES} times it is dropped."""


class Courier:
    """
    Takes the messages for one destination out of the outbox.

    @ivar destination: the name of it.
    """

    log = make_logger(__name__)

    def __init__(
        self,
        reactor: Any,
        outbox: Outbox,
        destination: str,
        deliver: Callable[[Entry], Awaitable[None]],
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """
        @param deliver: returns once the message has arrived, or raises L{Undelivered}; it may be
            cancelled.
        """
        self.destination = destination
        self._reactor = reactor
        self._outbox = outbox
        self._deliver = deliver
        self._pauses = pauses
        self._running: Deferred[None] | None = None
        self._stopped = False
        self._trouble: str | None = None

    def start(self) -> None:
        """Begin, and go on for ever."""
        self._stopped = False
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._ended)

    def stop(self) -> None:
        """What is on its way stays in the outbox."""
        self._stopped = True
        running, self._running = self._running, None
        if running is not None:
            running.cancel()

    async def _run(self) -> None:
        done = 0
        while True:
            try:
                entry = await self._outbox.first(self.destination, done)
                if entry is None:
                    await self._outbox.changed(self.destination)
                    continue
                await self._bring(entry)
                # Even if that cannot be written down, it is not told twice.
                done = entry.number
                await self._outbox.acknowledge(self.destination, entry)
            except LibraryError as error:
                self._tell(str(error))
                await deferLater(self._reactor, self._pauses[-1])

    async def _bring(self, entry: Entry) -> None:
        tries = refusals = 0
        while True:
            try:
                await self._deliver(entry)
                self._tell(None)
                return
            except Undelivered as error:
                if self._stopped:  # this is what its cancellation looks like
                    raise CancelledError from error
                self._tell(str(error))
                refusals += isinstance(error, Refused)
                if refusals >= TRIES:
                    self.log.warn("{destination}: a message is refused, and dropped: {why}",
                                  destination=self.destination, why=str(error))  # fmt: skip
                    return
            await deferLater(self._reactor, self._pauses[min(tries, len(self._pauses) - 1)])
            tries += 1

    def _tell(self, trouble: str | None) -> None:
        """One line for each change, not for each attempt."""
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is None:
            self.log.info("{name}: what happens is told again", name=self.destination)
        else:
            self.log.warn("{name}: {trouble}; what is to be told waits", name=self.destination,
                          trouble=trouble)  # fmt: skip

    def _ended(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("{name}: a fault of ours; nothing more is told", failure,
                             name=self.destination)  # fmt: skip
