"""What the commands that change the camera's card do: C{delete}, C{format} and C{snap}."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trailcam.asking import ask, can_ask
from trailcam.calling import Call, make_call
from trailcam.client import Camera
from trailcam.commands import MediaFile
from trailcam.console import Console, start_logging, where_is
from trailcam.errors import CameraLost, ConfigError, LibraryError, TrailcamError
from trailcam.library import Library, StoredFile
from trailcam.library.clearing import Clearing, safe_copies, unambiguous
from trailcam.library.files import STATE
from trailcam.library.records import Source
from trailcam.runner import run
from trailcam.tasks import verbosity, wall_time, with_camera

__all__ = ["Name", "delete", "format_card", "parse_names", "snap"]

Arguments = argparse.Namespace
#: Which stays unsaid, in the place of names.
ALL_AT_HOME = "all-at-home"

_NAME = r"(?:(photo|video)[ -])?(\d{1,5})[-/](\d{1,5})"


# -- the frame around them ---------------------------------------------------


@dataclass
class _Card:
    """
    A camera that is logged in, what is on its card, and the library.

    @ivar library: open; C{None} where there is none.
    @ivar session: the session in which C{listed} was read.
    """

    reactor: Any
    camera: Camera
    library: Library | None
    console: Console
    source: Source
    session: int
    listed: tuple[MediaFile, ...]

    async def safe(self, files: Collection[MediaFile]) -> dict[MediaFile, StoredFile]:
        """Those of some files of which a whole copy is at home."""
        if self.library is None:
            return {}
        alone = [file for file in unambiguous(self.listed) if file in files]
        return await safe_copies(self.library, self.source, alone)

    async def agreed(self, arguments: Arguments, question: str) -> bool:
        """Whether the person wants it."""
        if arguments.yes or await ask(self.reactor, question):
            return True
        print("nothing was changed", file=sys.stderr)
        return False


def _at_card(
    arguments: Arguments, work: Callable[[_Card], Awaitable[int]], *, at_home: bool = False
) -> int:
    """
    Open the library, connect, log in, list, do C{work}, and say goodbye.

    @param at_home: whether nothing can be done without a library.
    """
    if not arguments.yes and not can_ask():
        raise ConfigError("there is no terminal to confirm it at: add --yes to do it all the same")
    call, console = make_call(arguments), Console(arguments.json)
    start_logging(verbosity(arguments))

    async def main(reactor: Any) -> int:
        library = _library(call, reactor)
        if library is not None:
            await library.open()
        elif at_home:  # before the camera is called for nothing
            raise LibraryError(f"there is no library at {call.library}: name one with --library")
        camera = call.camera(reactor)
        try:
            await camera.connect()
            await camera.login()
            return await work(await _look(reactor, camera, library, console, call))
        finally:
            await camera.close()
            if library is not None:
                await library.close()

    return run(main)


def _library(call: Call, reactor: Any) -> Library | None:
    """The library, if there is one: none is made to look for pictures in."""
    return Library(call.library, reactor) if (call.library / STATE).is_dir() else None


async def _look(
    reactor: Any, camera: Camera, library: Library | None, console: Console, call: Call
) -> _Card:
    information = await camera.info()
    source = Source(information.device_id, camera.target.name, call.zone)
    session = camera.sessions
    listed = tuple([file async for file in camera.media()])
    return _Card(reactor, camera, library, console, source, session, listed)


# -- delete ------------------------------------------------------------------


@dataclass(frozen=True)
class Name:
    """
    What a person calls a file on the card.

    @ivar kind: C{photo} or C{video}; C{None} for either.
    """

    kind: str | None
    directory: int
    number: int

    def __str__(self) -> str:
        return f"{self.kind + ' ' if self.kind else ''}{self.directory}-{self.number:04d}"

    def find(self, listed: Sequence[MediaFile]) -> MediaFile:
        """
        The one that is meant.

        @raise TrailcamError: when there is none, or more than one.
        """
        found = [
            file
            for file in listed
            if (file.directory, file.number) == (self.directory, self.number)
            and self.kind in (None, "photo" if file.is_photo else "video")
        ]
        if not found:
            raise TrailcamError(f"{self} is not on the card: nothing was deleted")
        if len(found) > 1:
            raise ConfigError(f"there are several {self} on the card: nothing was deleted")
        return found[0]


def parse_names(words: Sequence[str]) -> list[Name] | None:
    """
    Names of files as C{trailcam list} shows them, or DIR/NUM.

    @return: C{None} for C{all-at-home}.
    @raise ConfigError: when they are neither.
    """
    text = " ".join(" ".join(words).split()).lower()
    if text == ALL_AT_HOME:
        return None
    if not re.fullmatch(f"{_NAME}( {_NAME})*", text, re.ASCII):
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise ConfigError(f"{shown!r} names no picture: give names as `trailcam list` shows them, "
                          f"like 'photo 100-0318', or 100/318, or {ALL_AT_HOME}")  # fmt: skip
    found = re.finditer(_NAME, text, re.ASCII)
    names = (Name(each[1], int(each[2]), int(each[3])) for each in found)
    return list(dict.fromkeys(names))


def delete(arguments: Arguments) -> int:
    """Delete some files from the card."""
    names = parse_names(arguments.which)

    async def work(card: _Card) -> int:
        wanted = card.listed if names is None else [name.find(card.listed) for name in names]
        copies = await card.safe(set(wanted))
        chosen = {file: copies.get(file) for file in wanted if names is not None or file in copies}
        if chosen and not await card.agreed(arguments, _deletion(card, chosen)):
            return 1
        return await _delete(card, chosen)

    return _at_card(arguments, work, at_home=names is None)


def _deletion(card: _Card, chosen: Mapping[MediaFile, StoredFile | None]) -> str:
    """The question."""
    lines = [
        f"{file.label}  {wall_time(file) or 'time unknown'}  {'at home' if copy else 'NOT at home'}"
        for file, copy in chosen.items()
    ]
    which = f"these {len(lines)}" if len(lines) > 1 else next(iter(chosen)).label
    return "\n".join([*lines, f"delete {which} from the card of {card.camera.target}?"])


async def _delete(card: _Card, chosen: Mapping[MediaFile, StoredFile | None]) -> int:
    gone: list[MediaFile] = []
    failed: list[MediaFile] = []

    def tell_gone(file: MediaFile) -> None:
        gone.append(file)
        card.console.event("deleted", f"{file.label} is deleted", name=file.label)

    def tell_failed(file: MediaFile, why: str) -> None:
        failed.append(file)
        card.console.event("failed", f"{file.label}: {why}", name=file.label, reason=why)

    clearing = Clearing(card.camera, card.library, card.source.device_id, card.session,
                        deleted=tell_gone, failed=tell_failed)  # fmt: skip
    await clearing.run(chosen)
    left = len(chosen) - len(gone)
    card.console.event("done", f"{len(gone)} deleted, {left} failed",
                       deleted=len(gone), failed=left)  # fmt: skip
    return 1 if left else 0


# -- format and snap ---------------------------------------------------------


def format_card(arguments: Arguments) -> int:
    """Erase the whole card."""

    async def work(card: _Card) -> int:
        copies = await card.safe(set(card.listed))
        count, lost = len(card.listed), len(card.listed) - len(copies)
        fate = f"{lost} of them are NOT at home, and will be lost" if lost else "all are at home"
        question = f"format the card of {card.camera.target}? {count} media are on it; {fate}."
        if not await card.agreed(arguments, question):
            return 1
        free = await _format(card)
        if card.library is not None:
            for copy in copies.values():
                await card.library.mark_deleted(copy)
        text = "the card is formatted" + (f"; {free} MB are free" if free is not None else "")
        card.console.event("formatted", text, camera=where_is(card.camera), erased=count,
                           at_home=len(copies), free_mb=free)  # fmt: skip
        return 0

    return _at_card(arguments, work)


async def _format(card: _Card) -> int | None:
    try:
        return await card.camera.format_card(card.session)
    except CameraLost as error:
        text = f"{error}; see with `trailcam list` whether the card is formatted"
        raise CameraLost(text) from None


def snap(arguments: Arguments) -> int:
    """Have the camera take a photo now."""
    async def work(reactor: Any, camera: Camera, call: Call, console: Console) -> int:
        await camera.snap()
        console.event("snapped", "the camera has agreed to take a photo", camera=where_is(camera))
        return 0

    return with_camera(arguments, work)
