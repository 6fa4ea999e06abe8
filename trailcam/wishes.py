"""
Which cameras somebody wants visited now: a note in the state folder, for the
service that is then sent SIGUSR1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from trailcam.durable import write_whole

__all__ = ["ask_for_visits", "wished_for"]


def ask_for_visits(state: Path, names: Sequence[str]) -> None:
    """
    Leave a note.

    @param names: of cameras; none for all of them.
    @raise OSError: when it cannot be written.
    """
    state.mkdir(parents=True, exist_ok=True)
    write_whole(_note(state), json.dumps(list(names)).encode())


def wished_for(state: Path) -> list[str]:
    """Take the note away, and read it; none, or one that makes no sense, means all cameras."""
    note = _note(state)
    try:
        names = json.loads(note.read_bytes()[:100_000])
        note.unlink()
    except (OSError, ValueError, RecursionError):
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _note(state: Path) -> Path:
    return state / "visit-now"
