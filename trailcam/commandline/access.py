"""The commands about who may see the pages: passwd, token."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import ModuleType

from trailcam.commandline.arguments import Commands, add_common, command, task

__all__ = ["add_access_commands"]


def _accesstasks() -> ModuleType:
    from trailcam import accesstasks

    return accesstasks


def add_access_commands(commands: Commands) -> None:
    """Add them."""
    _add_passwd(commands)
    _add_token(commands)


def _add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", type=Path, metavar="DIR", help="where the service remembers "
                        "what it needs")  # fmt: skip


def _add_passwd(commands: Commands) -> None:
    text = "set the password to the pages, or take it away"
    parser = command(commands, "passwd", text, task(_accesstasks, "passwd"))
    parser.add_argument("--remove", action="store_true", help="take it away: only this computer "
                        "sees the pages then")  # fmt: skip
    _add_state(parser)


def _add_token(commands: Commands) -> None:
    text = "give programs tokens to the pages, list them, or take them back"
    parser = commands.add_parser("token", help=text, description=text[0].upper() + text[1:] + ".")
    add_common(parser, sub=True)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_action(actions, "add", "make a token; it is shown only now")
    _add_action(actions, "list", "show which tokens there are, but not the tokens")
    _add_action(actions, "remove", "take a token back")


def _add_action(actions: Commands, name: str, text: str) -> None:
    parser = command(actions, name, text, task(_accesstasks, f"{name}_token"))
    if name != "list":
        parser.add_argument("name", metavar="NAME", help="what you call it, like homeassistant")
    _add_state(parser)
