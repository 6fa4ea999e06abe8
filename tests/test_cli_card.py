"""C{trailcam delete}, C{format} and C{snap}, and who is asked before."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import TestCase

from tests.processes import PATIENCE, ProcessTestCase, Result, environment, trailcam
from tests.test_cli import MANY
from trailcam import asking
from trailcam.cardtasks import Name, parse_names
from trailcam.commands import MediaFile
from trailcam.errors import ConfigError, TrailcamError


class NameTests(TestCase):
    """What a person calls a picture."""

    def test_names(self) -> None:
        """As the list shows them, in one word or two; or directory and number; or all."""
        photo, either = Name("photo", 100, 318), Name(None, 100, 7)
        for words, names in (
            (["photo 100-0318"], [photo]),
            (["photo", "100-0318", "100/7"], [photo, either]),
            (["Photo", "100/318", "photo-100-318"], [photo]),
            (["video 101-0002", "100-7"], [Name("video", 101, 2), either]),
            (["all-at-home"], None),
        ):
            self.assertEqual(parse_names(words), names)
        for words in (["all"], ["100"], ["photo"], ["100/1", "all-at-home"], ["100/1/2"], [""],
                      ["100-1;2"], ["٣/٣"]):  # fmt: skip
            error = self.assertRaises(ConfigError, parse_names, words)
            self.assertIn("like 'photo 100-0318', or 100/318, or all-at-home", str(error))

    def test_find(self) -> None:
        """The one that is meant, or what is wrong."""
        photo, movie, other = MediaFile(0, 100, 7), MediaFile(1, 100, 7), MediaFile(0, 100, 8)
        listed = [photo, movie, other]
        self.assertEqual(Name("video", 100, 7).find(listed), movie)
        self.assertEqual(Name(None, 100, 8).find(listed), other)
        error = self.assertRaises(TrailcamError, Name("video", 100, 8).find, listed)
        self.assertEqual((str(error), error.exit_status),
                         ("video 100-0008 is not on the card: nothing was deleted", 1))  # fmt: skip
        self.assertRaises(ConfigError, Name(None, 100, 7).find, listed)


class AskingTests(TestCase):
    """A question at a terminal."""

    def setUp(self) -> None:
        """A terminal."""
        self.person, self.ours = os.openpty()
        self.addCleanup(os.close, self.ours)
        stdin = SimpleNamespace(fileno=lambda: self.ours, isatty=lambda: True)
        self.patch(asking, "sys", SimpleNamespace(stdin=stdin, stderr=io.StringIO()))

    async def test_answers(self) -> None:
        """Only a yes is one; the rest of the program goes on meanwhile."""
        from twisted.internet import reactor

        for answer, meant in ((b"y\n", True), (b"Yes\n", True), (b"n\n", False), (b"\n", False),
                              (b"yy\n", False), (b"\x04", False)):  # fmt: skip
            deferred = asking.ask(reactor, "delete it?")
            self.assertNoResult(deferred)
            os.write(self.person, answer)
            self.assertEqual(await deferred, meant, answer)
        self.assertFalse(await asking.ask(reactor, "are you asleep?", 0.01))
        os.close(self.person)
        self.assertFalse(await asking.ask(reactor, "has the terminal gone?"))

    def test_interrupted(self) -> None:
        """Cancelled, it leaves nothing behind, which trial would find."""
        from twisted.internet import reactor

        deferred = asking.ask(reactor, "delete it?")
        deferred.cancel()
        self.failureResultOf(deferred, CancelledError)
        os.close(self.person)

    def test_nobody_there(self) -> None:
        """A question that nobody sees, or nobody can answer, is not asked."""
        os.close(self.person)
        self.assertFalse(asking.can_ask())
        self.patch(asking.sys.stderr, "isatty", lambda: True)
        self.assertTrue(asking.can_ask())
        self.patch(asking.sys.stdin, "isatty", lambda: False)
        self.assertFalse(asking.can_ask())


class CardTests(ProcessTestCase):
    """Real processes."""

    def at_terminal(self, answer: str, *arguments: str) -> Result:
        """Run a command at a terminal, and answer its question; its events are in a pipe."""
        person, ours = os.openpty()
        self.addCleanup(os.close, person)
        process = subprocess.Popen(
            trailcam(*self._at_home(arguments)), cwd=self.home, env=environment(self.home),
            stdin=ours, stderr=ours, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(ours)
        self.addCleanup(process.kill)
        said = b""
        while b"[y/N]" not in said:
            said += os.read(person, 4096)
        os.write(person, answer.encode())
        out, _ = process.communicate(timeout=PATIENCE)
        return Result(process.returncode, out, said.decode())

    def rows(self) -> dict[int, bool]:
        """The numbers in the index, and whether they are marked as deleted from the card."""
        path = self.library / ".trailcam" / "index.sqlite"
        with closing(sqlite3.connect(path)) as index:
            found = index.execute("SELECT number, deleted NOT NULL FROM media").fetchall()
        return {number: bool(deleted) for number, deleted in found}

    def test_usage(self) -> None:
        """Without a terminal and without C{--yes} nothing is done, and a camera must be named."""
        nobody = "127.0.0.1:9"
        cases = [
            ("add --yes", "delete", nobody, "100/1"),
            ("add --yes", "delete", nobody, "all-at-home", "--json"),
            ("add --yes", "format", nobody),
            ("'nonsense' names no picture", "delete", nobody, "nonsense", "--yes"),
            ("WHICH", "delete", nobody),
            ("CAMERA", "format", "--yes"),
            ("CAMERA", "snap"),
        ]
        commands = [trailcam(*arguments)[3:] for _, *arguments in cases]
        done = self.finish(self.start_any([sys.executable, "-c", MANY, json.dumps(commands)]))
        for (text, *_), (status, out, err) in zip(cases, done.events, strict=True):
            self.assert_complains(Result(status, out, err), 2, text)

    def test_by_hand(self) -> None:
        """Some are deleted by name, others when they are home; who says no changes nothing."""
        camera = self.simulator("--photos", "4").camera
        library = "--library", str(self.library)
        result = self.run_trailcam("delete", camera, "photo", "100-0001", "100/3", "--yes",
                                   "--json", *library)  # fmt: skip
        self.assertEqual(result.status, 0, result.err)
        self.assertEqual(result.events, [{"event": "deleted", "name": "photo 100-0001"},
                                         {"event": "deleted", "name": "photo 100-0003"},
                                         {"event": "done", "deleted": 2, "failed": 0}])  # fmt: skip
        self.assertFalse(self.library.exists(), "none is made to look for pictures in")
        missing = self.run_trailcam("delete", camera, "100/4", "100/1", "--yes", *library)
        self.assert_complains(missing, 1, "100-0001 is not on the card: nothing was deleted")
        no = self.at_terminal("n\n", "format", camera, *library)
        self.assertEqual((no.status, no.out), (1, ""))
        self.assertIn(f"format the card of {camera}? 2 media are on it; 2 of them are NOT at home",
                      no.err)  # fmt: skip
        self.assertEqual(self.run_trailcam("sync", camera, *library, "--json").events[-1]["new"], 2)
        snapped = self.run_trailcam("snap", camera, "--json")
        self.assertEqual(snapped.events, [{"event": "snapped", "camera": camera}])
        yes = self.at_terminal("y\n", "delete", camera, "all-at-home", "--json", *library)
        self.assertEqual([each.get("name") for each in yes.events],
                         ["photo 100-0004", "photo 100-0002", None])  # fmt: skip
        self.assertIn("at home\r\ndelete these 2 from the card of", yes.err)
        self.assertEqual(self.rows(), {4: True, 2: True})

    def test_configured(self) -> None:
        """C{after-visit = delete} clears after a sync by name; then a format erases the rest."""
        simulator = self.simulator("--photos", "3")
        config = self.home / "tap.conf"
        config.write_text(f"[trailcam]\nlibrary = library\n[camera garden]\n"
                          f"address = {simulator.camera}\nafter-visit = delete\n")  # fmt: skip
        done = self.run_trailcam("sync", "garden", "--json").events[-1]
        self.assertEqual((done["new"], done["cleared"]), (3, 3))
        self.assertEqual(self.rows(), {1: True, 2: True, 3: True})
        self.run_trailcam("snap", "garden")
        result = self.run_trailcam("format", "garden", "--yes", "--json")
        (formatted,) = result.events
        free: Any = formatted.pop("free_mb")
        self.assertGreater(free, 30_000)
        self.assertEqual(formatted, {"event": "formatted", "camera": simulator.camera,
                                     "erased": 1, "at_home": 0})  # fmt: skip
