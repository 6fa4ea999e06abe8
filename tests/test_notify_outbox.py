"""The outbox, and the courier: nothing is lost, nothing is told twice, nothing grows for ever."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import TestCase

from tests.processes import ProcessTestCase
from tests.support import story
from trailcam.configkeys import MESSAGES
from trailcam.errors import LibraryError
from trailcam.happenings import (
    BatteryLow,
    CameraBack,
    CameraMissing,
    CardNearlyFull,
    ClockWrong,
    PhaseBegan,
    Transferring,
    VisitEnded,
)
from trailcam.library.visits import Visit
from trailcam.notify.courier import TRIES, Courier, Refused, Undelivered
from trailcam.notify.messages import message
from trailcam.notify.outbox import Entry, Outbox

NOW = datetime(2026, 6, 1, 5, tzinfo=UTC)


class OutboxTestCase(TestCase):
    """Gives each test an outbox for two, one of which is away."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "state" / "outbox.sqlite"

    async def opened(self, **options: Any) -> Outbox:
        """As after a start."""
        outbox = Outbox(self.path, reactor, ["mqtt", "webhook"], **options)
        self.addCleanup(outbox.close)
        await outbox.open()
        return outbox

    async def fill(self, outbox: Outbox, count: int, *names: str) -> None:
        """Put messages with the numbers from 0 on, all at once."""
        putting = [outbox.put({"n": n}, names or ("mqtt", "webhook")) for n in range(count)]
        await gatherResults(putting)

    async def drain(self, outbox: Outbox, name: str) -> list[Any]:
        """All that waits, in order; it is acknowledged."""
        found = []
        while (entry := await outbox.first(name)) is not None:
            found.append(entry.body["n"])
            await outbox.acknowledge(name, entry)
        return found


class OutboxTests(OutboxTestCase):
    """What is on disk."""

    async def test_each_its_own(self) -> None:
        """What one has acknowledged still waits for the other, with the same id, in order."""
        outbox = await self.opened()
        await self.fill(outbox, 5)
        first = await outbox.first("mqtt"), await outbox.first("webhook")
        assert first[0] and first[1]
        self.assertEqual(first[0].body, first[1].body)
        self.assertEqual(len(first[0].body["id"]), 32)
        self.assertEqual(await self.drain(outbox, "mqtt"), [0, 1, 2, 3, 4])
        self.assertEqual([outbox.waiting(name) for name in ("mqtt", "webhook")], [0, 5])
        await self.fill(outbox, 1, "mqtt")
        self.assertEqual([outbox.waiting(name) for name in ("mqtt", "webhook")], [1, 5])
        self.assertEqual(await self.drain(outbox, "webhook"), [0, 1, 2, 3, 4])

    async def test_survives(self) -> None:
        """After a restart the same messages wait, with the same ids; acknowledged ones do not."""
        outbox = await self.opened()
        await self.fill(outbox, 3)
        entry = await outbox.first("webhook")
        assert entry is not None
        await outbox.acknowledge("webhook", entry)
        before = await outbox.first("webhook")
        await outbox.close()
        with self.assertRaises(LibraryError):
            await outbox.first("webhook")
        again = await self.opened()
        self.assertEqual(await again.first("webhook"), before)
        self.assertEqual([again.waiting(name) for name in ("mqtt", "webhook")], [3, 2])

    async def test_put_before_it_is_open(self) -> None:
        """What happens while it is being opened is not lost."""
        outbox = Outbox(self.path, reactor, ["mqtt"])
        self.addCleanup(outbox.close)
        opening = outbox.open()
        await outbox.put({"n": 0}, ["mqtt"])
        await opening
        self.assertEqual(outbox.waiting("mqtt"), 1)

    async def test_bounded(self) -> None:
        """Beyond its limit the oldest go, of that destination only, and it is said once."""
        outbox = await self.opened(limit=10)
        await self.fill(outbox, 5, "webhook")
        with capturedLogs() as events:
            await self.fill(outbox, 25, "mqtt")
        self.assertEqual(len(story(events, LogLevel.warn)), 1, events)
        self.assertEqual(outbox.waiting("mqtt"), 10)
        self.assertEqual(await self.drain(outbox, "mqtt"), list(range(15, 25)))
        self.assertEqual(await self.drain(outbox, "webhook"), list(range(5)))

    async def test_nobody_wants_it(self) -> None:
        """What waits for a destination that is configured no more is dropped."""
        outbox = await self.opened()
        await self.fill(outbox, 3)
        await outbox.close()
        only = Outbox(self.path, reactor, ["webhook"])
        self.addCleanup(only.close)
        await only.open()
        with closing(sqlite3.connect(self.path)) as base:
            rows = base.execute("SELECT destination, count(*) FROM outbox GROUP BY 1").fetchall()
        self.assertEqual(rows, [("webhook", 3)])

    async def test_damaged(self) -> None:
        """A damaged file is put aside, with a line in the log, and a new one begun."""
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"no database at all" * 500)
        with capturedLogs() as events:
            outbox = await self.opened()
        self.assertIn("outbox.sqlite.corrupt", "".join(story(events, LogLevel.warn)))
        await self.fill(outbox, 1)
        self.assertEqual(outbox.waiting("mqtt"), 1)

    async def test_no_place(self) -> None:
        """Where there can be no file, everything fails in one line that says so."""
        self.path.parent.parent.mkdir(parents=True)
        self.path.parent.write_text("")
        with self.assertRaises(LibraryError):
            await self.opened()
        outbox = Outbox(self.path, reactor, ["mqtt"])
        self.addCleanup(outbox.close)
        opening = outbox.open()
        with self.assertRaisesRegex(LibraryError, "outbox .* cannot be used"):
            await outbox.put({}, ["mqtt"])
        with self.assertRaises(LibraryError):
            await opening
        self.flushLoggedErrors(sqlite3.OperationalError)

    async def test_place_later(self) -> None:
        """Once there is room where there was none at the start, it works, with what it had."""
        outbox = await self.opened()
        await self.fill(outbox, 1, "mqtt")
        await outbox.close()
        aside = self.path.with_name("aside")
        self.path.rename(aside)
        self.path.mkdir()  # nothing can be written there
        outbox = Outbox(self.path, reactor, ["mqtt"])
        self.addCleanup(outbox.close)
        with self.assertRaises(LibraryError):
            await outbox.open()
        with self.assertRaises(LibraryError):
            await outbox.put({"n": "lost"}, ["mqtt"])
        self.path.rmdir()
        aside.rename(self.path)
        await outbox.put({"n": 1}, ["mqtt"])
        self.assertEqual(outbox.waiting("mqtt"), 2)
        self.assertEqual(await self.drain(outbox, "mqtt"), [0, 1])
        self.flushLoggedErrors(sqlite3.OperationalError)

    async def test_any_text(self) -> None:
        """What a camera says, be it half a character, comes out as it went in."""
        outbox = await self.opened()
        await outbox.put({"why": "\ud800\0é"}, ["mqtt"])
        entry = await outbox.first("mqtt")
        assert entry is not None
        self.assertEqual(entry.body["why"], "\ud800\0é")


class CourierTests(OutboxTestCase):
    """Bringing it."""

    def courier(self, outbox: Outbox, deliver: Callable[[Entry], Awaitable[None]]) -> Courier:
        """One that does not wait long."""
        courier = Courier(reactor, outbox, "mqtt", deliver, (0.0, 0.001))
        self.addCleanup(courier.stop)
        courier.start()
        return courier

    async def test_in_order_once(self) -> None:
        """Whatever fails in between, each arrives once, in order; a trouble is told once."""
        outbox = await self.opened()
        arrived: list[int] = []
        over: Deferred[None] = Deferred()
        fails = [True, True, False, True, False, False]

        async def deliver(entry: Entry) -> None:
            if fails and fails.pop(0):
                raise Undelivered("it is away")
            arrived.append(entry.body["n"])
            if len(arrived) == 6:
                reactor.callLater(0, over.callback, None)

        with capturedLogs() as events:
            self.courier(outbox, deliver)
            await self.fill(outbox, 3, "mqtt")
            await deferLater(reactor, 0.01)
            await self.fill(outbox, 3, "mqtt")
            await over
        self.assertEqual(arrived, [0, 1, 2] * 2)
        troubles = story(events, LogLevel.warn)
        self.assertEqual(troubles, ["mqtt: it is away; what is to be told waits"] * 2)
        while outbox.waiting("mqtt"):
            await deferLater(reactor, 0.001)

    async def test_refused(self) -> None:
        """A message that is refused again and again is dropped: the others have their turn."""
        outbox = await self.opened()
        tries: list[int] = []
        over: Deferred[None] = Deferred()

        async def deliver(entry: Entry) -> None:
            tries.append(entry.body["n"])
            if entry.body["n"] == 0:
                raise Refused("not this one")
            reactor.callLater(0, over.callback, None)

        self.courier(outbox, deliver)
        await self.fill(outbox, 2, "mqtt")
        await over
        self.assertEqual(tries, [0] * TRIES + [1])

    async def test_stopped_on_the_way(self) -> None:
        """What is on its way when it is stopped still waits, for the next start."""
        outbox = await self.opened()
        begun: Deferred[None] = Deferred()

        async def deliver(entry: Entry) -> None:
            reactor.callLater(0, begun.callback, None)
            await Deferred()

        courier = self.courier(outbox, deliver)
        await self.fill(outbox, 1, "mqtt")
        await begun
        courier.stop()
        self.assertIsNotNone(await outbox.first("mqtt"))


KILLED = """
import os, sys
from pathlib import Path
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from trailcam.notify.outbox import Outbox

async def main():
    outbox = Outbox(Path(sys.argv[1]), reactor, ["mqtt"])
    await outbox.open()
    for n in range(20):
        await outbox.put({"n": n}, ["mqtt"])
    os.kill(os.getpid(), 9)

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


class KillTests(ProcessTestCase):
    """A process that dies."""

    async def test_killed(self) -> None:
        """All that was put before a kill -9 is there afterwards."""
        path = self.home / "outbox.sqlite"
        process = self.start_any([sys.executable, "-c", KILLED, str(path)])
        self.assertEqual(process.end(), -9)
        outbox = Outbox(path, reactor, ["mqtt"])
        self.addCleanup(outbox.close)
        await outbox.open()
        self.assertEqual(outbox.waiting("mqtt"), 20)


class MessageTests(TestCase):
    """What is told."""

    def test_kinds(self) -> None:
        """Every kind of message comes of something that happens; progress is not told."""
        visit = Visit("garden", NOW, NOW, "failed", "nobody answered", awake=3.14159, battery=70)
        told = [
            message(what, NOW)
            for what in (VisitEnded("garden", visit), BatteryLow("garden", 7),
                         CardNearlyFull("garden", 90), ClockWrong("garden", 99.0),
                         CameraMissing("garden", 3, "why", NOW), CameraBack("garden", 3))
        ]  # fmt: skip
        self.assertEqual(tuple(each["event_type"] for each in told if each), MESSAGES[2:])
        first = told[0] or {}
        self.assertEqual(first["when"], "2026-06-01T05:00:00Z")
        self.assertEqual((first["camera"], first["awake"], first["battery"]), ("garden", 3.1, 70))
        for quiet in (PhaseBegan("garden", "login", NOW), Transferring("garden", 1, 2, 3)):
            self.assertIsNone(message(quiet, NOW))
