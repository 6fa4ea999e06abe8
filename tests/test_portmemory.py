"""The source port, remembered on disk."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.portmemory import PortMemory, Remembered


class PortMemoryTests(TestCase):
    """One small file for each camera."""

    def setUp(self) -> None:
        """A state folder that is not there yet."""
        self.state = Path(self.mktemp())
        self.memory = PortMemory(self.state)

    def test_nothing_yet(self) -> None:
        """A camera that was never called has no port, and asking leaves nothing behind."""
        self.assertIsNone(self.memory.recall("garden"))
        self.assertFalse(self.state.exists())

    def test_port_alone(self) -> None:
        """The port is written before the camera's address is known."""
        self.memory.remember("garden", Remembered(49152))
        self.assertEqual(PortMemory(self.state).recall("garden"), Remembered(49152))

    def test_with_address(self) -> None:
        """Where the camera was is remembered, too."""
        what = Remembered(49152, ("192.168.43.1", 40611))
        self.memory.remember("garden", what)
        self.assertEqual(PortMemory(self.state).recall("garden"), what)

    def test_readable(self) -> None:
        """A person can read the file: which camera, which port, when."""
        self.memory.remember("garden", Remembered(49152))
        entry = json.loads((self.state / "ports" / "garden.json").read_text())
        self.assertEqual((entry["camera"], entry["port"]), ("garden", 49152))
        self.assertRegex(entry["written"], r"^\d{4}-\d\d-\d\dT")

    def test_cameras_apart(self) -> None:
        """Each camera has its own, however alike their names would look as file names."""
        keys = ["garden", "Garden", "gar/den", "gar_den", "..", ".", "gärten", "192.168.43.1:40611",
                "192.168.43.1_40611", "x" * 300, "x" * 301, "a\0b", "a b", ".json", ""]  # fmt: skip
        for number, key in enumerate(keys, 1024):
            self.memory.remember(key, Remembered(number))
        for number, key in enumerate(keys, 1024):
            self.assertEqual(self.memory.recall(key), Remembered(number), key)
        names = os.listdir(self.state / "ports")
        self.assertEqual(len(names), len(keys))
        self.assertEqual(os.listdir(self.state), ["ports"], "nothing escaped from the folder")

    def test_what_is_not_ours(self) -> None:
        """A file that somebody else wrote is refused, not believed."""
        self.memory.remember("garden", Remembered(49152))
        path = self.state / "ports" / "garden.json"
        for text in (b"", b"\0" * 40, b"{", b"[]", b"49152", b'"49152"', b"{}", b'{"port": "1"}',
                     b'{"port": 0}', b'{"port": 65536}', b'{"port": true}', b'{"port": 1.5}',
                     b"\xff\xfe", b"[" * 100_000, b'{"port": ' + b"9" * 10_000 + b"}"):  # fmt: skip
            path.write_bytes(text)
            self.assertRaises(ValueError, self.memory.recall, "garden")

    def test_address_that_is_none(self) -> None:
        """A damaged address costs only the address."""
        self.memory.remember("garden", Remembered(49152, ("192.168.43.1", 40611)))
        path = self.state / "ports" / "garden.json"
        good = json.loads(path.read_text())
        for bad in ({"host": "evil.example"}, {"host": 7}, {"camera_port": 0}, {"camera_port": "1"},
                    {"host": "192.168.43.1\n"}):  # fmt: skip
            path.write_text(json.dumps({**good, **bad}))
            self.assertEqual(self.memory.recall("garden"), Remembered(49152))

    def test_whole_or_not_at_all(self) -> None:
        """A disk that fails in the middle leaves what was there, and no crumbs."""
        self.memory.remember("garden", Remembered(49152))
        full = OSError(errno.ENOSPC, "No space left on device")
        for step in ("fsync", "replace"):
            where = "os.fsync" if step == "fsync" else "pathlib.Path.replace"
            with mock.patch(where, side_effect=full):
                self.assertRaises(OSError, self.memory.remember, "garden", Remembered(5000))
            self.assertEqual(self.memory.recall("garden"), Remembered(49152))
            self.assertEqual(os.listdir(self.state / "ports"), ["garden.json"])

    def test_crumbs_of_the_dead(self) -> None:
        """What a program that was killed left is deleted, and nothing of one that is writing."""
        folder = self.state / "ports"
        folder.mkdir(parents=True)
        with subprocess.Popen(["true"]) as dead:
            pass
        names = [f"garden.{pid}.part" for pid in (dead.pid, 10**30, os.getppid(), 1)]
        names += [f"pond.{dead.pid}.part", "garden.old.part"]
        for name in names:
            (folder / name).touch()
        self.memory.remember("garden", Remembered(49152))
        self.assertEqual(set(os.listdir(folder)), {"garden.json", *names[2:]})

    def test_several_threads(self) -> None:
        """Cameras at one address are written down at once, and none is in another's way."""
        with ThreadPoolExecutor(8) as pool:
            writing = [
                pool.submit(PortMemory(self.state).remember, "10.0.0.1", Remembered(40000 + number))
                for number in range(64)
            ]
        self.assertEqual([done.exception() for done in writing], [None] * 64)
        self.assertEqual(os.listdir(self.state / "ports"), ["10.0.0.1.json"])

    def test_synced_before_it_is_named(self) -> None:
        """Bytes first, then the name, then the folder: a power cut finds the old or the new."""
        steps: list[str] = []
        replace = Path.replace

        def sync(descriptor: int) -> None:
            steps.append("sync")

        def rename(part: Path, path: Path) -> Path:
            steps.append("rename")
            return replace(part, path)

        with mock.patch("os.fsync", sync), mock.patch("pathlib.Path.replace", rename):
            self.memory.remember("garden", Remembered(49152))
        self.assertEqual(steps, ["sync", "rename", "sync"])

    def test_folder_that_cannot_be(self) -> None:
        """Where there is a file in the way, the error is the system's own."""
        self.state.write_bytes(b"")
        self.assertRaises(OSError, self.memory.remember, "garden", Remembered(49152))
        self.assertRaises(OSError, self.memory.recall, "garden")

    @settings(deadline=None, max_examples=50)
    @given(st.text(), st.integers(1, 65535))
    def test_any_name(self, key: str, port: int) -> None:
        """Whatever people call their camera, the port comes back."""
        self.memory.remember(key, Remembered(port))
        self.assertEqual(self.memory.recall(key), Remembered(port))
