"""What the pages read of the log. Every read is one query or two, however many rows a page has, and has a bound."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Final, TypeVar

from django.core.cache import cache
from django.db import models
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import TruncHour

from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.outcomes import RefreshOutcome
from receivers.models import DOCKER_HUBS, Delivery, Origin, Outcome, ReceiverUrl, Refresh

# What lists show and no more: dictionaries, so that a template that asks for more gets nothing and no query.
DELIVERY_COLUMNS: Final = (
    "id", "received_at", "origin", "project", "receiver", "repository", "tag",
    "status", "outcome", "reason", "warehouses", "duration_ms",
)  # fmt: skip
HOURS: Final = 24
PAST_KEPT: Final = 60  # seconds for which counts of past hours are good; what changes in them is late Freight
RECEIVERS_READ: Final = 100  # of one project, for its recent deliveries; SQLite joins 500 selections at most
NEW_READ: Final = 100  # receivers whose URLs are not stored yet; more is an installation's first seconds
FREIGHT_READ: Final = 50  # refreshes of a project that its median is of
REFRESHES_READ: Final = 20  # of a Warehouse: the last push, and the last one that became Freight

# As `DOCKER_HUBS`, and to a good URL.
_IS_PUSH: Final = (
    f"AND origin = '{Origin.PUSH}' AND outcome NOT IN ('{Outcome.TEST_REFUSED}', '{Outcome.RETIRED_URL}')"
)

ReceiverKey = tuple[str, str]
M = TypeVar("M", bound=models.Model)


def last_deliveries(
    projects: Collection[str] | None, today: Iterable[ReceiverKey] = (), *, pushes: bool = False
) -> dict[ReceiverKey, Mapping[str, Any]]:
    """Return the last delivery of every receiver that has had one, by (project, receiver); None: of all projects.

    Receivers that are gone are among them, as their URLs tell. `today` are those that there are now: a URL may have
    had its first push in the seconds before it is stored. With `pushes` only what Docker Hub sent to a good URL. Two
    queries, and one while there are such receivers.
    """
    receivers = ReceiverUrl.objects.values("project", "receiver").distinct()
    if projects is not None:
        receivers = receivers.filter(project__in=projects)
    of_receiver = Delivery.objects.filter(project=OuterRef("project"), receiver=OuterRef("receiver"))
    if pushes:
        of_receiver = of_receiver.filter(DOCKER_HUBS).exclude(outcome=Outcome.RETIRED_URL)
    newest = of_receiver.order_by("-received_at").values("pk")[:1]
    of_known = {
        (row["project"], row["receiver"]): row["last"] for row in receivers.annotate(last=Subquery(newest))
    }
    brand_new = [receiver for receiver in today if receiver not in of_known]
    ids = [pk for pk in of_known.values() if pk] + [
        one.pk for one in _newest(brand_new[:NEW_READ], 1, pushes=pushes)
    ]
    rows = Delivery.objects.filter(pk__in=ids).values(*DELIVERY_COLUMNS)
    return {(row["project"], row["receiver"]): row for row in rows}


def hourly_tones(receivers: Collection[ReceiverKey], now: datetime) -> dict[str, list[Mapping[Tone, int]]]:
    """Return how many deliveries these receivers had, by project: one mapping an hour, the oldest first.

    Projects without any are not in it. One query, which reads the deliveries of this hour by index; those of the hours
    before, of which there may be a hundred thousand, are counted once a minute.
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    since = hour - timedelta(hours=HOURS - 1)
    projects, names = {project for project, _ in receivers}, {receiver for _, receiver in receivers}
    of_these = Delivery.objects.filter(project__in=projects, receiver__in=names)
    which = hashlib.sha256(repr((sorted(projects), sorted(names), hour)).encode()).hexdigest()
    past = of_these.filter(received_at__gte=since, received_at__lt=hour)
    before = cache.get_or_set(f"tones-{which}", lambda: _tones(past), PAST_KEPT)
    counted = chain(before or (), _tones(of_these.filter(received_at__gte=hour)))
    columns: dict[str, list[dict[Tone, int]]] = defaultdict(lambda: [{} for _ in range(HOURS)])
    for row in counted:
        at = min(HOURS - 1, int((row["hour"] - since).total_seconds() // 3600))
        column = columns[row["project"]][at]
        which = tone(row["outcome"])
        column[which] = column.get(which, 0) + row["n"]
    return {project: list(of_project) for project, of_project in columns.items()}


def _tones(deliveries: models.QuerySet[Delivery]) -> list[Mapping[str, Any]]:
    by_hour = deliveries.values("project", "outcome", hour=TruncHour("received_at"))
    return list(by_hour.annotate(n=Count("pk")).order_by())


def push_to_freight(projects: Collection[str]) -> dict[str, float]:
    """Return the median of the seconds from asking a Warehouse to Freight, by project. One query."""
    spans: dict[str, list[float]] = defaultdict(list)
    selection = (
        "SELECT id, project, requested_at, ended_at FROM receivers_refresh"
        f" WHERE project = %s AND outcome = '{RefreshOutcome.FREIGHT_CREATED}' AND ended_at IS NOT NULL"
        f" ORDER BY ended_at DESC LIMIT {FREIGHT_READ}"
    )
    for one in of_each(Refresh, selection, [(name,) for name in projects]):
        if (span := freight_seconds(one)) is not None:
            spans[one.project].append(span)
    return {project: statistics.median(of_project) for project, of_project in spans.items()}


def freight_seconds(refresh: Refresh) -> float | None:
    """Return the seconds from the first request of a refresh to its end, None if one of them is not known."""
    if refresh.requested_at is None or refresh.ended_at is None:
        return None
    return max(0.0, (refresh.ended_at - refresh.requested_at).total_seconds())


def recent_deliveries(project: str, receivers: Iterable[str], count: int) -> list[Mapping[str, Any]]:
    """Return the newest pushes to a project's receivers ("" for the cluster's), newest first. Three queries.

    Each is its last delivery, with `repeats`: how many there are of it. `receivers` are those of today; earlier ones
    are known from their URLs.
    """
    known = ReceiverUrl.objects.filter(project=project).order_by("-pk").values_list("receiver", flat=True)
    names = list(dict.fromkeys([*receivers, *known[: 4 * RECEIVERS_READ]]))[:RECEIVERS_READ]
    ids = [one.pk for one in _newest([(project, name) for name in names], count)]
    rows = delivery_log().filter(pk__in=ids).with_repeats().order_by("-received_at", "-id")
    return list(rows.values(*DELIVERY_COLUMNS, "push_id", "repeats")[:count])


def _newest(receivers: Sequence[ReceiverKey], count: int, *, pushes: bool = False) -> list[Delivery]:
    """Return the last deliveries of the newest pushes to each of these, with nothing but their ids. One query."""
    selection = (
        "SELECT id FROM receivers_delivery one WHERE project = %s AND receiver = %s AND NOT EXISTS"
        " (SELECT 1 FROM receivers_delivery newer WHERE newer.push_id = one.push_id AND newer.id > one.id)"
        f" {_IS_PUSH if pushes else ''} ORDER BY received_at DESC LIMIT {int(count)}"
    )
    return of_each(Delivery, selection, receivers)


def last_refreshes(project: str, warehouses: Iterable[str]) -> dict[str, list[Refresh]]:
    """Return the newest refreshes of Warehouses of a project, newest first, by Warehouse. One query.

    They have no `story`; the deliveries that they are for are read by `announced`.
    """
    selection = (
        "SELECT id, delivery_id, warehouse, state, outcome, reason, requested_at, ended_at, freight, freight_alias"
        " FROM receivers_refresh WHERE project = %s AND warehouse = %s"
        f" ORDER BY id DESC LIMIT {REFRESHES_READ}"
    )
    found: dict[str, list[Refresh]] = defaultdict(list)
    for one in of_each(Refresh, selection, [(project, name) for name in warehouses]):
        found[one.warehouse].append(one)
    return {name: sorted(several, key=lambda one: one.pk, reverse=True) for name, several in found.items()}


def announced(ids: Iterable[Any]) -> dict[Any, Mapping[str, Any]]:
    """Return deliveries by id, as lists show them. One query."""
    return {row["id"]: row for row in Delivery.objects.filter(pk__in=list(ids)).values(*DELIVERY_COLUMNS)}


def of_each(model: type[M], selection: str, parameters: Sequence[tuple[str, ...]]) -> list[M]:
    """Run a selection once for each tuple of parameters, all in one statement; 500 at most.

    This is how "the newest few of each" is had by index on every database: SQLite has no LATERAL.
    """
    if not parameters:
        return []
    # The texts are this module's; whatever comes from outside is a parameter.
    sql = " UNION ALL ".join(
        f"SELECT * FROM ({selection}) AS s{number}" for number, _ in enumerate(parameters)
    )
    return list(model._default_manager.raw(sql, [value for one in parameters for value in one]))
