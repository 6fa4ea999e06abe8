"""The commands that ask a camera: discover, info, list, sync, live, still, send."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

from trailcam.commandline.arguments import (
    Commands,
    add_connecting,
    add_search,
    command,
    duration,
    task,
)

__all__ = ["add_camera_commands"]


def _tasks() -> ModuleType:
    from trailcam import tasks

    return tasks


def _live_tasks() -> ModuleType:
    from trailcam import livetasks

    return livetasks


def add_camera_commands(commands: Commands) -> None:
    """Add them."""
    for add in (_add_sync, _add_discover, _add_info, _add_list, _add_live, _add_still, _add_send):
        add(commands)


def _add_discover(commands: Commands) -> None:
    parser = command(commands, "discover", "list the cameras that answer", task(_tasks, "discover"))
    parser.add_argument("--timeout", type=duration, default=5.0, metavar="S",
                        help="how long to listen (5)")  # fmt: skip
    parser.add_argument("--interface", metavar="ADDR", help="our own address to search from")
    parser.add_argument("--state", type=Path, metavar="DIR", help="where source ports are "
                        "remembered")  # fmt: skip
    add_search(parser)


def _add_info(commands: Commands) -> None:
    text = "show what a camera says of itself: battery, card, firmware"
    add_connecting(command(commands, "info", text, task(_tasks, "info")))


def _add_list(commands: Commands) -> None:
    add_connecting(
        command(commands, "list", "list the media on the card", task(_tasks, "list_media"))
    )


def _add_sync(commands: Commands) -> None:
    parser = command(commands, "sync", "bring home what is new", task(_tasks, "sync"))
    add_connecting(parser)
    parser.add_argument("--library", type=Path, metavar="DIR", help="where the pictures go")


def _add_live(commands: Commands) -> None:
    parser = command(commands, "live", "record the live view", task(_live_tasks, "live"))
    add_connecting(parser)
    _add_output(parser, "FILE.mp4 for a video, FILE.h264 for the stream as it comes, - for "
                "standard output")  # fmt: skip
    parser.add_argument("--seconds", type=duration, metavar="S", help="stop after S seconds; "
                        "otherwise Ctrl-C does")  # fmt: skip


def _add_still(commands: Commands) -> None:
    parser = command(commands, "still", "one picture of the live view", task(_live_tasks, "still"))
    add_connecting(parser)
    _add_output(parser, "FILE.jpg, or - for standard output")


def _add_output(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=text)
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def _add_send(commands: Commands) -> None:
    text = "send any command and print the answer"
    parser = command(commands, "send", text, task(_tasks, "send"))
    add_connecting(parser, optional=False)
    parser.add_argument("request", metavar="JSON", help="""like '{"cmdId": 512}'""")
    parser.add_argument("--yes", action="store_true", help="also what changes or erases something")
