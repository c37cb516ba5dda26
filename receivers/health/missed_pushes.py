"""Notices that Docker Hub did not call us: Freight of a tag that Kargo found by polling, and no delivery for it.

A repository's webhook is registered by hand, and nobody can ask Docker Hub whether it is. In doubt nothing is noted:
* only Freight that Kargo made itself counts (it is the Warehouse's `lastFreightID`), so none that was made by hand;
* only an artifact of which the Warehouse had another version before, so no first Freight and none of another artifact;
* none shortly after somebody changed the Warehouse, which may now select what was pushed long ago;
* none shortly after we came up: Docker Hub may have called while nobody was there;
* for tags that are pushed once, a delivery at any time will do, and for those that move one since an hour before.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final

from django.db.models import F
from django.utils import timezone

from receivers.cluster.cache import Mirror
from receivers.cluster.errors import ClusterError
from receivers.cluster.freight_watch import FreightWatch
from receivers.cluster.snapshot import WarehouseKey
from receivers.health.expected_webhooks import announced, is_new, moves, spellings
from receivers.health.log_queries import MOST_MISSED, PUSH_BEFORE, still_missed
from receivers.health.subscription_checks import covered_projects
from receivers.kargo.artifacts import Artifact, Freight, decode_freight
from receivers.kargo.resources import FREIGHTS, Resource, Warehouse
from receivers.kargo.subscriptions import Subscription
from receivers.models import UNDERSTOOD, Delivery, MissedPush, Origin, Outcome, storable

log = logging.getLogger(__name__)

GRACE: Final = timedelta(
    minutes=2
)  # in which a delivery may come after Freight that polling was quicker to make
SETTLED: Final = timedelta(
    minutes=15
)  # after our start, and after a change of the Warehouse; three times Kargo's interval
WAITING: Final = 10_000  # pieces of Freight; more than come in the grace
REMEMBERED: Final = 20_000  # Warehouses that were changed, and Freight that Kargo made
PAGES: Final = 50  # of a project's Freight that are looked through for earlier ones, 200 to a page
# Docker Hub called, and we could not read, or did not want to know, for what.
NAMELESS: Final = (
    Outcome.RETIRED_URL, Outcome.COLLISION, Outcome.INVALID_BODY, Outcome.TOO_LARGE, Outcome.PENDING,
)  # fmt: skip


class MissedPushWatch:
    """Compares new Freight with the delivery log. `work` is called by one thread, the others by the watches."""

    def __init__(
        self, mirror: Mirror, freight: FreightWatch, clock: Callable[[], datetime] = timezone.now
    ) -> None:
        self._mirror = mirror
        self._freight = freight
        self._clock = clock
        self._started = clock()
        self._waiting: deque[tuple[datetime, Freight]] = deque(maxlen=WAITING)
        self._changed: OrderedDict[WarehouseKey, datetime] = OrderedDict()
        self._made: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._lock = threading.Lock()  # there may be a watch for each namespace

    def note_freight(self, freight: Freight) -> None:
        """Take note of new Freight; it is looked at when the grace is over."""
        self._waiting.append((self._clock(), freight))

    def note_change(self, resource: Resource, old: Any, new: Any) -> None:
        """Take note of Warehouses that somebody changed, and of the Freight that Kargo says it made."""
        if not isinstance(new, Warehouse):
            return
        with self._lock:
            if old is None or old.generation != new.generation:
                _remember(self._changed, new.key, self._clock())
            if new.last_freight_id and (old is None or old.last_freight_id != new.last_freight_id):
                _remember(self._made, (new.project, new.last_freight_id), None)

    def work(self) -> bool:
        """Look at the Freight whose grace is over."""
        while self._waiting and self._waiting[0][0] + GRACE <= self._clock():
            self._look_at(self._waiting[0][1])
            self._waiting.popleft()  # only now: what could not be compared is tried again
        return False

    def _look_at(self, freight: Freight) -> None:
        warehouse = self._mirror.warehouse(freight.project, freight.warehouse)
        if warehouse is None or freight.created_at is None or not self._counts(freight, warehouse):
            return
        silent = list(self._unannounced(freight, warehouse, freight.created_at))
        if not silent or _was_called_for_something(freight.project, freight.created_at):
            return
        earlier = self._earlier(freight)
        for artifact in silent:
            if is_new(artifact, earlier):
                note_missed(freight, artifact, freight.created_at)

    def _counts(self, freight: Freight, warehouse: Warehouse) -> bool:
        """Say whether the Freight is one of which a push is to be expected."""
        changed = max(self._started, self._changed.get(warehouse.key, self._started))
        settled = freight.created_at is not None and freight.created_at >= changed + SETTLED
        covered = covered_projects(self._mirror.configs())
        return (
            settled
            and (freight.project, freight.name) in self._made
            and bool(covered & {freight.project, ""})
        )

    def _unannounced(self, freight: Freight, warehouse: Warehouse, at: datetime) -> Iterator[Artifact]:
        for artifact in freight.artifacts:
            subscription = announced(artifact, warehouse)
            if subscription and not _has_arrived(freight.project, artifact, subscription, at):
                yield artifact

    def _earlier(self, freight: Freight) -> Sequence[Freight]:
        """Return earlier Freight of the same Warehouse: what the watch remembers or, if there is none, all."""
        remembered = self._freight.of((freight.project, freight.warehouse))
        if earlier := list(takewhile(lambda one: one.name != freight.name, remembered)):
            return earlier
        pages = self._mirror.cluster().list_pages(FREIGHTS, freight.project, item=decode_freight)
        try:
            found = [one for page in islice(pages, PAGES) for one in page.items]
        except ClusterError as error:
            log.debug("the Freight of %s cannot be listed: %s", freight.project, error)
            return ()
        return [one for one in found if _is_earlier(one, freight)]


def _is_earlier(one: Freight, than: Freight) -> bool:
    return (
        one.warehouse == than.warehouse
        and one.created_at is not None
        and than.created_at is not None
        and one.created_at < than.created_at
    )


def _has_arrived(project: str, artifact: Artifact, subscription: Subscription, at: datetime) -> bool:
    """Say whether a delivery for an artifact arrived at a receiver in whose scope the project is."""
    names, tags = spellings(artifact)
    found = Delivery.objects.filter(UNDERSTOOD, repository__in=names, tag__in=tags, project__in=[project, ""])
    if moves(subscription):
        found = found.filter(received_at__gte=at - PUSH_BEFORE)
    return found.exclude(origin=Origin.TEST).exclude(outcome=Outcome.TEST_REFUSED).exists()


def _was_called_for_something(project: str, at: datetime) -> bool:
    """Say whether a call arrived of which nobody knows what it was for: it has findings of its own."""
    calls = Delivery.objects.filter(outcome__in=NAMELESS, received_at__gte=at - PUSH_BEFORE)
    return calls.filter(project__in=[project, ""], origin=Origin.PUSH).exists()


def note_missed(freight: Freight, artifact: Artifact, at: datetime) -> None:
    """Store that a tag was not announced; several processes that do so for the same Freight count it once."""
    repository = storable(artifact.repository)
    rows = MissedPush.objects.filter(
        project=freight.project, warehouse=freight.warehouse, repository=repository
    )
    # What a delivery has settled since is another story.
    rows.exclude(pk__in=still_missed().values("pk")).delete()
    _, is_first = rows.get_or_create(
        project=freight.project,
        warehouse=freight.warehouse,
        repository=repository,
        defaults={"tag": storable(artifact.tag), "freight": freight.name, "first_at": at, "last_at": at},
    )
    if is_first:
        oldest = MissedPush.objects.order_by("-last_at").values_list("pk", flat=True)[
            MOST_MISSED : 2 * MOST_MISSED
        ]
        MissedPush.objects.filter(pk__in=list(oldest)).delete()
    else:
        rows.exclude(freight=freight.name).update(
            count=F("count") + 1, tag=storable(artifact.tag), freight=freight.name, last_at=at
        )


def _remember(where: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    where[key] = value
    where.move_to_end(key)
    if len(where) > REMEMBERED:
        where.popitem(last=False)
