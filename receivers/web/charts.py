"""The geometry of small charts. Templates draw them as SVG, which a strict Content-Security-Policy allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from receivers.deliveries.outcomes import Tone

COLUMN: Final = 4  # units from one column to the next, including a gap of one unit
HEIGHT: Final = 20  # units of the tallest column
STACKED: Final = (Tone.GOOD, Tone.PLAIN, Tone.OPEN, Tone.BAD)  # from bottom to top


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle in SVG coordinates, where `y` grows downward."""

    tone: Tone
    x: int
    y: float
    width: int
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Stacked columns; `text` describes them for screen readers."""

    width: int
    height: int
    bars: tuple[Bar, ...]
    total: int
    text: str


def stacked(columns: Sequence[Mapping[Tone, int]], singular: str, plural: str) -> Chart:
    """Return a chart with a column for each mapping, oldest first.

    `singular` and `plural` name what is counted, such as `delivery in 24 h` and `deliveries in 24 h`. Columns are
    scaled to the tallest; each bar is at least one unit high, so small counts stay visible.
    """
    tallest = max((sum(column.values()) for column in columns), default=0)
    bars = tuple(bar for at, column in enumerate(columns) for bar in _column(at, column, tallest))
    sums = {tone: sum(column.get(tone, 0) for column in columns) for tone in STACKED}
    total = sum(sums.values())
    parts = ", ".join(f"{count} {tone}" for tone, count in sums.items() if count)
    return Chart(
        len(columns) * COLUMN,
        HEIGHT,
        bars,
        total,
        f"{total} {singular if total == 1 else plural}: {parts}" if total else f"no {plural}",
    )


def _column(at: int, column: Mapping[Tone, int], tallest: int) -> list[Bar]:
    bars, top = [], float(HEIGHT)
    for tone in STACKED:
        if count := column.get(tone, 0):
            height = max(1.0, round(count / tallest * (HEIGHT - len(STACKED)), 2))
            top = round(top - height, 2)
            bars.append(Bar(tone, at * COLUMN, top, COLUMN - 1, height))
    return bars
