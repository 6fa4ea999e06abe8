"""
One asyncio loop in one thread, for the libraries that need one.

bleak and dbus-fast run on it side by side; Twisted's reactor is whatever the
application chose.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.threads import deferToThreadPool

__all__ = ["Background"]

Result = TypeVar("Result")


class Background:
    """
    Runs coroutines beside the reactor. Its thread starts with the first of them.

    What was cancelled tidies up before the next one begins: no two quarrel over a radio.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: provides C{IReactorThreads} and C{getThreadPool}.
        """
        self._reactor = reactor
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelled: set[asyncio.Task[Any]] = set()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Deferred[Result]:
        """
        Run a coroutine on the loop.

        @return: fires with its result. May be cancelled: then it fails at once, while the
            coroutine is cancelled too and tidies up.
        """
        loop = self._ready()
        result: Deferred[Result]
        tasks: list[asyncio.Task[Result]] = []

        def begin() -> None:
            task = loop.create_task(self._after_the_cancelled(coroutine))
            tasks.append(task)
            self._tasks.add(task)
            task.add_done_callback(over)

        def cancel() -> None:
            if not tasks[0].done():
                self._cancelled.add(tasks[0])
                tasks[0].cancel()

        def over(task: asyncio.Task[Result]) -> None:
            coroutine.close()  # if it was cancelled before its turn
            self._tasks.discard(task)
            self._cancelled.discard(task)
            self._reactor.callFromThread(_tell, task, result)

        def give_up(_: Deferred[Result]) -> None:
            loop.call_soon_threadsafe(cancel)

        result = Deferred(give_up)
        loop.call_soon_threadsafe(begin)
        return result

    def close(self) -> Deferred[None]:
        """Cancel what runs, and end the thread once that has tidied up."""
        loop, thread = self._loop, self._thread
        if loop is None or thread is None:
            return succeed(None)
        self._loop = self._thread = None
        asyncio.run_coroutine_threadsafe(self._end(loop), loop)
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), thread.join)

    def _ready(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name="trailcam radio", daemon=True
            )
            self._thread.start()
        return self._loop

    async def _after_the_cancelled(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        if self._cancelled:
            await asyncio.wait(self._cancelled)
        return await coroutine

    async def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        loop.stop()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def _tell(task: asyncio.Task[Result], result: Deferred[Result]) -> None:
    """In the reactor's thread: pass on what became of a task."""
    if result.called:  # whoever waited has cancelled
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains that nobody did
    elif task.cancelled():
        result.errback(CancelledError())
    elif (error := task.exception()) is not None:
        result.errback(error)
    else:
        result.callback(task.result())
