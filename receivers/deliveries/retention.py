"""Delete what is too old or too much: bodies, deliveries and audit entries.

In short transactions with pauses between them, because SQLite has one writer at a time: pushes that come meanwhile wait
for one transaction at most. See `bench/retention.py`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from receivers.models import DROPPABLE_BODY, Audit, Delivery

log = logging.getLogger(__name__)

TRANSACTION_SECONDS: Final = 0.15  # that a transaction should take: its size follows from that
FIRST_BATCH: Final = 100  # rows of the first transaction
SMALLEST_BATCH: Final = 50  # fewer take as long: on a slow disk, that of the commit
LARGEST_BATCH: Final = 500  # more would save little
YIELD_SECONDS: Final = 0.1
"""Between two transactions. Writers poll SQLite for its lock, at last every 100 ms, so each finds it free once."""

AUDITS_AT_ONCE: Final = 500
RECOUNT: Final = timedelta(hours=1)  # counting ten million rows takes a second or two
REPORT_SECONDS: Final = 60.0  # between two lines of the log about deletions in progress
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Sweep:
    """Changes the oldest deliveries of a sort in transactions of about `TRANSACTION_SECONDS`.

    Each starts where the last one ended: PostgreSQL would read what the others have deleted again, until it is
    vacuumed, and rows whose body was dropped remain. `more` says whether there may be more to change.
    """

    def __init__(self, what: str, change: Callable[[Sequence[UUID]], object]) -> None:
        self._what = what
        self._change = change
        self._size = FIRST_BATCH
        self._from = EPOCH
        self._done = 0
        self._reported_at = time.monotonic()
        self.more = False

    def work(self, deliveries: QuerySet[Delivery], start_again_at: datetime = EPOCH) -> None:
        """Change the next ones of these. After the last one, the next call starts at `start_again_at`."""
        oldest = deliveries.filter(received_at__gte=self._from).order_by("received_at")
        # Read outside of the transaction, whose beginning alone locks SQLite. Ids only: a body may have 2 MiB.
        rows = list(oldest.values_list("pk", "received_at")[: self._size])
        self.more = len(rows) == self._size
        if rows:
            count, seconds = _in_transaction(self._change, [pk for pk, _ in rows])
            self._done += count
            self._adapt(seconds)
        self._from = rows[-1][1] if self.more else start_again_at
        self._report()

    def _adapt(self, seconds: float) -> None:
        if seconds > TRANSACTION_SECONDS:
            self._size = max(SMALLEST_BATCH, self._size // 2)
        elif seconds < TRANSACTION_SECONDS / 2:
            self._size = min(LARGEST_BATCH, self._size * 2)

    def _report(self) -> None:
        now = time.monotonic()
        if self._done and (not self.more or now - self._reported_at >= REPORT_SECONDS):
            log.info("%s: %d", self._what, self._done)
            self._done, self._reported_at = 0, now


class Retention:
    """Deletes, in small transactions, what is no longer kept.

    `keep_days`: deliveries, with their refreshes, and audit entries. `keep_body_days`: bodies of deliveries; 0 keeps
    them as long as the deliveries. `keep_deliveries`: the newest deliveries that are kept, apart from those that have
    not ended; 0 means no limit. Any number of processes may do so on one database.
    """

    def __init__(self, keep_days: float, keep_body_days: float = 0, keep_deliveries: int = 0) -> None:
        self._keep = timedelta(days=keep_days)
        self._keep_bodies = timedelta(days=keep_body_days) if keep_body_days else None
        self._most = keep_deliveries
        self._counted_at = EPOCH
        self._surplus_before: datetime | None = None
        self._old = Sweep(f"deleted deliveries older than {keep_days:g} days", _delete)
        self._surplus = Sweep(f"deleted deliveries beyond the newest {keep_deliveries}", _delete)
        self._bodies = Sweep(f"dropped bodies older than {keep_body_days:g} days", _drop_bodies)

    def work(self) -> bool:
        """Do one transaction of each sort. Return True if there may be more; call again after `YIELD_SECONDS`."""
        now = timezone.now()
        before = now - self._keep
        audits = Audit.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)
        Audit.objects.filter(pk__in=list(audits[:AUDITS_AT_ONCE])).delete()
        self._old.work(Delivery.objects.filter(received_at__lt=before))
        if self._most:
            self._delete_surplus(now)
        if self._keep_bodies is not None:
            old = now - self._keep_bodies
            # There are no bodies left before that time. Without it, each search would read all rows without one.
            self._bodies.work(
                Delivery.objects.filter(DROPPABLE_BODY, received_at__lt=old), start_again_at=old
            )
        return self._old.more or self._surplus.more or self._bodies.more

    def _delete_surplus(self, now: datetime) -> None:
        """Delete the oldest deliveries beyond the number that is kept."""
        if now - self._counted_at >= RECOUNT:
            self._counted_at = now
            newest = Delivery.objects.order_by("-received_at").values_list("received_at", flat=True)
            self._surplus_before = newest[self._most - 1 : self._most].first()
        if self._surplus_before is not None:
            # One that has not ended still has retries to come.
            ended = Delivery.objects.filter(received_at__lt=self._surplus_before, ended_at__isnull=False)
            self._surplus.work(ended)


def _in_transaction(change: Callable[[Sequence[UUID]], object], ids: Sequence[UUID]) -> tuple[int, float]:
    """Change these deliveries, except those that another process is changing now.

    Return how many, and for how many seconds the transaction had the lock.
    """
    with transaction.atomic():
        started = time.monotonic()
        if connection.features.has_select_for_update_skip_locked:
            # Two processes that wait for each other's rows would be a deadlock.
            rows = Delivery.objects.filter(pk__in=ids).select_for_update(skip_locked=True)
            ids = list(rows.values_list("pk", flat=True))
        if ids:
            change(ids)
    return len(ids), time.monotonic() - started


def _delete(ids: Sequence[UUID]) -> None:
    Delivery.objects.filter(pk__in=ids).only("pk").delete()


def _drop_bodies(ids: Sequence[UUID]) -> None:
    Delivery.objects.filter(pk__in=ids).update(stored_body=b"", stored_bytes=0)
