"""Finishes deliveries that are on record without an end: redeliveries, whoever stored them, and what was left over
because the process that took it died or the database was away.
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

CLAIMED: Final = 50  # deliveries taken in one go
CLAIM_SECONDS: Final = 120  # after which another process may take them


class Recovery:
    """Works off deliveries without an end. Any number of processes may do so on one database."""

    def __init__(self, intake: Intake, after_seconds: float) -> None:
        self._intake = intake
        self._after = timedelta(seconds=after_seconds)

    def work(self) -> bool:
        """Finish what nobody works on any more. Returns whether there may be more at once."""
        if not self._intake.mirror.ready:
            return False
        claimed = claim_pending(timezone.now(), self._after)
        for delivery in claimed:
            if delivery.origin != Origin.REDELIVERY:
                log.warning(
                    "finishing delivery %s, which was stored and not worked on to the end", delivery.pk
                )
            try:
                self._intake.finish(delivery)
            except Exception:
                log.exception("delivery %s cannot be finished and is tried again later", delivery.pk)
        return len(claimed) == CLAIMED


def claim_pending(now: datetime, after: timedelta) -> list[Delivery]:
    """Take deliveries that have no end and are due, oldest first, for `CLAIM_SECONDS`.

    Redeliveries are due at once, or when what they were stored with says so; others when they came more than `after`
    ago, for until then whoever took them is at work.
    """
    with transaction.atomic():
        free = Q(claimed_until=None) | Q(claimed_until__lt=now)
        due = Q(received_at__lte=now - after) | Q(origin=Origin.REDELIVERY)
        pending = Delivery.objects.filter(free, due, outcome=Outcome.PENDING)
        pending = pending.order_by("received_at")
        if connection.features.has_select_for_update_skip_locked:
            pending = pending.select_for_update(skip_locked=True)
        claimed = list(pending[:CLAIMED])
        Delivery.objects.filter(pk__in=[delivery.pk for delivery in claimed]).update(
            claimed_until=now + timedelta(seconds=CLAIM_SECONDS)
        )
    return claimed
