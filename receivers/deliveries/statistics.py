"""The aggregates of the log that pages show. Each takes a few queries, however many rows a page has, and is bounded."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final, TypeVar
from uuid import UUID

from django.core.cache import cache
from django.db import models
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import TruncHour

from receivers.deliveries.outcomes import NOT_EVALUATED, Tone, tone
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.scopes import ReceiverKey
from receivers.models import (
    DOCKER_HUBS,
    TESTS,
    Delivery,
    Origin,
    Outcome,
    ReceiverUrl,
    Refresh,
)

HOURS: Final = 24
PAST_CACHE_SECONDS: Final = 60  # for counts of past hours, which only late Freight changes
NEW_READ: Final = 100  # receivers whose URLs are not stored yet; there are more only in the first seconds
FREIGHT_READ: Final = 50  # refreshes of a project that the median is based on
REFRESHES_READ: Final = 20  # of a Warehouse, to find the last push and the last one that became Freight

# Deliveries of a repository, to count those that no subscription of a Warehouse matches. A page of 50 Warehouses with
# two repositories each reads 2,000 of them by index, which takes about as long as its last refreshes.
PUSHES_READ: Final = 20
TIMES_READ: Final = 50  # deliveries of a repository, from either end, to see which receivers it calls
MOST_SUBSCRIPTIONS: Final = 500  # terms of a UNION in SQLite; a page of Warehouses has fewer

_NOT_EVALUATED: Final = ", ".join(f"'{outcome}'" for outcome in sorted({Outcome.PENDING, *NOT_EVALUATED}))

# As `TESTS`.
_NO_TEST: Final = f"AND origin <> '{Origin.TEST}' AND outcome <> '{Outcome.TEST_REFUSED}'"
# As `DOCKER_HUBS`, to a current URL, and authenticated.
_IS_PUSH: Final = (
    f"AND origin = '{Origin.PUSH}' AND outcome NOT IN ('{Outcome.TEST_REFUSED}', '{Outcome.RETIRED_URL}', "
    f"'{Outcome.UNAUTHORIZED}', '{Outcome.SECRET_UNREADABLE}')"
)

M = TypeVar("M", bound=models.Model)


def last_deliveries(
    projects: Collection[str] | None, current: Iterable[ReceiverKey] = (), *, pushes: bool = False
) -> dict[ReceiverKey, Delivery]:
    """Return the last delivery of every receiver that has had one, in these projects or (None) in all of them.

    Tests don't count. Includes receivers that no longer exist, which are known by their URLs. `current` are the
    existing receivers: the URL of a new one may get its first push before it is stored. With `pushes`, only deliveries
    that Docker Hub sent to a current URL. Two queries, and another one while there are receivers whose URLs are not
    stored.
    """
    receivers = ReceiverUrl.objects.values("project", "receiver").distinct()
    if projects is not None:
        receivers = receivers.filter(project__in=projects)
    of_receiver = Delivery.objects.filter(project=OuterRef("project"), receiver=OuterRef("receiver"))
    of_receiver = of_receiver.exclude(TESTS)
    if pushes:
        of_receiver = of_receiver.filter(DOCKER_HUBS).exclude(outcome=Outcome.RETIRED_URL)
    newest = of_receiver.order_by("-received_at").values("pk")[:1]
    by_receiver = {
        (row["project"], row["receiver"]): row["last"] for row in receivers.annotate(last=Subquery(newest))
    }
    unsaved = [receiver for receiver in current if receiver not in by_receiver]
    ids = [pk for pk in by_receiver.values() if pk]
    ids += [delivery.pk for delivery in _newest(unsaved[:NEW_READ], 1, _IS_PUSH if pushes else _NO_TEST)]
    # Only what project pages show: for a thousand receivers, reading all columns takes more than twice as long.
    rows = Delivery.objects.filter(pk__in=ids).only(
        "project", "receiver", "received_at", "outcome", "warehouses", "with_freight"
    )
    return {(row.project, row.receiver): row for row in rows}


def hourly_tones(receivers: Collection[ReceiverKey], now: datetime) -> dict[str, list[Mapping[Tone, int]]]:
    """Return how many deliveries these receivers had in each of the last `HOURS` hours, by project, oldest hour first.

    Tests don't count. Omits projects without deliveries. One query, which reads the deliveries of the current hour by
    index. The hours before, which may have a hundred thousand deliveries, are counted once a minute.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    since = hour - timedelta(hours=HOURS - 1)
    projects, names = {project for project, _ in receivers}, {receiver for _, receiver in receivers}
    of_these = Delivery.objects.filter(project__in=projects, receiver__in=names).exclude(TESTS)
    key = hashlib.sha256(repr((sorted(projects), sorted(names), hour)).encode()).hexdigest()
    past = of_these.filter(received_at__gte=since, received_at__lt=hour)
    before = cache.get_or_set(f"tones-{key}", lambda: _tones(past), PAST_CACHE_SECONDS)
    counted = chain(before or (), _tones(of_these.filter(received_at__gte=hour)))
    columns: dict[str, list[dict[Tone, int]]] = defaultdict(lambda: [{} for _ in range(HOURS)])
    for row in counted:
        at = min(HOURS - 1, int((row["hour"] - since).total_seconds() // 3600))
        column = columns[row["project"]][at]
        row_tone = tone(row["outcome"])
        column[row_tone] = column.get(row_tone, 0) + row["n"]
    return {project: list(of_project) for project, of_project in columns.items()}


def _tones(deliveries: models.QuerySet[Delivery]) -> list[Mapping[str, Any]]:
    by_hour = deliveries.values("project", "outcome", hour=TruncHour("received_at"))
    return list(by_hour.annotate(n=Count("pk")).order_by())


def push_to_freight(projects: Collection[str]) -> dict[str, float]:
    """Return the median seconds from the refresh request to Freight, by project. One query."""
    spans: dict[str, list[float]] = defaultdict(list)
    selection = (
        "SELECT id, project, requested_at, ended_at FROM receivers_refresh"
        f" WHERE project = %s AND outcome = '{RefreshOutcome.FREIGHT_CREATED}' AND ended_at IS NOT NULL"
        f" ORDER BY ended_at DESC LIMIT {FREIGHT_READ}"
    )
    for refresh in of_each(Refresh, selection, [(name,) for name in projects]):
        if (span := freight_seconds(refresh)) is not None:
            spans[refresh.project].append(span)
    return {project: statistics.median(of_project) for project, of_project in spans.items()}


def freight_seconds(refresh: Refresh) -> float | None:
    """Return the seconds from the first request of a refresh to its end; None if either is missing."""
    if refresh.requested_at is None or refresh.ended_at is None:
        return None
    return max(0.0, (refresh.ended_at - refresh.requested_at).total_seconds())


def _newest(receivers: Sequence[ReceiverKey], count: int, condition: str = "") -> list[Delivery]:
    """Return the last deliveries of the newest `count` pushes to each receiver, with only their ids. One query.

    `condition` is SQL of this module that selects some of them.
    """
    selection = (
        "SELECT id FROM receivers_delivery this WHERE project = %s AND receiver = %s AND NOT EXISTS"
        " (SELECT 1 FROM receivers_delivery newer WHERE newer.push_id = this.push_id"
        # As one text, or the database may use the index by receiver and read all of its newer deliveries.
        " AND newer.project || '/' || newer.receiver = this.project || '/' || this.receiver"
        " AND (newer.received_at, newer.id) > (this.received_at, this.id))"
        f" {condition} ORDER BY received_at DESC LIMIT {int(count)}"
    )
    return of_each(Delivery, selection, receivers)


def last_refreshes(project: str, warehouses: Iterable[str]) -> dict[str, list[Refresh]]:
    """Return the newest refreshes of Warehouses of a project, newest first, by Warehouse. One query.

    Those for tests don't count. They lack the history; `deliveries_by_id` returns their deliveries.
    """
    selection = (
        "SELECT id, delivery_id, warehouse, state, outcome, reason, requested_at, ended_at, freight, freight_alias"
        " FROM receivers_refresh WHERE project = %s AND warehouse = %s"
        # Not a join, which a database may start with the deliveries.
        " AND (SELECT origin FROM receivers_delivery WHERE receivers_delivery.id = delivery_id)"
        f" <> '{Origin.TEST}' ORDER BY id DESC LIMIT {REFRESHES_READ}"
    )
    refreshes: dict[str, list[Refresh]] = defaultdict(list)
    for refresh in of_each(Refresh, selection, [(project, name) for name in warehouses]):
        refreshes[refresh.warehouse].append(refresh)
    return {
        name: sorted(of_warehouse, key=lambda refresh: refresh.pk, reverse=True)
        for name, of_warehouse in refreshes.items()
    }


def unmatched_pushes(project: str, subscribed: Iterable[tuple[str, str]]) -> dict[str, dict[UUID, datetime]]:
    """Return the latest pushes that were evaluated for a Warehouse and did not refresh it.

    `subscribed` are pairs of a Warehouse of the project and a repository on Docker Hub, as Docker Hub names it. The
    result has the id of each push, and when it was received, by Warehouse. Only the last `PUSHES_READ` deliveries of a
    repository count. One query.
    """
    selection = (
        "SELECT id, push_id, received_at, %s AS warehouse FROM ("
        "SELECT id, push_id, received_at, project, origin, outcome FROM receivers_delivery"
        f" WHERE repository = %s AND push_id IS NOT NULL ORDER BY received_at DESC LIMIT {PUSHES_READ}) AS latest"
        f" WHERE project IN (%s, '') AND origin = '{Origin.PUSH}' AND outcome NOT IN ({_NOT_EVALUATED})"
        # As one text, or SQLite uses the index by Warehouse and reads all of its refreshes for each delivery.
        " AND NOT EXISTS (SELECT 1 FROM receivers_refresh WHERE delivery_id = latest.id"
        " AND project || '/' || warehouse = %s)"
    )
    parameters = [
        (warehouse, repository, project, f"{project}/{warehouse}") for warehouse, repository in subscribed
    ]
    pushes: dict[str, dict[UUID, datetime]] = defaultdict(dict)
    for row in of_each(Delivery, selection, parameters[:MOST_SUBSCRIPTIONS]):
        if row.push_id is not None:
            of_warehouse = pushes[row.warehouse]  # type: ignore[attr-defined]  # an extra column of the query
            of_warehouse[row.push_id] = max(row.received_at, of_warehouse.get(row.push_id, row.received_at))
    return pushes


@dataclass(frozen=True, slots=True)
class PushTimes:
    """When a repository sent its first push to a receiver, None if that is too long ago to tell, and its last."""

    first: datetime | None
    last: datetime


def push_times(repositories: Collection[str]) -> dict[tuple[str, str, str], PushTimes]:
    """Return when repositories, as Docker Hub names them, sent pushes, by repository, project and receiver.

    Only the first and the last `TIMES_READ` deliveries of a repository count, so that it costs the same however many
    there are. Two queries, for at most `MOST_SUBSCRIPTIONS` repositories.
    """
    first, last = (
        {
            (row.repository, row.project, row.receiver): row.received_at
            # The last one of a receiver wins: the oldest of the first, the newest of the last.
            for row in sorted(
                _ends(repositories, order), key=lambda row: row.received_at, reverse=order == ""
            )
        }
        for order in ("", "DESC")
    )
    return {key: PushTimes(first.get(key), last.get(key) or first[key]) for key in {**last, **first}}


def _ends(repositories: Collection[str], order: str) -> list[Delivery]:
    selection = (
        "SELECT id, repository, project, receiver, received_at FROM ("
        "SELECT id, repository, project, receiver, received_at, origin, outcome FROM receivers_delivery"
        f" WHERE repository = %s AND push_id IS NOT NULL ORDER BY received_at {order} LIMIT {TIMES_READ}) AS ends"
        f" WHERE TRUE {_IS_PUSH}"
    )
    return of_each(Delivery, selection, [(name,) for name in list(repositories)[:MOST_SUBSCRIPTIONS]])


def deliveries_by_id(ids: Iterable[UUID]) -> dict[UUID, Delivery]:
    """Return deliveries as lists show them, by id. One query."""
    return delivery_log().narrow().in_bulk(list(ids))


def of_each(model: type[M], selection: str, parameters: Sequence[tuple[str, ...]]) -> list[M]:
    """Run a SELECT once for each tuple of parameters, at most 500, in one statement.

    It reads "the newest few of each" by index on every database; SQLite has no LATERAL.
    """
    if not parameters:
        return []
    # The SQL is from this module only; all values are parameters.
    sql = " UNION ALL ".join(
        f"SELECT * FROM ({selection}) AS s{number}" for number, _ in enumerate(parameters)
    )
    return list(model._default_manager.raw(sql, [value for values in parameters for value in values]))
