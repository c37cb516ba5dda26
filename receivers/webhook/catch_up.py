"""Refresh Warehouses after a time in which pushes were not received: Docker Hub never sends a webhook again.

Each Warehouse is refreshed once, whatever was pushed, and gets a delivery of its own that records it. The refreshes
are stored in advance, each with the time when it is due, so any process may request them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.deliveries.bulk_sql import insert
from receivers.deliveries.history_events import HistoryEvent
from receivers.deliveries.store import DeliveryStore
from receivers.kargo.coverage import DOCKER_HUB, covering_receivers, is_official_image
from receivers.kargo.golang.goduration import parse_duration
from receivers.kargo.matching import MatchResult, verdicts
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.kargo.times import parse_time
from receivers.models import Delivery, Downtime, Origin, Outcome, Refresh, storable
from receivers.refreshes.history import append_event
from receivers.webhook import results

log = logging.getLogger(__name__)

KARGO_DEFAULT_INTERVAL: Final = timedelta(minutes=5)  # of `spec.interval`, in the CustomResourceDefinition
SOON: Final = timedelta(minutes=10)  # Warehouses that Kargo polls this often are left to it
# Without another loss, before the Warehouses are refreshed: until then, a refresh may be too early
QUIET: Final = timedelta(minutes=1)
RETENTION: Final = timedelta(days=30)  # rows of downtimes that were made up for
MAX_REFUSED: Final = 1_000  # digests that are remembered, of requests that came too early


class RefusedPushes:
    """The requests that were refused before it was known which URLs exist. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, datetime] = {}

    def add(self, digest: str) -> None:
        """Remember a request."""
        with self._lock:
            if len(self._at) < MAX_REFUSED:
                self._at[digest] = timezone.now()

    def take(self) -> dict[str, datetime]:
        """Return the time of the last request to each digest, and forget them."""
        with self._lock:
            taken, self._at = self._at, {}
        return taken


class CatchUp:
    """Records when pushes were lost, and plans the refreshes that make up for it. Only one thread may call `work`.

    `rate` is how many Warehouses are refreshed per second; 0 turns this off. `min_interval` is the shortest interval at
    which Kargo polls.
    """

    def __init__(
        self,
        cache: ClusterCache,
        store: DeliveryStore,
        refused: RefusedPushes,
        *,
        rate: float,
        min_interval: timedelta,
    ) -> None:
        self._cache = cache
        self._store = store
        self._refused = refused
        self._rate = rate
        self._min_interval = min_interval

    def work(self) -> bool:
        """Plan the refreshes that are missing. Return False: there is never more to do at once."""
        if self._rate and self._cache.ready:
            self._record_losses()
            self._plan(timezone.now())
        return False

    def _record_losses(self) -> None:
        lost = self._store.take_losses()
        lost += [at for digest, at in self._refused.take().items() if self._cache.route(digest)]
        if lost and not Downtime.objects.filter(caught_up_at=None).update(until=max(lost)):
            Downtime.objects.create(since=min(lost), until=max(lost))

    def _plan(self, now: datetime) -> None:
        """Store the refreshes for all downtimes, once: of several processes, one marks a downtime as caught up."""
        open_ = list(Downtime.objects.filter(caught_up_at=None))
        if not open_ or max(downtime.until for downtime in open_) > now - QUIET:
            return
        with transaction.atomic():
            ours = [
                downtime
                for downtime in open_
                if Downtime.objects.filter(pk=downtime.pk, caught_up_at=None).update(caught_up_at=now)
            ]
            if not ours:
                return
            Downtime.objects.filter(caught_up_at__lt=now - RETENTION).delete()
            since, until = min(each.since for each in ours), max(each.until for each in ours)
            rows = list(self._planned(since, until, now))
            insert([delivery for delivery, _ in rows])
            insert([refresh for _, refresh in rows])
        log.warning(
            "no pushes were received from %s to %s: refreshing %d Warehouses", since, until, len(rows)
        )

    def _planned(self, since: datetime, until: datetime, now: datetime) -> Iterator[tuple[Delivery, Refresh]]:
        """Yield a delivery and its refresh for each Warehouse, those first that Kargo would poll last."""
        why = f"catch-up: kargoweb received no pushes from {since:%Y-%m-%d %H:%M:%S} to {until:%Y-%m-%d %H:%M:%S} UTC"
        warehouses = [each for each in self._cache.warehouses() if self._needs_refresh(each, until)]
        warehouses.sort(key=self._interval, reverse=True)
        planned = _planned_already()
        number = 0
        for warehouse in warehouses:
            delivery = self._delivery(warehouse, now)
            if delivery is None or warehouse.key in planned:
                continue
            at = now + timedelta(seconds=number / self._rate)
            refresh = Refresh(
                delivery_id=delivery.pk,
                project=warehouse.project,
                warehouse=warehouse.name,
                next_attempt_at=at,
                reason=why,
            )
            append_event(refresh, now, HistoryEvent.PLANNED, why)
            number += 1
            yield delivery, refresh

    def _needs_refresh(self, warehouse: Warehouse, until: datetime) -> bool:
        """Say whether Kargo has not looked for artifacts since `until`, and will not do so soon."""
        discovered_at = parse_time(warehouse.discovered_at)
        return self._interval(warehouse) > SOON and (discovered_at is None or discovered_at <= until)

    def _interval(self, warehouse: Warehouse) -> timedelta:
        return max(parse_duration(warehouse.interval) or KARGO_DEFAULT_INTERVAL, self._min_interval)

    def _delivery(self, warehouse: Warehouse, now: datetime) -> Delivery | None:
        """Return the unsaved delivery for a Warehouse; None if no receiver gets its pushes."""
        configs = [
            config for scope in (warehouse.project, "") if (config := self._cache.config(scope)) is not None
        ]
        for subscription in warehouse.subscriptions:
            receivers = () if is_official_image(subscription) else covering_receivers(subscription, configs)
            if receivers:
                push = Push(subscription.repository, tag="")
                matching = [
                    verdict for verdict in verdicts(push, [warehouse]) if verdict.result is MatchResult.MATCH
                ]
                delivery = Delivery(
                    received_at=now,
                    origin=Origin.CATCH_UP,
                    project=receivers[0][0],
                    receiver=receivers[0][1],
                    kind=DOCKER_HUB,
                    repository=storable(subscription.repository),
                    outcome=Outcome.REFRESHED,
                    warehouses=1,
                    verdicts=[results.storable_verdict(verdict) for verdict in matching],
                )
                delivery.push_id = delivery.pk
                return delivery
        return None


def _planned_already() -> Collection[WarehouseKey]:
    """Return the Warehouses with a catch-up that was not requested yet."""
    waiting = Refresh.objects.filter(outcome="", requested_at=None, delivery__origin=Origin.CATCH_UP)
    return set(waiting.values_list("project", "warehouse"))
