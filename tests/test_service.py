"""Tests of L{trailcam.service}: C{twistd trailcam}, its options, and a whole L{Station}."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, gatherResults
from twisted.python import usage
from twisted.trial.unittest import TestCase

from tests.processes import Process, ProcessTestCase, eventually, shared_simulator
from tests.support import FakeRadios, PlainCard
from trailcam import service as service_module
from trailcam.config import CameraConfig, Config
from trailcam.library.visits import read_visits
from trailcam.service import Options, Station
from trailcam.simulator.faults import Faults
from trailcam.target import Policy, Target
from trailcam.testing import FakeCamera, reserve_port
from trailcam.wishes import ask_for_visits

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

    def test_visit_now(self) -> None:
        """SIGUSR1: every camera is visited now, and the log tells how that went."""
        simulator = self.simulator("--photos", "1")
        process = self.visiting(simulator.camera)
        process.out_line("camera: 1 new, 0 here already, 0 failed")
        simulator.saw_close()
        process.send(signal.SIGUSR1)
        process.out_line("camera: 0 new, 1 here already, 0 failed")
        simulator.saw_close(2)
        self.assert_ends(process)
        self.assertEqual(len(simulator.sources), 2)
        self.assertEqual(len(read_visits(self.library, "camera", -1)), 2)

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
        """What is wrong is told in one line, and the status is 2."""
        path = self.home / "tap.conf"
        path.write_text("[camera garden]\naddres = 127.0.0.1\n")
        for arguments, text in (
            (("--config", "nowhere.conf"), "there is no nowhere.conf"),
            (("--config", str(path)), "tap.conf, line 2"),
            (("--camera", "1.2.3"), "'1.2.3' is not a camera's address"),
        ):
            result = self.finish(self.twistd(*arguments))
            self.assertEqual((result.status, result.out), (2, ""))
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


class StationTests(TestCase):
    """A L{Station}, with the real reactor."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.radios: list[FakeRadios] = []
        self.patch(service_module, "Radios", self.make_radios)

    def make_radios(self, reactor: Any, **options: Any) -> FakeRadios:
        """Radios that can be watched."""
        self.radios.append(FakeRadios(reactor, **options))
        return self.radios[-1]

    def started(self, config: Config) -> Station:
        """One that runs, at most until the test is over."""
        station = Station(reactor, config)
        station.startService()
        self.addCleanup(lambda: station.stopService() if station.running else None)
        return station

    def camera(self, photos: int) -> FakeCamera:
        """A camera that listens."""
        card, faults = PlainCard(photos, 0, newest=NEWEST), Faults(unit=f"unit {photos}")
        fake = FakeCamera(reactor, card=card, port=0, search_port=None, faults=faults)
        fake.start()
        self.addCleanup(fake.stop)
        return fake

    async def new(self, station: Station) -> list[int]:
        """How many files the visits to its cameras bring."""
        reports = await gatherResults([each.visit() for each in station.cameras])
        return [report.new for report in reports]

    async def test_options(self) -> None:
        """A whole configuration in one service."""
        options, fake = Options(), self.camera(6)
        options.parseOptions([
            "--camera", "{}:{}".format(*fake.address), "--local-port", str(reserve_port()),
            "--library", str(self.folder / "library"), "--state", str(self.folder / "state"),
        ])  # fmt: skip
        station = self.started(options.station)
        (service,) = station.cameras
        self.assertEqual((await service.visit()).new, 6)
        self.assertEqual(fake.sources, [options["local-port"]])
        await station.stopService()

    async def test_visit_wished(self) -> None:
        """Every camera is visited now; stopped meanwhile, the radios are let go of last."""
        fakes = {"garden": self.camera(1), "pond": self.camera(2)}
        cameras = tuple(CameraConfig(name, Target(*fake.address, name), interval=600.0)
                        for name, fake in fakes.items())  # fmt: skip
        config = Config(self.folder / "library", self.folder / "state", "info", Policy(), cameras)
        station = self.started(config)
        self.assertEqual(await self.new(station), [1, 2])
        for fake in fakes.values():
            fake.card.add(0, NEWEST + 60)
        station.visit_wished()
        self.assertEqual(await self.new(station), [1, 1])
        self.assertEqual([len(fake.sources) for fake in fakes.values()], [2, 2])
        ask_for_visits(config.state, ["pond"])
        station.visit_wished()
        await station.cameras[1].visit()
        self.assertEqual([len(fake.sources) for fake in fakes.values()], [2, 3])
        station.visit_wished()
        waiting = [each.visit() for each in station.cameras]
        (radios,) = self.radios
        await station.stopService()
        for each in waiting:
            self.failureResultOf(each, CancelledError)
        self.assertEqual(radios.asked, ["close"])
        visits = read_visits(config.library, None, -1)
        self.assertEqual([each.outcome for each in visits], ["interrupted"] * 2 + ["ok"] * 5)
