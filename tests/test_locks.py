"""Locks that say who holds them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import TestCase

from trailcam.errors import CameraBusy
from trailcam.locks import CameraLocks, FileLock, Held, who_holds

#: Takes the lock, says so, and keeps it until it is killed.
HOLDER = """
import sys, time
from pathlib import Path
from trailcam.locks import FileLock

FileLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


class FileLockTests(TestCase):
    """L{FileLock}."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def refusal(self) -> str:
        """Who has it."""
        held = self.assertRaises(Held, FileLock(self.path).acquire)
        self.assertEqual(who_holds(self.path), held.holder)
        return str(held.holder)

    def test_one_at_a_time(self) -> None:
        """The second is refused until the first gives it back; twice is no harm."""
        first = FileLock(self.path)
        first.acquire()
        self.assertIn(f"process {os.getpid()} (", self.refusal())
        first.release()
        first.release()
        self.assertIsNone(who_holds(self.path))
        second = FileLock(self.path)
        second.acquire()
        second.release()

    def test_another_process(self) -> None:
        """Who holds it is named, and a kill -9 ends it."""
        with subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(self.path)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            self.assertEqual(self.refusal(), f"process {process.pid} (-c)")
            process.kill()
        lock = FileLock(self.path)
        lock.acquire()
        lock.release()

    def test_strange_words(self) -> None:
        """What the file says is somebody else's text: no control characters, no end of it."""
        first = FileLock(self.path)
        first.acquire()
        long = b"12 \x1b[31m\n" + b"x" * 9999
        for said, told in ((b"", "process unknown"), (long, "process 12")):
            self.path.write_bytes(said)
            refusal = self.refusal()
            self.assertTrue(refusal.startswith(told), refusal)
            self.assertTrue(refusal.isprintable())
            self.assertLess(len(refusal), 150)
        first.release()


class CameraLocksTests(TestCase):
    """L{CameraLocks}."""

    def test_names(self) -> None:
        """Each name of a camera is a lock of its own; all end with C{release}."""
        state = Path(self.mktemp())
        ours, theirs = CameraLocks(state), CameraLocks(state)
        ours.hold("garden")
        ours.hold("192.168.43.1:40611")
        ours.hold("garden")
        theirs.hold("../../etc/passwd")
        self.assertEqual(len(list(ours.folder.iterdir())), 3)
        for name in ("garden", "192.168.43.1:40611"):
            error = self.assertRaises(CameraBusy, theirs.hold, name)
            self.assertIn(f"the camera {name} is in use by process {os.getpid()}", str(error))
        ours.release()
        theirs.hold("garden")
        self.assertRaises(CameraBusy, ours.hold, "garden")
        theirs.release()

    def test_unusable(self) -> None:
        """A state folder that is none is told as it is."""
        state = Path(self.mktemp())
        state.write_text("")
        self.assertRaises(OSError, CameraLocks(state).hold, "garden")
