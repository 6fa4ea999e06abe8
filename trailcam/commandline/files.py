"""The commands about files at home: decode, init, doctor, rescan, tidy."""

from __future__ import annotations

import argparse
import sys
from io import TextIOWrapper
from pathlib import Path
from types import ModuleType

from trailcam.commandline.arguments import Commands, command, count, task

__all__ = ["add_file_commands"]


def _tasks() -> ModuleType:
    from trailcam import tasks

    return tasks


def add_file_commands(commands: Commands) -> None:
    """Add them."""
    for add in (_add_decode, _add_init, _add_doctor, _add_rescan, _add_tidy):
        add(commands)


def _add_decode(commands: Commands) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam import decode

        if arguments.json and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(line_buffering=True)  # each line is there at once
        return decode.run(arguments.file, as_json=arguments.json, out=sys.stdout)

    text = "show a capture (pcap, pcapng or JSON lines) as readable text"
    command(commands, "decode", text, run).add_argument("file", type=Path, metavar="FILE")


def _add_init(commands: Commands) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam import firststeps

        path = arguments.config or Path("tap.conf")
        firststeps.run(path, assume_yes=arguments.yes, out=sys.stderr if arguments.json
                       else sys.stdout)  # fmt: skip
        if arguments.json:
            from trailcam.console import Console

            Console(True).event("done", path=str(path))
        return 0

    parser = command(commands, "init", "write a first tap.conf from a few questions", run)
    parser.add_argument("--yes", action="store_true", help="take every default")


def _add_doctor(commands: Commands) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from trailcam import doctor

        return doctor.run(arguments.config, as_json=arguments.json, out=sys.stdout)

    command(commands, "doctor", "check what a newcomer trips over, and say how to mend it", run)


def _add_rescan(commands: Commands) -> None:
    text = "rebuild the library's index from its files"
    parser = command(commands, "rescan", text, task(_tasks, "rescan"))
    parser.add_argument("--library", type=Path, metavar="DIR", help="the library")


def _add_tidy(commands: Commands) -> None:
    def load() -> ModuleType:
        from trailcam import hometasks

        return hometasks

    text = "delete pictures at home that are too old, or the oldest until the disk has room"
    parser = command(commands, "tidy", text, task(load, "tidy"))
    add = parser.add_argument
    add("--library", type=Path, metavar="DIR", help="the library")
    add("--keep-free", type=count, metavar="MB", help="delete the oldest until so much is free")
    add("--keep-days", type=count, metavar="N", help="delete what came home longer ago")
    add("--dry-run", action="store_true", help="only show what would be deleted")
    add("--yes", action="store_true", help="do not ask")
