"""Decides which process tracks which refresh: each holds a lease, and refreshes of expired ones are taken over."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import Refresh, Replica, storable
from receivers.refreshes.history import TrackedRefresh
from receivers.refreshes.tracker import Tracker

LEASE_DURATION: Final = timedelta(seconds=15)  # seven times the interval at which it is renewed
REPLICA_KEPT: Final = timedelta(days=1)  # since its last renewal; then the row is deleted
BATCH: Final = 500  # refreshes taken over at once
NAMESPACE: Final = UUID("6b617267-6f77-4562-8072-65706c696361")

_REFRESH_FIELDS: Final = tuple(field.name for field in Refresh._meta.concrete_fields)
_DELIVERY_FIELDS: Final = tuple(
    f"delivery__{name}"
    for name in ("repository", "tag", "media_type", "pusher", "pushed_at", "received_at", "origin")
)


def replica_id(port: int) -> UUID:
    """Return the id of this process: the same after a restart, so that the process resumes its refreshes at once."""
    return uuid.uuid5(NAMESPACE, f"{platform.node()}:{port}")


class ReplicaLease:
    """The lease of this process among all serving processes."""

    def __init__(self, own_id: UUID, version: str) -> None:
        self.id = own_id
        self._version = version
        self._started_at = timezone.now()
        self._resumed = False
        self._held_since: float | None = None
        self._renewed_at = 0.0

    def renew(self) -> bool:
        """Renew the lease; return whether there was none or it may have expired, so that others may own our refreshes.

        The time is the database's, because the clocks of several machines differ.
        """
        values = {
            "host": storable(platform.node()),
            "version": self._version,
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

    @property
    def _trusts_expiry(self) -> bool:
        """Say whether this process has held its lease long enough to take other leases for expired.

        After an outage of the database all leases look expired, until every process has had time to renew its own.
        """
        since = self._held_since
        return since is not None and self._renewed_at - since >= LEASE_DURATION.total_seconds()

    def owned_by_others(self, ids: Sequence[UUID]) -> set[UUID]:
        """Return which of these refreshes other processes own."""
        found: set[UUID] = set()
        for start in range(0, len(ids), BATCH):
            rows = Refresh.objects.filter(pk__in=ids[start : start + BATCH]).exclude(owner=None)
            found.update(rows.exclude(owner=self.id).values_list("pk", flat=True))
        return found

    def take_over(self, limit: int) -> list[TrackedRefresh]:
        """Take over at most `limit` open refreshes without an owner, or whose owner's lease expired, and return them.

        The first call also returns those that this process owned before a restart, and perhaps some that it has
        requested since.
        """
        if not self._resumed:
            Refresh.objects.filter(owner=self.id, outcome="").update(owner=None)
            self._resumed = True
        free = Q(owner=None)
        if self._trusts_expiry:
            alive = Replica.objects.filter(seen_at__gte=Now() - LEASE_DURATION).values_list("pk", flat=True)
            free |= ~Q(owner__in=[*alive, self.id])
        with transaction.atomic():
            rows = Refresh.objects.filter(free, outcome="").exclude(state=RefreshState.WAITING).order_by("pk")
            if connection.features.has_select_for_update_skip_locked:
                rows = rows.select_for_update(skip_locked=True, of=("self",))
            rows = rows.select_related("delivery").only(*_REFRESH_FIELDS, *_DELIVERY_FIELDS)
            taken = list(rows[: min(limit, BATCH)])
            if taken:
                Refresh.objects.filter(pk__in=[row.pk for row in taken]).update(owner=self.id)
        for row in taken:
            row.owner = self.id
        return [TrackedRefresh.from_row(row, row.delivery) for row in taken]


class Takeover:
    """Takes over refreshes for a tracker that has room. One thread calls `work`, every few seconds."""

    def __init__(self, lease: ReplicaLease, tracker: Tracker) -> None:
        self._lease = lease
        self._tracker = tracker

    def work(self) -> bool:
        """Renew the lease and take over refreshes; return whether there may be more."""
        if self._lease.renew():
            self._tracker.release(self._lease.owned_by_others(self._tracker.tracked_ids()))
        room = self._tracker.room
        taken = self._lease.take_over(room) if room else []
        self._tracker.track(taken)
        return len(taken) == BATCH
