"""Waiting for work that belongs to somebody else: who gives up waiting does not end it."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

__all__ = ["to_the_end", "when_over"]


def when_over(work: Deferred[Any]) -> Deferred[None]:
    """Fires when C{work} has ended, however; to cancel it does nothing to C{work}."""
    waiting: Deferred[None] = Deferred()

    def over(result: Any) -> Any:
        waiting.callback(None)
        return result

    work.addBoth(over)
    return waiting


async def to_the_end(work: Deferred[None]) -> None:
    """Wait for what must not be cut short: to cancel the waiting does nothing."""
    while not work.called:
        try:
            await when_over(work)
        except CancelledError:
            continue
    await work
