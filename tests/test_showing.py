"""L{Showing} and C{CameraService.live}: who watches brings the camera; time is virtual."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import capturedLogs

from tests.support import PlainCard, story
from tests.test_cameraservice import NEWEST, ServiceTestCase
from tests.test_simulator_asleep import LIMITS, PATIENCE
from tests.test_simulator_asleep import Stage as AsleepTestCase
from trailcam import showing
from trailcam.cameraservice import CameraService, LibraryService
from trailcam.config import CameraConfig
from trailcam.errors import (
    CameraBusy,
    CameraLost,
    LiveViewOver,
    LoginRefused,
    NetworkVanished,
    NoCameraAnswered,
    RadioError,
    TrailcamError,
)
from trailcam.fragments import Fragment, Opening
from trailcam.happenings import PhaseBegan, VisitEnded
from trailcam.library import Library
from trailcam.radio.station import Radios
from trailcam.session.events import CloseReason
from trailcam.showing import LINGER, PHASES
from trailcam.simulator.asleep import SleepingCamera
from trailcam.simulator.camera import Visit as Answers
from trailcam.target import Target
from trailcam.testing import FakeCamera, InlineWorker
from trailcam.viewer import Viewer

#: A camera that sleeps, and has a network of its own.
ASLEEP = {"wake": "", "wifi": ""}


async def some(viewer: Viewer, count: int) -> list[Any]:
    """So many pictures, and whatever else comes between."""
    found: list[Any] = []
    while sum(isinstance(piece, Fragment) for piece in found) < count:
        found.append(await viewer.__anext__())
    return found


class ShowingTestCase(ServiceTestCase):
    """A sleeping camera, radios, and a service that has not been started."""

    def setUp(self) -> None:
        super().setUp()
        self.overs: list[CloseReason] = []
        self.fake.over = self.overs.append

    def asleep(self, **options: Any) -> CameraService:
        """The service of the camera, which must be woken; visited every 600 s, if it is started."""
        host, port = self.fake.address
        options = {"interval": 600.0, **ASLEEP, **options}
        config = CameraConfig("garden", Target(host=host, port=port), **options)
        return CameraService(
            self.network, config, self.library, worker=InlineWorker(), radios=self.radios,
            listener=self, wall_clock=self.wall_clock,
        )  # fmt: skip

    def next(self, viewer: Viewer) -> Deferred[Any]:
        """Ask for what comes next."""
        return Deferred.fromCoroutine(viewer.__anext__())

    def read(self, viewer: Viewer, count: int = 5) -> list[Any]:
        """So many pictures, and whatever else comes between."""

        found: list[Any] = self.network.run_until(Deferred.fromCoroutine(some(viewer, count)))
        return found

    def end_of(self, viewer: Viewer) -> Exception | None:
        """What ends it; C{None}: it was closed."""

        async def until_then() -> None:
            async for _ in viewer:
                pass

        try:
            self.network.run_until(Deferred.fromCoroutine(until_then()), 400.0)
        except TrailcamError as error:
            return error
        return None

    def until(self, phase: str | None) -> None:
        """Let time pass until this phase begins, if it has not; no longer."""
        now = max(len(self.phases()) - 1, 0)
        while phase not in self.phases()[now:]:
            due = min(call.getTime() for call in self.network.getDelayedCalls())
            self.network.advance(max(0.0, due - self.network.seconds()))

    def phases(self) -> list[str | None]:
        """Those that were told of."""
        return [each.phase for each in self.told if isinstance(each, PhaseBegan)]

    def assert_left(self, *phases: str | None) -> None:
        """These were told of, then it was left; nothing goes on."""
        self.until(None)
        self.assertEqual(self.phases(), [*phases, "leaving", None])
        self.wait(30)  # a camera that was lost forgets its session
        self.assertEqual(self.network.getDelayedCalls(), [])
        self.assertFalse(self.radios.turn.locked)
        self.assertFalse(self.fake.session is not None and self.fake.session.is_open)

    def assert_left_once(self, service: CameraService, viewer: Viewer) -> None:
        """It was put back before it was brought anew for this viewer, who leaves then."""
        self.read(viewer)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave", "wake", "join"])
        self.assertEqual(self.phases(), [*PHASES, None, *PHASES[:-1]])
        viewer.close()
        self.until("leaving")
        self.until(None)
        self.stop(service)


class ComingTests(ShowingTestCase):
    """Viewers come and go, and the camera with them."""

    def test_story(self) -> None:
        """The first viewer brings it, the last lets it go, from the same port each time."""
        service = self.asleep()
        self.assertEqual(service.viewers, 0)
        for times in (1, 2):
            first = service.live.watch()
            self.assertTrue(any(isinstance(piece, Opening) for piece in self.read(first)))
            second = service.live.watch()
            self.read(second)
            self.assertEqual((self.phases(), service.viewers), (list(PHASES[:-1]), 2))
            self.assertEqual(self.radios.asked, ["wake", "join"] * times)
            first.close()
            self.wait(LINGER + 1)
            self.assertEqual((self.phases()[-1], self.overs), ("showing", []))
            second.close()
            self.wait(LINGER - 0.5)
            self.assertEqual((self.phases()[-1], self.overs), ("showing", []))
            self.wait(1)
            self.assertEqual((self.phases()[-1], self.overs), ("leaving", [CloseReason.PEER]))
            self.assert_left(*PHASES[:-1])
            self.assertEqual(self.radios.asked.pop(2 * times), "leave")
            self.told.clear()
            self.overs.clear()
        self.assertEqual((len(self.fake.sources), len(set(self.fake.sources))), (2, 1))
        self.assertEqual(self.radios.cancelled, [])
        self.stop(service)

    def test_no_visit(self) -> None:
        """A live view is no visit: nothing is fetched, written down, or put off by it."""
        service = self.started()
        self.told.clear()
        self.read(viewer := service.live.watch())
        self.assert_due_in(service, 600)
        viewer.close()
        self.wait(LINGER + 1)
        self.assertEqual(self.recorded(), ["ok"])
        self.assertEqual([what for what in self.told if isinstance(what, VisitEnded)], [])
        self.assertEqual(self.phases(), ["connecting", "login", "showing", "leaving", None])
        self.assertEqual(self.radios.asked, [])
        self.stop(service)

    def test_still(self) -> None:
        """One picture of now wakes a sleeping camera too."""
        service = self.asleep()
        data = self.network.run_until(service.live.still())
        with Image.open(io.BytesIO(data)) as image:
            self.assertEqual((image.format, image.size), ("JPEG", (1280, 720)))
        self.assert_left(*PHASES[:-1])
        self.stop(service)

    def test_reload(self) -> None:
        """Who is back soon finds the camera as it was, also while it is on its way."""
        service = self.asleep()
        for seconds in (0.5, 1, 3, 2, 4):  # it is there after five
            viewer = service.live.watch()
            self.wait(seconds)
            viewer.close()
            self.wait(0.1)
        for _ in range(3):
            self.read(viewer := service.live.watch())
            viewer.close()
            self.wait(LINGER - 0.5)
        self.assertEqual(self.radios.asked, ["wake", "join"])
        self.assert_left(*PHASES[:-1])
        self.assertEqual((len(self.fake.sources), self.radios.cancelled), (1, []))
        self.stop(service)

    def test_left_early(self) -> None:
        """When everybody leaves while it is being brought, it is left from wherever it is."""
        real, mute = Answers._answer, [0]
        self.patch(Answers, "_answer", lambda visit, code, *rest: (
            iter(()) if code in mute else real(visit, code, *rest)))  # fmt: skip
        for phase, what in (("login", []), ("connecting", []), ("joining", ["join"]),
                            ("waking", ["wake"])):  # fmt: skip
            if phase == "connecting":
                self.network.drops = lambda sent: True
            for each in what:
                self.radios.takes[each] = float("inf")
            service = self.asleep()
            viewer = service.live.watch()
            self.until(phase)
            viewer.close()
            self.wait(LINGER - 0.5)
            self.assertEqual(self.phases()[-1], phase)
            self.wait(1)
            self.assert_left(*PHASES[: PHASES.index(phase) + 1])
            self.assertEqual((self.radios.cancelled, self.radios.asked[-1]), (what, "leave"))
            self.radios.cancelled.clear()
            self.told.clear()
            self.network.run_until(service.stopService())
        self.network.run_until(self.fake.stop())

    def test_comes_while_it_leaves(self) -> None:
        """Who comes while the camera is let go waits, and it is brought anew."""
        self.radios.takes["leave"] = 20.0
        service = self.asleep()
        self.read(viewer := service.live.watch())
        viewer.close()
        self.until("leaving")
        self.assert_left_once(service, service.live.watch())

    def test_lazy(self) -> None:
        """Before somebody wants to see it, PyAV is not loaded."""
        code = (
            "import sys; from trailcam.service import CameraService;"
            "from trailcam.cameraservice import *; from trailcam.config import CameraConfig;"
            "from trailcam.target import Target; from twisted.internet.task import Clock;"
            "s = CameraService(Clock(), CameraConfig('a', Target(host='127.0.0.1')), None);"
            "print('av' in sys.modules, s.viewers, type(s.live).__name__, 'av' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                              env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
        self.assertEqual((done.stdout, done.stderr), ("False 0 LiveHub True\n", ""))


class EndTests(ShowingTestCase):
    """What else may end it."""

    def test_limit(self) -> None:
        """After so many minutes viewers are told why; whoever wants to see on may."""
        service = self.asleep(live_limit=60.0)
        first = service.live.watch()
        self.read(first)
        began = self.network.seconds()
        self.wait(30)
        second = service.live.watch()
        with capturedLogs() as events:
            for viewer in (first, second):
                error = self.end_of(viewer)
                self.assertIsInstance(error, LiveViewOver)
                self.assertEqual(str(error), "the live view ended after 1 minute, to spare the "
                                             "battery: start it again")  # fmt: skip
        self.assertIn("garden: the live view ended after 1 minute", "\n".join(story(events)))
        self.assertApproximates(self.network.seconds() - began, 60, 1)
        viewer = service.live.watch()  # before it is put back
        self.assert_left_once(service, viewer)

    def test_vanishes(self) -> None:
        """Its network is gone: viewers are told, and it is put back."""
        service = self.asleep()
        self.read(viewer := service.live.watch())
        self.radios.vanished.callback(None)
        error = self.end_of(viewer)
        self.assertIsInstance(error, NetworkVanished)
        self.assertIn("Wi-Fi is gone", str(error))
        self.assert_left_once(service, service.live.watch())

    def test_comes_back(self) -> None:
        """A session that is lost comes back by itself, in the same stay."""
        service = self.asleep()
        self.read(viewer := service.live.watch())
        self.network.run_until(self.fake.switch_off())
        self.wait(20)
        self.fake.switch_on()
        self.read(viewer, 100)
        self.assertEqual((service.camera.sessions, self.radios.asked), (2, ["wake", "join"]))
        self.assertEqual(self.phases(), list(PHASES[:-1]))
        viewer.close()
        self.assert_left(*PHASES[:-1])
        self.stop(service)

    def test_gone_for_good(self) -> None:
        """One that does not come back: viewers are told why, and it is put back at once."""
        service = self.asleep()
        viewers = [service.live.watch() for _ in range(2)]
        self.read(viewers[0])
        self.network.run_until(self.fake.switch_off())
        for viewer in viewers:
            self.assertIsInstance(self.end_of(viewer), NoCameraAnswered)
        self.assertEqual((self.phases()[-1], service.viewers), ("leaving", 0))
        self.assert_left(*PHASES[:-1])
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        self.stop(service)

    def test_not_brought(self) -> None:
        """What is in the way is told to all who wait, once it is put back; nothing is repeated."""
        real, mute = Answers._answer, set[int]()
        self.patch(Answers, "_answer", lambda visit, code, *rest: (
            iter(()) if code in mute else real(visit, code, *rest)))  # fmt: skip
        for kind, phase in ((RadioError, "waking"), (RadioError, "joining"),
                            (LoginRefused, "login"), (NoCameraAnswered, "login"),
                            (NoCameraAnswered, "connecting")):  # fmt: skip
            if kind is RadioError:
                self.radios.trouble[{"waking": "wake", "joining": "join"}[phase]] = [kind("oh")]
            elif phase == "connecting":
                self.network.drops = lambda sent: True
            elif kind is NoCameraAnswered:
                mute.add(0)  # each time the session is lost over it
            service = self.asleep(password="wrong" if kind is LoginRefused else "admin")
            with capturedLogs() as events:
                viewers = [service.live.watch() for _ in range(2)]
                errors = [self.end_of(viewer) for viewer in viewers]
            self.assertEqual([type(error) for error in errors], [kind] * 2)
            self.assertIn(f"garden: no live view: {errors[0]}", story(events))
            self.assert_left(*PHASES[: PHASES.index(phase) + 1])
            self.assertEqual(self.radios.asked.count("wake"), 1, phase)
            self.assertEqual(self.radios.asked[-1], "leave")
            self.radios.asked.clear()
            self.told.clear()
            self.network.run_until(service.stopService())
        self.network.run_until(self.fake.stop())

    def test_fault_of_ours(self) -> None:
        """What should not happen is in the log, and puts back as well."""
        service = self.asleep()
        self.radios.trouble["join"] = [ZeroDivisionError("a fault of ours")]
        viewer = service.live.watch()
        self.until(None)
        self.next(viewer)  # that there are no pictures
        self.failureResultOf(self.next(viewer), ZeroDivisionError)
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))
        self.assert_left("waking", "joining")
        self.stop(service)


class VisitTests(ShowingTestCase):
    """Visits and live views keep out of each other's way."""

    def test_visit_waits(self) -> None:
        """A visit that is wished for meanwhile is made once nobody watches, and at once then."""
        service = self.asleep()
        self.read(viewer := service.live.watch())
        asked, given_up = service.visit(), service.visit()
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        viewer.close()
        self.wait(LINGER - 1)
        self.read(viewer := service.live.watch())  # a page was reloaded
        self.assertNoResult(asked)
        viewer.close()
        self.assertEqual(self.network.run_until(asked).new, 2)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"] * 2)
        self.assertEqual(self.phases()[:8], [*PHASES, None, "waking"])
        self.assertEqual(self.recorded(), ["ok"])
        self.stop(service)

    def test_due_visit_waits(self) -> None:
        """So does one that is due, until the limit if need be; the log tells."""
        service = self.started(live_limit=60.0, **ASLEEP)
        self.until(None)
        self.wait(599)
        with capturedLogs() as events:
            self.read(viewer := service.live.watch())
            self.wait(10)
            service.visit_now()
        told = [line for line in story(events) if line.startswith("garden")]
        self.assertEqual(told, ["garden: it is visited when the live view is over",
                                         "garden: a visit is going on already"])  # fmt: skip
        self.assertEqual(self.recorded(), ["ok"])
        self.assertIsInstance(self.end_of(viewer), LiveViewOver)
        # Now it is the visit's turn.
        self.failureResultOf(self.next(service.live.watch()), CameraBusy)
        self.until("syncing")
        self.until(None)
        self.settle()
        self.assertEqual(self.recorded(), ["ok", "ok"])
        self.assert_due_in(service, 600)
        self.stop(service)

    def test_refused_during_a_visit(self) -> None:
        """During a visit who wants to watch is told at once, and the visit goes on."""
        service = self.asleep()
        visiting = service.visit()
        for _ in range(6):
            self.wait(1)
            error = self.failureResultOf(self.next(service.live.watch()), CameraBusy).value
            self.assertIn("a visit is going on", str(error))
            self.failureResultOf(service.live.still(), CameraBusy)
        self.assertEqual(self.network.run_until(visiting).new, 2)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        self.read(service.live.watch())
        self.stop(service)

    def test_turns(self) -> None:
        """Another camera, on the same radios, is shown or visited when it is its turn."""
        card = PlainCard(1, 0, newest=NEWEST)
        pond = FakeCamera(self.network, card=card, port=40700, search_port=None)
        pond.start()
        first, self.fake, garden = self.asleep(), pond, self.fake
        second = self.asleep()
        one = first.live.watch()
        self.read(one)
        two, visiting = second.live.watch(), first.visit()
        self.wait(20)
        self.assertEqual(self.radios.asked, ["wake", "join"])
        one.close()
        self.read(two)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave", "wake", "join"])
        self.assertNoResult(visiting)
        two.close()
        self.assertEqual(self.network.run_until(visiting).new, 2)
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"] * 3)
        self.network.run_until(garden.stop())
        self.network.run_until(first.stopService())
        self.stop(second)

    def test_left_before_its_turn(self) -> None:
        """Who leaves before the radios are free has touched nothing."""
        service = self.asleep()
        held: Deferred[None] = Deferred()
        holding = self.radios.borrow(lambda: held)
        viewer = service.live.watch()
        self.wait(10)
        viewer.close()
        self.wait(LINGER + 1)
        held.callback(None)
        self.successResultOf(holding)
        self.assertEqual((self.radios.asked, self.told), ([], []))
        self.stop(service)

    def test_radios_in_use(self) -> None:
        """Another program has the radios: who wants to watch is told at once."""
        self.radios.trouble["wake"] = []
        self.patch(self.radios, "_take", self.in_use)
        service = self.asleep()
        self.failureResultOf(self.next(service.live.watch()), RadioError)
        self.assertEqual((self.radios.asked, self.told), ([], []))
        self.stop(service)

    async def in_use(self) -> None:
        """What L{FakeRadios} say then."""
        raise RadioError("the radios are in use by trailcam join (process 7)")


class StopTests(ShowingTestCase):
    """Stopping the service."""

    def test_anywhere(self) -> None:
        """Wherever it is, viewers' iterations end, CLOSE is said, the radios are put back."""
        for phase in (*PHASES, "lingering"):
            service = self.asleep()
            self.network.drops = lambda sent: False
            service.startService()  # the first visit
            self.until("syncing")
            self.until(None)
            self.settle()
            for each in (self.told, self.overs, self.radios.asked):
                each.clear()
            self.network.drops = lambda sent, phase=phase: phase == "connecting"
            viewer = service.live.watch()
            if phase in ("leaving", "lingering"):
                self.read(viewer)
                viewer.close()
                self.until("leaving" if phase == "leaving" else "showing")
            else:
                self.until(phase)
            visiting = service.visit()  # it would be next
            stopping = service.stopService()
            self.assertIsNone(self.end_of(viewer))
            self.network.run_until(stopping)
            self.failureResultOf(visiting, CancelledError)
            end = PHASES.index("showing" if phase in ("lingering", "leaving") else phase) + 1
            self.assert_left(*PHASES[:end])
            self.assertEqual(self.radios.asked[-1], "leave")
            self.assertEqual(self.overs, [CloseReason.PEER] * (end > PHASES.index("login")))
            self.assertEqual(self.recorded()[0], "ok")
            self.failureResultOf(self.next(service.live.watch()), CameraBusy)
            self.network.run_until(self.library.stopService())
            self.library = self.new_library()
        self.network.run_until(self.fake.stop())

    def test_started_again(self) -> None:
        """The very same service, and the very same hub, show it again after a new start."""
        service = self.started(interval=0.0)
        hub = service.live
        waiting = hub.still()
        self.network.run_until(service.stopService())
        self.failureResultOf(waiting, CameraLost)
        self.failureResultOf(self.next(hub.watch()), CameraBusy)
        service.startService()
        self.settle()
        self.read(hub.watch())
        self.assertIs(service.live, hub)
        self.stop(service)

    def test_camera_does_not_answer(self) -> None:
        """A camera that says nothing more does not hold up the stop."""
        service = self.asleep()
        self.read(viewer := service.live.watch())
        self.network.drops = lambda sent: True
        began = self.network.seconds()
        self.network.run_until(service.stopService())
        self.assertLess(self.network.seconds() - began, 2)
        self.assertIsNone(self.end_of(viewer))
        self.assertEqual(self.radios.asked, ["wake", "join", "leave"])
        self.settle()
        self.network.run_until(self.fake.stop())
        self.assertEqual(self.network.getDelayedCalls(), [])


class RadioTests(AsleepTestCase):
    """With the station's own radios, on mocks, and the real reactor."""

    async def test_by_turns(self) -> None:
        """Shown, let go, lost, visited, shown and stopped: it sleeps after each of them."""
        self.patch(showing, "LINGER", 0.1)
        sleeping = self.put()
        await self.begin()
        service = self.service_of(sleeping)
        viewer = await self.shown(service)
        viewer.close()
        await self.asleep_and_home(sleeping)
        viewer = await self.shown(service)
        self.air.hide(sleeping.access)
        with self.assertRaises(NetworkVanished):
            await some(viewer, 10_000)
        await self.asleep_and_home(sleeping)
        viewer = await self.shown(service)
        visiting = service.visit()
        viewer.close()
        self.assertEqual((await visiting).new, 3)
        await self.asleep_and_home(sleeping)
        viewer = await self.shown(service)
        await service.stopService()
        with self.assertRaises(StopAsyncIteration):
            await viewer.__anext__()
        await self.asleep_and_home(sleeping)
        self.assertEqual((sleeping.wake_ups, len(set(sleeping.camera.sources))), (5, 1))
        await service._library.stopService()

    def service_of(self, sleeping: SleepingCamera) -> CameraService:
        """The service of the camera."""
        radios = Radios(reactor, patience=PATIENCE, limits=LIMITS)
        self.addCleanup(radios.close)
        host, port = sleeping.camera.address
        config = CameraConfig("garden", Target(host=host, port=port), wake="", wifi="")
        library = LibraryService(Library(Path(self.mktemp()), reactor))
        return CameraService(reactor, config, library, radios=radios)

    async def shown(self, service: CameraService) -> Viewer:
        """One who watches, and sees something."""
        viewer = service.live.watch()
        await some(viewer, 3)
        self.assertEqual(self.air.network_manager.active, {"wlan0": "trailcam KJK_1234"})
        return viewer

    async def asleep_and_home(self, sleeping: SleepingCamera) -> None:
        """It sleeps, and the station is in its own network."""
        await self.falls_asleep(sleeping)
        await self.until(lambda: self.air.network_manager.active == {"wlan0": "Home"})
