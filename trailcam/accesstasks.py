"""What the commands do about who may see the pages: C{passwd}, C{token}."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from pathlib import Path

from trailcam.calling import find_config
from trailcam.config import default_state
from trailcam.console import Console
from trailcam.errors import ConfigError, TrailcamError
from trailcam.web import tokens
from trailcam.web.passwords import check_password, remove_password, set_password
from trailcam.web.settings import folder

__all__ = ["add_token", "list_token", "passwd", "remove_token"]

Arguments = argparse.Namespace


def passwd(arguments: Arguments) -> int:
    """Set the password to the pages, or take it away."""
    where, console = _folder_to_change(arguments), Console(arguments.json)
    if arguments.remove:
        text = "the password is gone, at once: the pages are for this computer only now"
        if not remove_password(where):
            text = f"there was no password in {where}"
        console.event("done", text, password=False, path=str(where / "password"))
        return 0
    path = set_password(where, _ask() if sys.stdin.isatty() else _read_line())
    text = (
        f"the password is set, at once: all browsers have to log in anew. {path} keeps a hash of it"
    )
    console.event("done", text, password=True, path=str(path))
    return 0


def add_token(arguments: Arguments) -> int:
    """Make a token, and show it this once."""
    where = _folder_to_change(arguments)
    token = tokens.add_token(where, arguments.name)
    if not arguments.json:  # for whoever reads it, nothing but the token goes to standard output
        print(f"the token {arguments.name}; it is not shown again:", file=sys.stderr, flush=True)
    Console(arguments.json).event("token", token, name=arguments.name, token=token)
    return 0


def list_token(arguments: Arguments) -> int:
    """Show which tokens there are."""
    console = Console(arguments.json)
    known = tokens.tokens(_folder(arguments))
    for name, created in known:
        console.event("token", f"{name}  {created}", name=name, created=created)
    console.event("done", None if known else "there are no tokens", count=len(known))
    return 0


def remove_token(arguments: Arguments) -> int:
    """Take a token back."""
    tokens.remove_token(_folder_to_change(arguments), arguments.name)
    text = f"the token {arguments.name} opens nothing any more"
    Console(arguments.json).event("removed", text, name=arguments.name)
    return 0


def _ask() -> str:
    """The new password, typed twice at a terminal, unseen."""
    try:
        password = getpass.getpass("New password to the pages: ")
        check_password(password)
        again = getpass.getpass("The same again: ")
    except EOFError:
        raise TrailcamError("nothing was typed, and nothing changed") from None
    if password != again:
        raise ConfigError("these were two passwords, and nothing changed: try again")
    return password


def _read_line() -> str:
    """The new password, from a pipe: its first line."""
    line = sys.stdin.buffer.readline(8192)  # enough to see that it is too long
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise ConfigError("the password on standard input is not UTF-8 text") from None


def _folder(arguments: Arguments) -> Path:
    config = find_config(arguments, always=True)
    state: Path = arguments.state or (config.state if config else default_state())
    return folder(state.absolute())


def _folder_to_change(arguments: Arguments) -> Path:
    """
    Where passwords and tokens are.

    @raise ConfigError: for the superuser, where that would be another user's: whose service
        could not read what is written.
    """
    path = _folder(arguments)
    there = next(each for each in (path, *path.parents) if each.exists())
    if os.geteuid() == 0 and (name := _owner(there)) not in ("", "root"):
        raise ConfigError(f"{there} belongs to {name}: do this as that user, with `sudo -u {name}`")
    return path


def _owner(path: Path) -> str:
    """Whose it is; empty where that user has no name here, as in a container."""
    try:
        return path.owner()
    except KeyError:
        return ""
