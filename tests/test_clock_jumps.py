"""
The wall clock is set while trailcam runs, as on a machine that has no clock of its own and hears
the time late: a day ahead, a year back. Nothing but what tells the time may notice.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.processes import ProcessTestCase, Simulator, shared_simulator, trailcam
from tests.support import NOW, Stage, kind_of
from trailcam.commands import DeviceInformation, MediaFile
from trailcam.library import Library, StoredFile
from trailcam.library.sync import SyncReport, sync
from trailcam.testing import Sent

DAY, YEAR = 86_400, 365 * 86_400
#: What is added to the right time, in turns.
JUMPS = (DAY, -YEAR, 0)


class WallClock:
    """A wall clock that somebody sets again and again. It starts right."""

    def __init__(self) -> None:
        self.ahead = 0
        self._jumps: Iterator[int] = cycle(JUMPS)

    def __call__(self) -> float:
        return NOW + self.ahead

    def jump(self) -> None:
        """Set it to another time."""
        self.ahead = next(self._jumps)


#: What happens: with a clock, and with what sets it, or does nothing.
Story = Callable[[Stage, WallClock, Callable[[], None]], None]


class Observer:
    """Of a sync: does something at each file."""

    def __init__(self, at_each: Callable[[], None]) -> None:
        self._at_each = at_each

    def informed(self, information: DeviceInformation) -> None: ...
    def found(self, new: int, known: int) -> None: ...
    def failed(self, file: MediaFile, why: str) -> None: ...

    def stored(self, file: StoredFile) -> None:
        self._at_each()


class VirtualTests(TestCase):
    """Camera, client and library where the reactor's time is virtual, and the wall clock another.

    Each story is told twice, with a clock that is never set and one that is: the datagrams must
    be the same, each at the same moment of the reactor's time.
    """

    def told(self, story: Story, jumps: bool) -> list[tuple[float, str, int]]:
        """When each datagram was sent, what it is and from which port."""
        stage, clock = Stage(7), WallClock()
        sent: list[tuple[float, str, int]] = []

        def note(datagram: Sent) -> bool:
            now = round(stage.network.seconds(), 6)
            sent.append((now, kind_of(datagram), datagram.source[1]))
            return False

        stage.network.drops = note
        story(stage, clock, clock.jump if jumps else lambda: None)
        return sent

    def test_session(self) -> None:
        """In a session, and in one that is lost and comes back: no timer moves."""

        def story(stage: Stage, clock: WallClock, jump: Callable[[], None]) -> None:
            camera = stage.guest(wall_clock=clock)
            for _ in range(6):
                jump()
                stage.wait(7)
                self.assertEqual(self.time_of(stage.run(camera.info())), NOW)
            self.assertEqual(camera.sessions, 1)
            jump()
            stage.power_cycle(3)
            jump()
            # The camera's clock is set by ours, as it is now.
            self.assertEqual(self.time_of(stage.run(camera.info())), int(clock()))
            self.assertEqual(camera.sessions, 2)
            stage.over(camera)

        self.assertEqual(self.told(story, jumps=True), self.told(story, jumps=False))

    def time_of(self, information: DeviceInformation) -> int:
        """What the camera's clock was set to."""
        value: int = information.fields["timeUTC"]
        return value

    def test_sync(self) -> None:
        """In a sync, and before the next: names, times and index are those of the camera."""
        roots: list[Path] = []

        def story(stage: Stage, clock: WallClock, jump: Callable[[], None]) -> None:
            root = Path(self.mktemp()).absolute()
            roots.append(root)
            camera = stage.guest(wall_clock=clock)
            times: list[datetime] = []

            def note() -> None:
                times.append(datetime.fromtimestamp(clock(), UTC))
                jump()

            for new in (7, 0, 1):
                library = Library(root, None, inline=True, wall_clock=clock)
                stage.run(library.open())
                report: SyncReport = stage.run(
                    sync(stage.network, camera, library, Observer(note), UTC)
                )
                self.assertEqual((report.new, report.failed), (new, 0))
                self.assertTrue(0 <= report.seconds < 60)
                if not new:
                    stage.fake.card.add(0, NOW + 60)
                jump()
                stage.run(library.close())
            stage.over(camera)
            self.check(root, stage, times)

        self.assertEqual(self.told(story, jumps=True), self.told(story, jumps=False))
        jumping, steady = ({path.relative_to(root): path.stat().st_mtime
                            for path in root.glob("C*/*/*")} for root in roots)  # fmt: skip
        self.assertEqual(jumping, steady)
        self.assertEqual(len(steady), 8)

    def check(self, root: Path, stage: Stage, fetched: list[datetime]) -> None:
        """The index has each file, newest first, and when our clock said that it came."""
        library = Library(root, None, inline=True, wall_clock=lambda: 0)
        stage.run(library.open())
        files: list[StoredFile] = stage.run(library.files())
        stage.run(library.close())
        self.assertEqual({file.file for file in files}, set(stage.fake.card.files))
        taken = [file.taken.seconds for file in files if file.taken]
        self.assertEqual(taken, sorted(taken, reverse=True))
        self.assertEqual(taken, sorted((file.file.media_time for file in files), reverse=True))
        self.assertEqual(sorted(file.fetched_at for file in files), sorted(fetched))


#: What comes first in a process whose wall clock jumps: with "flutter" it is set twenty times a
#: second, else a day ahead by SIGUSR1 and a year back by SIGUSR2.
JUMPY = f"""
import signal, sys, time
right, ahead, flutter = time.time, 0, sys.argv.pop(1) == "flutter"

def wrong():
    if flutter:
        return right() + {JUMPS}[int(time.monotonic() * 20) % {len(JUMPS)}]
    return right() + ahead

def put(seconds):
    global ahead
    ahead = seconds

time.time = wrong
signal.signal(signal.SIGRTMIN, lambda *_: put({DAY}))
signal.signal(signal.SIGUSR2, lambda *_: put(-{YEAR}))
"""
TRAILCAM = "from trailcam.cli import main; sys.exit(main())"
TWISTD = "from twisted.scripts.twistd import run; run()"


class RealTests(ProcessTestCase):
    """Real processes, in which C{time.time} is set to other times."""

    def setUp(self) -> None:
        super().setUp()
        self.simulated: Simulator = shared_simulator("--photos", "3", "--firewall", "off")
        self.opened = len(self.simulated.sources)

    def folders(self) -> list[str]:
        """The options for these."""
        return ["--library", str(self.library), "--state", str(self.state)]

    def assert_home(self, began: float) -> None:
        """The photos are there, with the camera's time; the index has the time of ours."""
        with closing(sqlite3.connect(self.library / ".trailcam" / "index.sqlite")) as index:
            index.row_factory = sqlite3.Row
            rows = index.execute("SELECT * FROM media").fetchall()
        self.assertEqual(len(rows), 3)
        for row in rows:
            utc = datetime.fromisoformat(row["utc"])
            path = self.library / row["path"]
            self.assertIn(utc.strftime("_%Y%m%dT%H%M%SZ"), path.name)
            self.assertEqual(path.stat().st_mtime, utc.timestamp())
            self.assertEqual(utc.timestamp() + row["utc_offset"], row["media_time"])
            ago = datetime.fromisoformat(row["fetched_at"]).timestamp() - int(began)
            self.assertTrue(any(jump <= ago <= jump + 60 for jump in JUMPS), ago)

    def test_sync(self) -> None:
        """C{trailcam sync}, while the clock is set all the time: one session, and all comes."""
        _, *command = trailcam("sync", self.simulated.camera, "--json", *self.folders())
        command[:2] = ["-c", JUMPY + TRAILCAM, "flutter"]
        began = time.time()
        result = self.finish(self.start_any([sys.executable, *command]))
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual((result.events[-1]["new"], result.events[-1]["failed"]), (3, 0))
        self.assertTrue(0 <= result.events[-1]["seconds"] < 30, result.out)
        self.assertEqual(len(self.simulated.sources), self.opened + 1)
        self.assert_home(began)

    def test_visits(self) -> None:
        """C{twistd trailcam}: set back between visits, the next comes; set ahead, not too soon."""
        began = time.time()
        process = self.start_any([
            sys.executable, "-c", JUMPY + TWISTD, "on a signal", "-n", "--pidfile=", "trailcam",
            "--camera", self.simulated.camera, "--interval", "0.005", *self.folders(),
        ])  # fmt: skip
        process.out_line("3 new, 0 here already, 0 failed")
        moments = [time.monotonic()]
        for number, visits in ((signal.SIGUSR2, 1), (signal.SIGRTMIN, 2)):
            process.send(number)
            line = process.out_line("0 new, 3 here already, 0 failed", visits)
            self.assertRegex(line, r"in [0-9]\.\d s")
            moments.append(time.monotonic())
            self.assertGreater(moments[-1] - moments[-2], 0.25)
        process.send(signal.SIGTERM)
        process.end()
        self.assertEqual(len(set(self.simulated.sources[self.opened :])), 1)
        self.assert_home(began)
