"""C{python -m benchmarks}: what is asked for, and how it is told."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import growth, links, pages, staying, throughput
from benchmarks.lines import LINES, Result
from benchmarks.processes import Broken
from benchmarks.report import as_json, show

__all__ = ["main", "parser"]

#: Lines that mostly wait: when it has to be quick, they wait side by side.
_WAITING: dict[str, Callable[[bool], Result]] = {
    "reconnect-p95": links.reconnect_p95,
    "goodput-loss": links.goodput_loss,
    "awake-time": links.awake_time,
    "idle-sessions": staying.idle_sessions,
}
_ALONE: dict[str, Callable[[bool], Result]] = {
    "connect-rtts": links.connect_rtts,
    "video-memory": staying.video_memory,
    "first-page": pages.first_page,
    "help-start": staying.help_start,
}


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    result = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure trailcam against what is measured in the same run.",
        epilog="exit status: 0 all reached, 1 not all, 2 wrong usage or a benchmark that failed",
    )
    add = result.add_argument
    add("--quick", action="store_true", help="fewer rounds: less than a minute for all")
    add("--only", metavar="NAME", action="append", choices=LINES, help="only this line: "
        + ", ".join(LINES))  # fmt: skip
    add("--json", action="store_true", help="one JSON object a line")
    add("--one-by-one", action="store_true", help="send every datagram by itself, not in bursts: "
        "all receivers then wait for the sender")  # fmt: skip
    add("--profile", action="store_true", help="profile the receivers of download and live view; "
        "the numbers are then those of a profiled program")  # fmt: skip
    add("--growth", metavar="FILE", type=Path, help="measure how costs grow with files and "
        "cameras instead, and plot it into this SVG file")  # fmt: skip
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run what is asked for.

    @return: the exit status.
    """
    asked = parser().parse_args(argv)
    try:
        if asked.growth:
            points = growth.measure(asked.quick)
            asked.growth.write_text(growth.plot(points), "utf-8")
            growth.show(points)
            return 0
        return _run(asked)
    except Broken as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 2


def _run(asked: argparse.Namespace) -> int:
    results = []
    for result in _measure(asked):
        results.append(result)
        if asked.json:
            print(as_json(result), flush=True)
        else:
            print(f"{result.line.name} ...", file=sys.stderr, flush=True)
    if not asked.json:
        show(sorted(results, key=lambda result: list(LINES).index(result.line.name)))
    return 0 if all(result.ok for result in results) else 1


def _measure(asked: argparse.Namespace) -> Iterator[Result]:
    names = set(asked.only or LINES)
    if wanted := names.intersection(throughput.NAMES):
        yield from throughput.measure(
            wanted, asked.quick, profile=asked.profile, one_by_one=asked.one_by_one
        )
    for name in _ALONE:
        if name in names:
            yield _ALONE[name](asked.quick)
    waiting = [_WAITING[name] for name in _WAITING if name in names]
    with ThreadPoolExecutor(len(_WAITING) if asked.quick else 1) as pool:
        yield from pool.map(lambda measure: measure(asked.quick), waiting)


if __name__ == "__main__":
    sys.exit(main())
