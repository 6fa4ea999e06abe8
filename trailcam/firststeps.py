"""
C{trailcam init}: a C{tap.conf} of one's own, from a few answers.

The file is the packaged example, comments and all, with the answers filled
in. It is readable by its owner only, and no file is ever written over.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from trailcam.config import default_library, parse
from trailcam.configkeys import check_name, check_value
from trailcam.errors import ConfigError

__all__ = ["QUESTIONS", "Question", "ask_terminal", "example", "fill", "run"]


@dataclass(frozen=True)
class Question:
    """
    One thing that C{trailcam init} wants to know.

    @ivar section: the kind of section that the answer goes into.
    @ivar key: the key it is the value of; C{name} for the section's own name.
    @ivar text: how a person is asked.
    @ivar default: what no answer means; made only when it is needed.
    @ivar shown: how the default is shown; empty to show it as it is.
    """

    section: str
    key: str
    text: str
    default: Callable[[], str]
    shown: str = ""

    def read(self, answer: str) -> str:
        """
        The answer as it is written down.

        @raise ConfigError: when it cannot be used.
        """
        answer = answer.strip() or self.default()
        if answer == self.shown:
            answer = self.default()
        if self.key == "name":
            return check_name(answer)
        check_value(self.section, self.key, answer)
        return answer


#: What is asked, in this order.
QUESTIONS = (
    Question("camera", "name", "What do you call the camera?", lambda: "garden"),
    Question("camera", "address", "Its address (HOST or HOST:PORT)?", str, "search"),
    Question(
        "trailcam",
        "library",
        "Which folder do the pictures go to?",
        lambda: str(default_library()),
    ),
    Question("camera", "zone", "Its time zone, like Europe/Paris?", str, "this computer's"),
    Question(
        "camera",
        "interval",
        "How many minutes between fetching pictures (0: only once)?",
        lambda: "60",
    ),
)


def ask_terminal(prompt: str) -> str:
    """
    Ask the person at the terminal.

    @raise EOFError: when there is none, or they ended the input.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise EOFError
    return input(prompt)


def example() -> str:
    """The packaged C{tap.conf}."""
    from importlib.resources import files

    return files("trailcam").joinpath("tap.conf").read_text(encoding="utf-8")


def fill(text: str, answers: Mapping[str, str]) -> str:
    """
    Put answers into the example.

    @param text: the example.
    @param answers: for the key of every question, what L{Question.read} gave.
    """
    text = text.replace("[camera garden]", f"[camera {answers['name']}]")
    for question in QUESTIONS:
        if question.key != "name" and answers[question.key]:
            line = f"{question.key} = {answers[question.key]}"
            # re.sub takes a backslash for its own unless it is doubled.
            line = line.replace("\\", "\\\\")
            text = re.sub(rf"(?m)^#{question.key} =.*$", line, text, count=1)
    return text


def run(
    path: Path,
    *,
    assume_yes: bool,
    ask: Callable[[str], str] = ask_terminal,
    out: TextIO,
    answers: Mapping[str, str] | None = None,
) -> None:
    """
    Ask, write the file, and say what comes next.

    @param path: the file to write.
    @param assume_yes: take every default without asking.
    @param ask: shows a prompt and returns the answer; raises C{EOFError} when there is nobody.
    @param out: where to tell.
    @param answers: what is known already, by the key of its question; it is not asked.
    @raise ConfigError: when the file exists or cannot be written, an answer
        given in C{answers} is wrong, or nobody is there to ask.
    """
    if os.path.lexists(path):
        raise _exists(path)
    known = answers or {}
    found = {}
    for question in QUESTIONS:
        if question.key in known:
            found[question.key] = question.read(known[question.key])
        elif assume_yes:
            found[question.key] = question.read("")
        else:
            found[question.key] = _answer(question, ask, out)
    text = fill(example(), found)
    parse(text, str(path))  # whatever else happens: what is written can be read
    _write(path, text)
    name = shlex.quote(str(path))
    print(f"Wrote {name}. It explains itself; change it as you like. Next:", file=out)
    print(f"  trailcam doctor --config {name}", file=out)
    print(f"  twistd -n trailcam --config {name}", file=out)


def _answer(question: Question, ask: Callable[[str], str], out: TextIO) -> str:
    """Ask until the answer is one."""
    shown = question.shown or question.default()
    while True:
        try:
            return question.read(ask(f"{question.text} [{shown}] "))
        except EOFError:
            raise ConfigError(
                "nobody is there to answer: take all defaults with `trailcam init --yes`"
            ) from None
        except ConfigError as error:
            print(f"  {error}", file=out)


def _exists(path: Path) -> ConfigError:
    return ConfigError(f"{path} is there already and stays as it is: name another with --config")


def _write(path: Path, text: str) -> None:
    """Write the whole file or none, and never over another one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    part = Path(name)  # mkstemp gave it mode 0600
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        _publish(part, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)


def _publish(part: Path, path: Path) -> None:
    """Give a finished file its name."""
    try:
        os.link(part, path)  # unlike a rename, it fails when someone else was faster
    except FileExistsError:
        raise
    except OSError:  # a file system without links, such as the FAT of an SD card
        if os.path.lexists(path):
            raise FileExistsError from None
        part.rename(path)
