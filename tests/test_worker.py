"""Blocking work in threads: in order, one at a time, whatever fails."""

from __future__ import annotations

import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.trial.unittest import TestCase

from trailcam.worker import InlineWorker, ThreadWorker


class ThreadWorkerTests(TestCase):
    """With the real reactor's threads."""

    def setUp(self) -> None:
        self.worker = ThreadWorker(reactor)

    async def test_order_and_threads(self) -> None:
        """Calls run one by one in the order given, none in the reactor's thread."""
        seen: list[int] = []
        threads: set[int] = set()
        running: list[int] = []

        def work(number: int) -> int:
            running.append(number)
            threads.add(threading.get_ident())
            seen.append(number)
            self.assertEqual(running, [number])
            running.remove(number)
            return number * 2

        results = await gatherResults([self.worker.call(work, n) for n in range(50)])
        self.assertEqual(results, [n * 2 for n in range(50)])
        self.assertEqual(seen, list(range(50)))
        self.assertNotIn(threading.get_ident(), threads)

    async def test_failure(self) -> None:
        """A call that raises fails its own Deferred, and the next call runs."""
        failing: Deferred[Any] = self.worker.call(int, "not a number")
        following = self.worker.call(int, "7")
        await self.assertFailure(failing, ValueError)
        self.assertEqual(await following, 7)

    async def test_pending(self) -> None:
        """Running and waiting calls are pending; none is once they are done."""
        go = threading.Event()
        first = self.worker.call(go.wait, 10)
        second = self.worker.call(int, "1")
        self.assertEqual(self.worker.pending, 2)
        go.set()
        await first
        await second
        self.assertEqual(self.worker.pending, 0)

    async def test_cancel_waiting(self) -> None:
        """A call that is cancelled before its turn never runs, and the others do."""
        go = threading.Event()
        ran: list[str] = []
        first = self.worker.call(go.wait, 10)
        second = self.worker.call(ran.append, "cancelled")
        third = self.worker.call(ran.append, "third")
        second.cancel()
        await self.assertFailure(second, CancelledError)
        go.set()
        await first
        await third
        self.assertEqual(ran, ["third"])

    async def test_cancel_running(self) -> None:
        """While a cancelled call still runs, the next does not begin."""
        go, order = threading.Event(), []
        began: Deferred[None] = Deferred()

        def slow() -> None:
            reactor.callFromThread(began.callback, None)  # type: ignore[attr-defined]
            go.wait(10)
            order.append("slow")

        first = self.worker.call(slow)
        second = self.worker.call(order.append, "second")
        await began
        first.cancel()
        await self.assertFailure(first, CancelledError)
        self.assertEqual(self.worker.pending, 2)
        go.set()
        await second
        self.assertEqual(order, ["slow", "second"])

    async def test_call_from_callback(self) -> None:
        """A callback may ask for more work."""
        result = await self.worker.call(int, "1").addCallback(
            lambda one: self.worker.call(lambda: one + 1)
        )
        self.assertEqual(result, 2)


class InlineWorkerTests(TestCase):
    """Without threads."""

    def test_at_once(self) -> None:
        """Calls are done when they return, and failures are Failures."""
        worker = InlineWorker()
        self.assertEqual(self.successResultOf(worker.call(int, "7")), 7)
        self.failureResultOf(worker.call(int, "seven"), ValueError)
        self.assertEqual(worker.pending, 0)
