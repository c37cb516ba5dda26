"""The queries of the delivery log that the health checks need.

Each function runs one query for all receivers, and its cost is bounded, however large the log is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.db.models import (
    Count,
    Exists,
    ExpressionWrapper,
    F,
    Max,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
)
from django.db.models.functions import Concat

from receivers.deliveries.querysets import DeliveryQuerySet, delivery_log
from receivers.health.delivery_checks import OldUrlUse
from receivers.health.expected_webhooks import PREFIXES
from receivers.health.push_frequency import DAYS
from receivers.health.warehouse_checks import MissedPushes
from receivers.kargo.scopes import ReceiverKey
from receivers.models import (
    DOCKER_HUBS,
    UNDERSTOOD,
    Delivery,
    MissedPush,
    Outcome,
    ReceiverUrl,
)

RECENT: Final = timedelta(days=1)
RECENT_MISROUTED: Final = timedelta(days=7)  # as for old URLs
RECENT_OLD_URLS: Final = timedelta(days=7)  # covers repositories that are pushed to once a week
MAX_COUNTED: Final = 10_000  # deliveries, newest first, that counts and shares are based on
PUSH_TO_FREIGHT: Final = timedelta(hours=1)  # how long a push may take to become Freight
MAX_MISSED: Final = 1_000  # rows of missed pushes that are kept
DAY: Final = timedelta(days=1)


def last_pushes() -> Mapping[ReceiverKey, datetime | None]:
    """Return when Docker Hub last called each receiver that has a URL; None if the log has no such delivery."""
    last = Subquery(_pushes_of_receiver().order_by("-received_at").values("received_at")[:1])
    rows = ReceiverUrl.objects.filter(retired_at=None).annotate(last=last)
    return {
        (project, receiver): at for project, receiver, at in rows.values_list("project", "receiver", "last")
    }


def pushed_days(now: datetime) -> Mapping[ReceiverKey, tuple[bool, ...]]:
    """Return for each receiver that has a URL whether Docker Hub called it on each of the last days, today first.

    This takes a few index lookups per receiver. Counting its deliveries would take longer the more there are.
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
    """Return the number of recent pushes of each receiver by outcome: that of the last delivery of each push."""
    recent = _newest(Delivery.objects.filter(received_at__gt=now - RECENT)).newest_of_each_push()
    counted = recent.filter(DOCKER_HUBS).values_list("project", "receiver", "outcome")
    counts: dict[ReceiverKey, dict[str, int]] = defaultdict(dict)
    for project, receiver, outcome, count in counted.annotate(count=Count("pk")):
        counts[project, receiver][outcome] = count
    return counts


def old_urls(now: datetime) -> Mapping[ReceiverKey, tuple[OldUrlUse, ...]]:
    """Return the recent use of old URLs by the receiver that they belonged to."""
    requests = Delivery.objects.filter(outcome=Outcome.RETIRED_URL, received_at__gt=now - RECENT_OLD_URLS)
    counted = _newest(requests).filter(DOCKER_HUBS).values_list("project", "receiver", "url_suffix")
    uses: dict[ReceiverKey, tuple[OldUrlUse, ...]] = defaultdict(tuple)
    for project, receiver, suffix, count, last in counted.annotate(
        count=Count("pk"), last=Max("received_at")
    ).order_by("url_suffix"):
        uses[project, receiver] += (OldUrlUse(suffix, count, last),)
    return uses


def misrouted(now: datetime) -> Mapping[str, int]:
    """Return the number of recent requests to receivers of kinds that kargoweb doesn't know, by kind. One query."""
    deliveries = Delivery.objects.filter(
        outcome=Outcome.UNSUPPORTED_KIND, received_at__gt=now - RECENT_MISROUTED
    )
    return dict(_newest(deliveries).values_list("kind").annotate(Count("pk")))


def missed() -> Mapping[tuple[str, str], tuple[MissedPushes, ...]]:
    """Return the missed pushes of repositories without a delivery since, by project and Warehouse."""
    by_warehouse: dict[tuple[str, str], tuple[MissedPushes, ...]] = defaultdict(tuple)
    for row in still_missed().order_by("-last_at")[:MAX_MISSED]:
        pushes = MissedPushes(row.repository, row.tag, row.count, row.first_at, row.last_at)
        by_warehouse[row.project, row.warehouse] += (pushes,)
    return by_warehouse


def still_missed() -> QuerySet[MissedPush]:
    """Return the missed pushes without a later delivery of the repository to a receiver of the project or the cluster.

    An earlier delivery of the missed tag itself counts too: it may have been stored late.
    """
    names = [Concat(Value(prefix), OuterRef("repository")) for prefix in PREFIXES]
    # The expression hides the project from SQLite's planner, which would otherwise use the index by receiver and read
    # every delivery of the project.
    later = Delivery.objects.alias(scope=Concat(F("project"), Value(""))).filter(
        UNDERSTOOD,
        DOCKER_HUBS,
        Q(received_at__gt=OuterRef("last_at")) | Q(tag=OuterRef("tag")),
        repository__in=names,
        scope__in=[OuterRef("project"), Value("")],
        received_at__gt=ExpressionWrapper(OuterRef("last_at") - PUSH_TO_FREIGHT, models.DateTimeField()),
    )
    return MissedPush.objects.filter(~Exists(later))


def _newest(deliveries: QuerySet[Delivery]) -> DeliveryQuerySet:
    """Return the newest `MAX_COUNTED` of these deliveries, in no order."""
    return delivery_log().filter(
        pk__in=deliveries.order_by(F("received_at").desc()).values("pk")[:MAX_COUNTED]
    )
