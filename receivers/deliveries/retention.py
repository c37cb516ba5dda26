"""Retention: deletes deliveries and audit entries that are older than they have to be kept."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.utils import timezone

from receivers.models import Audit, Delivery

log = logging.getLogger(__name__)

DELETED_AT_ONCE: Final = 500  # deliveries in one transaction, so that nobody waits long for the lock


class Retention:
    """Deletes deliveries, all that belongs to them, and what people did, when they are older than `keep_days`."""

    def __init__(self, keep_days: int) -> None:
        self._keep = timedelta(days=keep_days)

    def work(self) -> bool:
        """Delete some. Returns whether there are more."""
        before = timezone.now() - self._keep
        forgotten = Audit.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)
        Audit.objects.filter(pk__in=list(forgotten[:DELETED_AT_ONCE])).delete()
        old = Delivery.objects.filter(received_at__lt=before).order_by("received_at")
        ids = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
        if ids:
            # Nothing but the ids is read: a body has up to 2 MiB.
            Delivery.objects.filter(pk__in=ids).only("pk").delete()
            log.info("deleted %d deliveries older than %d days", len(ids), self._keep.days)
        return len(ids) == DELETED_AT_ONCE
