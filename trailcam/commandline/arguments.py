"""What the commands have in common: their options, and how values are read."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

__all__ = [
    "Commands",
    "Run",
    "add_common",
    "add_connecting",
    "add_search",
    "command",
    "count",
    "duration",
    "endpoint",
    "hardware_address",
    "number",
    "port",
    "port_or_any",
    "seconds",
    "share",
    "task",
]

Run: TypeAlias = Callable[[argparse.Namespace], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def task(load: Callable[[], ModuleType], function: str) -> Run:
    """
    What a command does.

    @param load: imports the module where it is done, which may be heavy, only then.
    @param function: its name there.
    """

    def run(arguments: argparse.Namespace) -> int:
        return int(getattr(load(), function)(arguments))

    return run


def command(commands: Commands, name: str, text: str, run: Run) -> argparse.ArgumentParser:
    """
    Add a command.

    @param text: what it does, in a few words.
    """
    parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    add_common(parser, sub=True)
    parser.set_defaults(run=run)
    return parser


def add_common(parser: argparse.ArgumentParser, *, sub: bool = False) -> None:
    """Options that may stand before and after the command."""
    default = argparse.SUPPRESS if sub else None
    parser.add_argument("--config", type=Path, metavar="FILE", default=default,
                        help="read this tap.conf")  # fmt: skip
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS if sub else False,
                        help="one JSON object a line on standard output")  # fmt: skip
    parser.add_argument("-v", "--verbose", action="count",
                        default=argparse.SUPPRESS if sub else 0, help="log more")  # fmt: skip
    parser.add_argument("-q", "--quiet", action="store_true",
                        default=argparse.SUPPRESS if sub else False,
                        help="log warnings only")  # fmt: skip


def add_connecting(parser: argparse.ArgumentParser, *, optional: bool = True) -> None:
    """
    Options of every command that calls a camera.

    @param optional: whether the camera may be left out, to be searched for.
    """
    text = "HOST[:PORT], or a name from the configuration" + (", or nothing" if optional else "")
    parser.add_argument("camera", nargs="?" if optional else None, metavar="CAMERA", help=text)
    add = parser.add_argument
    add("--state", type=Path, metavar="DIR", help="where the source port is remembered")
    add("--timeout", type=duration, metavar="S", help="for the connecting as a whole (90)")
    add("--local-port", type=port, metavar="N", help="call from this source port, whatever is "
        "remembered")  # fmt: skip
    add("--interface", metavar="ADDR", help="our own address on the camera's network")
    add_search(parser)
    add("--user", help="user name (admin)")
    add("--password-file", type=Path, metavar="FILE", help="its first line is the password; or set "
        "TRAILCAM_PASSWORD (admin)")  # fmt: skip


def add_search(parser: argparse.ArgumentParser) -> None:
    """Options of a search."""
    add = parser.add_argument
    add("--broadcast", metavar="ADDR", help="send the search to this address only")
    add("--search-port", type=port, metavar="N", help="port for the search (32108)")


def number(text: str, convert: Callable[[str], float], low: float, high: float) -> float:
    """A number within bounds."""
    try:
        value = convert(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")
    return value


def port(text: str) -> int:
    """A port."""
    return int(number(text, int, 1, 65535))


def port_or_any(text: str) -> int:
    """A port, or 0."""
    return int(number(text, int, 0, 65535))


def count(text: str) -> int:
    """How many."""
    return int(number(text, int, 0, 1_000_000))


def seconds(text: str) -> float:
    """Seconds; 0 may be."""
    return number(text, float, 0.0, 86400.0)


def duration(text: str) -> float:
    """Seconds, some at least."""
    return number(text, float, 0.1, 86400.0)


def share(text: str) -> float:
    """A share, 0 to 1."""
    return number(text, float, 0.0, 1.0)


def hardware_address(text: str) -> str:
    """An address of a radio."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an address like 02:00:00:00:12:34")
    return text.upper()


def endpoint(text: str) -> str:
    """Where pages are."""
    from trailcam.endpoint import read_endpoint
    from trailcam.errors import ConfigError

    try:
        return read_endpoint(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not {error}") from None
