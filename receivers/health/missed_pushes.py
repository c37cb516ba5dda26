"""Detects pushes for which Docker Hub sent no webhook: Kargo found a tag by polling, and no delivery arrived for it.

Webhooks are registered by hand, and there is no way to ask Docker Hub whether one exists. To avoid false alarms:
* only Freight that Kargo created automatically counts (it is the Warehouse's `lastFreightID`), not manual Freight;
* only an artifact of which the Warehouse already had another version counts, not one of its first Freight;
* a change of the Warehouse suspends detection for a while, because it may select a tag that was pushed long ago;
* so does the start of this process, because Docker Hub may have called while none was running;
* for an immutable tag, a delivery at any time counts; for a mutable tag, one since an hour before the Freight.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final

from django.db.models import F, Q
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.errors import ClusterError
from receivers.cluster.freight_watch import FreightWatch
from receivers.health.expected_webhooks import (
    delivered_as,
    has_mutable_tag,
    is_new,
    subscription_with_webhook,
)
from receivers.health.log_queries import MAX_MISSED, PUSH_TO_FREIGHT, still_missed
from receivers.kargo.artifacts import Artifact, Freight, decode_freight
from receivers.kargo.coverage import covered_projects
from receivers.kargo.resources import FREIGHTS, Resource, Warehouse, WarehouseKey
from receivers.kargo.subscriptions import Subscription
from receivers.models import UNDERSTOOD, Delivery, MissedPush, Origin, Outcome, storable

log = logging.getLogger(__name__)

GRACE_PERIOD: Final = timedelta(minutes=2)  # for a delivery that arrives after Kargo found the tag by polling
SETTLING_TIME: Final = timedelta(minutes=15)  # after a start or a changed Warehouse; three polling intervals
MAX_QUEUED: Final = 10_000  # Freight in the queue; more than is created within the grace period
MAX_REMEMBERED: Final = 20_000  # changed Warehouses, and Freight that Kargo created
MAX_PAGES: Final = 50  # of a project's Freight, 200 per page, that are searched for earlier Freight
# Docker Hub called, but kargoweb couldn't read, or didn't evaluate, which tag was pushed.
UNREAD_OUTCOMES: Final = (
    Outcome.RETIRED_URL, Outcome.COLLISION, Outcome.INVALID_BODY, Outcome.TOO_LARGE, Outcome.PENDING,
)  # fmt: skip


class MissedPushDetector:
    """Compares new Freight with the delivery log.

    Only one thread may call `work`; the watches call the other methods, each from its own thread.
    """

    def __init__(
        self, cache: ClusterCache, freight: FreightWatch, clock: Callable[[], datetime] = timezone.now
    ) -> None:
        self._cache = cache
        self._freight = freight
        self._clock = clock
        self._started = clock()
        self._queue: deque[tuple[datetime, Freight]] = deque(maxlen=MAX_QUEUED)
        self._changed: OrderedDict[WarehouseKey, datetime] = OrderedDict()
        self._created: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()  # there may be one watch per namespace

    def on_freight(self, freight: Freight) -> None:
        """Queue new Freight until its grace period is over."""
        self._queue.append((self._clock(), freight))

    def on_change(self, resource: Resource, old: Any, new: Any) -> None:
        """Remember which Warehouses changed, and which Freight Kargo reports to have created."""
        if not isinstance(new, Warehouse):
            return
        with self._lock:
            if old is None or old.generation != new.generation:
                _remember(self._changed, new.key, self._clock())
            if new.last_freight_id and (old is None or old.last_freight_id != new.last_freight_id):
                _remember(self._created, (new.project, new.last_freight_id), None)

    def work(self) -> bool:
        """Check the Freight whose grace period is over."""
        while self._queue and self._queue[0][0] + GRACE_PERIOD <= self._clock():
            self._check(self._queue[0][1])
            self._queue.popleft()  # only after the check, so that one that raised is repeated
        return False

    def _check(self, freight: Freight) -> None:
        warehouse = self._cache.warehouse(freight.project, freight.warehouse)
        if warehouse is None or freight.created_at is None or not self._is_conclusive(freight, warehouse):
            return
        artifacts = list(self._without_delivery(freight, warehouse, freight.created_at))
        if not artifacts:
            return
        earlier = self._earlier(freight)
        for artifact in artifacts:
            if is_new(artifact, earlier):
                record_missed(freight, artifact, freight.created_at)

    def _is_conclusive(self, freight: Freight, warehouse: Warehouse) -> bool:
        """Return whether this Freight implies a push that a receiver should have got."""
        changed = max(self._started, self._changed.get(warehouse.key, self._started))
        settled = freight.created_at is not None and freight.created_at >= changed + SETTLING_TIME
        covered = covered_projects(self._cache.configs())
        return (
            settled
            and (freight.project, freight.name) in self._created
            and bool(covered & {freight.project, ""})
        )

    def _without_delivery(self, freight: Freight, warehouse: Warehouse, at: datetime) -> Iterator[Artifact]:
        for artifact in freight.artifacts:
            subscription = subscription_with_webhook(artifact, warehouse)
            if (
                subscription
                and not _was_delivered(freight.project, artifact, subscription, at)
                and not _may_be_unread(freight.project, artifact, at)
            ):
                yield artifact

    def _earlier(self, freight: Freight) -> Sequence[Freight]:
        """Return earlier Freight of the same Warehouse, from the watch or, if that has none, from the API server."""
        watched = self._freight.of((freight.project, freight.warehouse))
        if earlier := list(takewhile(lambda other: other.name != freight.name, watched)):
            return earlier
        pages = self._cache.cluster().list_pages(FREIGHTS, freight.project, item=decode_freight)
        try:
            listed = [other for page in islice(pages, MAX_PAGES) for other in page.items]
        except ClusterError as error:
            log.debug("failed to list the Freight of %s: %s", freight.project, error)
            return ()
        return [other for other in listed if _is_earlier(other, freight)]


def _is_earlier(other: Freight, freight: Freight) -> bool:
    return (
        other.warehouse == freight.warehouse
        and other.created_at is not None
        and freight.created_at is not None
        and other.created_at < freight.created_at
    )


def _was_delivered(project: str, artifact: Artifact, subscription: Subscription, at: datetime) -> bool:
    """Return whether a receiver of the project or the cluster got a delivery for an artifact."""
    names, tags = delivered_as(artifact)
    deliveries = Delivery.objects.filter(
        UNDERSTOOD, repository__in=names, tag__in=tags, project__in=[project, ""]
    )
    if has_mutable_tag(subscription):
        deliveries = deliveries.filter(received_at__gte=at - PUSH_TO_FREIGHT)
    return (
        deliveries.filter(origin__in=[Origin.PUSH, Origin.REDELIVERY, Origin.API])
        .exclude(outcome=Outcome.TEST_REFUSED)
        .exists()
    )


def _may_be_unread(project: str, artifact: Artifact, at: datetime) -> bool:
    """Return whether a recent delivery that doesn't say what was pushed may have been for an artifact.

    Such deliveries have findings of their own. `_was_delivered` knows those that name the artifact, and those that name
    another repository or tag weren't for it.
    """
    names, _ = delivered_as(artifact)
    unnamed = Q(repository="") | Q(repository__in=names, tag="")
    deliveries = Delivery.objects.filter(outcome__in=UNREAD_OUTCOMES, received_at__gte=at - PUSH_TO_FREIGHT)
    return deliveries.filter(unnamed, project__in=[project, ""], origin=Origin.PUSH).exists()


def record_missed(freight: Freight, artifact: Artifact, at: datetime) -> None:
    """Store a missed push. If several processes store one for the same Freight, it counts once."""
    repository = storable(artifact.repository)
    rows = MissedPush.objects.filter(
        project=freight.project, warehouse=freight.warehouse, repository=repository
    )
    # A delivery since then resolved what was missed before; counting starts over.
    rows.exclude(pk__in=still_missed().values("pk")).delete()
    _, is_first = rows.get_or_create(
        project=freight.project,
        warehouse=freight.warehouse,
        repository=repository,
        defaults={"tag": storable(artifact.tag), "freight": freight.name, "first_at": at, "last_at": at},
    )
    if is_first:
        oldest = MissedPush.objects.order_by("-last_at").values_list("pk", flat=True)[
            MAX_MISSED : 2 * MAX_MISSED
        ]
        MissedPush.objects.filter(pk__in=list(oldest)).delete()
    else:
        rows.exclude(freight=freight.name).update(
            count=F("count") + 1, tag=storable(artifact.tag), freight=freight.name, last_at=at
        )


def _remember(entries: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Set an entry, and drop the one that was set the longest ago if there are too many."""
    entries[key] = value
    entries.move_to_end(key)
    if len(entries) > MAX_REMEMBERED:
        entries.popitem(last=False)
