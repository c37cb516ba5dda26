"""Delete what is too old or too much: bodies, deliveries and audit entries."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from receivers.models import DROPPABLE_BODY, Audit, Delivery

log = logging.getLogger(__name__)

DELETED_AT_ONCE: Final = 500  # rows of one transaction, to keep the lock short
RECOUNT: Final = timedelta(hours=1)  # counting ten million rows takes a second or two
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Retention:
    """Deletes, in small transactions, what is no longer kept.

    `keep_days`: deliveries, with their refreshes, and audit entries. `keep_body_days`: bodies of deliveries; 0 keeps
    them as long as the deliveries. `keep_deliveries`: the newest deliveries that are kept, apart from those that have
    not ended; 0 is no limit. Any number of processes may do so on one database.
    """

    def __init__(self, keep_days: float, keep_body_days: float = 0, keep_deliveries: int = 0) -> None:
        self._keep = timedelta(days=keep_days)
        self._keep_bodies = timedelta(days=keep_body_days) if keep_body_days else None
        self._most = keep_deliveries
        self._counted_at = EPOCH
        self._surplus_before: datetime | None = None
        # There are no bodies before this time. Without it, each search would read all rows without a body.
        self._bodies_from = EPOCH

    def work(self) -> bool:
        """Delete up to `DELETED_AT_ONCE` rows of each sort. Return True if there may be more."""
        now = timezone.now()
        before = now - self._keep
        audits = Audit.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)
        Audit.objects.filter(pk__in=list(audits[:DELETED_AT_ONCE])).delete()
        deleted = _delete(Delivery.objects.filter(received_at__lt=before))
        if deleted:
            log.info("deleted %d deliveries older than %g days", deleted, self._keep / timedelta(days=1))
        return max(deleted, self._delete_surplus(now), self._drop_bodies(now)) == DELETED_AT_ONCE

    def _delete_surplus(self, now: datetime) -> int:
        """Delete the oldest deliveries beyond the number that is kept; return how many."""
        if not self._most:
            return 0
        if now - self._counted_at >= RECOUNT:
            self._counted_at = now
            newest = Delivery.objects.order_by("-received_at").values_list("received_at", flat=True)
            self._surplus_before = newest[self._most - 1 : self._most].first()
        if self._surplus_before is None:
            return 0
        # One that has not ended still has retries to come.
        surplus = Delivery.objects.filter(received_at__lt=self._surplus_before, ended_at__isnull=False)
        deleted = _delete(surplus)
        if deleted:
            log.info("deleted %d deliveries beyond the newest %d", deleted, self._most)
        return deleted

    def _drop_bodies(self, now: datetime) -> int:
        """Drop bodies that are too old; return how many."""
        if self._keep_bodies is None:
            return 0
        before = now - self._keep_bodies
        with_body = Delivery.objects.filter(
            DROPPABLE_BODY, received_at__gte=self._bodies_from, received_at__lt=before
        )
        ids = _oldest(with_body)
        Delivery.objects.filter(pk__in=ids).update(stored_body=b"", stored_bytes=0)
        if len(ids) < DELETED_AT_ONCE:
            self._bodies_from = before
        return len(ids)


def _delete(deliveries: QuerySet[Delivery]) -> int:
    """Delete the oldest of these deliveries; return how many."""
    ids = _oldest(deliveries)
    if ids:
        # Only ids are read: a body may have 2 MiB.
        Delivery.objects.filter(pk__in=ids).only("pk").delete()
    return len(ids)


def _oldest(deliveries: QuerySet[Delivery]) -> Collection[UUID]:
    return list(deliveries.order_by("received_at").values_list("pk", flat=True)[:DELETED_AT_ONCE])
