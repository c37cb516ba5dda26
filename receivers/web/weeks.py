"""The last seven days of receivers: a bar per day, stacked by tone, that leads to the pushes that it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from receivers.deliveries import hourly_figures
from receivers.deliveries.outcomes import Tone, tone
from receivers.kargo.scopes import scope_name
from receivers.models import FigureScope, HourlyFigure

DAYS: Final = 7
DAY: Final = timedelta(days=1)
STACKED: Final = (Tone.GOOD, Tone.PLAIN, Tone.OPEN, Tone.BAD)  # from bottom to top
HEIGHT: Final = 34  # pixels of the tallest bar
COLUMN: Final = 26  # pixels from one bar to the next, of which 24 can be pressed
WORDS: Final = {Tone.GOOD: "succeeded", Tone.PLAIN: "skipped", Tone.OPEN: "in progress", Tone.BAD: "failed"}


@dataclass(frozen=True, slots=True)
class DayPart:
    """The part of a bar that has one tone, in pixels; `y` grows downward."""

    tone: Tone
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class DayBar:
    """The pushes of one day: a letter for the weekday, what the bar says, and where it leads (empty: nowhere)."""

    x: int
    letter: str
    text: str
    url: str
    segments: tuple[DayPart, ...]


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days of a receiver, and what they add up to in words."""

    days: tuple[DayBar, ...]
    summary: str
    width: int = DAYS * COLUMN


def weeks_of_receivers(project: str) -> Mapping[str, Week]:
    """Return the last seven days of each receiver of a project that had pushes, in the reader's zone. One query."""
    zone = timezone.get_current_timezone()
    today = timezone.now().astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - number * DAY for number in reversed(range(DAYS))]
    counts: dict[str, list[dict[Tone, int]]] = defaultdict(lambda: [{} for _ in days])
    rows = HourlyFigure.objects.filter(scope=FigureScope.RECEIVER, project=project, hour__gte=days[0])
    for receiver, hour, measure, count in rows.values_list("receiver", "hour", "measure", "count"):
        at = (hour.astimezone(zone).date() - days[0].date()).days
        if hourly_figures.read_measure(measure) is None and 0 <= at < DAYS:
            day = counts[receiver][at]
            day[tone(measure)] = day.get(tone(measure), 0) + count
    return {receiver: _week(project, receiver, days, columns) for receiver, columns in counts.items()}


def _week(project: str, receiver: str, days: list[datetime], columns: list[dict[Tone, int]]) -> Week:
    tallest = max(sum(column.values()) for column in columns)
    bars = tuple(
        DayBar(
            x=number * COLUMN,
            letter=f"{day:%a}"[:1],
            text=f"{day:%A}: {_words(column)}",
            url=_url(project, receiver, day) if column else "",
            segments=tuple(_segments(column, tallest)),
        )
        for number, (day, column) in enumerate(zip(days, columns, strict=True))
    )
    total: dict[Tone, int] = {}
    for column in columns:
        for each, count in column.items():
            total[each] = total.get(each, 0) + count
    return Week(bars, f"{_words(total)} in {DAYS} days")


def _words(counts: Mapping[Tone, int]) -> str:
    return ", ".join(f"{counts[each]} {WORDS[each]}" for each in STACKED if counts.get(each)) or "no pushes"


def _segments(column: Mapping[Tone, int], tallest: int) -> list[DayPart]:
    segments, top = [], float(HEIGHT)
    for each in STACKED:
        if count := column.get(each, 0):
            height = max(1.5, round(count / tallest * (HEIGHT - len(STACKED)), 2))
            top -= height
            segments.append(DayPart(each, round(top, 2), height))
    return segments


def _url(project: str, receiver: str, day: datetime) -> str:
    query = {"project": scope_name(project), "receiver": receiver, "time": f"{day:%Y-%m-%d}"}
    return f"{reverse('pushes')}?{urlencode(query)}"
