"""C{trailcam init}: a file of one's own, from a few answers."""

import io
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from trailcam.config import load, parse
from trailcam.errors import ConfigError
from trailcam.firststeps import QUESTIONS, ask_terminal, example, fill, run


def answering(*answers: str) -> tuple[Callable[[str], str], list[str]]:
    """A person who gives these answers and then leaves; and what they were asked."""
    left, asked = list(answers), []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        if not left:
            raise EOFError
        return left.pop(0)

    return ask, asked


class InitTests(TestCase):
    """What is asked, and what is written."""

    def setUp(self) -> None:
        """Give the test a home folder and a place for the file."""
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        environment = mock.patch.dict(os.environ, {"HOME": str(self.home)})
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("STATE_DIRECTORY", None)
        self.path = self.home / "tap.conf"
        self.out = io.StringIO()

    def init(self, *answers: str) -> list[str]:
        """Run with these answers; the prompts that were shown."""
        ask, asked = answering(*answers)
        run(self.path, assume_yes=False, ask=ask, out=self.out)
        return asked

    def refused(self, **arguments: object) -> str:
        """Run, and be refused; nothing of ours is left behind."""
        before = sorted(self.home.iterdir())
        message = str(self.assertRaises(ConfigError, run, self.path, out=self.out, **arguments))
        self.assertEqual(sorted(self.home.iterdir()), before)
        return message

    def test_yes(self) -> None:
        """All defaults give a file that means the same as the example, comments and all."""
        run(self.path, assume_yes=True, ask=answering()[0], out=self.out)
        self.assertEqual(load(self.path), parse(example(), str(self.path)))
        text = self.path.read_text()
        comments = [line for line in example().splitlines() if line.startswith("# ")]
        self.assertEqual([line for line in text.splitlines() if line.startswith("# ")], comments)
        self.assertIn(f"\nlibrary = {self.home}/Pictures/trailcam\n", text)

    def test_only_the_owner_reads_it(self) -> None:
        """The file may come to hold a password."""
        run(self.path, assume_yes=True, out=self.out)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(list(self.home.iterdir()), [self.path])

    def test_answers(self) -> None:
        """Every answer arrives in the file, and every question shows its default."""
        asked = self.init("pond", "10.0.0.7:40611", "/media/card", "Europe/Paris", "15")
        config = load(self.path)
        (camera,) = config.cameras
        self.assertEqual((camera.name, str(camera.target)), ("pond", "pond (10.0.0.7:40611)"))
        self.assertEqual(config.library, Path("/media/card"))
        self.assertEqual((str(camera.zone), camera.interval), ("Europe/Paris", 900))
        defaults = ["garden", "search", f"{self.home}/Pictures/trailcam", "this computer's", "60"]
        self.assertEqual(len(asked), len(defaults))
        for prompt, default in zip(asked, defaults, strict=True):
            self.assertTrue(prompt.endswith(f" [{default}] "), prompt)

    def test_enter_takes_the_default(self) -> None:
        """So does typing the default, also where it is only described."""
        self.init("", "search", "  ", "this computer's", "60")
        self.assertEqual(load(self.path), parse(example(), str(self.path)))

    def test_wrong_answers_are_asked_again(self) -> None:
        """With the reason, and never an end."""
        asked = self.init("my pond", "pond", "here", "", "~", "Mars/Base", "", "often", "-5", "0")
        self.assertEqual(len(asked), 10)
        told = self.out.getvalue()
        for reason in (
            "'my pond' cannot be a camera's name",
            "address must be a camera's address",
            "zone must be a time zone like Europe/Paris, not 'Mars/Base'",
            "interval must be a number from 0 to 43200, not 'often'",
            "interval must be a number from 0 to 43200, not '-5'",
        ):
            self.assertIn(f"  {reason}", told)
        config = load(self.path)
        self.assertEqual((config.library, config.cameras[0].interval), (self.home, 0))

    def test_given_answers_are_not_asked(self) -> None:
        """What the command line said is taken from there."""
        ask, asked = answering("", "", "")
        run(self.path, assume_yes=False, ask=ask, out=self.out,
            answers={"name": "pond", "interval": "5"})  # fmt: skip
        self.assertEqual(len(asked), 3)
        camera = load(self.path).cameras[0]
        self.assertEqual((camera.name, camera.interval), ("pond", 300))

    def test_given_answer_is_wrong(self) -> None:
        """There is no asking again on the command line."""
        message = self.refused(assume_yes=True, answers={"interval": "x"})
        self.assertIn("interval must be a number", message)

    def test_tells_what_comes_next(self) -> None:
        """The two commands can be copied as they are, whatever the file is called."""
        self.path = self.home / "my tap.conf"
        run(self.path, assume_yes=True, out=self.out)
        for command in ("trailcam doctor --config", "twistd -n trailcam --config"):
            self.assertIn(f"  {command} '{self.path}'\n", self.out.getvalue())

    def test_makes_the_folder(self) -> None:
        """C{--config} may name a folder that is not there yet."""
        self.path = self.home / "a" / "b" / "tap.conf"
        run(self.path, assume_yes=True, out=self.out)
        load(self.path)

    def test_never_overwrites(self) -> None:
        """What is there stays, be it a file, a folder or a dangling link; nothing is asked."""
        ask, asked = answering()
        for make in (
            lambda: self.path.write_text("mine"),
            self.path.mkdir,
            lambda: self.path.symlink_to("nowhere"),
        ):
            make()
            for yes in (True, False):
                message = self.refused(assume_yes=yes, ask=ask)
                self.assertIn(f"{self.path} is there already", message)
            if self.path.is_dir():
                self.path.rmdir()
            else:
                self.path.unlink()
        self.assertEqual(asked, [])

    def test_somebody_was_faster(self) -> None:
        """A file that appears while we ask stays too, on every file system."""

        def ask(prompt: str) -> str:
            self.path.write_text("mine")
            return ""

        message = str(self.assertRaises(
            ConfigError, run, self.path, assume_yes=False, ask=ask, out=self.out))  # fmt: skip
        self.assertIn("is there already", message)
        self.path.unlink()
        self.patch(os, "link", mock.Mock(side_effect=PermissionError))
        self.assertRaises(ConfigError, run, self.path, assume_yes=False, ask=ask, out=self.out)
        self.assertEqual(self.path.read_text(), "mine")
        self.assertEqual(list(self.home.iterdir()), [self.path])

    def test_without_links(self) -> None:
        """A FAT card has no links: the file is renamed into place."""
        self.patch(os, "link", mock.Mock(side_effect=PermissionError))
        run(self.path, assume_yes=True, out=self.out)
        load(self.path)
        self.assertEqual(list(self.home.iterdir()), [self.path])

    def test_cannot_be_written(self) -> None:
        """A folder that is none, and a disk that is full: one line, and no half file."""
        (self.home / "file").write_text("")
        self.path = self.home / "file" / "tap.conf"
        self.assertIn("tap.conf cannot be written: ", self.refused(assume_yes=True))
        self.path = self.home / "tap.conf"
        self.patch(os, "fsync", mock.Mock(side_effect=OSError(28, "No space left on device")))
        self.assertEqual(
            self.refused(assume_yes=True),
            f"{self.path} cannot be written: No space left on device",
        )

    def test_nobody_answers(self) -> None:
        """At the end of the input, the message says what to do instead."""
        self.assertIn("trailcam init --yes", self.refused(assume_yes=False, ask=answering("x")[0]))

    def test_no_terminal(self) -> None:
        """A pipe, or no input at all, is nobody."""
        for stdin in (io.StringIO("pond\n"), None):
            self.patch(sys, "stdin", stdin)
            self.assertRaises(EOFError, ask_terminal, "? ")
            self.assertIn("--yes", self.refused(assume_yes=False))

    def test_questions_fit_the_example(self) -> None:
        """Each key that is asked for is a commented line of the example, once."""
        for question in QUESTIONS:
            if question.key != "name":
                self.assertEqual(example().count(f"\n#{question.key} = "), 1, question.key)
        self.assertEqual(example().count("[camera garden]"), 1)

    @settings(deadline=None, max_examples=100)
    @given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
    def test_any_library(self, name: str) -> None:
        """Whatever a folder is called, backslashes and all, it comes back from the file."""
        answers = {question.key: question.read("") for question in QUESTIONS}
        answers["library"] = f"/x{name}".strip()
        config = parse(fill(example(), answers), "tap.conf")
        self.assertEqual(config.library, Path(answers["library"]))
