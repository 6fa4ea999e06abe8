"""
Blocking work, away from the reactor's thread: disks and anything else that takes its time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThreadPool

__all__ = ["InlineWorker", "ThreadWorker", "Worker"]

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


class Worker(Protocol):
    """Runs calls one after the other, in the order they were asked for."""

    @property
    def pending(self) -> int:
        """How many calls are not finished."""

    def call(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Deferred[Result]:
        """Call C{function}, and fire with what it returns or raises."""


class ThreadWorker:
    """
    A L{Worker} in the reactor's thread pool, one call at a time.

    A call that is cancelled before its turn never runs. One that is cancelled
    while it runs cannot be stopped: nobody hears of its result, and the next
    begins only once it is over.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: provides C{IReactorThreads} and C{getThreadPool}.
        """
        self._reactor = reactor
        self._waiting: deque[tuple[Callable[[], object], Deferred[Any]]] = deque()
        self._running = False

    @property
    def pending(self) -> int:
        return len(self._waiting) + self._running

    def call(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Deferred[Result]:
        result: Deferred[Result] = Deferred(self._drop)
        self._waiting.append((lambda: function(*args), result))
        self._start()
        return result

    def _drop(self, cancelled: Deferred[Any]) -> None:
        self._waiting = deque(entry for entry in self._waiting if entry[1] is not cancelled)

    def _start(self) -> None:
        if self._running or not self._waiting:
            return
        self._running = True
        function, result = self._waiting.popleft()
        done: Deferred[object] = deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), function
        )
        done.addBoth(self._finished, result)

    def _finished(self, outcome: object, result: Deferred[Any]) -> None:
        self._running = False
        self._start()
        if not result.called:  # else it was cancelled meanwhile
            result.callback(outcome)  # a Failure makes it fail


class InlineWorker:
    """A L{Worker} that blocks: for tests with a C{Clock}, where nothing takes long."""

    pending = 0

    def call(self, function: Callable[[*Arguments], Result], *args: *Arguments) -> Deferred[Result]:
        return maybeDeferred(function, *args)
