"""Tests of C{trailcam sync}: the main job, as real processes, killed and misled on the way."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from tests.processes import (
    Process,
    ProcessTestCase,
    Result,
    Simulator,
    environment,
    shared_simulator,
    trailcam,
)
from trailcam.testing import reserve_port

STOPS = (signal.SIGINT, signal.SIGTERM)


class SyncTestCase(ProcessTestCase):
    """Syncs into a library of this test's own, and looks at what is in it."""

    def sync(self, camera: str, *options: str) -> Result:
        """Run one to its end."""
        return self.finish(self.start_sync(camera, *options))

    def start_sync(self, camera: str, *options: str) -> Process:
        """Start one."""
        return self.start("sync", camera, "--library", str(self.library), "--json", *options)

    def pictures(self) -> list[Path]:
        """All that is in the library's days."""
        return sorted(self.library.glob("C*/*/*"))

    def assert_whole(self, count: int) -> None:
        """There are C{count} photos, once and whole, and in the index as they are."""
        pictures = self.pictures()
        self.assertEqual(len(pictures), count)
        self.assertEqual(len({path.name.split("_")[2] for path in pictures}), count)
        digests = []
        for path in pictures:
            data = path.read_bytes()
            self.assertEqual(data[-2:], b"\xff\xd9", f"{path} is cut off")
            Image.open(io.BytesIO(data)).load()
            digests.append(hashlib.sha256(data).hexdigest())
        self.assertEqual(len(set(digests)), count)
        self.assertEqual(sorted(self.rows("sha256")), sorted(digests))

    def rows(self, column: str) -> list[str]:
        """One column of the library's index."""
        index = self.library / ".trailcam" / "index.sqlite"
        with closing(sqlite3.connect(index)) as connection:
            return [row[0] for row in connection.execute(f"select {column} from media")]


class ContractTests(SyncTestCase):
    """What other programs rely on."""

    def setUp(self) -> None:
        super().setUp()
        self.camera = shared_simulator("--photos", "3", "--firewall", "off").camera

    def test_events(self) -> None:
        """Connected, a file each, done: with these keys and no others."""
        result = self.sync(self.camera)
        self.assertEqual(result.status, 0)
        connected, *files, done = result.events
        port = connected.pop("local_port")
        self.assertEqual(connected, {"event": "connected", "camera": self.camera,
                                     "remembered": False})  # fmt: skip
        self.assertEqual([set(file) for file in files], [{"event", "name", "path", "bytes"}] * 3)
        self.assertEqual(sorted(Path(file["path"]) for file in files), self.pictures())
        for file in files:
            self.assertEqual(file["event"], "file")
            self.assertEqual(file["name"], Path(file["path"]).name)
            self.assertEqual(file["bytes"], Path(file["path"]).stat().st_size)
        self.assertIsInstance(done.pop("seconds"), float)
        self.assertEqual(done, {"event": "done", "new": 3, "skipped": 0, "failed": 0,
                                "bytes": sum(file["bytes"] for file in files)})  # fmt: skip
        self.assertIn(f"the system assigned source port {port}", result.err)
        self.assert_whole(3)

    def test_again(self) -> None:
        """A second one, from the same port, finds all at home and changes nothing."""
        first = self.sync(self.camera).events[0]
        before = [(path, path.stat().st_mtime_ns) for path in self.pictures()]
        connected, done = self.sync(self.camera).events
        self.assertEqual(connected, first | {"remembered": True})
        self.assertEqual((done["new"], done["skipped"], done["bytes"]), (0, 3, 0))
        self.assertEqual([(path, path.stat().st_mtime_ns) for path in self.pictures()], before)

    def test_as_text(self) -> None:
        """For people: a line for each file, and what it came to."""
        result = self.run_trailcam("sync", self.camera, "--library", str(self.library))
        *files, done = result.out.splitlines()
        self.assertEqual(len(files), 3)
        for line in files:
            self.assertRegex(line, r"\.jpg  \d+\.\d kB$")
        self.assertRegex(done, r"^3 new \(1\.\d MB\), 0 here already, 0 failed, in \d+\.\d s$")

    def test_index_knows_when(self) -> None:
        """The time of fetching in the index is the time it was."""
        began = datetime.now(UTC).replace(microsecond=0)
        self.sync(self.camera)
        for fetched in self.rows("fetched_at"):
            self.assertTrue(began <= datetime.fromisoformat(fetched) <= datetime.now(UTC), fetched)

    def test_port_by_hand(self) -> None:
        """C{--local-port} is used as told, and does not change what is remembered."""
        port = reserve_port()
        usual = self.sync(self.camera).events[0]["local_port"]
        by_hand = self.sync(self.camera, "--local-port", str(port)).events[0]
        self.assertEqual((by_hand["local_port"], by_hand["remembered"]), (port, False))
        self.assertEqual(self.sync(self.camera).events[0]["local_port"], usual)

    def test_deleted_stays_deleted(self) -> None:
        """A picture that was deleted from the library does not come back."""
        self.sync(self.camera)
        self.pictures()[0].unlink()
        self.assertEqual(self.sync(self.camera).events[-1]["new"], 0)
        self.assertEqual(len(self.pictures()), 2)

    def test_rescan(self) -> None:
        """C{rescan} rebuilds a lost index; then nothing is fetched twice."""
        self.sync(self.camera)
        for path in (self.library / ".trailcam").glob("index*"):
            path.unlink()
        result = self.run_trailcam("rescan", "--library", str(self.library), "--json")
        (done,) = result.events
        self.assertEqual((result.status, done["event"]), (0, "done"))
        self.assertEqual(done["added"] + done["kept"], 3)
        self.assertEqual(self.sync(self.camera).events[-1]["skipped"], 3)

    def test_rescan_of_nothing(self) -> None:
        """C{rescan} of a library that is not there is told, and makes none."""
        result = self.run_trailcam("rescan", "--library", str(self.library))
        self.assert_complains(result, 5, str(self.library))
        self.assertFalse(self.library.exists())


class UnusableTests(SyncTestCase):
    """The library cannot be used: 5, and no camera is woken for nothing."""

    def setUp(self) -> None:
        super().setUp()
        self.ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.ear.close)
        self.ear.bind(("127.0.0.1", 0))
        self.ear.setblocking(False)
        self.camera = f"127.0.0.1:{self.ear.getsockname()[1]}"

    def assert_refused(self, text: str, *options: str) -> None:
        """It ends with 5 and says C{text}; the camera heard nothing."""
        self.assert_complains(self.sync(self.camera, *options), 5, text)
        self.assertRaises(BlockingIOError, self.ear.recv, 100)

    def test_file_in_the_way(self) -> None:
        """A library that is a file, or in one."""
        self.library.write_text("")
        self.assert_refused(str(self.library))
        self.library /= "within"
        self.assert_refused(str(self.library))

    def test_nowhere(self) -> None:
        """A library where no folder can be made."""
        self.library = Path("/proc/nowhere")
        self.assert_refused("/proc/nowhere")

    def test_held_by_another(self) -> None:
        """A library that another sync holds: the second says which process that is."""
        first = self.start_sync(self.camera)
        first.err_line("attempt 1")
        second = self.sync("127.0.0.1:9")
        self.assert_complains(second, 5, f"in use by process {first.pid}")
        self.assertNotIn("attempt", second.err)
        first.send(signal.SIGINT)
        self.assertEqual(self.finish(first).status, 130)


class InUseTests(SyncTestCase):
    """Two programs and one camera."""

    def test_who_holds_it(self) -> None:
        """The second says who is talking to the camera, and does not disturb; later it may."""
        simulator = self.simulator("--photos", "1")
        first = self.start("live", simulator.camera, "--output", str(self.home / "live.mp4"))
        first.err_line("logged in")
        for camera in (simulator.camera, "127.0.0.1"):
            second = self.run_trailcam("info", camera, "--json")
            self.assert_complains(second, 3, f"in use by process {first.pid} (")
        self.assertEqual(len(simulator.sources), 1)
        first.send(signal.SIGINT)
        self.finish(first)
        self.assertEqual(self.run_trailcam("info", simulator.camera).status, 0)


class StateTests(SyncTestCase):
    """A state folder that cannot be used."""

    def test_state_is_a_file(self) -> None:
        """The pictures come home all the same; one warning says what happens next."""
        camera = shared_simulator("--photos", "3", "--firewall", "off").camera
        self.state.write_text("")
        result = self.sync(camera)
        self.assertEqual(result.status, 0)
        self.assertEqual(result.err.count("warn: "), 1, result.err)
        self.assertIn("switch it off and on", result.err)
        self.assert_whole(3)


class FaultTests(SyncTestCase):
    """Cameras and links that are not what they should be."""

    def test_nobody(self) -> None:
        """Nobody answers: 3, within C{--timeout}; what would have been the library is empty."""
        began = time.monotonic()
        result = self.sync("127.0.0.1:9", "--timeout", "1")
        self.assert_complains(result, 3, "no camera answered at 127.0.0.1:9 within 1 s")
        self.assertLess(time.monotonic() - began, 6)
        self.assertEqual(self.pictures(), [])

    def test_login_refused(self) -> None:
        """The camera refuses the login: 4, and it is not tried again."""
        simulator = self.simulator("--photos", "1", "--refuse-login")
        result = self.sync(simulator.camera)
        self.assertEqual((result.status, [e["event"] for e in result.events]), (4, ["connected"]))
        self.assertIn("check user and password", result.err.splitlines()[-1])
        simulator.saw_close()
        self.assertEqual(len(simulator.sources), 1)

    def test_all_damaged(self) -> None:
        """Photos that never come whole: 1, each is named with the reason, and none is kept."""
        result = self.sync(self.simulator("--photos", "2", "--damaged-tails", "100").camera)
        self.assertEqual(result.status, 1)
        self.assertEqual({event["name"] for event in result.named("failed")},
                         {"photo 100-0001", "photo 100-0002"})  # fmt: skip
        self.assertTrue(all(event["reason"] for event in result.named("failed")))
        (done,) = result.named("done")
        self.assertEqual((done["new"], done["failed"]), (0, 2))
        self.assertEqual(self.pictures(), [])

    def test_bad_link(self) -> None:
        """A link that loses, repeats and swaps, and damaged photos: all come, once and whole."""
        simulator = self.simulator("--photos", "6", "--loss", "0.1", "--duplicate", "0.05",
                                   "--reorder", "0.05", "--damaged-tails", "2",
                                   "--wrong-lengths", "1")  # fmt: skip
        result = self.sync(simulator.camera)
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual((result.events[-1]["new"], result.events[-1]["failed"]), (6, 0))
        self.assert_whole(6)

    def test_outage(self) -> None:
        """The camera falls silent in the middle: it is called again from the same port."""
        simulator = self.simulator("--photos", "4", "--silence", "2.5", "--silence-after", "0")
        path = self.home / "patient.conf"
        path.write_text("[connection]\nsilence = 1\ndiscovery = 1\npauses = 0.2 0.2 0.2 0.2\n"
                        f"[camera garden]\naddress = {simulator.camera}\n")  # fmt: skip
        result = self.sync("garden", "--config", str(path))
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual(len(result.named("connected")), 1)
        self.assertEqual(len(set(simulator.sources)), 1)
        self.assert_whole(4)

    def test_video(self) -> None:
        """A video comes home as an MP4."""
        result = self.sync(self.simulator("--photos", "0", "--videos", "1").camera)
        self.assertEqual((result.status, result.events[-1]["new"]), (0, 1))
        (path,) = self.pictures()
        self.assertEqual((path.suffix, path.read_bytes()[4:8]), (".mp4", b"ftyp"))

    def test_evil_id(self) -> None:
        """A camera whose id is a path writes nothing outside the library."""
        simulator = self.simulator("--photos", "1", "--evil-id")
        result = self.sync(simulator.camera)
        self.assertEqual(result.status, 0, result.err)
        (file,) = result.named("file")
        self.assertTrue(Path(file["path"]).resolve().is_relative_to(self.library.resolve()))
        self.assertNotIn("\x1b", result.out + result.err)


class InterruptedTests(SyncTestCase):
    """Stopped in the middle, in every way there is."""

    def begin(self, photos: int = 9) -> tuple[Simulator, Process]:
        """A sync in the middle: some files are home, more are coming."""
        simulator = self.simulator("--photos", str(photos))
        process = self.start_sync(simulator.camera)
        process.out_line('"file"')
        return simulator, process

    def assert_resumes(self, simulator: Simulator, photos: int = 9) -> None:
        """The next sync brings the rest, from the port of the first."""
        there = len([path for path in self.pictures() if path.suffix == ".jpg"])
        result = self.sync(simulator.camera)
        self.assertEqual(result.status, 0, result.err)
        connected, done = result.events[0], result.events[-1]
        self.assertTrue(connected["remembered"])
        self.assertEqual(set(simulator.sources), {connected["local_port"]})
        self.assertEqual((done["new"], done["skipped"]), (photos - there, there))
        self.assert_whole(photos)

    def test_signals_during_a_transfer(self) -> None:
        """SIGINT and SIGTERM: 130, CLOSE is said, what is home is whole, the rest comes later."""
        for number in STOPS:
            self.library = self.home / number.name
            simulator, process = self.begin()
            process.send(number)
            result = self.finish(process)
            self.assertEqual((result.status, result.named("done")), (130, []))
            (unfinished,) = result.named("unfinished")
            self.assertEqual(unfinished["new"], len(result.named("file")))
            simulator.saw_close()
            self.assertEqual([path for path in self.pictures() if path.suffix != ".jpg"], [])
            self.assert_resumes(simulator)

    def test_signals_while_connecting(self) -> None:
        """SIGINT and SIGTERM before any camera answered: 130, and the library is intact."""
        for number in STOPS:
            process = self.start_sync("127.0.0.1:9")
            process.err_line("source port")
            process.send(number)
            result = self.finish(process)
            self.assertEqual((result.status, result.out), (130, ""))
        simulator = shared_simulator("--photos", "3", "--firewall", "off")
        self.assertEqual(self.sync(simulator.camera).events[-1]["new"], 3)
        self.assert_whole(3)

    def test_killed(self) -> None:
        """After a kill -9, a camera that knows only our port lets us in: the port is the same."""
        simulator, process = self.begin()
        process.kill()
        self.assert_resumes(simulator)

    def test_killed_and_another_port(self) -> None:
        """The counter-proof: after a kill -9, the same camera is silent to any other port."""
        simulator, process = self.begin(12)
        process.kill()
        other = str(reserve_port())
        result = self.sync(simulator.camera, "--local-port", other, "--timeout", "1.5")
        self.assert_complains(result, 3, f"source port {other}")
        self.assert_resumes(simulator, 12)

    def test_killed_while_connecting(self) -> None:
        """A port is remembered before the first datagram leaves from it."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.bind(("127.0.0.1", 0))
            ear.settimeout(30)
            camera = f"127.0.0.1:{ear.getsockname()[1]}"
            ports = []
            for _ in range(2):
                process = self.start_sync(camera)
                ports.append(ear.recvfrom(100)[1][1])
                process.kill()
                self.assertIn(str(ports[0]), next(self.state.glob("ports/*")).read_text())
                self.drain(ear)
        self.assertEqual(ports[0], ports[1])

    def test_reader_goes_away(self) -> None:
        """C{| head -1} gets its line; the sync stops, with CLOSE and without a word."""
        simulator = self.simulator("--photos", "6")
        command = trailcam("sync", simulator.camera, "--library", str(self.library),
                           "--state", str(self.state), "--json", "-q")  # fmt: skip
        done = subprocess.run(
            ["bash", "-c", '"$@" | head -1; exit ${PIPESTATUS[0]}', "bash", *command],
            env=environment(self.home), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual(json.loads(done.stdout)["event"], "connected")
        simulator.saw_close()
        self.assert_resumes(simulator, 6)

    def drain(self, ear: socket.socket) -> None:
        """Forget what came and was not read."""
        ear.setblocking(False)
        try:
            while True:
                ear.recv(100)
        except BlockingIOError:
            ear.settimeout(30)
