"""The geometry of the chart of pushes over time: stacked bars, and below them the time from push to Freight.

Positions across are in percent and heights in pixels, so that the chart fits every width and its text keeps its size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final

from receivers.deliveries.figures import FigureSpan, Range
from receivers.deliveries.outcomes import Tone
from receivers.web.durations import duration

STACKED: Final = (Tone.GOOD, Tone.OPEN, Tone.PLAIN, Tone.BAD)
"""From bottom to top."""

WORDS: Final = {
    Tone.GOOD: "succeeded",
    Tone.OPEN: "in progress",
    Tone.PLAIN: "skipped by configuration",
    Tone.BAD: "failed",
}

TOP: Final = 10.0  # of the bars
BASE: Final = 160.0  # of the bars
LINE_TOP: Final = 222.0
LINE_BASE: Final = 286.0
INSET: Final = 0.22  # of a column's width, on each side of its bar
GAP: Final = 1.0  # pixels between the parts of a bar
LEAST: Final = 2.0  # pixels of a part, so that a single push is visible
APART: Final = 13.0  # pixels between the names of the two lines
DROP: Final = 4.0  # from the middle of a text to its baseline

COUNT_TICKS: Final = 4
SECOND_TICKS: Final = 2
SECOND_STEPS: Final = (
    0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 604_800,
)  # fmt: skip
MOST_LABELS: Final = 7


@dataclass(frozen=True, slots=True)
class Tick:
    """A line across with its label; `text_y` is the baseline of the label."""

    y: float
    text: str

    @property
    def text_y(self) -> float:
        """Return the baseline of the label."""
        return self.y + DROP


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar, in one tone."""

    tone: Tone
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """The bar of some time. `label` is empty where the axis has none; `url` is empty without pushes."""

    x: float
    width: float
    parts: tuple[Part, ...]
    name: str
    label: str
    url: str
    span: FigureSpan

    @property
    def middle(self) -> float:
        """Return the middle, in percent."""
        return self.x + self.width / 2

    @property
    def bar_x(self) -> float:
        """Return where the bar starts, in percent."""
        return self.x + self.width * INSET

    @property
    def bar_width(self) -> float:
        """Return the width of the bar, in percent."""
        return self.width * (1 - 2 * INSET)

    @property
    def counts(self) -> list[int]:
        """Return the number of pushes by tone, in the order of the legend."""
        tones = self.span.tones
        return [tones[tone] for tone in STACKED]

    @property
    def text(self) -> str:
        """Return what the bar says: `14:00 to 15:00, 32 pushes: 24 succeeded, 8 failed`."""
        counts = ", ".join(
            f"{self.span.tones[tone]} {WORDS[tone]}" for tone in STACKED if self.span.tones[tone]
        )
        pushes = self.span.pushes
        return f"{self.name}, {pushes} push{'' if pushes == 1 else 'es'}{': ' if counts else ''}{counts}"

    @property
    def seconds_text(self) -> str:
        """Return what the lines say: `14:00 to 15:00: p50 4.2 s, p95 38 s`."""
        if self.span.p50 is None or self.span.p95 is None:
            return f"{self.name}: no Freight"
        return f"{self.name}: p50 {duration(self.span.p50)}, p95 {duration(self.span.p95)}"


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a line, from one column to the next; a dot where both ends are the same."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True)
class FigureChart:
    """The drawing. `p50_y` and `p95_y` are the baselines of the names of the lines, None without Freight."""

    columns: tuple[Column, ...]
    counts: tuple[Tick, ...]
    seconds: tuple[Tick, ...]
    p50: tuple[Segment, ...]
    p95: tuple[Segment, ...]
    p50_y: float | None
    p95_y: float | None


def figure_chart(
    range_: Range, spans: Sequence[FigureSpan], zone: tzinfo, url: Callable[[FigureSpan], str]
) -> FigureChart:
    """Return the chart of consecutive spans, with times in a zone; `url` is the list of a span's pushes."""
    highest, step = _count_scale(max((span.pushes for span in spans), default=0))
    longest, seconds_step = _second_scale(max((span.p95 or 0.0 for span in spans), default=0.0))
    width = 100 / len(spans)
    labels = _labels(range_, spans, zone)
    columns = tuple(
        Column(
            number * width,
            width,
            tuple(_parts(span, highest)),
            _name(range_, span, zone),
            labels[number],
            url(span) if span.pushes else "",
            span,
        )
        for number, span in enumerate(spans)
    )
    middles = [column.middle for column in columns]
    p50 = [_line_y(span.p50, longest) for span in spans]
    p95 = [_line_y(span.p95, longest) for span in spans]
    p50_y, p95_y = _names(_last(p50), _last(p95))
    return FigureChart(
        columns,
        tuple(_ticks(highest, step, BASE, TOP, str)),
        tuple(_ticks(longest, seconds_step, LINE_BASE, LINE_TOP, axis_duration)),
        tuple(_segments(middles, p50)),
        tuple(_segments(middles, p95)),
        p50_y,
        p95_y,
    )


def axis_duration(seconds: float) -> str:
    """Return a round duration in its largest unit: `0`, `500 ms`, `30 s`, `2 min`, `6 h`."""
    if not seconds:
        return "0"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:g} {name}"
    return f"{seconds:g} s"


def _count_scale(most: int) -> tuple[int, int]:
    """Return the top of the axis and the step of its ticks: round numbers."""
    raw = max(1.0, most / COUNT_TICKS)
    power = 10 ** math.floor(math.log10(raw))
    step = next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= raw)
    return step * max(1, math.ceil(most / step)), step


def _second_scale(most: float) -> tuple[float, float]:
    step = next((step for step in SECOND_STEPS if step * SECOND_TICKS >= most), SECOND_STEPS[-1])
    return step * max(SECOND_TICKS, math.ceil(most / step)), step


def _ticks(
    top: float, step: float, base_y: float, top_y: float, text: Callable[[float], str]
) -> Iterator[Tick]:
    for number in range(round(top / step) + 1):
        yield Tick(base_y - (base_y - top_y) * number * step / top, text(number * step))


def _parts(span: FigureSpan, highest: int) -> Iterator[Part]:
    y, tones = BASE, span.tones
    for tone in STACKED:
        if count := tones[tone]:
            height = max(LEAST + GAP, count / highest * (BASE - TOP))
            y -= height
            yield Part(tone, y, height - GAP)


def _line_y(seconds: float | None, longest: float) -> float | None:
    return None if seconds is None else LINE_BASE - (LINE_BASE - LINE_TOP) * seconds / longest


def _segments(middles: Sequence[float], ys: Sequence[float | None]) -> Iterator[Segment]:
    """Connect columns with Freight. Columns without any in between are left out: nothing is known of them."""
    known = [(x, y) for x, y in zip(middles, ys, strict=True) if y is not None]
    if len(known) == 1:
        yield Segment(*known[0], *known[0])
    for (x1, y1), (x2, y2) in pairwise(known):
        yield Segment(x1, y1, x2, y2)


def _last(ys: Sequence[float | None]) -> float | None:
    return next((y for y in reversed(ys) if y is not None), None)


def _names(p50: float | None, p95: float | None) -> tuple[float | None, float | None]:
    """Return the baselines of the names of both lines, far enough from each other."""
    if p50 is None or p95 is None:
        return None, None
    return p50 + DROP, min(p95, p50 - APART) + DROP


def _name(range_: Range, span: FigureSpan, zone: tzinfo) -> str:
    """Return the time of a column in words."""
    start, end = span.since.astimezone(zone), span.until.astimezone(zone)
    if range_ is Range.DAY:
        return f"{start:%H:%M} to {end:%H:%M}"
    whole_days = start.hour == end.hour == 0
    if not whole_days and span.until - span.since < timedelta(days=1):
        return f"{_day(start)}, {start:%H:%M} to {end:%H:%M}"
    last = end - timedelta(microseconds=1) if whole_days else end
    return _day(start) if start.date() == last.date() else f"{_day(start)} to {_day(last)}"


def _day(at: datetime) -> str:
    return f"{at:%b} {at.day}"


def _labels(range_: Range, spans: Sequence[FigureSpan], zone: tzinfo) -> list[str]:
    """Return the labels of the axis, empty for most columns."""
    starts = [span.since.astimezone(zone) for span in spans]
    if range_ is Range.DAY:
        return [f"{at:%H:%M}" if at.hour % 4 < _hours(spans) else "" for at in starts]
    if range_ is Range.WEEK:
        days = [None, *(at.date() for at in starts)]
        return [
            f"{at:%a}" if before is not None and at.date() != before else ""
            for at, before in zip(starts, days, strict=False)
        ]
    every = math.ceil(len(spans) / MOST_LABELS)
    return [_day(at) if number % every == every // 2 else "" for number, at in enumerate(starts)]


def _hours(spans: Sequence[FigureSpan]) -> int:
    return round((spans[0].until - spans[0].since).total_seconds() / 3_600)
