"""
Real processes: C{trailcam} and C{twistd} as a user or a program starts them.

Nobody waits by the clock: a test waits for a line. Nothing is ever sent
beyond loopback: a command that could search for cameras is told to do so
at 127.0.0.1 only.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from twisted.trial.unittest import SkipTest, TestCase

ROOT = Path(__file__).parent.parent
#: Commands that call a camera, or search for one.
CALLING = {"discover", "info", "list", "sync", "live", "still", "send", "delete", "format", "snap"}
#: Nothing here takes so long unless it hangs; seconds.
PATIENCE = 60.0
#: No bus: radios are only there where a simulator's bus is given.
NO_BUS = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent/trailcam"}

Events = list[dict[str, Any]]


class Process:
    """
    A process whose lines are read as they come.

    @ivar out: lines of standard output so far.
    @ivar err: lines of standard error so far.
    """

    def __init__(
        self,
        command: list[str],
        home: Path,
        variables: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        """
        @param home: where it looks for what is the user's.
        @param variables: of its environment, besides the usual ones.
        @param options: for L{subprocess.Popen}.
        """
        self.out: list[str] = []
        self.err: list[str] = []
        self._came = threading.Condition()
        self._popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(home) | dict(variables or {}), text=True, encoding="utf-8",
            errors="replace", **options,
        )  # fmt: skip
        self._readers = [
            threading.Thread(target=self._read, args=each, daemon=True)
            for each in ((self._popen.stdout, self.out), (self._popen.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._popen.pid

    def out_line(self, text: str, times: int = 1) -> str:
        """Wait until so many lines of standard output had C{text} in them; the last of these."""
        return self._line(self.out, text, times)

    def err_line(self, text: str, times: int = 1) -> str:
        """Wait until so many lines of standard error had C{text} in them; the last of these."""
        return self._line(self.err, text, times)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def end(self) -> int:
        """Wait until it has ended; its exit status."""
        try:
            status = self._popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end; it said: {self._said()}") from None
        self._close()
        return status

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        self._popen.kill()
        self._popen.wait()
        self._close()

    def _close(self) -> None:
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self._popen.stdout, self._popen.stderr):
            if stream is not None:
                stream.close()

    def _read(self, stream: IO[str], lines: list[str]) -> None:
        for line in stream:
            with self._came:
                lines.append(line.rstrip("\n"))
                self._came.notify_all()
        with self._came:
            self._came.notify_all()

    def _line(self, lines: list[str], text: str, times: int) -> str:
        def found() -> list[str]:
            return [line for line in lines if text in line][times - 1 : times]

        def ready() -> bool:
            return bool(found()) or not any(reader.is_alive() for reader in self._readers)

        end = time.monotonic() + PATIENCE
        with self._came:
            # In short steps: a reader that ends says so before it has ended.
            while not ready() and time.monotonic() < end:
                self._came.wait(0.2)
            if not found():
                raise AssertionError(f"no {text!r} came, but: {self._said()}")
            return found()[0]

    def _said(self) -> str:
        return "\n".join(self.out[-10:] + self.err[-20:])


class Simulator(Process):
    """A running C{trailcam simulate}, on a port that the system chose."""

    def __init__(self, home: Path, *options: str) -> None:
        self._options = options
        given = list(options) if "--search-port" in options else ["--search-port", "0", *options]
        usual = ["--port", "0", "--videos", "0"]
        super().__init__(trailcam("simulate", "--json", *usual, *given), home)

    @cached_property
    def ready(self) -> dict[str, str]:
        """What it says once it is ready."""
        said: dict[str, str] = json.loads(self.out_line("ready"))
        return said

    @property
    def camera(self) -> str:
        """Where it listens, as HOST:PORT, once it does."""
        return self.ready["camera"]

    @property
    def sources(self) -> list[int]:
        """The source port of every session so far."""
        return [int(line.rsplit(":", 1)[1]) for line in self.err if "opened a session" in line]

    def saw_close(self, times: int = 1) -> None:
        """Wait until clients have said CLOSE so often."""
        self.err_line("the session is over: closed by the other side", times)


@dataclass
class Result:
    """
    How a command ended.

    @ivar status: its exit status.
    """

    status: int
    out: str
    err: str

    @property
    def events(self) -> Events:
        """Standard output, each line a JSON object."""
        return [json.loads(line) for line in self.out.splitlines()]

    def named(self, name: str) -> Events:
        """The events called so."""
        return [event for event in self.events if event["event"] == name]


def trailcam(*arguments: str) -> list[str]:
    """The command line of a C{trailcam} command that stays on loopback."""
    extra: list[str] = []
    if CALLING.intersection(arguments) and "--broadcast" not in arguments:
        extra = ["--broadcast", "127.0.0.1"]
    return [sys.executable, "-m", "trailcam", *arguments, *extra]


def environment(home: Path) -> dict[str, str]:
    """Ours, but with another home, and with the package of this checkout."""
    hidden = ("XDG_", "TRAILCAM_", "PYTHONIOENCODING", "STATE_DIRECTORY")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | NO_BUS | {"HOME": str(home), "PYTHONPATH": path}


def only_once(kind: str = "long") -> None:
    """
    Skip what is the same to every runner, where another one beside this one runs it.

    @param kind: C{processes}, C{links}, C{browser} or C{long}; what C{TRAILCAM_BRIEF} names is
        skipped.
    """
    if kind in os.environ.get("TRAILCAM_BRIEF", "").split():
        raise SkipTest(f"the runner makes no difference, and TRAILCAM_BRIEF names {kind}")


class ProcessTestCase(TestCase):
    """
    Gives each test a home folder, and ends what it started.

    @ivar variables: what the environment of every process has besides the usual ones.
    @cvar kind: of what is the same to every runner; see L{only_once}.
    """

    kind = "processes"

    def setUp(self) -> None:
        only_once(self.kind)
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        self.state = self.home / "state"
        self.library = self.home / "library"
        self.variables: dict[str, str] = {}

    def simulator(self, *options: str) -> Simulator:
        """A simulator of this test's own."""
        simulator = Simulator(self.home, *options)
        self.addCleanup(simulator.kill)
        return simulator

    def start(self, *arguments: str, **options: Any) -> Process:
        """Start a command; the state folder is this test's."""
        return self.start_any(trailcam(*self._at_home(arguments)), **options)

    def start_any(self, command: list[str], **options: Any) -> Process:
        """Start any program in this test's home folder."""
        options = {"cwd": self.home, "variables": self.variables, **options}
        process = Process(command, self.home, **options)
        self.addCleanup(process.kill)
        return process

    def run_trailcam(self, *arguments: str, **options: Any) -> Result:
        """Run a command to its end; it shows no traceback, whatever happens."""
        return self.finish(self.start(*arguments, **options))

    def finish(self, process: Process) -> Result:
        """Wait for the end of a process; it showed no traceback."""
        status = process.end()
        result = Result(status, "\n".join(process.out), "\n".join(process.err))
        for trouble in ("Traceback", "internal error", "Unhandled", "Exception ignored"):
            self.assertNotIn(trouble, result.err)
        return result

    def assert_complains(self, result: Result, status: int, text: str) -> None:
        """It ended with C{status}, and its last line on standard error is one that has C{text}."""
        self.assertEqual((result.status, result.out), (status, ""), result.err)
        last = result.err.splitlines()[-1]
        self.assertTrue(last.startswith("trailcam"), last)
        self.assertIn(text, last)

    def _at_home(self, arguments: tuple[str, ...]) -> list[str]:
        given = list(arguments)
        if CALLING.intersection(given) and "--state" not in given:
            given += ["--state", str(self.state)]
        return given


_shared: dict[tuple[str, ...], Simulator] = {}


def shared_simulator(*options: str) -> Simulator:
    """A simulator for many tests that leave it as it was; it ends with the tests."""
    if options not in _shared:
        # trial calls no setUpClass.
        simulator = _shared[options] = Simulator(ROOT / "tests", *options)
        atexit.register(simulator.kill)
    return _shared[options]


def eventually(check: Callable[[], bool], text: str) -> None:
    """Wait for something that no line tells of."""
    end = time.monotonic() + PATIENCE
    pause = threading.Event()
    while not check():
        assert time.monotonic() < end, text
        pause.wait(0.02)
