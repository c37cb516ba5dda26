"""Decides which process works on what: each holds deliveries and refreshes, and those of expired leases are free."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Final, TypeVar
from uuid import UUID

from django.db import connection, models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from receivers.models import AlertDuty, Delivery, Downtime, Refresh, Replica, storable

LEASE_DURATION: Final = timedelta(seconds=15)  # seven times the interval at which it is renewed
DOWN_AFTER: Final = timedelta(minutes=1)  # since the last sign of life; a restart takes less
REPLICA_KEPT: Final = timedelta(days=1)  # since its last renewal; then the row is deleted
BATCH: Final = 500  # ids in one query
NAMESPACE: Final = UUID("6b617267-6f77-4562-8072-65706c696361")

Row = TypeVar("Row", Delivery, Refresh, AlertDuty)


def replica_id(port: int) -> UUID:
    """Return the id of this process: the same after a restart, so that the process resumes its work at once."""
    return uuid.uuid5(NAMESPACE, f"{platform.node()}:{port}")


class ReplicaLease:
    """The lease of this process among all serving processes.

    A delivery or a refresh that is not finished is held by one process (`held_by`). It is free for others to claim if
    none holds it, or if the lease of the one that does has expired. Like the lease of a Kubernetes node, it is one row
    to renew, however much the process holds.
    """

    def __init__(self, own_id: UUID, version: str, base_url: str = "") -> None:
        self.id = own_id
        self._version = version
        self._base_url = base_url
        self._started_at = timezone.now()
        self._held_since: float | None = None
        self._renewed_at = 0.0

    def renew(self) -> bool:
        """Renew the lease; return whether there was none or it may have expired, so that others may hold our work.

        The time is the database's, because the clocks of several machines differ.
        """
        if self._held_since is None:
            self._free_refreshes_of_previous_run()
            _note_downtime()
        values = {
            "host": storable(platform.node()),
            "version": self._version,
            "base_url": self._base_url,
            "started_at": self._started_at,
            "seen_at": Now(),
        }
        Replica.objects.update_or_create(pk=self.id, defaults=values)
        Replica.objects.filter(seen_at__lt=Now() - REPLICA_KEPT).delete()
        now, before = time.monotonic(), self._renewed_at
        self._renewed_at = now
        interrupted = self._held_since is None or now - before >= LEASE_DURATION.total_seconds()
        if interrupted:
            self._held_since = now
        return interrupted

    def held_by_others(self, ids: Sequence[UUID]) -> set[UUID]:
        """Return which of these refreshes other processes hold."""
        held: set[UUID] = set()
        for start in range(0, len(ids), BATCH):
            rows = Refresh.objects.filter(pk__in=ids[start : start + BATCH]).exclude(held_by=None)
            held.update(rows.exclude(held_by=self.id).values_list("pk", flat=True))
        return held

    def claim(
        self, rows: models.QuerySet[Row], limit: int, *, busy: Collection[UUID] | None = None
    ) -> list[Row]:
        """Claim at most `limit` of these rows that are free, in their order, and return them.

        With `busy`, the ids of what this process works on now, the others that it holds are free, too: it gave them up.
        """
        free = Q(held_by=None)
        if busy is not None:
            # Whatever the database says about the holder: the change may not have been written yet.
            rows = rows.exclude(pk__in=list(busy))
            free |= Q(held_by=self.id)
        if self._trusts_expiry:
            free |= ~Q(held_by__in=[*_alive(), self.id])
        with transaction.atomic():
            available = rows.filter(free)
            if connection.features.has_select_for_update_skip_locked:
                # Processes that claim at the same time get different rows instead of waiting for each other.
                available = available.select_for_update(skip_locked=True, of=("self",))
            claimed = list(available[:limit])
            if claimed:
                ids = [row.pk for row in claimed]
                rows.model.objects.filter(pk__in=ids).update(held_by=self.id)
        for row in claimed:
            row.held_by = self.id
        return claimed

    @property
    def _trusts_expiry(self) -> bool:
        """Say whether this process has held its lease long enough to take other leases for expired.

        After an outage of the database all leases look expired, until every process has had time to renew its own.
        """
        since = self._held_since
        return since is not None and self._renewed_at - since >= LEASE_DURATION.total_seconds()

    def _free_refreshes_of_previous_run(self) -> None:
        """Free the refreshes that this process held before a restart, so that it claims them now."""
        Refresh.objects.filter(held_by=self.id, outcome="").update(held_by=None)


def running_base_url() -> str:
    """Return the base URL of the serving process that renewed its lease last; empty if none is running."""
    running = Replica.objects.filter(seen_at__gte=Now() - LEASE_DURATION).exclude(base_url="")
    return running.order_by("-seen_at").values_list("base_url", flat=True).first() or ""


def _note_downtime() -> None:
    """Store that no process ran, if that is so. Called before the first sign of life of this one."""
    last = Replica.objects.order_by("-seen_at").first()
    if last is not None and not Replica.objects.filter(seen_at__gte=Now() - DOWN_AFTER).exists():
        row = Downtime(since=last.seen_at, until=timezone.now())
        Downtime.objects.bulk_create([row], ignore_conflicts=True)


def _alive() -> list[UUID]:
    """Return the ids of the processes whose lease has not expired."""
    return list(Replica.objects.filter(seen_at__gte=Now() - LEASE_DURATION).values_list("pk", flat=True))
