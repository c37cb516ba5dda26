"""Tries again, in the background and across restarts, what could not be asked of Kargo at once."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from receivers.deliveries.log_writer import LogWriter, Write
from receivers.kargo.outcomes import RefreshOutcome, RefreshState
from receivers.models import Refresh, storable
from receivers.refreshes.history import NOT_REQUESTED, end, tell
from receivers.refreshes.retry_policy import seconds_to_next_attempt
from receivers.refreshes.rollup import close_deliveries
from receivers.refreshes.sender import Asked, RefreshSender, WarehouseKey

log = logging.getLogger(__name__)

CLAIMED: Final = 200  # refreshes taken in one go
CLAIM_SECONDS: Final = 120  # after which another process may take them: longer than any round
ROUND_SECONDS: Final = 30.0  # for the patches of one round


def note_attempt(refresh: Refresh, asked: Asked, now: datetime) -> None:
    """Write the result of an attempt into the row: requested, to be tried again at some time, or given up."""
    refresh.attempts += 1
    refresh.error = storable(asked.error)
    if asked.requested_at is not None:
        refresh.state, refresh.token, refresh.requested_at = (
            RefreshState.REQUESTED,
            asked.token,
            asked.requested_at,
        )
        refresh.discovered_before, refresh.next_attempt_at = storable(asked.discovered_before, 40), None
        tell(refresh, asked.requested_at, "requested")
        return
    seconds = None if asked.gone else seconds_to_next_attempt(refresh.attempts, asked.retry_after)
    refresh.next_attempt_at = None if seconds is None else now + timedelta(seconds=seconds)
    if refresh.next_attempt_at is None:
        outcome = RefreshOutcome.WAREHOUSE_DELETED if asked.gone else RefreshOutcome.NOT_REQUESTED
        end(refresh, outcome, asked.error, None, now)
    else:
        tell(refresh, now, NOT_REQUESTED, asked.error)


class Retrier:
    """Works off the refreshes that wait. Any number of processes may do so on one database."""

    def __init__(self, sender: RefreshSender, writer: LogWriter) -> None:
        self._sender = sender
        self._writer = writer

    def work(self) -> bool:
        """Try what is due. Returns whether there may be more at once."""
        if self._sender.paused:
            return False
        claimed = claim_due(timezone.now())
        if not claimed:
            return False
        by_warehouse: dict[WarehouseKey, list[Refresh]] = defaultdict(list)
        for refresh in claimed:
            by_warehouse[refresh.project, refresh.warehouse].append(refresh)
        now = timezone.now()
        for asked in self._sender.ask(sorted(by_warehouse), ROUND_SECONDS):
            for refresh in by_warehouse[asked.key]:
                note_attempt(refresh, asked, now)
        then = partial(close_deliveries, {refresh.delivery_id for refresh in claimed})
        self._writer.submit(Write(updates=claimed, then=(then,))).wait(ROUND_SECONDS)
        return len(claimed) == CLAIMED


def claim_due(now: datetime) -> list[Refresh]:
    """Take refreshes that are due, oldest first, so that no other process takes them for `CLAIM_SECONDS`.

    The claim is a later `next_attempt_at`: a process that dies holding it loses nothing, they fall due again.
    """
    with transaction.atomic():
        due = Refresh.objects.filter(state=RefreshState.WAITING, next_attempt_at__lte=now).order_by(
            "next_attempt_at"
        )
        if connection.features.has_select_for_update_skip_locked:
            due = due.select_for_update(skip_locked=True)
        claimed = list(due[:CLAIMED])
        until = now + timedelta(seconds=CLAIM_SECONDS)
        Refresh.objects.filter(pk__in=[refresh.pk for refresh in claimed]).update(next_attempt_at=until)
    return claimed
