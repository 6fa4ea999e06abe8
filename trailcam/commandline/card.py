"""The commands that change a camera's card: delete, format, snap."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

from trailcam.commandline.arguments import Commands, add_connecting, command, task

__all__ = ["add_card_commands"]


def _cardtasks() -> ModuleType:
    from trailcam import cardtasks

    return cardtasks


def add_card_commands(commands: Commands) -> None:
    """Add them."""
    for add in (_add_delete, _add_format, _add_snap):
        add(commands)


def _add_delete(commands: Commands) -> None:
    text = "delete pictures from the camera's card, after asking"
    parser = command(commands, "delete", text, task(_cardtasks, "delete"))
    add_connecting(parser, optional=False)
    parser.add_argument("which", nargs="+", metavar="WHICH", help="names as `trailcam list` shows "
        "them, like 'photo 100-0318', or 100/318; or all-at-home: all of which a whole copy is in "
        "the library")  # fmt: skip
    _add_confirming(parser)


def _add_format(commands: Commands) -> None:
    text = "erase the camera's whole card, after asking"
    parser = command(commands, "format", text, task(_cardtasks, "format_card"))
    add_connecting(parser, optional=False)
    _add_confirming(parser)


def _add_snap(commands: Commands) -> None:
    text = "have the camera take a photo now (not tried on a real camera yet)"
    add_connecting(command(commands, "snap", text, task(_cardtasks, "snap")), optional=False)


def _add_confirming(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--library", type=Path, metavar="DIR", help="where copies may be")
    parser.add_argument("--yes", action="store_true", help="do not ask; needed without a terminal")
