"""The figures of the overview, which `overview/_figures.html` shows: tiles and a chart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.urls import reverse
from django.utils import timezone

from receivers.deliveries.figures import Figures, FigureSpan, Range, figures
from receivers.deliveries.outcomes import Tone
from receivers.health.finding import Finding
from receivers.health.report import NEEDS_ACTION, HealthReport, group_by_cause
from receivers.kargo.resources import WarehouseKey
from receivers.web.figure_chart import STACKED, FigureChart, figure_chart
from receivers.web.links import pushes_url
from receivers.web.page_view import PageRequest
from receivers.web.time_zone import zone_of

SEVERAL: Final = 2  # columns that are one on a phone, where they would be too narrow to hit
_BEFORE: Final = {
    Range.DAY: "the day before",
    Range.WEEK: "the 7 days before",
    Range.MONTH: "the 30 days before",
}
_COLUMN: Final = {
    Range.DAY: ("hour", "2 hours"),
    Range.WEEK: ("6 hours", "12 hours"),
    Range.MONTH: ("day", "2 days"),
}
_LEGEND: Final = {
    Tone.GOOD: "Succeeded",
    Tone.OPEN: "In progress",
    Tone.PLAIN: "Skipped by configuration",
    Tone.BAD: "Failed",
}


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure that leads to the list behind it: values with their units, and a comparison or an explanation."""

    title: str
    url: str
    values: tuple[tuple[str, str], ...]
    note: str


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A tone of the chart, with its number of pushes and their list."""

    tone: Tone
    word: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class RangeLink:
    """A range to choose."""

    range: Range
    url: str
    current: bool


@dataclass(frozen=True, slots=True)
class FigureView:
    """What the template shows. `narrow` is the chart with fewer columns, for phones."""

    range: Range
    ranges: tuple[RangeLink, ...]
    tiles: tuple[Tile, ...]
    legend: tuple[LegendEntry, ...]
    wide: FigureChart
    narrow: FigureChart
    pushes: int

    @property
    def title(self) -> str:
        """Return the title of the chart."""
        return f"Pushes per {_COLUMN[self.range][0]}"

    @property
    def narrow_title(self) -> str:
        """Return the title of the chart with fewer columns."""
        return f"Pushes per {_COLUMN[self.range][1]}"

    @property
    def column(self) -> str:
        """Return the heading of the times in the table."""
        return "Hour" if self.range is Range.DAY else "Time"


def range_of(request: PageRequest) -> Range:
    """Return the range in the address; a day if it is missing or invalid."""
    value = request.GET.get("range", "")
    return Range(value) if value in Range.values else Range.DAY


def figure_view(request: PageRequest) -> FigureView:
    """Return the figures of all that is visible. Two queries."""
    range_ = range_of(request)
    visible = request.access.projects
    current = figures(range_, timezone.now(), projects=visible)

    def url(span: FigureSpan, **filters: Any) -> str:
        # The filter includes its end, and a push exactly there belongs to the next column.
        until = span.until - timedelta(microseconds=1)
        return pushes_url(**filters, since=_moment(span.since), until=_moment(until))

    zone = zone_of(request)
    problems = open_problems(request.runtime.health.report(), visible)
    return FigureView(
        range_,
        tuple(_range_links(request, range_)),
        (
            Tile("Pushes", url(current.whole), ((f"{current.whole.pushes:,}", ""),), _more_or_less(current)),
            Tile(
                "Became Freight",
                url(current.whole, outcome=Tone.GOOD),
                (_share(current.whole),),
                _of_matched(current.whole),
            ),
            Tile(
                "Push to Freight",
                url(current.whole, outcome=Tone.GOOD),
                _percentiles(current.whole),
                _p95_before(current),
            ),
            _problems_tile(problems),
        ),
        tuple(
            LegendEntry(tone, _LEGEND[tone], current.whole.tones[tone], url(current.whole, outcome=tone))
            for tone in STACKED
        ),
        figure_chart(range_, current.columns, zone, url),
        figure_chart(range_, current.wider(SEVERAL), zone, url),
        current.whole.pushes,
    )


def open_problems(report: HealthReport, visible: frozenset[str] | None) -> list[Finding]:
    """Return the findings that need action, one for each cause, most urgent first."""
    open_, _ = report.open_and_muted(visible)
    return [first for first, *_ in group_by_cause(f for f in open_ if f.severity in NEEDS_ACTION)]


def short(seconds: float | None) -> tuple[str, str]:
    """Return a duration as one number and its unit: 4.2 and s."""
    if seconds is None:
        return "–", ""
    if seconds < 1:
        return f"{seconds * 1000:.0f}", "ms"
    if seconds < 10:
        return f"{seconds:.1f}", "s"
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f}", name
    return f"{seconds:.0f}", "s"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).replace(tzinfo=None).isoformat()


def _range_links(request: PageRequest, current: Range) -> list[RangeLink]:
    links = []
    for range_ in Range:
        query = request.GET.copy()
        query["range"] = range_.value
        links.append(RangeLink(range_, f"?{query.urlencode()}", range_ is current))
    return links


def _more_or_less(current: Figures) -> str:
    now, before = current.whole.pushes, current.before.pushes
    if not before:
        return f"none {_BEFORE[current.range]}" if now else "none yet"
    change = round((now - before) / before * 100)
    if not change:
        return f"as many as {_BEFORE[current.range]}"
    return f"{abs(change)}% {'more' if change > 0 else 'fewer'} than {_BEFORE[current.range]}"


def _share(span: FigureSpan) -> tuple[str, str]:
    return ("–", "") if span.share is None else (f"{span.share * 100:.0f}%", "")


def _of_matched(span: FigureSpan) -> str:
    return f"{span.became_freight:,} of {span.matched:,} that matched" if span.matched else "no push matched"


def _percentiles(span: FigureSpan) -> tuple[tuple[str, str], ...]:
    if span.p50 is None:
        return (("–", ""),)
    return tuple(
        (value, f"{unit} {name}".strip())
        for name, (value, unit) in (("p50", short(span.p50)), ("p95", short(span.p95)))
    )


def _p95_before(current: Figures) -> str:
    if current.whole.p50 is None:
        return "no Freight"
    if current.before.p95 is None:
        return f"no Freight {_BEFORE[current.range]}"
    return f"p95 was {' '.join(short(current.before.p95))} {_BEFORE[current.range]}"


def _problems_tile(problems: list[Finding]) -> Tile:
    warehouses: set[WarehouseKey] = {key for finding in problems for key in finding.warehouses}
    projects = {name for finding in problems for name in finding.projects if name}
    note = f"in {len(projects)} project{'' if len(projects) == 1 else 's'}" if projects else ""
    if warehouses:
        count = len(warehouses)
        note = f"{count} Warehouse{'' if count == 1 else 's'} {note}"
    return Tile(
        "Open problems",
        reverse("attention"),
        ((str(len(problems)), ""),),
        note if problems else "nothing needs action",
    )
