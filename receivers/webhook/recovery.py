"""Finish deliveries that are stored without an outcome.

These are redeliveries, whichever process stored them, and deliveries whose process died or that arrived while the
database was unavailable.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from receivers.models import Delivery, Origin, Outcome
from receivers.webhook.intake import Intake

log = logging.getLogger(__name__)

CLAIMED: Final = 50  # deliveries claimed by one transaction
CLAIM_SECONDS: Final = 120  # until another process may claim them


class Recovery:
    """Finishes pending deliveries. Any number of processes may do so on one database."""

    def __init__(self, intake: Intake, after_seconds: float) -> None:
        self._intake = intake
        self._after = timedelta(seconds=after_seconds)

    def work(self) -> bool:
        """Finish pending deliveries that are due. Return True if there may be more at once."""
        if not self._intake.cache.ready:
            return False
        claimed = claim_pending(timezone.now(), self._after)
        for delivery in claimed:
            if delivery.origin != Origin.REDELIVERY:
                log.warning("resuming delivery %s, which was stored but not finished", delivery.pk)
            try:
                self._intake.finish(delivery)
            except Exception:
                log.exception("delivery %s could not be finished; it is retried later", delivery.pk)
        return len(claimed) == CLAIMED


def claim_pending(now: datetime, after: timedelta) -> list[Delivery]:
    """Claim pending deliveries that are due, oldest first, for `CLAIM_SECONDS`.

    A redelivery is due at once, or at the time it was scheduled for. Any other delivery is due when it is older than
    `after`: until then the process that received it is still at work.
    """
    with transaction.atomic():
        unclaimed = Q(claimed_until=None) | Q(claimed_until__lt=now)
        due = Q(received_at__lte=now - after) | Q(origin=Origin.REDELIVERY)
        pending = Delivery.objects.filter(unclaimed, due, outcome=Outcome.PENDING)
        pending = pending.order_by("received_at")
        if connection.features.has_select_for_update_skip_locked:
            # Processes that claim at the same time get different rows instead of waiting for each other.
            pending = pending.select_for_update(skip_locked=True)
        claimed = list(pending[:CLAIMED])
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
            claimed_until=now + timedelta(seconds=CLAIM_SECONDS)
        )
    return claimed
