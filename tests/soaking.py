"""
A long life in little time: fifty simulated cameras and their clients in one process.

Run as C{python -m tests.soaking SECONDS SEED FOLDER}; L{tests.test_soak} does. Real sockets on
127.0.0.1; no camera is ever searched for. Most cameras are visited again and again, as C{twistd
trailcam} visits them; some are looked at live; one sends small live frames as fast as they are
taken, until its channel's index has wrapped, and slowly after that. Meanwhile links fall silent,
cameras hang up or lose their power, and whole stations are stopped and started.

It prints lines of JSON: a sample now and then, and in the end, when everything has been closed,
what became of it all.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import random
import re
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import LogEvent, LogLevel, eventAsText, globalLogBeginner

from tests.support import PlainCard
from trailcam.client import Camera
from trailcam.commands import MediaFile
from trailcam.config import CameraConfig
from trailcam.errors import TrailcamError
from trailcam.library import Library
from trailcam.service import CameraService, LibraryService
from trailcam.simulator.faults import Faults
from trailcam.simulator.recording import LiveSource, Sample
from trailcam.simulator.streams import frame_message
from trailcam.target import Policy, Target
from trailcam.testing import FakeCamera
from trailcam.worker import ThreadWorker

CAMERAS, STATIONS, WATCHED = 50, 5, 5
#: So many datagrams on one channel: more than there are indexes.
WRAP = 66_000
#: Datagrams a second until then, if they are taken so fast, and after it.
FAST, SLOW = 5000, 500
#: Seconds between the visits of a station, between new photos, and between outages, all together.
INTERVAL, NEW_PHOTO, OUTAGE = 2.0, 0.25, 0.4
#: A card with so many photos is formatted.
MOST_PHOTOS = 8
NEWEST = 1_780_000_000
#: Less patient than usual, for there is little time.
HASTE = Policy(discovery=1.0, pauses=(0.2, 0.5, 1.0, 1.0, 2.0, 2.0), total=30.0, silence=2.0,
               request=4.0, heartbeat=1.0, port_patience=2.0)  # fmt: skip


class SmallCard(PlainCard):
    """Photos that are soon sent."""

    size = 20_000


class Watcher:
    """
    Looks at one camera live, again and again.

    @ivar rushed: how many of the small frames came.
    @ivar missed: how often another one came than the next.
    """

    def __init__(self, reactor: Any, rng: random.Random, camera: Camera, steady: bool) -> None:
        """@param steady: look without a pause."""
        self._reactor = reactor
        self._rng = rng
        self._steady = steady
        self._over = False
        self.camera = camera
        self.rushed = self.missed = self.frames = 0
        self._watching = Deferred.fromCoroutine(self._watch())

    async def stop(self) -> None:
        """Look no more."""
        self._over = True
        await self.camera.close()
        await self._watching

    async def _watch(self) -> None:
        while not self._over:
            try:
                await self.camera.connect()
                await self.camera.login()
                while not self._over:
                    await self._look()
            except TrailcamError:
                continue
            finally:
                await self.camera.close()

    async def _look(self) -> None:
        frames = await self.camera.live()
        left = self._rng.randint(20, 60)
        async for frame in frames:
            self.frames += 1
            if frame.width == 1:
                self.missed += frame.counter != self.rushed + 1
                self.rushed = frame.counter
            left -= not self._steady
            if not left or self._over:
                break
        await frames.close()
        photos = [file async for file in self.camera.media()]
        await self.camera.thumbnails(photos[:3])


class Rush:
    """Sends small live frames on one camera's live channel, as its client takes them."""

    FRAME = Sample(0, b"\0\0\0\1\x65" + bytes(20), True, True)

    def __init__(self, reactor: Any, fake: FakeCamera) -> None:
        self._reactor = reactor
        self._fake = fake
        self._allowed = 0.0
        self._then = reactor.seconds()
        self.sent = 0
        self.loop = LoopingCall(self._send)
        self.loop.clock = reactor
        self.loop.start(0.02)

    def _send(self) -> None:
        now, then = self._reactor.seconds(), self._then
        self._then = now
        self._allowed += min(now - then, 0.1) * (SLOW if self.sent > WRAP else FAST)
        guest = self._fake._guest
        if guest is None or guest._live is None:  # nobody looks
            return
        while self._allowed >= 1 and guest.pump.session.pending(1) < 64_000:
            self._allowed -= 1
            self.sent += 1
            guest.pump.send(1, frame_message(self.sent, self.FRAME, self.sent, 1, 1))


class Soak:
    """All of it."""

    def __init__(self, reactor: Any, seed: int, folder: Path) -> None:
        self._reactor = reactor
        self._folder = folder
        self._rng = random.Random(seed)
        self._began = reactor.seconds()
        self._kinds = cycle(["silence", "close", "power"] * 4 + ["restart"])
        self._troubled: set[int] = set()
        self._troubles: set[Deferred[None]] = set()
        self._loops: list[LoopingCall] = []
        self._ports: list[set[int]] = [set() for _ in range(CAMERAS)]
        self._sessions = [0] * CAMERAS
        self.outages: Counter[str] = Counter()
        self.fakes = [self._fake(number) for number in range(CAMERAS)]
        self.stations: list[MultiService] = []
        self.services: list[CameraService] = []
        self.watchers: list[Watcher] = []

    def start(self) -> None:
        """Let life begin."""
        for fake in self.fakes:
            fake.start()
        self.stations = [self._station(number) for number in range(STATIONS)]
        for station in self.stations:
            station.startService()
        self.watchers = [
            Watcher(self._reactor, self._rng, self._camera(number), number == 0)
            for number in range(WATCHED)
        ]
        self.rush = Rush(self._reactor, self.fakes[0])
        self._loops = [self.rush.loop]
        for interval, work in ((NEW_PHOTO, self._take_photo), (OUTAGE, self._trouble)):
            loop = LoopingCall(work)
            loop.clock = self._reactor
            loop.start(interval, now=False)
            self._loops.append(loop)

    @property
    def seen(self) -> dict[str, list[int]]:
        """How many sessions each camera has had, and from how many ports."""
        for number, fake in enumerate(self.fakes):
            self._ports[number].update(fake.sources)
            self._sessions[number] += len(fake.sources)
            fake.sources.clear()  # or it would grow for ever
        return {"sessions": self._sessions, "ports": [len(ports) for ports in self._ports]}

    async def calm(self) -> None:
        """No more outages or photos; wait until those that there are are over."""
        for loop in self._loops[1:]:
            loop.stop()
        await DeferredList(list(self._troubles))

    async def bring_home(self) -> list[str]:
        """A last visit to every camera; what did not go well."""
        visits = [Deferred.fromCoroutine(self._last_visit(service)) for service in self.services]
        return [complaint for _, complaint in await DeferredList(visits) if complaint]

    async def close(self) -> None:
        """Everything ends."""
        self._loops[0].stop()
        ending: list[Deferred[Any]] = [station.stopService() for station in self.stations]
        ending += [Deferred.fromCoroutine(watcher.stop()) for watcher in self.watchers]
        await DeferredList(ending, fireOnOneErrback=True)
        await DeferredList([fake.stop() for fake in self.fakes], fireOnOneErrback=True)

    # -- who there is ------------------------------------------------------

    def _fake(self, number: int) -> FakeCamera:
        bad = number % 7 == 3
        faults = Faults(
            loss=0.01 * bad, duplicate=0.01 * bad, reorder=0.03 * bad, silence_after=1e9,
            unit=f"C6:00:00:00:00:{number:02X}", seed=number,
        )  # fmt: skip
        return FakeCamera(
            self._reactor, card=SmallCard(3, 0, newest=NEWEST, seed=number), port=0,
            search_port=None, faults=faults, worker=ThreadWorker(self._reactor),
        )  # fmt: skip

    def _target(self, number: int) -> Target:
        return Target(*self.fakes[number].address, name=f"camera{number}")

    def _state(self, number: int) -> Path:
        # They all have one host: in one folder each would begin with another one's port.
        return self._folder / f"state{number}"

    def _camera(self, number: int) -> Camera:
        # The steady one has to live to the end, however busy this machine is.
        policy = HASTE if number else Policy()
        return Camera(self._reactor, self._target(number), policy=policy, state=self._state(number))

    def _station(self, number: int) -> MultiService:
        station = MultiService()
        shared = LibraryService(Library(self._folder / f"library{number}", self._reactor))
        shared.setServiceParent(station)
        for each in range(WATCHED + number, CAMERAS, STATIONS):
            config = CameraConfig(f"camera{each}", self._target(each), interval=INTERVAL)
            service = CameraService(self._reactor, config, shared, policy=HASTE,
                                    state=self._state(each))  # fmt: skip
            service.setServiceParent(station)
            self.services.append(service)
        return station

    # -- what happens ------------------------------------------------------

    def _take_photo(self) -> None:
        card = self._rng.choice(self.fakes).card
        if len(card.files) >= MOST_PHOTOS:
            card.clear()
        card.add(0, NEWEST + int(self._reactor.seconds() - self._began))

    def _trouble(self) -> None:
        kind = next(self._kinds)
        number = self._rng.randrange(1, CAMERAS)
        fake = self.fakes[number]
        match kind:
            case "silence":
                self._begin(kind, number, lambda: self._silence(fake))
            case "close":
                self._begin(kind, number, lambda: self._hang_up(fake))
            case "power":
                self._begin(kind, number, lambda: self._power_cut(fake))
            case "restart":
                self._begin(kind, -1, self._restart)

    def _begin(self, kind: str, number: int, work: Callable[[], Awaitable[None]]) -> None:
        if number in self._troubled:
            return
        self._troubled.add(number)
        self.outages[kind] += 1

        async def trouble() -> None:
            try:
                await work()
            finally:
                self._troubled.discard(number)

        running = Deferred.fromCoroutine(trouble())
        self._troubles.add(running)
        running.addErrback(lambda failure: failure.printTraceback())
        running.addBoth(lambda _: self._troubles.discard(running))

    async def _silence(self, fake: FakeCamera) -> None:
        fake.faults.silence = self._rng.uniform(0.5, 4.0)
        fake.link.fall_silent()
        await deferLater(self._reactor, 4.0)

    async def _hang_up(self, fake: FakeCamera) -> None:
        await fake.stop()
        await deferLater(self._reactor, self._rng.uniform(0, 0.5))
        fake.switch_on()

    async def _power_cut(self, fake: FakeCamera) -> None:
        await fake.switch_off()
        await deferLater(self._reactor, self._rng.uniform(0.2, 3.0))
        fake.switch_on()

    async def _restart(self) -> None:
        station = self._rng.choice(self.stations)
        await station.stopService()
        station.startService()

    async def _last_visit(self, service: CameraService) -> str | None:
        number = int(service.name.removeprefix("camera"))
        card = self.fakes[number].card
        error: Exception | None = None
        for _ in range(5):  # the first may be one that suffered from the last outage
            try:
                report = await service.visit()
            except TrailcamError as trouble:
                error = trouble
                continue
            if not report.failed and report.new + report.skipped == len(card.files):
                return None
        return f"{service.name}: {error or report}"


class Meter:
    """Measures this process."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._began = time.monotonic()

    def sample(self, phase: str, **more: Any) -> dict[str, Any]:
        """What there is now; C{rss} in KiB, C{cpu} in seconds so far."""
        gc.collect()
        # What glibc keeps of what was given back would grow by 40 MB in an hour: with so many
        # threads it has many heaps. It is not ours any more.
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        used = resource.getrusage(resource.RUSAGE_SELF)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return {
            "phase": phase,
            "seconds": round(time.monotonic() - self._began, 1),
            "fds": len(os.listdir("/proc/self/fd")),
            "rss": pages * resource.getpagesize() // 1024,
            "blocks": sys.getallocatedblocks(),
            "calls": len(self._reactor.getDelayedCalls()),
            "threads": threading.active_count(),
            "cpu": round(used.ru_utime + used.ru_stime, 1),
            **more,
        }


def at_home(folder: Path) -> tuple[int, list[str]]:
    """How many photos lie in the libraries, and the names of what should not."""
    whole, wrong = 0, []
    card = SmallCard(0, 0, newest=NEWEST)
    for path in folder.glob("library*/*/*/*"):
        match = re.search(r"_(\d{3})-(\d{4})\b.*\.jpg$", path.name)
        if match and path.read_bytes() == card.photo(MediaFile(0, int(match[1]), int(match[2]))):
            whole += 1
        else:
            wrong.append(path.name)
    return whole, wrong


async def live(reactor: Any, seconds: float, seed: int, folder: Path) -> None:
    """Begin, sample, end, and tell."""
    faults: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.critical or "log_failure" in event:
            faults.append(eventAsText(event))

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)
    LiveSource()  # drawn now, it is there for all who look
    meter = Meter(reactor)
    tell(meter.sample("before"))
    soak = Soak(reactor, seed, folder)
    soak.start()
    watcher = soak.watchers[0]
    step = min(10.0, seconds / 30)
    end = reactor.seconds() + seconds
    patience = end + 60  # for the wrap, on a machine that is slow
    while (now := reactor.seconds()) < end or (watcher.rushed < WRAP and now < patience):
        await deferLater(reactor, step)
        sessions = sum(soak.seen["sessions"])
        tell(meter.sample("life", rushed=watcher.rushed, outages=soak.outages.total(),
                          sessions=sessions))  # fmt: skip
    await soak.calm()
    complaints = await soak.bring_home()
    await soak.close()
    del soak.stations, soak.services
    whole, wrong = at_home(folder)
    calls = [str(call) for call in reactor.getDelayedCalls()]
    tell(meter.sample(
        "end", left=calls, faults=faults[:3], complaints=complaints, whole=whole, wrong=wrong,
        outages=soak.outages, **soak.seen,
        rushed=watcher.rushed, missed=watcher.missed, steady=watcher.camera.sessions,
        frames=[each.frames for each in soak.watchers],
    ))  # fmt: skip


def tell(what: dict[str, Any]) -> None:
    """One line."""
    print(json.dumps(what), flush=True)


def main(seconds: str, seed: str, folder: str) -> None:
    """Run it in the global reactor."""
    from twisted.internet import reactor as global_reactor

    reactor: Any = global_reactor

    def begin() -> None:
        running = Deferred.fromCoroutine(live(reactor, float(seconds), int(seed), Path(folder)))
        running.addErrback(lambda failure: failure.printTraceback())
        running.addBoth(lambda _: reactor.stop())

    reactor.callWhenRunning(begin)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
