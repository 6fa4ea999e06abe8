"""Waiting on the asyncio loop, so that all has an end and nothing is left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["TIDY", "limited", "surely"]

Result = TypeVar("Result")

#: How long a step that was ended may take to tidy up, in seconds.
TIDY = 5.0
#: How long what was told to end at last may take to do so.
_LAST = 1.0


async def limited(seconds: float, step: Coroutine[Any, Any, Result]) -> Result:
    """
    Do a step, for so long at most.

    When the time is over, or whoever waits is cancelled, the step is cancelled and
    has L{TIDY} to tidy up; being cancelled again does not disturb it.

    @raise TimeoutError: when the time was over.
    """
    task = asyncio.ensure_future(step)
    try:
        await asyncio.wait({task}, timeout=seconds)
        over = not task.done()
    finally:
        if not task.done():
            task.cancel()
        await _settle(task, TIDY)
    if over:
        raise TimeoutError
    return task.result()


async def surely(seconds: float, step: Coroutine[Any, Any, object]) -> None:
    """
    Tidy up, for so long at most, whatever goes wrong.

    @raise asyncio.CancelledError: afterwards, when somebody cancelled meanwhile.
    """
    await _settle(asyncio.ensure_future(step), seconds)


async def _settle(task: asyncio.Future[Any], seconds: float) -> None:
    """Let a task end, and make it end when the time is over."""
    cancelled = await _outlast(task, seconds)
    if not task.done():
        task.cancel()
        cancelled |= await _outlast(task, _LAST)
    if task.done() and not task.cancelled():
        task.exception()  # looked at, or asyncio complains that nobody did
    if cancelled:
        raise asyncio.CancelledError


async def _outlast(task: asyncio.Future[Any], seconds: float) -> bool:
    """Wait for a task. Return whether somebody cancelled meanwhile, which does not disturb it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    cancelled = False
    while not task.done() and (left := deadline - loop.time()) > 0:
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError:
            cancelled = True
    return cancelled
