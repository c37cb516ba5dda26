"""Delete deliveries and audit entries after the retention period."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from django.utils import timezone

from receivers.models import Audit, Delivery

log = logging.getLogger(__name__)

DELETED_AT_ONCE: Final = 500  # rows of one transaction, to keep the lock short


class Retention:
    """Deletes deliveries, with their refreshes, and audit entries that are older than `keep_days`."""

    def __init__(self, keep_days: int) -> None:
        self._keep = timedelta(days=keep_days)

    def work(self) -> bool:
        """Delete up to `DELETED_AT_ONCE` deliveries and audit entries. Return True if there may be more."""
        before = timezone.now() - self._keep
        audits = Audit.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)
        Audit.objects.filter(pk__in=list(audits[:DELETED_AT_ONCE])).delete()
        old = Delivery.objects.filter(received_at__lt=before).order_by("received_at")
        ids = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
        if ids:
            # Only ids are read: a body may have 2 MiB.
            Delivery.objects.filter(pk__in=ids).only("pk").delete()
            log.info("deleted %d deliveries older than %d days", len(ids), self._keep.days)
        return len(ids) == DELETED_AT_ONCE
