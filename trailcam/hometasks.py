"""What the command does that deletes pictures at home: C{tidy}."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trailcam.asking import ask, can_ask
from trailcam.calling import find_config
from trailcam.config import default_library
from trailcam.console import Console, human_bytes, start_logging
from trailcam.errors import ConfigError, LibraryError
from trailcam.library import Library, Medium, Quota
from trailcam.library.quota import read_plan
from trailcam.runner import run
from trailcam.tasks import verbosity

__all__ = ["tidy"]

Arguments = argparse.Namespace


def tidy(arguments: Arguments) -> int:
    """Show what is to be deleted at home, ask, and delete it."""
    path, quota = _what(arguments)
    console = Console(arguments.json)
    if not path.is_dir():
        raise LibraryError(f"there is no library at {path}")
    if arguments.dry_run:  # also while a service has the library
        media = read_plan(path, quota, datetime.now(UTC))
        _show(console, "would_delete", media)
        _done(console, "would be deleted", quota, media, deleted=0)
        return 0
    if not arguments.yes and not can_ask():
        raise ConfigError("there is no terminal to confirm it at: add --yes to do it all the same")
    start_logging(verbosity(arguments))

    async def main(reactor: Any) -> int:
        library = Library(path, reactor)
        await library.open()
        try:
            media = await library.tidy(quota, dry_run=True)
            if media and not arguments.yes:
                _show(console, "would_delete", media)
                if not await ask(reactor, f"Delete these {len(media)} for good?"):
                    print("nothing was deleted", file=sys.stderr)
                    return 1
            media = await library.delete(media, quota)
        finally:
            await library.close()
        _show(console, "deleted", media)
        _done(console, "deleted", quota, media, deleted=len(media))
        return 0

    return run(main)


def _what(arguments: Arguments) -> tuple[Path, Quota]:
    """Which library, and what is to be kept of it: as the options say, else the configuration."""
    config = find_config(arguments, always=True)
    free, days = (config.keep_free, config.keep_days) if config else (0, 0)
    if arguments.keep_free is not None or arguments.keep_days is not None:
        free, days = arguments.keep_free or 0, arguments.keep_days or 0
    quota = Quota(free, days)
    if not quota:
        raise ConfigError(
            "nothing says what to delete: give --keep-days or --keep-free, or set keep_days or"
            " keep_free in tap.conf"
        )
    return arguments.library or (config.library if config else default_library()), quota


def _show(console: Console, event: str, media: Sequence[Medium]) -> None:
    for medium in media:
        name = medium.path.name
        console.event(event, f"{name}  {human_bytes(medium.size)}", name=name,
                      path=str(medium.path), bytes=medium.size)  # fmt: skip


def _done(
    console: Console, what: str, quota: Quota, media: Sequence[Medium], *, deleted: int
) -> None:
    size = sum(medium.size for medium in media)
    console.event("done", f"{len(media)} {what}, {human_bytes(size)} ({quota})", found=len(media),
                  deleted=deleted, bytes=size)  # fmt: skip
