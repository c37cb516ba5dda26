"""Finish deliveries that are stored without an outcome and that no process works on.

These are redeliveries, whichever process stored them, deliveries whose process died or that arrived while the database
was unavailable, and closed pull requests whose Promotions could not be refreshed yet.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import models
from django.db.models import Q
from django.utils import timezone

from receivers.models import Delivery, Origin, Outcome
from receivers.refreshes.leases import ReplicaLease
from receivers.webhook.intake import Intake

log = logging.getLogger(__name__)

CLAIMED: Final = 50  # deliveries claimed at once
RETRY_AFTER: Final = timedelta(minutes=2)  # until a delivery that could not be finished is due again


class Recovery:
    """Finishes pending deliveries. Any number of processes may do so on one database."""

    def __init__(self, intake: Intake, lease: ReplicaLease) -> None:
        self._intake = intake
        self._lease = lease

    def work(self) -> bool:
        """Finish pending deliveries that are due, the oldest first. Return True if there may be more at once."""
        if not self._intake.cache.ready:
            return False
        now = timezone.now()
        in_progress = self._intake.store.in_progress()
        claimed = self._lease.claim(due_deliveries(now), CLAIMED, busy=in_progress)
        for delivery in claimed:
            if (
                delivery.origin != Origin.REDELIVERY and not delivery.reason
            ):  # those with a reason are retried
                log.warning("resuming delivery %s, which was stored but not finished", delivery.pk)
            try:
                self._intake.finish(delivery)
            except Exception:
                log.exception("delivery %s could not be finished; it is retried later", delivery.pk)
                due_at = timezone.now() + RETRY_AFTER
                Delivery.objects.filter(pk=delivery.pk, outcome=Outcome.PENDING).update(due_at=due_at)
        return len(claimed) == CLAIMED


def due_deliveries(now: datetime) -> models.QuerySet[Delivery]:
    """Return the pending deliveries that are due at `now`, held or not, the oldest first."""
    due = Q(due_at=None) | Q(due_at__lte=now)
    return Delivery.objects.filter(due, outcome=Outcome.PENDING).order_by("received_at")
