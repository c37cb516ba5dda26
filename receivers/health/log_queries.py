"""What the delivery log says for the health checks.

Each function is one query, whatever the number of receivers, and its cost has a bound that does not grow with the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.db.models import Count, Exists, ExpressionWrapper, F, Max, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from receivers.health.delivery_checks import RetiredCalls
from receivers.health.expected_webhooks import SPELLINGS
from receivers.health.push_frequency import DAYS
from receivers.health.warehouse_checks import MissedPushes
from receivers.models import DOCKER_HUBS, UNDERSTOOD, Delivery, MissedPush, Outcome, ReceiverUrl

RECENT: Final = timedelta(days=1)
RECENT_RETIRED: Final = timedelta(days=7)  # a repository that is pushed to once a week still shows
MOST_COUNTED: Final = 10_000  # deliveries, newest first, from which shares and sums are taken
PUSH_BEFORE: Final = timedelta(hours=1)  # how long a push may take to become Freight
MOST_MISSED: Final = 1_000  # rows that are kept of pushes that were missed
DAY: Final = timedelta(days=1)

ReceiverKey = tuple[str, str]
"""Project (empty for a cluster receiver) and name."""


def last_pushes() -> Mapping[ReceiverKey, datetime | None]:
    """Return when Docker Hub called each receiver that has a URL last; None if it never did, as far as is known."""
    last = Subquery(_pushes_of_receiver().order_by("-received_at").values("received_at")[:1])
    rows = ReceiverUrl.objects.filter(retired_at=None).annotate(last=last)
    return {
        (project, receiver): at for project, receiver, at in rows.values_list("project", "receiver", "last")
    }


def pushed_days(now: datetime) -> Mapping[ReceiverKey, tuple[bool, ...]]:
    """Return for each receiver that has a URL whether it was called on each of the last days, that of now first.

    A few index look-ups for each receiver: to count all of its deliveries would take longer, the more there are.
    """
    days = {
        f"day_{day}": Exists(
            _pushes_of_receiver().filter(
                received_at__gt=now - (day + 1) * DAY, received_at__lte=now - day * DAY
            )
        )
        for day in range(DAYS)
    }
    rows = ReceiverUrl.objects.filter(retired_at=None).annotate(**days)
    return {
        (project, receiver): tuple(pushed)
        for project, receiver, *pushed in rows.values_list("project", "receiver", *days)
    }


def _pushes_of_receiver() -> QuerySet[Delivery]:
    return Delivery.objects.filter(DOCKER_HUBS, project=OuterRef("project"), receiver=OuterRef("receiver"))


def outcomes(now: datetime) -> Mapping[ReceiverKey, Mapping[str, int]]:
    """Return how the recent pushes of each receiver ended, counted by outcome."""
    recent = _newest(Delivery.objects.filter(received_at__gt=now - RECENT))
    counted = recent.filter(DOCKER_HUBS).values_list("project", "receiver", "outcome")
    found: dict[ReceiverKey, dict[str, int]] = defaultdict(dict)
    for project, receiver, outcome, count in counted.annotate(count=Count("pk")):
        found[project, receiver][outcome] = count
    return found


def retired(now: datetime) -> Mapping[ReceiverKey, tuple[RetiredCalls, ...]]:
    """Return the recent calls of former URLs by the receiver that they once belonged to."""
    calls = Delivery.objects.filter(outcome=Outcome.RETIRED_URL, received_at__gt=now - RECENT_RETIRED)
    counted = _newest(calls).filter(DOCKER_HUBS).values_list("project", "receiver", "url_suffix")
    found: dict[ReceiverKey, tuple[RetiredCalls, ...]] = defaultdict(tuple)
    for project, receiver, suffix, count, last in counted.annotate(
        count=Count("pk"), last=Max("received_at")
    ).order_by("url_suffix"):
        found[project, receiver] += (RetiredCalls(suffix, count, last),)
    return found


def missed() -> Mapping[tuple[str, str], tuple[MissedPushes, ...]]:
    """Return the tags that Docker Hub did not announce, nor any of their repository since, by project and Warehouse."""
    found: dict[tuple[str, str], tuple[MissedPushes, ...]] = defaultdict(tuple)
    for row in still_missed().order_by("-last_at")[:MOST_MISSED]:
        missed_here = MissedPushes(row.repository, row.tag, row.count, row.first_at, row.last_at)
        found[row.project, row.warehouse] += (missed_here,)
    return found


def still_missed() -> QuerySet[MissedPush]:
    """Return the missed pushes after which none of the same repository came to a receiver of the project, or of all.

    A delivery of the missed tag itself may also have come before, and been stored late.
    """
    names = [Concat(Value(before), OuterRef("repository")) for before in SPELLINGS]
    # The project is hidden from SQLite, which would take the index by receiver and read all that a project ever had.
    later = Delivery.objects.alias(scope=Concat(F("project"), Value(""))).filter(
        UNDERSTOOD,
        DOCKER_HUBS,
        Q(received_at__gt=OuterRef("last_at")) | Q(tag=OuterRef("tag")),
        repository__in=names,
        scope__in=[OuterRef("project"), Value("")],
        received_at__gt=ExpressionWrapper(OuterRef("last_at") - PUSH_BEFORE, models.DateTimeField()),
    )
    return MissedPush.objects.filter(~Exists(later))


def _newest(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return the newest of these deliveries, as many as are counted, in no order."""
    return Delivery.objects.filter(
        pk__in=deliveries.order_by(F("received_at").desc()).values("pk")[:MOST_COUNTED]
    )
