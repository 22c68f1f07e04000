"""The plot for the documentation: deliveries/s and p99 against the offered rate, as an SVG file."""

# ruff: noqa: INP001 - scripts, run by their paths

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 14, 34, 44
COLOURS = ("#0b6e99", "#d9730d", "#448361", "#9065b0", "#c4554d", "#787774")
"""Told apart by who sees no colours too, since each line has its own dashes."""
DASHES = ("none", "6 3", "2 3", "8 3 2 3", "10 4", "1 2")


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale of one direction, in logarithms.

    Attributes:
        low: the least value.
        high: the greatest.
        start: where the least is drawn.
        end: where the greatest is drawn.

    """

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return where a value is drawn."""
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    def decades(self) -> list[float]:
        """Return the powers of ten within."""
        powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return [10.0**power for power in powers]


def svg(left: tuple[str, Mapping[str, Points]], right: tuple[str, Mapping[str, Points]], caption: str) -> str:
    """Draw two panels over the offered rate; each is a title and its lines by server."""
    names = list(dict.fromkeys([*left[1], *right[1]]))
    height = HEIGHT + 32 + 18 * math.ceil(len(names) / 3)
    size = f"0 0 {2 * WIDTH} {height}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" font-size="12"',
        'font-family="system-ui, sans-serif">',
        f"<title>{escape(caption)}</title>",
        f'<rect width="{2 * WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for offset, (title, lines) in ((0, left), (WIDTH, right)):
        parts += _panel(offset, title, lines, names)
    for number, name in enumerate(names):
        x, y = LEFT + 260 * (number % 3), HEIGHT + 16 + 18 * (number // 3)
        parts.append(f'<path d="M{x} {y}h26" {_stroke(number)}/>')
        parts.append(f'<text x="{x + 32}" y="{y + 4}">{escape(name)}</text>')
    parts.append(f'<text x="{LEFT}" y="{height - 8}" fill="#787774" font-size="11">{escape(caption)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(offset: float, title: str, lines: Mapping[str, Points], names: Sequence[str]) -> list[str]:
    points = [point for line in lines.values() for point in line]
    if not points:
        return []
    rates = sorted({rate for rate, _ in points})
    values = [value for _, value in points if value > 0]
    x = Axis(rates[0], max(rates[-1], 2 * rates[0]), offset + LEFT, offset + WIDTH - RIGHT)
    low = 10 ** math.floor(math.log10(min(values)))
    y = Axis(low, 10 ** math.ceil(math.log10(max(*values, 2 * low))), HEIGHT - BOTTOM, TOP)
    parts = [f'<text x="{offset + LEFT}" y="20" font-weight="bold">{escape(title)}</text>']
    for value in y.decades():
        parts.append(f'<path d="M{x.start} {y.at(value):.1f}H{x.end}" stroke="#e3e2e0"/>')
        parts.append(
            f'<text x="{x.start - 6}" y="{y.at(value) + 4:.1f}" text-anchor="end">{_label(value)}</text>'
        )
    for rate in rates:
        parts.append(f'<path d="M{x.at(rate):.1f} {y.start}v4" stroke="#787774"/>')
        parts.append(
            f'<text x="{x.at(rate):.1f}" y="{y.start + 17}" text-anchor="middle">{_label(rate)}</text>'
        )
    parts.append(
        f'<text x="{(x.start + x.end) / 2}" y="{y.start + 34}" text-anchor="middle">'
        "events/s offered, to 1,000 receivers</text>"
    )
    for name, line in lines.items():
        path = " ".join(f"{x.at(rate):.1f},{y.at(value):.1f}" for rate, value in line)
        number = names.index(name)
        parts.append(f'<polyline points="{path}" {_stroke(number)}/>')
        parts += [
            f'<circle cx="{x.at(rate):.1f}" cy="{y.at(value):.1f}" r="2.5" '
            f'fill="{COLOURS[number % len(COLOURS)]}"/>'
            for rate, value in line
        ]
    return parts


def _stroke(number: int) -> str:
    colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
    return f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'


def _label(value: float) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
