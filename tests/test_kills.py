"""
The syncing process ends at any moment, by force or when told: what is home is whole, and the
next run brings the rest, from the same source port.

A few kills run always, in about ten seconds; C{TRAILCAM_LONG=1} makes it a hundred, in about
three minutes, and C{TRAILCAM_SEED=N} takes other moments.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from functools import cache
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tests.processes import (
    PATIENCE,
    Process,
    ProcessTestCase,
    Result,
    eventually,
    only_once,
    shared_simulator,
    trailcam,
)
from trailcam.movie import MovieWriter
from trailcam.simulator.card import Card
from trailcam.simulator.streams import play
from trailcam.wire.artemis import Message
from trailcam.wire.media import Frame

SEED = int(os.environ.get("TRAILCAM_SEED", "1"))
LONG = os.environ.get("TRAILCAM_LONG") == "1"

KILLS = 100 if LONG else 5
PHOTOS, VIDEOS = 4, 1
TOTAL = PHOTOS + VIDEOS
#: How often a sync touches its folder, about: anyway, and for each file that it brings.
STEPS, STEPS_A_FILE = 40, 12

#: The command, killed by itself just before it touches its folder for the nth time: so also
#: within what is over too soon for a moment by the clock.
MORTAL = """
import os, signal, sys
folder, left = sys.argv.pop(1), int(sys.argv.pop(1))

def touched(event, arguments):
    global left
    first = arguments[0] if arguments else None
    if isinstance(first, str | os.PathLike) and os.fspath(first).startswith(folder):
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(touched)
from trailcam.cli import main
sys.exit(main())
"""

Key = tuple[int, int, int]


@cache
def at_home(camera: str) -> dict[Key, str]:
    """The SHA-256 of each file on a simulated camera's card, as it should be at home."""
    with TemporaryDirectory() as folder:
        listing = Process(trailcam("list", camera, "--json", "--state", folder), Path(folder))
        newest = json.loads(listing.out_line("mediaTime"))["mediaTime"]
        assert listing.end() == 0
    # With the seed, all follows from the time of the newest.
    card = Card(PHOTOS, VIDEOS, newest=newest, seed=SEED)
    return {
        file.key: sha256(card.photo(file)).hexdigest()
        if file.is_photo
        else _movie(list(play(card.recording(file), 1, None)))
        for file in card.files
    }


def _movie(messages: list[bytes]) -> str:
    """The SHA-256 of the MP4 that a playback becomes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "movie"
        writer = MovieWriter(path)
        for message in messages:
            frame = Frame.decode(Message.decode(message).payload)
            if frame.video or frame.audio:
                writer.write(frame)
        writer.close()
        return sha256(path.read_bytes()).hexdigest()


class EndingTestCase(ProcessTestCase):
    """
    Syncs that end before their time, each round of them with a fresh home.

    The camera answers only the source port that it knows, until it hears CLOSE.
    """

    def setUp(self) -> None:
        only_once()
        super().setUp()
        card = "--photos", str(PHOTOS), "--videos", str(VIDEOS), "--seed", str(SEED)
        self.simulated = shared_simulator(*card)
        self.camera = self.simulated.camera
        self.at_home = at_home(self.camera)
        self.rounds = 0
        self.fresh()

    def fresh(self) -> None:
        """Begin a round: nothing is home, no port is remembered."""
        self.rounds += 1
        self.folder = self.home / str(self.rounds)
        self.library, self.state = self.folder / "library", self.folder / "state"
        self.opened = len(self.simulated.sources)

    # -- running -----------------------------------------------------------

    def start_sync(self, mortal_step: int | None = None) -> Process:
        """Start one; it may be one that kills itself."""
        python, *command = trailcam(
            "sync", self.camera, "--json",
            "--library", str(self.library), "--state", str(self.state),
        )  # fmt: skip
        if mortal_step is not None:
            command[:2] = ["-c", MORTAL, str(self.folder), str(mortal_step)]
        return self.start_any([python, *command])

    def await_open(self, process: Process) -> None:
        """Wait until a sync has the library: what comes before is Python's start."""
        lock = self.library / ".trailcam" / "lock"
        holder = [str(process.pid)]
        eventually(lambda: lock.exists() and lock.read_text().split()[:1] == holder, "no start")

    def finish_said_close(self, process: Process) -> Result:
        """Wait for the end of a sync, of which the camera was told."""
        closed = sum("closed by the other side" in line for line in self.simulated.err)
        result = self.finish(process)
        self.simulated.saw_close(closed + 1)
        return result

    # -- what must be true -------------------------------------------------

    def media(self) -> list[Path]:
        """All that is in the library's days."""
        return sorted(self.library.glob("C*/*/*"))

    def rows(self) -> list[dict[str, Any]]:
        """The index as it stands; of a copy, for reading it would repair the original."""
        with TemporaryDirectory() as folder:
            for path in (self.library / ".trailcam").glob("index.sqlite*"):
                shutil.copy(path, folder)
            with closing(sqlite3.connect(Path(folder) / "index.sqlite")) as index:
                index.row_factory = sqlite3.Row
                self.assertEqual(index.execute("PRAGMA integrity_check").fetchone()[0], "ok")
                tables = index.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                return [dict(row) for row in index.execute("SELECT * FROM media")] if tables else []

    def assert_sound(self) -> int:
        """What has its name is whole, and the index knows nothing else; how many files these are.

        One name may be reserved by a file without a byte: it was about to be renamed.
        """
        named = [path for path in self.media() if path.suffix != ".part"]
        whole = {path: digest_of(path) for path in named if path.stat().st_size}
        self.assertLessEqual(len(named) - len(whole), 1, named)
        self.assertEqual(len(set(whole.values())), len(whole), "a file is there twice")
        for row in self.rows():
            self.assertEqual(whole.get(self.library / row["path"]), row["sha256"], row)
        self.assertLessEqual(set(whole.values()), set(self.at_home.values()))
        return len(whole)

    def assert_next_run_mends(self) -> None:
        """The next run brings what is missing, no more; then all is as it should be."""
        there = self.assert_sound()
        result = self.finish_said_close(self.start_sync())
        self.assertEqual(result.status, 0, result.err)
        done = result.events[-1]
        self.assertEqual((done["new"], done["skipped"], done["failed"]),
                         (TOTAL - there, there, 0), result.err)  # fmt: skip
        self.assert_all_home()
        (port,) = set(self.simulated.sources[self.opened :])
        self.assertEqual(result.events[0]["local_port"], port)
        self.assertEqual(list(self.state.rglob("*.part")), [])
        entries = [json.loads(path.read_bytes()) for path in self.state.glob("ports/*.json")]
        self.assertEqual(sorted((entry["camera"], entry["port"]) for entry in entries),
                         [("127.0.0.1", port), (self.camera, port), ("any", port)])  # fmt: skip

    def assert_all_home(self) -> None:
        """Every file is there once, byte for byte, and the index knows it; nothing else is."""
        rows = {(row["file_type"], row["directory"], row["number"]): row for row in self.rows()}
        self.assertEqual({key: row["sha256"] for key, row in rows.items()}, self.at_home)
        for row in rows.values():
            path = self.library / row["path"]
            self.assertEqual((digest_of(path), path.stat().st_size), (row["sha256"], row["size"]))
        files = {path for path in self.library.rglob("*") if path.is_file()}
        (card,) = self.library.glob("C*/camera.json")
        ours = {self.library / ".trailcam" / name for name in ("lock", "index.sqlite")}
        media = {self.library / row["path"] for row in rows.values()}
        self.assertEqual(files, media | ours | {card})
        self.assertEqual(json.loads(card.read_bytes())["devId"], rows.popitem()[1]["device_id"])


def digest_of(path: Path) -> str:
    """The SHA-256 of a file."""
    return sha256(path.read_bytes()).hexdigest()


class KilledTests(EndingTestCase):
    """Killed with SIGKILL."""

    def test_random_moments(self) -> None:
        """Once or several times in a row, by the clock or by the step: the next run mends all."""
        random, kills, runs = Random(SEED), 0, 0
        while kills < KILLS:
            self.fresh()
            for _ in range(random.randint(1, 4)):
                missing = TOTAL - self.assert_sound()
                # Half of them by the clock, the others by the step.
                if random.random() < 0.5:
                    # It tells that it is connected, of each file, and that it is done.
                    moment = random.randint(0, missing + 2), random.uniform(0, 0.15)
                    kills += self.killed_after(*moment)
                else:
                    kills += self.killed_at(random.randint(1, STEPS + STEPS_A_FILE * missing))
                runs += 1
            self.assert_next_run_mends()
        self.assertLess(runs, 1.5 * KILLS + 5, "too few were killed")

    def killed_after(self, events: int, seconds: float) -> bool:
        """Kill one so long after it told so much; whether it was still running."""
        process = self.start_sync()
        if events:
            process.out_line('"event"', events)
        else:
            self.await_open(process)
        time.sleep(seconds)
        process.send(signal.SIGKILL)
        return self.was_killed(process)

    def killed_at(self, step: int) -> bool:
        """Have one kill itself at a step; whether it came to that."""
        return self.was_killed(self.start_sync(step))

    def was_killed(self, process: Process) -> bool:
        """Whether it was; else it had an end that was good."""
        status = process.end()
        self.assertIn(status, (0, -signal.SIGKILL), process.err)
        return status != 0


class ToldTests(EndingTestCase):
    """Told to end with SIGTERM."""

    def test_while_writing(self) -> None:
        """In the middle of a photo, and of a video: 130, CLOSE, nothing of it is left."""
        self.end_during("*.jpg.*.part")
        self.end_during("*.mp4.*.part")
        self.assert_next_run_mends()

    def end_during(self, name: str) -> None:
        """Tell it while there is something in a file of this name."""
        process = self.start_sync()
        self.freeze_during(process, name)
        process.send(signal.SIGTERM)
        process.send(signal.SIGCONT)
        result = self.finish_said_close(process)
        self.assertEqual((result.status, result.named("done")), (130, []), result.err)
        self.assertEqual(len(self.media()), self.assert_sound(), "something is left")
        self.assertLess(len(self.media()), TOTAL)

    def freeze_during(self, process: Process, name: str) -> None:
        """Stop it while there is something in a file of this name."""

        def being_written() -> bool:
            try:
                return any(path.stat().st_size for path in self.library.glob(f"C*/*/{name}"))
            except FileNotFoundError:
                return False

        # Looked for every millisecond, for it is soon over.
        end = time.monotonic() + PATIENCE
        while True:
            while not being_written():
                self.assertLess(time.monotonic(), end, f"nothing was written to {name}")
                time.sleep(0.001)
            process.send(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            if being_written():
                return
            process.send(signal.SIGCONT)
