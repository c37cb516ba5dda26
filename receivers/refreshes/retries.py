"""Retries, in the background and across restarts, the requests that the API server did not accept."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from receivers.deliveries.log_writer import LogWriter, Write
from receivers.kargo.refresh_outcomes import RefreshState
from receivers.kargo.resources import WarehouseKey
from receivers.models import Refresh
from receivers.refreshes.history import record_first_attempt
from receivers.refreshes.rollup import update_deliveries
from receivers.refreshes.sender import RefreshSender

BATCH: Final = 200  # refreshes claimed at once
CLAIM_SECONDS: Final = 120  # until another process may claim them; longer than any round takes
ROUND_SECONDS: Final = 30.0  # for the patches of one round


class RetryWorker:
    """Requests the refreshes that wait and are due. Any number of processes may share one database."""

    def __init__(self, sender: RefreshSender, writer: LogWriter) -> None:
        self._sender = sender
        self._writer = writer

    def work(self) -> bool:
        """Request what is due; return whether there may be more."""
        if self._sender.paused:
            return False
        claimed = claim_due(timezone.now())
        if not claimed:
            return False
        by_warehouse: dict[WarehouseKey, list[Refresh]] = defaultdict(list)
        for refresh in claimed:
            by_warehouse[refresh.project, refresh.warehouse].append(refresh)
        now = timezone.now()
        for attempt in self._sender.request(sorted(by_warehouse), ROUND_SECONDS):
            for refresh in by_warehouse[attempt.key]:
                record_first_attempt(refresh, attempt, now)
        then = partial(update_deliveries, {refresh.delivery_id for refresh in claimed})
        self._writer.submit(Write(updates=claimed, then=(then,))).wait(ROUND_SECONDS)
        return len(claimed) == BATCH


def claim_due(now: datetime) -> list[Refresh]:
    """Claim the refreshes that are due, oldest first, so that no other process claims them for `CLAIM_SECONDS`.

    The claim is a later `next_attempt_at`. If the process dies, the refreshes fall due again.
    """
    with transaction.atomic():
        due = Refresh.objects.filter(state=RefreshState.WAITING, next_attempt_at__lte=now)
        due = due.order_by("next_attempt_at")
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        claimed = list(due[:BATCH])
        until = now + timedelta(seconds=CLAIM_SECONDS)
        Refresh.objects.filter(pk__in=[refresh.pk for refresh in claimed]).update(next_attempt_at=until)
    return claimed
