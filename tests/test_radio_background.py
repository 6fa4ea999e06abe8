"""Coroutines on a loop in a thread of their own, seen from the reactor."""

from __future__ import annotations

import asyncio
import threading

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.trial.unittest import TestCase

from trailcam.radio.background import Background


class BackgroundTests(TestCase):
    """With the real reactor."""

    def setUp(self) -> None:
        self.background = Background(reactor)
        self.addCleanup(lambda: self.background.close())
        self.told: list[str] = []

    async def work(self, name: str, seconds: float = 30.0) -> str:
        """Take a while; when cancelled, tidy up for a while."""
        self.told.append(f"{name} begins")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            self.told.append(f"{name} tidied up")
            raise
        return name

    async def test_results(self) -> None:
        """Results and errors arrive in the reactor's thread; the work is done in another."""

        async def where() -> int:
            return threading.get_ident()

        async def fail() -> object:
            raise KeyError("why")

        there = await self.background.run(where())
        self.assertNotEqual(there, threading.get_ident())
        error = await self.assertFailure(self.background.run(fail()), KeyError)
        self.assertEqual(str(error), "'why'")
        both = gatherResults([self.background.run(self.work(name, 0.01)) for name in "ab"])
        self.assertEqual(await both, ["a", "b"])
        self.assertEqual(await self.background.run(where()), there)

    async def test_cancel(self) -> None:
        """Whoever cancels hears at once; what was cancelled tidies up before the next begins."""
        first = self.background.run(self.work("first"))
        await self.background.run(asyncio.sleep(0.01))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual(self.told, ["first begins"])
        self.assertEqual(await self.background.run(self.work("second", 0.0)), "second")
        self.assertEqual(self.told, ["first begins", "first tidied up", "second begins"])

    async def test_cancel_at_once(self) -> None:
        """What is cancelled before its turn never begins."""
        held, go = threading.Event(), threading.Event()

        async def hold_up() -> None:
            held.set()
            go.wait(10.0)

        holding = self.background.run(hold_up())
        held.wait(10.0)  # else the first may have its turn together with it
        first = self.background.run(self.work("first"))
        first.cancel()
        go.set()
        await holding
        self.failureResultOf(first, CancelledError)
        await self.background.run(self.work("second", 0.0))
        self.assertEqual(self.told, ["second begins"])

    async def test_close(self) -> None:
        """Closing cancels what runs, waits until it has tidied up, and ends the thread."""
        running = self.background.run(self.work("it"))
        failing = self.assertFailure(running, CancelledError)
        await self.background.run(asyncio.sleep(0.01))
        await self.background.close()
        self.assertEqual(self.told, ["it begins", "it tidied up"])
        await failing
        self.assertNotIn("trailcam radio", [thread.name for thread in threading.enumerate()])
        await self.background.close()

    async def test_again_after_closing(self) -> None:
        """After closing, the next one starts a new thread."""
        await self.background.run(self.work("first", 0.0))
        await self.background.close()
        self.assertEqual(await self.background.run(self.work("second", 0.0)), "second")
