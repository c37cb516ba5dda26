"""Read the figures of a range of time: pushes by tone, and how long they took to become Freight.

They come from `HourlyFigure`, so they cost the same for any number of deliveries, and follow the log with a delay of
some seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.db.models import QuerySet, Sum

from receivers.deliveries.hourly_figures import DAY, HOUR, bounds_of, hour_of, read_measure
from receivers.deliveries.outcomes import NOT_EVALUATED, Tone, tone
from receivers.models import FigureScope, HourlyFigure, Outcome

MEDIAN: Final = 0.5
HIGH: Final = 0.95
_UNMATCHED: Final = frozenset({Outcome.NO_MATCH, Outcome.DRY_RUN, *NOT_EVALUATED})


class Range(models.TextChoices):
    """The ranges of time to choose from, up to now."""

    DAY = "24h", "24 h"
    WEEK = "7d", "7 d"
    MONTH = "30d", "30 d"

    @property
    def length(self) -> timedelta:
        """Return the length of the range."""
        return {Range.DAY: DAY, Range.WEEK: 7 * DAY, Range.MONTH: 30 * DAY}[self]

    @property
    def step(self) -> timedelta:
        """Return the time that one column of a chart stands for."""
        return {Range.DAY: HOUR, Range.WEEK: 6 * HOUR, Range.MONTH: DAY}[self]


@dataclass(frozen=True, slots=True)
class FigureSpan:
    """The figures of some time: outcomes and times to Freight of its pushes. `until` is exclusive."""

    since: datetime
    until: datetime
    measures: Mapping[str, int]

    @property
    def tones(self) -> Mapping[Tone, int]:
        """Return the number of pushes by tone; all tones are there."""
        counts = dict.fromkeys(Tone, 0)
        for measure, count in self.measures.items():
            if read_measure(measure) is None:
                counts[tone(measure)] += count
        return counts

    @property
    def pushes(self) -> int:
        """Return the number of pushes."""
        return sum(self.tones.values())

    @property
    def matched(self) -> int:
        """Return the number of pushes that a subscription matched and that are not in progress any more."""
        return sum(
            count
            for measure, count in self.measures.items()
            if read_measure(measure) is None and measure not in _UNMATCHED and tone(measure) is not Tone.OPEN
        )

    @property
    def became_freight(self) -> int:
        """Return the number of pushes that are in Freight everywhere."""
        return sum(
            count
            for measure, count in self.measures.items()
            if read_measure(measure) is None and measure not in _UNMATCHED and tone(measure) is Tone.GOOD
        )

    @property
    def share(self) -> float | None:
        """Return the share of the matched pushes that became Freight; None without any."""
        return self.became_freight / self.matched if self.matched else None

    @property
    def p50(self) -> float | None:
        """Return the median of the seconds from push to Freight; None without Freight."""
        return self._percentile(MEDIAN)

    @property
    def p95(self) -> float | None:
        """Return the seconds within which 95% of the pushes became Freight; None without Freight."""
        return self._percentile(HIGH)

    def _percentile(self, share: float) -> float | None:
        counts = {
            bucket: count
            for measure, count in self.measures.items()
            if (bucket := read_measure(measure)) is not None
        }
        return percentile(counts, share)


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a range: as a whole, by column (the oldest first), and of the range before."""

    range: Range
    whole: FigureSpan
    columns: tuple[FigureSpan, ...]
    before: FigureSpan

    def wider(self, several: int) -> tuple[FigureSpan, ...]:
        """Return `several` columns at a time as one."""
        return tuple(
            merged(self.columns[start : start + several]) for start in range(0, len(self.columns), several)
        )


def merged(spans: Collection[FigureSpan]) -> FigureSpan:
    """Return consecutive spans as one."""
    measures: Counter[str] = Counter()
    for span in spans:
        measures.update(span.measures)
    return FigureSpan(min(span.since for span in spans), max(span.until for span in spans), measures)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the seconds that a share of the pushes in a histogram stays within; None if it is empty.

    Within a bucket, the pushes are taken to be spread evenly.
    """
    total = sum(counts.values())
    if not total:
        return None
    below, wanted = 0, share * total
    for bucket in sorted(counts):
        if below + counts[bucket] >= wanted:
            lower, upper = bounds_of(bucket)
            return lower + (upper - lower) * (wanted - below) / counts[bucket]
        below += counts[bucket]
    return bounds_of(max(counts))[1]


def figures(
    range_: Range,
    now: datetime,
    *,
    projects: Collection[str] | None = None,
    project: str | None = None,
    receiver: str = "",
) -> Figures:
    """Return the figures of a receiver, of a project ("" for the cluster receivers), or of all that a user may see.

    `projects` are those that a user may see, None for all. A push to receivers of two of them counts in both, as each
    project has its own outcome. Two queries.
    """
    rows = _of_scope(projects, project, receiver)
    until = _end(range_, now)
    since = until - range_.length
    by_hour = rows.filter(hour__gte=since, hour__lt=until).values_list("hour", "measure")
    columns = [Counter[str]() for _ in range(int(range_.length / range_.step))]
    for hour, measure, count in by_hour.annotate(sum=Sum("count")).order_by():
        columns[int((hour - since) / range_.step)][measure] += count
    spans = tuple(
        FigureSpan(since + number * range_.step, since + (number + 1) * range_.step, measures)
        for number, measures in enumerate(columns)
    )
    former = rows.filter(hour__gte=since - range_.length, hour__lt=since).values_list("measure")
    before = FigureSpan(since - range_.length, since, dict(former.annotate(sum=Sum("count")).order_by()))
    return Figures(range_, merged(spans), spans, before)


def _of_scope(projects: Collection[str] | None, project: str | None, receiver: str) -> QuerySet[HourlyFigure]:
    rows = HourlyFigure.objects.all()
    if project is not None and receiver:
        return rows.filter(scope=FigureScope.RECEIVER, project=project, receiver=receiver)
    if project is not None:
        return rows.filter(scope=FigureScope.PROJECT, project=project, receiver="")
    if projects is not None:
        return rows.filter(scope=FigureScope.PROJECT, project__in=sorted(projects), receiver="")
    return rows.filter(scope=FigureScope.ALL, project="", receiver="")


def _end(range_: Range, now: datetime) -> datetime:
    """Return the end of the last column, which is not over yet. Columns start at full steps of a day in UTC."""
    midnight = hour_of(now).replace(hour=0)
    return midnight + range_.step * (int((now - midnight) / range_.step) + 1)
