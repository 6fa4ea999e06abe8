"""How results are written: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table

from benchmarks.lines import Result

__all__ = ["as_json", "as_table", "number", "show"]


def as_json(result: Result) -> str:
    """One line of JSON; a value that is no number is C{null}."""
    line = result.line
    value = round(result.value, 4) if math.isfinite(result.value) else None
    return json.dumps(
        {"name": line.name, "value": value, "reach": line.reach, "better": line.better,
         "ok": result.ok}
    )  # fmt: skip


def as_table(results: Iterable[Result]) -> Table:
    """The table for a terminal."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("reach", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("measured")
    for result in results:
        line = result.line
        bound = "at most" if line.better == "lower" else "at least"
        verdict = "[green]ok[/]" if result.ok else "[red]not reached[/]"
        reach = f"{bound} {line.reach:g} {line.unit}"
        table.add_row(line.name, number(result.value), reach, verdict, result.note)
    return table


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(results: Iterable[Result]) -> None:
    """Print the table to standard output."""
    # A pipe has no width: 80 columns would fold the numbers.
    width = None if sys.stdout.isatty() else 120
    Console(highlight=False, width=width).print(as_table(results))
