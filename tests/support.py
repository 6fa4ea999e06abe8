"""What several tests share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from trailcam.commands import MediaFile
from trailcam.simulator.card import Card

CAPTURES = ("login", "live-view", "album")


def capture_file(name: str) -> Path:
    """A file of the captures; skips where there are none, and fails where one is missing."""
    folder = os.environ.get("TRAILCAM_CAPTURES")
    if not folder:
        raise SkipTest("TRAILCAM_CAPTURES does not name the folder with captures of real cameras")
    path = Path(folder) / name
    assert path.is_file(), f"{path} is missing"
    return path


def capture(name: str) -> list[tuple[str, bytes]]:
    """The datagrams of one capture: C{("camera" or "app", bytes)}."""
    lines = capture_file(f"{name}.jsonl").read_text("utf-8").splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(entry["from"], bytes.fromhex(entry["hex"])) for entry in entries]


class PlainCard(Card):
    """
    A card whose photos are made of noise, quickly: for tests that look at bytes, not pictures.

    @ivar size: bytes of each photo.
    """

    size = 50_000

    def photo(self, file: MediaFile) -> bytes:
        """C{size} bytes that differ from file to file, and end as a JPEG does."""
        seed = f"{file.directory}-{file.number}".encode()
        body = (seed * (self.size // len(seed) + 1))[: self.size - 4]
        return b"\xff\xd8" + body + b"\xff\xd9"

    def thumbnail(self, file: MediaFile) -> bytes:
        """A few bytes."""
        return b"\xff\xd8" + f"{file.label}".encode() * 40 + b"\xff\xd9"
