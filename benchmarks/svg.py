"""Small plots as SVG: panels side by side, lines over a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

__all__ = ["Panel", "draw"]

WIDTH, HEIGHT = 280, 240
LEFT, RIGHT, TOP, BOTTOM = 44, 16, 40, 34
COLOURS = ("#1b6e53", "#c2571a", "#3b5ba5")


@dataclass(frozen=True)
class Panel:
    """
    One plot.

    @ivar series: by name: pairs of a positive amount and its value.
    @ivar reach: a value to mark; C{None} for none.
    """

    title: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    reach: float | None = None


def draw(panels: Sequence[Panel]) -> str:
    """The panels as one SVG document, readable on light and dark pages."""
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}"'
        f' width="{width}" height="{HEIGHT}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for index, panel in enumerate(panels):
        parts += [f'<g transform="translate({index * WIDTH} 0)">', *_panel(panel), "</g>"]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel) -> list[str]:
    points = [point for line in panel.series.values() for point in line]
    most = _round_up(max([value for _, value in points] + [panel.reach or 0.0]))
    amounts = sorted({amount for amount, _ in points})
    low, high = log10(amounts[0]), log10(amounts[-1])

    def x(amount: float) -> float:
        share = (log10(amount) - low) / (high - low) if high > low else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - value / most * (HEIGHT - TOP - BOTTOM), 1)

    parts = [_text(LEFT, 16, panel.title, weight="bold")]
    for value in (0.0, most / 2, most):
        parts.append(_rule(y(value), "#dddddd"))
        parts.append(_text(LEFT - 6, y(value) + 4, f"{value:g}", anchor="end"))
    if panel.reach is not None:
        parts.append(_rule(y(panel.reach), "#888888", ' stroke-dasharray="4 3"'))
    parts += [
        _text(x(amount), HEIGHT - BOTTOM + 16, f"{amount:g}", anchor="middle")
        for amount in amounts
    ]
    for number, (name, line) in enumerate(panel.series.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [(x(amount), y(value)) for amount, value in line]
        track = " ".join(f"{a},{b}" for a, b in places)
        parts.append(f'<polyline points="{track}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in places]
        parts.append(_text(LEFT + 70 * number, 32, name, fill=colour))
    return parts


def _rule(y: float, colour: str, more: str = "") -> str:
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{colour}"{more}/>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal",
    fill: str = "#333333",
) -> str:  # fmt: skip
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" fill="{fill}">'
        f"{escape(text)}</text>"
    )


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 … at or above C{value}."""
    step = 10.0 ** -3
    while True:
        for factor in (1, 2, 5):
            if factor * step >= value:
                return factor * step
        step *= 10
