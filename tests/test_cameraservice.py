"""L{CameraService} and L{LibraryService}: visits by the clock, and in other applications."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, capturedLogs, globalLogPublisher
from twisted.trial.unittest import TestCase

from tests.support import FakeRadios, PlainCard, story
from trailcam import cameraservice
from trailcam.cameraservice import LOOK, CameraService, LibraryService, LogListener
from trailcam.client import Camera
from trailcam.config import CameraConfig
from trailcam.errors import LibraryError, LoginRefused, NoCameraAnswered, TrailcamError
from trailcam.happenings import (
    BatteryLow,
    CameraBack,
    CameraMissing,
    Happening,
    NewMedia,
    PhaseBegan,
    VisitEnded,
)
from trailcam.library import Library
from trailcam.library.visits import Visit, read_visits
from trailcam.simulator.information import device_information
from trailcam.target import Policy, Target
from trailcam.testing import FakeCamera, InlineWorker, MemoryNetwork

NEWEST = 1_780_000_000
#: An early morning, where the tests run.
BASE = datetime(2026, 6, 1, 5, 0).timestamp()
HOUR = 3600.0
DAY = 24 * HOUR


class ServiceTestCase(TestCase):
    """A camera, on a network and a clock in memory, and a wall clock that can be set."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        self.set_by = 0.0
        self.told: list[Happening] = []
        card = PlainCard(2, 0, newest=NEWEST)
        self.fake = FakeCamera(self.network, card=card, search_port=None)
        self.fake.start()
        self.folder = Path(self.mktemp())
        self.radios = FakeRadios(self.network)
        self.library = self.new_library()
        self.messages: list[str] = []
        globalLogPublisher.addObserver(self.listen)
        self.addCleanup(globalLogPublisher.removeObserver, self.listen)

    def new_library(self) -> LibraryService:
        """As after a restart."""
        return LibraryService(Library(self.folder, self.network, inline=True))

    def listen(self, event: Any) -> None:
        """Keep what a person should see."""
        if event.get("log_level") == LogLevel.error:
            self.messages.append(event["log_format"].format(**event))

    def wall_clock(self) -> float:
        """What the clock on the wall shows."""
        return BASE + self.network.seconds() + self.set_by

    def now(self) -> datetime:
        """Likewise."""
        return datetime.fromtimestamp(self.wall_clock(), UTC)

    def happened(self, what: Happening) -> None:
        """See L{Listener.happened <trailcam.happenings.Listener.happened>}."""
        self.told.append(what)

    def service(self, *, listener: Any = None, **options: Any) -> CameraService:
        """Of the fake camera, visited every 600 s."""
        host, port = self.fake.address
        options.setdefault("interval", 600.0)
        config = CameraConfig("garden", Target(host=host, port=port), **options)
        policy = Policy(discovery=1.0, pauses=(1.0,), total=5.0)
        return CameraService(self.network, config, self.library, policy=policy,
                             worker=InlineWorker(), radios=self.radios, listener=listener or self,
                             wall_clock=self.wall_clock)  # fmt: skip

    def started(self, **options: Any) -> CameraService:
        """One that runs; what is due at once is over."""
        service = self.service(**options)
        service.startService()
        self.settle()
        return service

    def stop(self, service: CameraService, *, camera: bool = True) -> None:
        """Stop everything; no timer is left."""
        self.network.run_until(service.stopService())
        self.network.run_until(self.library.stopService())
        if camera:
            self.network.run_until(self.fake.stop())
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertIsNone(service.due)

    def restarted(self, service: CameraService, away: float = 0.0, **options: Any) -> CameraService:
        """The same again in another process, after so many seconds."""
        self.stop(service, camera=False)
        self.wait(away)
        self.library = self.new_library()
        return self.started(**options)

    def settle(self) -> None:
        """Let what is on its way arrive, and visits that are due end."""
        self.network.pump([0.01] * 50)

    def wait(self, seconds: float) -> None:
        """Let time pass, with everything in it at its own time."""
        self.network.run_until(deferLater(self.network, seconds), seconds + 1)

    def remember(self, *outcomes: tuple[float, str]) -> None:
        """Write visits down: how long ago they ended, and how."""
        library = self.new_library().library
        self.network.run_until(library.open())
        for ago, outcome in outcomes:
            ended = self.now() - timedelta(seconds=ago)
            visit = Visit("garden", ended, ended, outcome, battery=80)  # type: ignore[arg-type]
            self.network.run_until(library.record_visit(visit))
        self.network.run_until(library.close())

    def recorded(self) -> list[str]:
        """How the visits that were written down ended, latest first."""
        return [visit.outcome for visit in read_visits(self.folder, "garden", -1)]

    @property
    def visits(self) -> int:
        """How often the camera was visited."""
        return len(self.fake.sources)

    def assert_due_in(self, service: CameraService, seconds: float) -> None:
        """So long it is until the next visit."""
        assert service.due is not None
        self.assertApproximates((service.due - self.now()).total_seconds(), seconds, 2.0)


class VisitTests(ServiceTestCase):
    """Visits, well or not."""

    def test_again_after_the_interval(self) -> None:
        """It visits at once, and again after the interval, from the same source port."""
        service = self.service()
        service.startService()
        first = self.network.run_until(service.visit())
        self.assertEqual((service.last, first.new, first.skipped), (first, 2, 0))
        self.fake.card.add(0, NEWEST + 60)
        self.network.advance(599)
        self.assertEqual((service.last, len(self.fake.sources)), (first, 1))
        self.network.advance(1)
        second = self.network.run_until(service.visit())
        self.assertEqual((service.last, second.new, second.skipped), (second, 1, 2))
        self.assertEqual((len(self.fake.sources), len(set(self.fake.sources))), (2, 1))
        self.stop(service)

    def test_only_once(self) -> None:
        """With interval 0 there is one visit, and no timer after it."""
        service = self.service(interval=0.0)
        service.startService()
        self.network.run_until(service.visit())
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.stop(service)

    def test_nobody_answers(self) -> None:
        """A visit that failed is an error and a line in the log; the next one comes as usual."""
        service = self.service()
        self.network.drops = lambda sent: True
        service.startService()
        with self.assertRaises(NoCameraAnswered):
            self.network.run_until(service.visit())
        self.assertIsInstance(service.error, NoCameraAnswered)
        self.assertIsNone(service.last)
        (message,) = self.messages
        self.assertIn("garden: no camera answered", message)
        self.network.drops = lambda sent: False
        self.network.advance(600)
        report = self.network.run_until(service.visit())
        self.assertEqual((service.last, service.error), (report, None))
        self.stop(service)

    def test_login_refused(self) -> None:
        """A camera that refuses the login is not called again: its battery is not ours."""
        service = self.service(password="wrong")
        service.startService()
        with self.assertRaises(LoginRefused):
            self.network.run_until(service.visit())
        self.assertIsInstance(service.error, LoginRefused)
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertIn("restarted", self.messages[-1])
        self.stop(service)

    def test_library_unusable(self) -> None:
        """No camera is called for a library that cannot take anything; later it may."""
        self.folder.write_text("")
        service = self.service()
        service.startService()
        self.assertIsInstance(service.error, LibraryError)
        self.failureResultOf(service.visit(), LibraryError)
        self.assertEqual(self.fake.sources, [])
        self.folder.unlink()
        self.network.advance(600)
        self.assertEqual(self.network.run_until(service.visit()).new, 2)
        self.stop(service)

    def test_visits_join(self) -> None:
        """Who asks for a visit while one goes on gets its report; giving up does not end it."""
        service = self.service()
        first, second, third = service.visit(), service.visit(), service.visit()
        second.cancel()
        self.failureResultOf(second, CancelledError)
        report = self.network.run_until(first)
        self.assertIs(self.successResultOf(third), report)
        self.assertEqual((len(self.fake.sources), service.last), (1, report))
        self.stop(service)

    def test_stopped_and_started(self) -> None:
        """Stopping in the middle says CLOSE and leaves no error; started again, it goes on."""
        service = self.service()
        service.startService()
        waiting = service.visit()
        while not service.camera.sessions:
            self.network.advance(0.001)
        self.stop_visit(service)
        self.failureResultOf(waiting, CancelledError)
        self.assertIsNone(service.error)
        service.startService()
        self.assertEqual(self.network.run_until(service.visit()).new, 2)
        self.assertEqual(len(set(self.fake.sources)), 1)
        self.stop(service)

    def stop_visit(self, service: CameraService) -> None:
        """Stop; the camera has heard of it."""
        self.network.run_until(service.stopService())
        self.settle()
        self.assertIsNone(self.fake.session)


class ScheduleTests(ServiceTestCase):
    """When visits are made."""

    def test_due(self) -> None:
        """It is known when the next visit begins, also after one that somebody wanted."""
        service = self.service()
        self.assertIsNone(service.due)
        service.startService()
        self.settle()
        self.assert_due_in(service, 600 - 0.5)
        self.wait(300)
        self.assert_due_in(service, 300 - 0.5)
        self.network.run_until(service.visit())
        self.assert_due_in(service, 600)
        self.wait(599)
        self.assertEqual(self.visits, 2)
        self.wait(2)
        self.assertEqual(self.visits, 3)
        self.stop(service)

    def test_restart(self) -> None:
        """Over a restart the interval goes on; what was missed is made up once."""
        service = self.started()
        service = self.restarted(service, 200)
        self.assertEqual(self.visits, 1)
        self.assert_due_in(service, 400 - 1)
        service = self.restarted(service, 5000)
        self.assertEqual(self.visits, 2)
        self.wait(598)
        self.assertEqual(self.visits, 2)
        self.stop(service)

    def test_past(self) -> None:
        """What was interrupted or failed in an earlier life is no visit; what went well is."""
        for past, due in (
            ([(60, "interrupted")], 0), ([(60, "failed")], 0), ([(601, "ok"), (60, "failed")], 0),
            ([(100, "ok"), (60, "interrupted")], 500), ([(60, "failed"), (10, "ok")], 590),
            ([(-60, "ok")], 660), ([(-2 * DAY, "ok")], 0),
        ):  # fmt: skip
            self.remember(*past)
            visits, service = self.visits, self.started()
            self.assertEqual(self.visits - visits, 0 if due else 1, past)
            self.assert_due_in(service, due or 600)
            self.stop(service, camera=False)
            self.folder = Path(self.mktemp())
            self.library = self.new_library()
        self.network.run_until(self.fake.stop())

    def test_started_again(self) -> None:
        """The very same service, started again: what was interrupted or refused is tried anew."""
        for interval in (600.0, 0.0):
            service = self.service(interval=interval)
            service.startService()
            visits = self.visits
            while self.visits == visits:
                self.network.advance(0.001)
            self.network.run_until(service.stopService())
            service.startService()
            self.settle()
            self.assertEqual(self.visits, visits + 2)
            self.network.run_until(service.stopService())
            self.folder = Path(self.mktemp())
            self.network.run_until(self.library.stopService())
            self.library = self.new_library()
        self.fake.faults.refuse_login = True
        service = self.started()
        self.assertIsInstance(service.error, LoginRefused)
        self.fake.faults.refuse_login = False
        self.network.run_until(service.stopService())
        service.startService()
        self.settle()
        self.assertIsNone(service.error)
        self.assertIsNotNone(service.last)
        self.stop(service)

    def test_times(self) -> None:
        """With times: at once, as it was never visited, and then at each of them."""
        service = self.started(times=("0 6,18 * * *",))
        self.assert_due_in(service, HOUR)
        for seconds, visits in ((HOUR - 2, 1), (4, 2), (12 * HOUR - 10, 2), (12, 3), (DAY, 5)):
            self.wait(seconds)
            self.assertEqual(self.visits, visits)
        self.stop(service)

    def test_quiet(self) -> None:
        """What is due in the quiet hours is put off to their end, and made up once."""
        self.set_by = 16.5 * HOUR  # it is half past nine in the evening
        service = self.started(interval=HOUR, quiet=(time(22), time(5)))
        self.assert_due_in(service, 7.5 * HOUR)
        self.wait(7.5 * HOUR - 2)
        self.assertEqual(self.visits, 1)
        self.wait(4)
        self.assertEqual(self.visits, 2)
        self.assert_due_in(service, HOUR - 2)
        self.stop(service)

    def test_jitter(self) -> None:
        """A visit is late by a time that stays the same however often one looks."""
        noise = Random(1)
        real = self.wall_clock
        self.wall_clock = lambda: real() + noise.random() / 1e4  # type: ignore[method-assign]
        service = self.started(interval=HOUR, jitter=2 * HOUR)
        due, seen = service.due, set()
        assert due is not None
        late = (due - self.now()).total_seconds() - HOUR
        self.assertGreater(late, 60, "this proves nothing: choose another name")
        while self.visits == 1:
            seen.add(service.due and service.due.replace(microsecond=0))
            self.wait(LOOK / 2)
        self.assertLessEqual(len(seen), 2)
        self.assertLess(abs(self.now() - due), timedelta(seconds=LOOK))
        self.stop(service)

    def test_battery(self) -> None:
        """A low battery makes visits rarer, also after a restart."""
        self.patch_battery(15)
        service = self.started(battery_floor=30)
        self.assert_due_in(service, 8 * 600)
        service = self.restarted(service, 100, battery_floor=30)
        self.assert_due_in(service, 8 * 600 - 100)
        self.patch_battery(90)
        self.wait(8 * 600)
        self.assertEqual(self.visits, 2)
        assert service.due is not None
        self.assertLess(service.due - self.now(), timedelta(seconds=600))
        self.stop(service)

    def patch_battery(self, percent: int) -> None:
        """What the camera says from now on."""
        self.patch(
            __import__("trailcam.simulator.camera", fromlist=["camera"]), "device_information",
            lambda *args: {**device_information(*args), "batPercent": percent},
        )  # fmt: skip

    def test_clock_is_set(self) -> None:
        """However the wall clock is set, an interval is not shorter, and not longer."""
        for jump in (DAY, -365 * DAY, 90.0, -90.0):
            visits, service = self.visits, self.started()
            self.set_by += jump
            self.wait(598)
            self.assertEqual(self.visits, visits + 1, jump)
            self.wait(3)
            self.assertEqual(self.visits, visits + 2, jump)
            self.assert_due_in(service, 600)
            self.stop(service, camera=False)
            self.folder = Path(self.mktemp())
            self.library = self.new_library()
        self.network.run_until(self.fake.stop())

    def test_clock_is_set_with_times(self) -> None:
        """Times are the clock's: they come once each, when it shows them."""
        for jump, until in ((DAY, HOUR), (-365 * DAY, HOUR), (0.5 * HOUR, 0.5 * HOUR)):
            visits, service = self.visits, self.started(times=("0 6 * * *",))
            self.set_by += jump
            self.wait(LOOK)
            self.assert_due_in(service, until - LOOK)
            self.wait(until - LOOK - 2)
            self.assertEqual(self.visits, visits + 1, jump)
            self.wait(LOOK)
            self.assertEqual(self.visits, visits + 2, jump)
            self.set_by = -self.network.seconds()
            self.stop(service, camera=False)
            self.folder = Path(self.mktemp())
            self.library = self.new_library()
        self.network.run_until(self.fake.stop())

    def test_no_tight_loop(self) -> None:
        """A library that cannot be used is tried once for each interval, with one timer."""
        self.folder.write_text("")
        tries: list[float] = []
        real = self.library.library.open

        def count() -> Deferred[None]:
            tries.append(self.network.seconds())
            return real()

        self.patch(self.library.library, "open", count)
        service = self.service()
        service.startService()
        self.wait(3000)
        self.assertEqual(len(tries), 1 + 6, "once to recall, and once for each visit")
        self.assertEqual(len(self.network.getDelayedCalls()), 1)
        self.assertEqual(self.visits, 0)
        self.stop(service)


class TellingTests(ServiceTestCase):
    """What a station hears of."""

    def kinds(self, *wanted: type[Any]) -> list[type[Any]]:
        """Of which kinds were what was told of, as far as they are wanted."""
        return [type(what) for what in self.told if isinstance(what, wanted)]

    def test_story(self) -> None:
        """The phases, what came home, how it ended, and what that brought to light."""
        service = self.started(battery_low=81)
        first = [NewMedia, NewMedia, VisitEnded, BatteryLow]
        self.assertEqual(self.kinds(*first), first)
        self.wait(601)
        self.assertEqual(self.kinds(*first), [*first, VisitEnded])
        self.stop(service)

    def test_missing_and_back(self) -> None:
        """A camera that is missing is told of once, also when that spans a restart."""
        service = self.started()
        self.network.drops = lambda sent: True
        self.wait(2 * 610)
        service = self.restarted(service)
        self.wait(3 * 610)
        self.network.drops = lambda sent: False
        self.wait(700)
        self.assertEqual(self.kinds(CameraMissing, CameraBack), [CameraMissing, CameraBack])
        self.stop(service)

    def test_raising_listener(self) -> None:
        """A listener that raises harms no visit; that it does is told once."""

        class Raising:
            """A listener with a fault."""

            def happened(self, what: Happening) -> None:
                raise KeyError("a fault of the listener's")

        service = self.started(listener=Raising())
        self.assertEqual((service.error, service.last and service.last.new), (None, 2))
        self.wait(601)
        self.assertEqual(self.recorded(), ["ok", "ok"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.stop(service)

    def test_log_listener(self) -> None:
        """By itself it is told in the log: what is no news to a person, only in the details."""
        visit = Visit("garden", self.now(), self.now(), "ok")
        with capturedLogs() as events:
            for what in (PhaseBegan("garden", "login", self.now()), VisitEnded("garden", visit),
                         CameraBack("garden", 4), BatteryLow("garden", 7)):  # fmt: skip
                LogListener().happened(what)
        self.assertEqual(story(events), ["garden: back, after 4 visits that failed",
                                         "garden: the battery is at 7 %"])  # fmt: skip
        self.assertEqual(story(events, LogLevel.warn), ["garden: the battery is at 7 %"])
        self.assertEqual(len(events), 4)

    def test_visit_now(self) -> None:
        """A visit that somebody wants is told of in the log, well or not, and never raises."""
        service = self.service()
        with capturedLogs() as events:
            service.visit_now()
            self.settle()
        self.assertIn("garden: 2 new, 0 here already, 0 failed", "\n".join(story(events)))
        self.network.drops = lambda sent: True
        service.visit_now()
        self.wait(10)
        self.assertIn("garden: no camera answered", self.messages[-1])
        self.network.drops = lambda sent: False
        self.patch(cameraservice.CameraVisit, "begin", lambda visit: 1 / 0)
        service.visit_now()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIs(type(service.error), TrailcamError)
        self.assertEqual(self.recorded(), ["failed", "failed", "ok"])
        self.stop(service)


class StopTests(ServiceTestCase):
    """Stopping."""

    def test_recorded_before_the_library_closes(self) -> None:
        """Stopped with the library in the middle of a visit: it is written down as interrupted."""
        for step in range(0, 30, 3):
            service = self.service()
            service.startService()
            self.network.pump([0.001] * step)
            whole = service.last is not None
            # As a MultiService does: both at once.
            both = [self.library.stopService(), service.stopService()]
            for stopping in both:
                self.network.run_until(stopping)
            self.assertEqual(self.recorded()[0], "ok" if whole else "interrupted")
            self.settle()
            self.assertFalse(self.fake.session is not None and self.fake.session.is_open)
            self.assertEqual((service.error, service.due), (None, None))
            self.folder = Path(self.mktemp())
            self.library = self.new_library()
        self.assertTrue(whole, "it never came to the end")
        self.network.run_until(self.fake.stop())

    def test_radios(self) -> None:
        """Radios of its own are let go of, once the visit is over; shared ones are not."""
        service = self.service(wake="", wifi="")
        service.startService()
        self.wait(4)
        self.stop(service, camera=False)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        self.patch(cameraservice, "Radios", lambda reactor, state: self.radios)
        self.radios.asked.clear()
        service = CameraService(self.network, replace(service.config, name="pond"), self.library,
                                worker=InlineWorker(), listener=self)  # fmt: skip
        service.visit_now()
        self.wait(4)
        self.stop(service)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave", "close"])


class ReactorTests(TestCase):
    """The services in an application of somebody else, with the real reactor."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        card = PlainCard(6, 0, newest=NEWEST)
        self.fake = FakeCamera(reactor, card=card, port=0, search_port=None)
        self.fake.start()
        self.addCleanup(self.fake.stop)
        host, port = self.fake.address
        self.config = CameraConfig("garden", Target(host=host, port=port), interval=600.0)
        self.application = MultiService()
        self.library = LibraryService(Library(self.folder / "library", reactor))
        self.library.setServiceParent(self.application)

    def add(self, **options: Any) -> CameraService:
        """A camera's service in the application."""
        service = CameraService(reactor, self.config, self.library,
                                state=self.folder / "state", **options)  # fmt: skip
        service.setServiceParent(self.application)
        return service

    def assert_free(self, port: int) -> None:
        """Somebody else can have the source port."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", port))

    async def test_visit(self) -> None:
        """In a plain MultiService it fetches everything, and stops without a trace."""
        service = self.add()
        self.application.startService()
        report = await service.visit()
        self.assertEqual((report.new, report.failed, service.last), (6, 0, report))
        self.assertEqual(self.application.getServiceNamed("garden"), service)
        await self.application.stopService()
        self.assert_free(service.camera.local_port)
        self.assertEqual(len(list(self.folder.glob("library/*/*/*.jpg"))), 6)

    async def test_stopped_during_a_visit(self) -> None:
        """stopService during a visit: CLOSE is said, and the port and the library are free."""
        there: Deferred[Camera] = Deferred()
        service = self.add(connected=there.callback)
        self.application.startService()
        camera = await there
        await deferLater(reactor, 0)  # not within the call that told us
        waiting = service.visit()
        await self.application.stopService()
        self.failureResultOf(waiting, CancelledError)
        self.assertIsNone(service.error)
        self.assert_free(camera.local_port)
        again = Library(self.folder / "library", reactor)
        await again.open()
        await again.close()
