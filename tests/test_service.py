"""Tests of L{trailcam.service}: C{twistd trailcam}, and the services in other applications."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python import usage
from twisted.trial.unittest import TestCase

from tests.processes import Process, ProcessTestCase, eventually, shared_simulator
from tests.support import PlainCard
from trailcam.client import Camera
from trailcam.config import CameraConfig
from trailcam.errors import LibraryError, LoginRefused, NoCameraAnswered
from trailcam.library import Library
from trailcam.service import CameraService, LibraryService, Options, Station
from trailcam.target import Policy, Target
from trailcam.testing import FakeCamera, InlineWorker, MemoryNetwork, reserve_port

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
NEWEST = 1_780_000_000


class TwistdTests(ProcessTestCase):
    """C{twistd trailcam}, as a real process."""

    def twistd(self, *arguments: str) -> Process:
        """C{twistd -n trailcam} with these; what it says is in its C{out}."""
        return self.start_any([*TWISTD, "-n", "--pidfile=", "trailcam", *arguments])

    def visiting(self, camera: str, *more: str) -> Process:
        """One that visits C{camera}, from options alone."""
        assert camera.startswith("127.0.0.1:")
        folders = ("--library", str(self.library), "--state", str(self.state))
        return self.twistd("--camera", camera, *folders, *more)

    def assert_ends(self, process: Process) -> None:
        """SIGTERM ends it within two seconds, cleanly."""
        began = time.monotonic()
        process.send(signal.SIGTERM)
        # twistd shuts down, and then dies of the signal as if it had not caught it.
        self.assertEqual(process.end(), -signal.SIGTERM)
        self.assertLess(time.monotonic() - began, 2.0)
        self.assertTrue(any("Server Shut Down." in line for line in process.out))
        self.assertEqual([line for line in process.out + process.err if "Traceback" in line], [])

    def test_options(self) -> None:
        """With options: it visits the camera, waits for the next visit, and ends when told."""
        process = self.visiting(shared_simulator("--photos", "3", "--firewall", "off").camera,
                                "--interval", "5")  # fmt: skip
        process.out_line("camera: 3 new, 0 here already, 0 failed")
        self.assert_ends(process)
        self.assertEqual(len(list(self.library.glob("*/*/*.jpg"))), 3)

    def test_configuration(self) -> None:
        """With a C{tap.conf}: paths count from its folder, and every camera is visited."""
        simulators = [self.simulator("--photos", "1", "--seed", seed) for seed in "12"]
        folder = self.home / "etc"
        folder.mkdir()
        sections = [f"[camera {name}]\naddress = {simulator.camera}\ninterval = 0\n"
                    for name, simulator in zip(("garden", "pond"), simulators, strict=True)]
        (folder / "tap.conf").write_text(
            "[trailcam]\nlibrary = pictures\nstate = memory\n" + "".join(sections)
        )
        process = self.twistd("--config", str(folder / "tap.conf"))
        process.out_line("garden: 1 new")
        process.out_line("pond: 1 new")
        self.assert_ends(process)
        self.assertEqual(len(list((folder / "pictures").glob("*/*/*.jpg"))), 2)
        remembered = {path.stem for path in (folder / "memory" / "ports").iterdir()}
        self.assertLessEqual({"garden", "pond"}, remembered)
        for simulator in simulators:
            simulator.saw_close()

    def test_ends_during_a_transfer(self) -> None:
        """SIGTERM in the middle: CLOSE is said, and the next visit brings the rest."""
        simulator = self.simulator("--photos", "12")
        process = self.visiting(simulator.camera)
        process.out_line("logged in")
        eventually(lambda: any(self.library.glob("*/*/*.jpg")), "no picture came")
        self.assert_ends(process)
        simulator.saw_close()
        process = self.visiting(simulator.camera)
        process.out_line("0 failed")
        self.assert_ends(process)
        self.assertEqual(len(list(self.library.glob("*/*/*"))), 12)
        self.assertEqual(len(set(simulator.sources)), 1)

    def test_ends_while_connecting(self) -> None:
        """SIGTERM while nobody answers ends it too."""
        process = self.visiting("127.0.0.1:9")
        process.out_line("attempt 1")
        self.assert_ends(process)

    def test_daemon(self) -> None:
        """Without C{-n} it goes to the background, and its pid file is there until it ends."""
        simulator = self.simulator("--photos", "1")
        pid_file = self.home / "twistd.pid"
        process = self.start_any([
            *TWISTD, "--pidfile", str(pid_file), "--logfile", str(self.home / "log"), "trailcam",
            "--camera", simulator.camera, "--library", "library", "--state", "state",
        ])  # fmt: skip
        self.addCleanup(self.kill_daemon, pid_file)
        self.assertEqual(process.end(), 0)
        simulator.saw_close()
        began = time.monotonic()
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        eventually(lambda: not pid_file.exists(), "it did not end")
        self.assertLess(time.monotonic() - began, 2.0)
        self.assertEqual(len(list(self.library.glob("*/*/*.jpg"))), 1)

    def kill_daemon(self, pid_file: Path) -> None:
        """Let none outlive a test that failed."""
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)

    def test_log_level(self) -> None:
        """C{log_level} says how much is told: by default the story, and no more."""
        camera = shared_simulator("--photos", "3", "--firewall", "off").camera
        for level, story, details in (("info", True, False), ("debug", True, True),
                                      ("warn", False, False)):  # fmt: skip
            folder = self.home / level
            folder.mkdir()
            (folder / "tap.conf").write_text(
                f"[trailcam]\nlibrary = pictures\nstate = state\nlog_level = {level}\n"
                f"[camera garden]\naddress = {camera}\ninterval = 0\n"
            )
            process = self.twistd("--config", str(folder / "tap.conf"))
            pictures = folder / "pictures"
            eventually(
                lambda pictures=pictures: len(list(pictures.glob("*/*/*.jpg"))) == 3,
                "no picture came",
            )
            self.assert_ends(process)
            text = "\n".join(process.out)
            self.assertEqual("connected to" in text, story, text)
            self.assertEqual("punch 127.0.0.1" in text, details, text)

    def test_wrong_configuration(self) -> None:
        """What is wrong is told in one line, and the status is not 0."""
        path = self.home / "tap.conf"
        path.write_text("[camera garden]\naddres = 127.0.0.1\n")
        for arguments, text in (
            (("--config", "nowhere.conf"), "there is no nowhere.conf"),
            (("--config", str(path)), "tap.conf, line 2"),
            (("--camera", "1.2.3"), "'1.2.3' is not a camera's address"),
        ):
            result = self.finish(self.twistd(*arguments))
            self.assertEqual((result.status, result.out), (1, ""))
            (line,) = result.err.splitlines()
            self.assertIn(text, line)

    def test_wrong_options(self) -> None:
        """Options that make no sense end with 1, and the last line says why."""
        for arguments in (("--local-port", "0"), ("--interval", "-1"), ("--speed", "9"), ("more",)):
            result = self.finish(self.twistd("--camera", "127.0.0.1", *arguments))
            self.assertEqual(result.status, 1, arguments)

    def test_twistd_lists_it(self) -> None:
        """C{twistd --help} lists it, from another folder than this."""
        result = self.finish(self.start_any([*TWISTD, "--help"]))
        self.assertRegex(result.out, r"(?m)^ +trailcam +Bring home the pictures")


class OptionsTests(TestCase):
    """L{Options} makes a configuration of what was given."""

    def options(self, *arguments: str) -> Options:
        """Parsed."""
        options = Options()
        options.parseOptions(arguments)
        return options

    def test_camera(self) -> None:
        """The options of a camera become the only camera."""
        station = self.options("--camera", "127.0.0.1:40611", "--local-port", "40000",
                               "--interval", "1.5", "--library", "here").station  # fmt: skip
        (camera,) = station.cameras
        self.assertEqual(camera.target, Target(host="127.0.0.1", port=40611, local_port=40000))
        self.assertEqual(camera.interval, 90.0)
        self.assertEqual(station.library, Path("here").absolute())

    def test_nothing(self) -> None:
        """Without options, any camera is searched for, every hour."""
        (camera,) = self.options().station.cameras
        self.assertEqual((camera.target.host, camera.interval), (None, 3600.0))

    def test_configuration(self) -> None:
        """Folders given as options win over those of the configuration."""
        path = Path(self.mktemp())
        path.write_text("[trailcam]\nlibrary = a\nstate = b\n[camera x]\naddress = 127.0.0.1\n")
        station = self.options("--config", str(path), "--state", "c").station
        self.assertEqual(station.library, path.absolute().parent / "a")
        self.assertEqual(station.state, Path("c").absolute())
        self.assertEqual([camera.name for camera in station.cameras], ["x"])

    def test_nonsense(self) -> None:
        """Numbers out of their bounds are wrong usage."""
        for arguments in (("--local-port", "65536"), ("--interval", "nan"), ("--interval", "x")):
            self.assertRaises(usage.UsageError, self.options, *arguments)


class ScheduleTests(TestCase):
    """L{CameraService} on a network and a clock in memory."""

    def setUp(self) -> None:
        self.network = MemoryNetwork()
        card = PlainCard(2, 0, newest=NEWEST)
        self.fake = FakeCamera(self.network, card=card, search_port=None)
        self.fake.start()
        self.folder = Path(self.mktemp())
        self.library = LibraryService(Library(self.folder, self.network, inline=True))
        self.messages: list[str] = []
        globalLogPublisher.addObserver(self.listen)
        self.addCleanup(globalLogPublisher.removeObserver, self.listen)

    def listen(self, event: Any) -> None:
        """Keep what a person should see."""
        if event.get("log_level") == LogLevel.error:
            self.messages.append(event["log_format"].format(**event))

    def service(self, **options: Any) -> CameraService:
        """Of the fake camera, visited every 600 s."""
        host, port = self.fake.address
        options.setdefault("interval", 600.0)
        config = CameraConfig("garden", Target(host=host, port=port), **options)
        policy = Policy(discovery=1.0, pauses=(1.0,), total=5.0)
        return CameraService(self.network, config, self.library, policy=policy,
                             worker=InlineWorker())  # fmt: skip

    def stop(self, service: CameraService) -> None:
        """Stop everything; no timer is left."""
        self.network.run_until(service.stopService())
        self.network.run_until(self.library.stopService())
        self.network.run_until(self.fake.stop())
        self.settle()
        self.assertEqual(self.network.getDelayedCalls(), [])

    def settle(self) -> None:
        """Let what is on its way arrive."""
        self.network.pump([0.01] * 50)

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

    async def test_station(self) -> None:
        """L{Station}: a whole configuration in one service."""
        options = Options()
        options.parseOptions([
            "--camera", "{}:{}".format(*self.fake.address), "--local-port", str(reserve_port()),
            "--library", str(self.folder / "library"), "--state", str(self.folder / "state"),
        ])  # fmt: skip
        station = Station(reactor, options.station)
        station.startService()
        (service,) = [each for each in station if isinstance(each, CameraService)]
        self.assertEqual((await service.visit()).new, 6)
        self.assertEqual(self.fake.sources, [options["local-port"]])
        await station.stopService()
