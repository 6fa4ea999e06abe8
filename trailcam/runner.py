"""Running one piece of work under the global reactor, as a command does."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from trailcam.errors import TrailcamError

__all__ = ["INTERRUPTED", "run"]

#: The exit status after SIGINT or SIGTERM.
INTERRUPTED = 130


def run(work: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
    """
    Run C{work(reactor)} to its end.

    SIGINT and SIGTERM cancel it: it says goodbye to the camera and ends. A
    second signal ends the process at once.

    @return: the exit status that the work returns.
    @raise TrailcamError: what the work raises.
    """
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor
    # Cameras are often called by machines without a clock of their own: when the
    # time is set, no timer may fire early or never.
    reactor.seconds = time.monotonic
    outcome: list[Any] = []
    interrupted: list[int] = []

    def start() -> None:
        working = Deferred.fromCoroutine(work(reactor))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, interrupt)
        working.addBoth(finish)
        current.append(working)

    def interrupt(number: int, frame: object) -> None:
        if interrupted:
            os._exit(INTERRUPTED)
        interrupted.append(number)
        reactor.callFromThread(lambda: current[0].cancel() if current else None)

    def finish(result: Any) -> None:
        outcome.append(result)
        reactor.stop()

    current: list[Deferred[int]] = []
    reactor.callWhenRunning(start)
    reactor.run()
    if interrupted or not outcome:
        return INTERRUPTED
    (result,) = outcome
    if not isinstance(result, Failure):
        return int(result)
    if result.check(CancelledError):
        return INTERRUPTED
    if not result.check(TrailcamError) and os.environ.get("TRAILCAM_DEBUG"):
        result.printTraceback()
    return _raise(result)


def _raise(failure: Failure) -> int:
    failure.raiseException()
    raise AssertionError("unreachable")
