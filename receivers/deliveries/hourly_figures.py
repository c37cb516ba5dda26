"""Roll deliveries up into figures per hour, so that a page of figures costs the same with ten million deliveries.

A push counts once, in the hour of its newest delivery, as the list of pushes shows it: with the outcome of its decisive
delivery (`outcomes.decisive`). It counts for everyone, for each project and for each receiver that it concerns. A
project sees a push to a cluster receiver as its readers do: reduced to its own Warehouses (`cluster_pushes.reduce`).

An hour is always computed as a whole and replaces what was stored of it, so several replicas may do it, and often.
Outcomes change afterwards, by retries, late Freight and redeliveries: recent hours are computed again all the time, and
older ones from time to time.
"""

from __future__ import annotations

import copy
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from receivers.deliveries.cluster_pushes import NO_MATCH, reduce
from receivers.deliveries.outcomes import NO_PUSHES, Tone, decisive, tone
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import (
    TESTS,
    Delivery,
    FigureScope,
    HourlyFigure,
    Origin,
    ProjectDelivery,
    Refresh,
    RolledUpHour,
)

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
RETENTION: Final = 61 * DAY
"""Figures are kept for two ranges of 30 days, of which the pages compare one with the other."""

RECENT: Final = 2 * HOUR  # in which most deliveries end
RECENT_SECONDS: Final = 10.0  # after which a recent hour is computed again
SHARE: Final = 0.05  # of the time of one thread, at most, for recent hours
UNFINISHED_PAUSE: Final = timedelta(
    minutes=10
)  # for hours with pushes in progress; most of these wait for a retry
FIRST_DAY_PAUSE: Final = HOUR  # for the hours of the last day
CORRECTED: Final = 30 * DAY  # as `late_freight.CORRECTED_WITHIN`
LATE_PAUSE: Final = DAY  # for these hours
CHUNK: Final = 500  # keys of one statement
MOST_OTHERS: Final = 20_000  # deliveries of other hours that one statement reads: more than that is abuse
NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

SMALLEST: Final = 0.1  # seconds: the upper bound of the first bucket
GROWTH: Final = 1.25  # from bound to bound, so a percentile is at most a few percent off
LARGEST: Final = 80  # the last bucket ends after two months
_SPAN: Final = "seconds:"

_COLUMNS: Final = ("project", "receiver", "push_id", "outcome", "received_at")

Scope = tuple[FigureScope, str, str]
"""Whom a figure is for: everyone, a project, or a receiver of a project."""


@dataclass(frozen=True, slots=True)
class _Context:
    """What belongs to the deliveries of an hour: Freight and refreshes by delivery, and the projects they concern."""

    refreshes: Mapping[UUID, Sequence[Refresh]]
    concerned: Mapping[UUID, Sequence[str]]


def hour_of(at: datetime) -> datetime:
    """Return the beginning of the hour, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def bucket_of(seconds: float) -> int:
    """Return the number of the histogram's bucket for a time from push to Freight."""
    if seconds <= SMALLEST:
        return 0
    return min(LARGEST, math.ceil(math.log(seconds / SMALLEST) / math.log(GROWTH)))


def bounds_of(bucket: int) -> tuple[float, float]:
    """Return the seconds at which a bucket starts and ends."""
    upper = SMALLEST * GROWTH**bucket
    return (upper / GROWTH if bucket else 0.0), upper


def bucket_measure(bucket: int) -> str:
    """Return the `measure` of a bucket in the table."""
    return f"{_SPAN}{bucket}"


def read_measure(measure: str) -> int | None:
    """Return the bucket of a `measure`; None if it is an outcome."""
    return int(measure.removeprefix(_SPAN)) if measure.startswith(_SPAN) else None


class FigureRollUp:
    """Computes the figures of the hours that are due. Every replica has one."""

    def __init__(self, keep_days: int) -> None:
        self._keep = min(RETENTION, timedelta(days=keep_days))
        self._seconds: dict[datetime, float] = {}  # that an hour took the last time

    def work(self) -> bool:
        """Compute the newest hour that is due. Return True if another one may be due."""
        now = timezone.now()
        due = self._due(now)
        if not due:
            self._forget(now)
            return False
        if unused := _unused(due):
            RolledUpHour.objects.bulk_create(
                [RolledUpHour(hour=hour, computed_at=now) for hour in unused], ignore_conflicts=True
            )
            return True
        started = time.monotonic()
        roll_up(due[0])
        self._seconds[due[0]] = time.monotonic() - started
        return True

    def _due(self, now: datetime) -> list[datetime]:
        """Return the hours to compute, the newest first. Two queries."""
        oldest = Delivery.objects.order_by("received_at").values_list("received_at", flat=True).first()
        if oldest is None:
            return []
        first = hour_of(max(oldest, now - self._keep + HOUR))
        states = RolledUpHour.objects.filter(hour__gte=first).values_list("hour", "computed_at", "unfinished")
        known = {hour: (computed_at, unfinished) for hour, computed_at, unfinished in states}
        hours = (hour_of(now) - number * HOUR for number in range(int((hour_of(now) - first) / HOUR) + 1))
        return [
            hour
            for hour in hours
            if hour not in known or now - known[hour][0] >= self._pause(now - hour, hour, known[hour][1])
        ]

    def _pause(self, age: timedelta, hour: datetime, unfinished: int) -> timedelta:
        if age < RECENT:
            return timedelta(seconds=max(RECENT_SECONDS, self._seconds.get(hour, 0.0) / SHARE))
        if unfinished and age < CORRECTED:
            return UNFINISHED_PAUSE
        if age < DAY:
            return FIRST_DAY_PAUSE
        # Something else may have marked the hour as never computed.
        return LATE_PAUSE if age < CORRECTED else RETENTION

    def _forget(self, now: datetime) -> None:
        """Delete the figures that no page shows any more."""
        before = hour_of(now - RETENTION)
        if RolledUpHour.objects.filter(hour__lt=before).exists():
            HourlyFigure.objects.filter(hour__lt=before).delete()
            RolledUpHour.objects.filter(hour__lt=before).delete()
        self._seconds = {hour: seconds for hour, seconds in self._seconds.items() if now - hour < RECENT}


def _unused(hours: Sequence[datetime]) -> list[datetime]:
    """Return the first of `hours`, newest first, that have no deliveries and were never computed. Two queries.

    A log with few deliveries consists mostly of them, and together they take no longer than one that is computed.
    """
    before = Delivery.objects.filter(received_at__lt=hours[0] + HOUR).order_by("-received_at")
    newest = before.values_list("received_at", flat=True).first()
    empty = list(takewhile(lambda hour: newest is None or hour > newest, hours))
    computed = (
        set(RolledUpHour.objects.filter(hour__in=empty).values_list("hour", flat=True)) if empty else ()
    )
    return [hour for hour in empty if hour not in computed]


def roll_up(hour: datetime) -> None:
    """Compute the figures of an hour from its deliveries, and store them instead of those that are stored.

    The log is read before the transaction, which would otherwise make the writers of the log wait. If another replica
    stores the same hour meanwhile, its figures stay.
    """
    before = RolledUpHour.objects.filter(hour=hour).values_list("computed_at", flat=True).first() or NEVER
    computed_at = timezone.now()
    counts, moved = _count(hour)
    open_ = (
        count
        for ((scope, _, _), measure), count in counts.items()
        if scope is FigureScope.ALL and read_measure(measure) is None and tone(measure) is Tone.OPEN
    )
    unfinished = sum(open_)
    rows = [
        HourlyFigure(scope=scope, project=project, receiver=receiver, hour=hour, measure=measure, count=count)
        for ((scope, project, receiver), measure), count in counts.items()
    ]
    with transaction.atomic():
        RolledUpHour.objects.bulk_create([RolledUpHour(hour=hour, computed_at=NEVER)], ignore_conflicts=True)
        state = RolledUpHour.objects.select_for_update().get(hour=hour)
        if state.computed_at != before:
            return
        HourlyFigure.objects.filter(hour=hour).delete()
        HourlyFigure.objects.bulk_create(rows, batch_size=CHUNK)
        state.computed_at, state.unfinished = computed_at, unfinished
        state.save()
        # A push that is delivered again moves to this hour, and must not stay in the other one.
        for other, at in moved.items():
            RolledUpHour.objects.filter(hour=other, computed_at__lte=at).update(computed_at=NEVER)


def _count(hour: datetime) -> tuple[Counter[tuple[Scope, str]], dict[datetime, datetime]]:
    """Count the pushes of an hour, by scope and measure.

    Also return the earlier hours from which pushes moved to this one, with the time of the delivery that moved them.
    """
    log = Delivery.objects.exclude(TESTS).exclude(origin=Origin.CATCH_UP).exclude(outcome__in=NO_PUSHES)
    log = log.only(*_COLUMNS)
    pushes: dict[UUID, list[Delivery]] = defaultdict(list)
    for row in log.filter(received_at__gte=hour, received_at__lt=hour + HOUR):
        pushes[row.push_id or row.pk].append(row)
    _add_others(log, pushes, hour)
    context = _read_context([row for rows in pushes.values() for row in rows])
    counts: Counter[tuple[Scope, str]] = Counter()
    moved: dict[datetime, datetime] = {}
    for rows in pushes.values():
        newest = max(row.received_at for row in rows)
        for other in {hour_of(row.received_at) for row in rows if row.received_at < hour <= newest}:
            moved[other] = max(moved.get(other, newest), newest)
        for scope, of_scope in _by_scope(rows, context):
            if hour <= max(row.received_at for row in of_scope) < hour + HOUR:
                counts[scope, str(decisive(of_scope).outcome)] += 1
                if (seconds := _seconds(scope, of_scope, context)) is not None:
                    counts[scope, bucket_measure(bucket_of(seconds))] += 1
    return counts, moved


def _add_others(log: QuerySet[Delivery], pushes: dict[UUID, list[Delivery]], hour: datetime) -> None:
    """Add the deliveries of the same pushes that came in other hours."""
    for keys in _chunks(list(pushes)):
        same = log.filter(push_id__in=keys)
        for others in (same.filter(received_at__lt=hour), same.filter(received_at__gte=hour + HOUR)):
            for row in others.order_by("-received_at")[:MOST_OTHERS]:
                pushes[row.push_id or row.pk].append(row)


def _read_context(deliveries: Sequence[Delivery]) -> _Context:
    refreshes: dict[UUID, list[Refresh]] = defaultdict(list)
    concerned: dict[UUID, list[str]] = defaultdict(list)
    of_projects = [row.pk for row in deliveries if row.project != CLUSTER_SCOPE]
    of_cluster = [row.pk for row in deliveries if row.project == CLUSTER_SCOPE]
    columns = ("delivery", "project", "outcome", "reason", "ended_at")
    # Of the others only what became Freight is needed: their outcome is stored.
    created = Refresh.objects.filter(outcome=RefreshOutcome.FREIGHT_CREATED).only(*columns)
    for source, ids in ((created, of_projects), (Refresh.objects.only(*columns), of_cluster)):
        for keys in _chunks(ids):
            for refresh in source.filter(delivery__in=keys):
                refreshes[refresh.delivery_id].append(refresh)
    for keys in _chunks(of_cluster):
        entries = ProjectDelivery.objects.filter(delivery__in=keys).values_list("delivery_id", "project")
        for delivery, project in entries:
            concerned[delivery].append(project)
    return _Context(refreshes, concerned)


def _by_scope(rows: Iterable[Delivery], context: _Context) -> Iterator[tuple[Scope, list[Delivery]]]:
    """Return the deliveries of a push as each scope sees them."""
    scopes: dict[Scope, list[Delivery]] = defaultdict(list)
    for row in rows:
        scopes[FigureScope.ALL, "", ""].append(row)
        scopes[FigureScope.PROJECT, row.project, ""].append(row)
        scopes[FigureScope.RECEIVER, row.project, row.receiver].append(row)
        for project in context.concerned.get(row.pk, ()):
            scopes[FigureScope.PROJECT, project, ""].append(_reduced(row, project, context))
    yield from scopes.items()


def _reduced(row: Delivery, project: str, context: _Context) -> Delivery:
    reduced = copy.copy(row)
    reduce(reduced, _refreshes_in(project, row, context), NO_MATCH)
    return reduced


def _refreshes_in(project: str, row: Delivery, context: _Context) -> list[Refresh]:
    return [refresh for refresh in context.refreshes.get(row.pk, ()) if refresh.project == project]


def _seconds(scope: Scope, rows: Iterable[Delivery], context: _Context) -> float | None:
    """Return the seconds from the push to its last Freight; None without Freight."""
    kind, project, _ = scope
    spans = [
        (refresh.ended_at - row.received_at).total_seconds()
        for row in rows
        for refresh in context.refreshes.get(row.pk, ())
        if refresh.outcome == RefreshOutcome.FREIGHT_CREATED
        and refresh.ended_at is not None
        and (kind is not FigureScope.PROJECT or project in {CLUSTER_SCOPE, refresh.project})
    ]
    return max(0.0, *spans) if spans else None


def _chunks(keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK))
