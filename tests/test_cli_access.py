"""C{trailcam passwd} and C{trailcam token}, as real processes and at a terminal."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from twisted.trial.unittest import TestCase

from tests.processes import PATIENCE, ProcessTestCase, Result, environment, trailcam
from trailcam import accesstasks
from trailcam.cli import main
from trailcam.web.passwords import password_file, verify
from trailcam.web.tokens import find_token, token_file

PASSWORD = "owls at night"


class AccessTests(ProcessTestCase):
    """Real processes."""

    def piped(self, line: bytes, *arguments: str) -> Result:
        """Run a command that reads a line."""
        done = subprocess.run(
            trailcam(*arguments), cwd=self.home, env=environment(self.home), input=line,
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        self.assertNotIn(b"Traceback", done.stderr)
        return Result(done.returncode, done.stdout.decode().rstrip(), done.stderr.decode())

    def test_password(self) -> None:
        """From a pipe into the state folder of C{tap.conf}: a hash of it, for nobody to read."""
        (self.home / "tap.conf").write_text("[trailcam]\nstate = st\n[camera garden]\n")
        path = self.home / "st" / "web" / "password"
        done = self.piped(f"{PASSWORD}\r\nmore\n".encode(), "passwd")
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertIn("at once", done.out)
        self.assertIn(str(path), done.out)
        self.assertTrue(verify(PASSWORD, path.read_text()))
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        self.assertEqual(path.parent.stat().st_mode & 0o777, 0o700)
        done = self.run_trailcam("passwd", "--remove", "--json")
        self.assertEqual(done.events, [{"event": "done", "password": False, "path": str(path)}])
        self.assertFalse(path.exists())

    def test_token(self) -> None:
        """It is printed once, alone; it works until it is removed."""
        state = ("--state", str(self.state))
        added = self.run_trailcam("token", "add", "garden", *state)
        self.assertEqual(added.status, 0, added.err)
        known = token_file(self.state / "web")
        self.assertEqual(find_token(known.get() or {}, added.out), "garden")
        # Not as commands that call a camera are run, one of which is called list, too.
        command = [sys.executable, "-m", "trailcam", "token", "list", "--json", *state]
        listed = self.finish(self.start_any(command))
        self.assertEqual([event["event"] for event in listed.events], ["token", "done"])
        self.assertEqual(listed.events[0]["name"], "garden")
        self.assertNotIn(added.out, listed.out)
        self.assertEqual(self.run_trailcam("token", "remove", "garden", *state).status, 0)
        self.assertEqual(known.get(), {})


class TaskTests(TestCase):
    """In this process."""

    def setUp(self) -> None:
        """A state folder, and two streams."""
        self.state = Path(self.mktemp()).absolute()
        self.folder = self.state / "web"

    def run_command(self, *arguments: str) -> Result:
        """Run a command to its end."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([*arguments, "--state", str(self.state)])
        return Result(status, out.getvalue().rstrip(), err.getvalue().rstrip())

    def type_in(self, *lines: str) -> Result:
        """C{trailcam passwd} at a terminal where this is typed, unseen; then it is closed."""
        typed = mock.Mock(side_effect=[*lines, EOFError])
        self.patch(accesstasks.getpass, "getpass", typed)
        self.patch(accesstasks.sys, "stdin", SimpleNamespace(isatty=lambda: True))
        return self.run_command("passwd")

    def read(self, line: bytes) -> Result:
        """C{trailcam passwd} without a terminal."""
        stream = SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(line))
        self.patch(accesstasks.sys, "stdin", stream)
        return self.run_command("passwd")

    def test_terminal(self) -> None:
        """It is asked for twice; blanks and all belong to it."""
        done = self.type_in(" owls at night ", " owls at night ")
        self.assertEqual((done.status, done.err), (0, ""))
        self.assertNotIn("owls", done.out)
        self.assertTrue(verify(" owls at night ", password_file(self.folder).get() or ""))

    def test_not_set(self) -> None:
        """Two that differ, a short one, none, nonsense: one line, and nothing changes."""
        for done, status, text in (
            (self.type_in(PASSWORD, "owls at noon"), 2, "nothing changed: try again"),
            (self.type_in("short"), 2, "at least 8"),
            (self.type_in(), 1, "nothing was typed"),
            (self.type_in(PASSWORD), 1, "nothing was typed"),
            (self.read(b""), 2, "at least 8"),
            (self.read(b"x" * 10_000_000), 2, "at most 1024"),
            (self.read(b"\xff" * 10 + b"\n"), 2, "UTF-8"),
        ):
            self.assertEqual((done.status, done.out), (status, ""), done.err)
            self.assertIn(text, done.err)
            self.assertEqual(done.err.count("\n"), 0)
        self.assertFalse(self.state.exists())

    def test_nothing_to_remove(self) -> None:
        """That is no trouble."""
        done = self.run_command("passwd", "--remove")
        self.assertEqual(done.status, 0)
        self.assertIn("there was no password", done.out)

    def test_tokens(self) -> None:
        """As JSON; and what is wrong is said in one line."""
        added = self.run_command("token", "add", "garden", "--json")
        self.assertEqual(added.err, "")
        (event,) = added.events
        self.assertEqual((event["event"], event["name"]), ("token", "garden"))
        self.assertEqual(find_token(token_file(self.folder).get() or {}, event["token"]), "garden")
        for arguments, text in ((("add", "garden"), "already"), (("add", "a b"), "cannot be"),
                                (("remove", "pond"), "there are garden")):  # fmt: skip
            done = self.run_command("token", *arguments)
            self.assertEqual((done.status, done.out), (2, ""))
            self.assertIn(text, done.err)
        (self.folder / "tokens.json").write_text("{")
        for arguments in (("add", "pond"), ("list",), ("remove", "garden")):
            done = self.run_command("token", *arguments)
            self.assertEqual((done.status, done.out), (5, ""))
            self.assertIn("is damaged: delete it", done.err)

    def test_no_tokens(self) -> None:
        """The empty list says so, and leaves nothing behind."""
        self.assertEqual(self.run_command("token", "list").out, "there are no tokens")
        self.assertEqual(json.loads(self.run_command("token", "list", "--json").out),
                         {"event": "done", "count": 0})  # fmt: skip
        self.assertFalse(self.state.exists())

    def test_superuser(self) -> None:
        """Where the service is another user's, it is told to do it as that one."""
        self.state.mkdir()
        self.patch(accesstasks.os, "geteuid", lambda: 0)
        self.patch(accesstasks, "_owner", lambda path: "trailcam")
        done = self.run_command("token", "add", "garden")
        self.assertEqual(done.status, 2)
        self.assertIn("belongs to trailcam: do this as that user, with `sudo -u t", done.err)
        self.assertFalse(self.folder.exists())
        self.patch(accesstasks, "_owner", lambda path: "")
        self.assertEqual(self.run_command("token", "add", "garden").status, 0)
