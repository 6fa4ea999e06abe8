"""
What the first page of a large library takes, beside the same query in plain SQLite.

It runs as a helper too: C{leaf} fills a library and leafs in it.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lines import LINES, Result
from benchmarks.processes import Json, Process, serve

__all__ = ["first_page", "leaf"]

#: So many pictures are on a page.
PAGE = 60
_NEWEST = 1_766_527_938
#: Seconds between two pictures, and between two visits.
_APART, _VISITS_APART = 600, 7200
_DAY = "C6/2025-12-23"
_MEDIUM = f"""
    INSERT INTO media (device_id, media_id, media_time, directory, number, file_type, duration_ms,
        wall, utc, utc_offset, zone, path, size, sha256, fetched_at, camera)
    VALUES ('C6', :id, :time, 100, :id % 9999, 0, 0, strftime('%Y-%m-%dT%H:%M:%S', :time + 3600,
        'unixepoch'), strftime('%Y-%m-%dT%H:%M:%SZ', :time, 'unixepoch'), 3600, 'Europe/Berlin',
        '{_DAY}/' || :id || '.jpg', 400000, hex(zeroblob(32)),
        strftime('%Y-%m-%dT%H:%M:%SZ', :time + 60, 'unixepoch'), 'garden')
"""
_VISITED = """
    INSERT INTO visits (camera, began, ended, outcome, phases, awake, transferring, bytes, new,
        failed, battery, temperature)
    VALUES ('garden', strftime('%Y-%m-%dT%H:%M:%S.5Z', :time, 'unixepoch'),
        strftime('%Y-%m-%dT%H:%M:%S.5Z', :time + 900, 'unixepoch'), 'ok', '{}', 1, 1, 1, 1, 0,
        80, 9.5)
"""


def first_page(quick: bool) -> Result:
    """The page and the bare query in turn."""
    count, rounds = (20_000, 60) if quick else (100_000, 200)
    with tempfile.TemporaryDirectory() as folder, Process("pages") as leafer:
        assert leafer.ready is not None
        found = leafer.ask("leaf", root=folder, count=count, rounds=rounds)
    value = median(one / other for one, other in found["times"])
    ours, bare = (median(times) * 1e3 for times in zip(*found["times"], strict=True))
    note = f"{ours:.2f} against {bare:.2f} ms, of {count} pictures"
    return Result(LINES["first-page"], value, note, found["media"] == PAGE)


async def leaf(reactor: Any, command: Json) -> Json:
    """Seconds of the first page, and of the query alone, so many times; pictures on the page."""
    from trailcam.library import Library

    root = Path(command["root"])
    library = Library(root, reactor)
    await library.open()
    times = []
    with closing(sqlite3.connect(root / ".trailcam" / "index.sqlite")) as base:
        _fill(root, base, command["count"])
        for _ in range(command["rounds"]):
            began = time.perf_counter()
            page = await library.browse(limit=PAGE)
            middle = time.perf_counter()
            base.execute(_query()).fetchall()
            times.append((middle - began, time.perf_counter() - middle))
    await library.close()
    return {"times": times, "media": len(page.media)}


def _query() -> str:
    """What a page asks for: one more than it shows, to know whether there are more."""
    from trailcam.library.medium import COLUMNS, KEY, VISIT

    return (
        f"SELECT {COLUMNS} FROM media AS m INDEXED BY media_here {VISIT}"
        " WHERE m.gone = 0 AND m.removed IS NULL"
        f" ORDER BY {KEY} DESC, m.id DESC LIMIT {PAGE + 1}"
    )


def _fill(root: Path, base: sqlite3.Connection, count: int) -> None:
    """So many pictures; of the newest ones there are files."""
    with base:
        base.executemany(_MEDIUM, _times(count, _APART))
        base.executemany(_VISITED, _times(min(10_000, count // 12), _VISITS_APART))
    (root / _DAY).mkdir(parents=True)
    for id in range(count - 2 * PAGE, count):
        (root / _DAY / f"{id}.jpg").touch()


def _times(count: int, apart: int) -> Iterator[dict[str, int]]:
    return ({"id": id, "time": _NEWEST - (count - id) * apart} for id in range(count))


if __name__ == "__main__":
    serve(leaf)
