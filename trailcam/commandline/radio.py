"""The commands that use the station's radios: scan, wake, join, leave, visit, visits."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

from trailcam.commandline.arguments import Commands, command, duration, number, task

__all__ = ["add_radio_commands"]


def _radiotasks() -> ModuleType:
    from trailcam import radiotasks

    return radiotasks


def _visittasks() -> ModuleType:
    from trailcam import visittasks

    return visittasks


def add_radio_commands(commands: Commands) -> None:
    """Add them."""
    for add in (_add_visit, _add_visits, _add_scan, _add_wake, _add_join, _add_leave):
        add(commands)


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, metavar="DIR", help="where programs see who uses "
                        "the radios, and source ports are remembered")  # fmt: skip


def _add_library(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", type=Path, metavar="DIR", help="where the pictures are")


def _some(text: str) -> int:
    return int(number(text, int, 1, 10_000))


def _add_visit(commands: Commands) -> None:
    text = "visit cameras now, as the service does: wake, join, fetch what is new, leave"
    parser = command(commands, "visit", text, task(_visittasks, "visit"))
    parser.add_argument("cameras", nargs="*", metavar="NAME", help="of the configuration; "
                        "all, if none is named")  # fmt: skip
    _add_library(parser)
    _add_state(parser)


def _add_visits(commands: Commands) -> None:
    text = "show the last visits: what they brought, and how long the camera was awake"
    parser = command(commands, "visits", text, task(_visittasks, "visits"))
    parser.add_argument("camera", nargs="?", metavar="NAME", help="of one camera only")
    parser.add_argument("--last", type=_some, default=10, metavar="N", help="so many (10)")
    _add_library(parser)


def _add_scan(commands: Commands) -> None:
    text = "list the cameras that are near over Bluetooth"
    parser = command(commands, "scan", text, task(_radiotasks, "scan"))
    parser.add_argument("--seconds", type=duration, default=10.0, metavar="S",
                        help="how long to listen (10)")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="also what does not look like a camera")
    _add_state(parser)


def _add_which(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("camera", nargs="?", metavar="CAMERA", help="a name from the "
                        "configuration, a Bluetooth address, how a Bluetooth name begins, or "
                        "nothing for the first camera that is seen")  # fmt: skip
    _add_state(parser)


def _add_wake(commands: Commands) -> None:
    text = "wake a camera over Bluetooth, and tell which network it opens"
    _add_which(command(commands, "wake", text, task(_radiotasks, "wake")))


def _add_join(commands: Commands) -> None:
    text = "wake a camera and join its network, until interrupted"
    parser = command(commands, "join", text, task(_radiotasks, "join"))
    _add_which(parser)
    parser.add_argument("--device", metavar="NAME", help="the Wi-Fi device to do it with, like "
                        "wlan1")  # fmt: skip


def _add_leave(commands: Commands) -> None:
    text = "have the `trailcam join` that is running leave its network"
    _add_state(command(commands, "leave", text, task(_radiotasks, "leave")))
