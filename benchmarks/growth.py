"""How costs grow with the work: 1, 10 and 100 files, and 1, 10 and 100 cameras at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks import material
from benchmarks.processes import Process
from benchmarks.report import number
from benchmarks.svg import Panel, draw
from benchmarks.throughput import cost, rate

__all__ = ["AMOUNTS", "Point", "measure", "plot"]

AMOUNTS = (1, 10, 100)


@dataclass(frozen=True)
class Point:
    """
    What so much work cost.

    @ivar of: C{files} from one camera, or C{cameras} with a file each.
    @ivar cpu: CPU per datagram, against the bare protocol.
    @ivar rate: datagrams per second, against the bare protocol.
    @ivar memory: MiB more than before.
    """

    of: str
    amount: int
    cpu: float
    rate: float
    memory: float


#: What is plotted and written: a title, the number, and the reach where there is one.
_COLUMNS: tuple[tuple[str, Callable[[Point], float], float | None], ...] = (
    ("CPU per datagram, times bare", lambda point: point.cpu, 2),
    ("datagrams/s, times bare", lambda point: point.rate, 0.5),
    ("memory, MiB more", lambda point: point.memory, None),
)


def measure(quick: bool) -> list[Point]:
    """All points, each in rounds with the bare protocol."""
    return [_point(of, amount, 3 if quick else 7) for of in ("files", "cameras")
            for amount in AMOUNTS]  # fmt: skip


def _point(of: str, amount: int, rounds: int) -> Point:
    files, cameras = (amount, 1) if of == "files" else (1, amount)
    count = 20 * material.PHOTO_DATAGRAMS
    found = []
    with Process("sender", files=files, cameras=cameras) as sender, \
            Process("receiver", kind="bare") as bare:  # fmt: skip
        for _ in range(rounds):
            # Memory is that of a new process each time.
            with Process("receiver", kind="download") as receiver:
                ports = sender.ready["ports"]
                theirs = bare.ask("receive", ports=ports, count=count)
                ours = receiver.ask("receive", ports=ports, warm=True)
            found.append((cost(ours) / cost(theirs), rate(ours) / rate(theirs), ours["memory"]))
    cpu, speed, memory = (median(column) for column in zip(*found, strict=True))
    return Point(of, amount, cpu, speed, memory / 2**20)


def show(points: list[Point]) -> None:
    """Print the table to standard output."""
    table = Table("work", *(title for title, _, _ in _COLUMNS), box=None, pad_edge=False)
    for point in points:
        values = (number(read(point)) for _, read, _ in _COLUMNS)
        table.add_row(f"{point.amount} {point.of}", *values)
    Console(highlight=False).print(table)


def plot(points: list[Point]) -> str:
    """The points as an SVG picture."""
    panels = []
    for title, read, reach in _COLUMNS:
        series = {
            of: [(point.amount, read(point)) for point in points if point.of == of]
            for of in dict.fromkeys(point.of for point in points)
        }
        panels.append(Panel(title, series, reach))
    return draw(panels)
