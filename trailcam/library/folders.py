"""Whose a folder is (C{camera.json}), and what lies in the library's folders."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from trailcam.durable import write_whole
from trailcam.library.files import make_folder
from trailcam.library.names import (
    MediaName,
    folder_name,
    is_day_folder,
    is_folder_name,
    parse,
    parse_part,
)
from trailcam.library.records import Source, identity
from trailcam.library.times import zone_from_name, zone_name

__all__ = ["CARD", "Claim", "Found", "Survey", "claim", "look_around", "read_card", "remove"]

#: The file that says whose folder it is in.
CARD = "camera.json"


@dataclass(frozen=True)
class Claim:
    """
    A camera's folder.

    @ivar name: its name in the library.
    @ivar adopted: whether it was there without an owner, with who knows what in it.
    """

    name: str
    adopted: bool


@dataclass(frozen=True)
class Found:
    """
    A file that the index does not know.

    @ivar path: relative to the library.
    @ivar source: whose folder it is in.
    @ivar name: what its name tells.
    """

    path: str
    source: Source
    name: MediaName


@dataclass
class Survey:
    """
    How the library's folders differ from the index.

    @ivar new: files that the index does not know.
    @ivar leftovers: what an interrupted run left: C{.part} files, and names without a byte.
    @ivar kept: how many files the index knows.
    @ivar gone: paths of the index where there is nothing.
    @ivar copies: how many files are older copies of one in C{new}.
    @ivar cameras: the names of cameras by C{devId}.
    """

    new: list[Found] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    kept: int = 0
    gone: set[str] = field(default_factory=set)
    copies: int = 0
    cameras: dict[str, str] = field(default_factory=dict)


def claim(root: Path, source: Source) -> Claim:
    """Find or make the camera's folder: another camera's is never taken."""
    first = folder_name(source.device_id)
    for serial in count(1):
        folder = root / (first if serial == 1 else f"{first}-{serial}")
        existed = folder.exists()
        owner = read_card(folder) if existed else None
        if owner is None or owner.device_id == source.device_id:
            break
    make_folder(folder)
    if owner is None or _card(owner) != _card(source):
        write_whole(folder / CARD, _card(source))
    return Claim(folder.name, existed and owner is None)


def read_card(folder: Path) -> Source | None:
    """Whose folder it is; C{None} if nobody says so."""
    try:
        card = json.loads((folder / CARD).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(card, dict) or not isinstance(card.get("devId"), str):
        return None
    name = card.get("name")
    zone = zone_from_name(card.get("zone"))
    return Source(card["devId"], name if isinstance(name, str) else None, zone)


def _card(source: Source) -> bytes:
    card = {"devId": source.device_id, "name": source.name, "zone": zone_name(source.zone)}
    return json.dumps(card, indent=2).encode() + b"\n"


def look_around(root: Path, known: set[str]) -> Survey:
    """
    Compare the folders with the index; only files that it does not know are looked at.

    @param known: the index's paths.
    """
    survey = Survey()
    seen: set[str] = set()
    for folder in _folders(root, is_folder_name):
        source = read_card(folder)
        if source is None:
            continue  # whoever claims it will have it looked through
        if source.name is not None:
            survey.cameras[source.device_id] = source.name
        part = folder / f"{CARD}.part"
        if part.exists():
            survey.leftovers.append(_relative(root, part))
        for day in _folders(folder, is_day_folder):
            seen |= _look_into(root, day, source, known, survey)
    survey.kept = len(seen)
    survey.gone = known - seen
    survey.new.sort(key=lambda found: found.name.copy)
    last = {identity(found.source.device_id, found.name.file): found for found in survey.new}
    survey.copies = len(survey.new) - len(last)
    survey.new = list(last.values())
    return survey


def _look_into(root: Path, day: Path, source: Source, known: set[str], survey: Survey) -> set[str]:
    prefix = _relative(root, day)
    seen = set()
    with os.scandir(day) as entries:
        for entry in entries:
            path = f"{prefix}/{entry.name}"
            if path in known:
                seen.add(path)
            elif parse_part(entry.name, source.zone):
                survey.leftovers.append(path)
            elif (name := parse(entry.name, source.zone)) and _is_file(entry):
                if entry.stat().st_size:
                    survey.new.append(Found(path, source, name))
                else:
                    survey.leftovers.append(path)
    return seen


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def remove(root: Path, leftovers: list[str]) -> None:
    """Delete what L{look_around} found of interrupted runs."""
    for path in leftovers:
        (root / path).unlink(missing_ok=True)


def _folders(parent: Path, is_ours: Callable[[str], bool]) -> Iterator[Path]:
    with os.scandir(parent) as entries:
        names = [entry.name for entry in entries if is_ours(entry.name) and entry.is_dir()]
    for name in sorted(names):
        yield parent / name


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
