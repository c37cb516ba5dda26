"""Drop the oldest bodies of receivers that store too many bytes of them. The deliveries themselves are kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from receivers.deliveries.retention import YIELD_SECONDS
from receivers.kargo.scopes import ReceiverKey, scope_name
from receivers.models import DROPPABLE_BODY, Delivery

log = logging.getLogger(__name__)

# Of one transaction: to keep the lock short, also on SQLite, which reads every page that it frees.
DROPPED_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 32 * 1024 * 1024
MOST_TRANSACTIONS: Final = 20  # for one receiver between two sums for all


class BodyQuota:
    """Keeps the stored bodies below `per_receiver` and `total` bytes; 0 means no limit.

    Counts what the database stores: the compressed bytes of deliveries that have a result. If all receivers together
    store too much, those that store most lose bodies first, so that a flood to one doesn't cost the others theirs. Any
    number of processes may do so on one database.

    `stored` has the bytes at the last call, None before it. `dropped` counts the bodies that this process dropped since
    its start, `dropped_at` is when it dropped the last one, and `dropped_from` the receiver that it belonged to.
    """

    def __init__(self, per_receiver: int, total: int) -> None:
        self._per_receiver = per_receiver
        self._total = total
        self.stored: int | None = None
        self.dropped = 0
        self.dropped_at: datetime | None = None
        self.dropped_from = ""

    def work(self) -> bool:
        """Drop bodies where too many bytes are stored. Return True if there may be more to drop."""
        stored = stored_bytes()
        self.stored = sum(stored.values())
        limit = self._limit(stored.values())
        unfinished = False
        for receiver, size in stored.items():
            if size > limit:
                unfinished |= self._drop(receiver, limit)
        return unfinished

    def _limit(self, sizes: Collection[int]) -> int:
        """Return the bytes that one receiver may store if all store these sizes."""
        limit = self._per_receiver or sum(sizes)
        if not self._total:
            return limit
        return min(limit, fair_limit([min(size, limit) for size in sizes], self._total))

    def _drop(self, receiver: ReceiverKey, limit: int) -> bool:
        """Drop the oldest bodies of a receiver until it stores `limit` bytes. Return True if there may be more."""
        count = 0
        for number in range(MOST_TRANSACTIONS):
            if number:
                time.sleep(YIELD_SECONDS)  # for those who wait for the lock of SQLite
            dropped = _drop_oldest(receiver, limit)
            if not dropped:
                break
            count += dropped
        if count:
            self.dropped, self.dropped_at = self.dropped + count, timezone.now()
            self.dropped_from = f"{scope_name(receiver[0])}/{receiver[1]}"
            log.warning(
                "dropped the bodies of %d deliveries to %s, which may store %d bytes of them",
                count,
                self.dropped_from,
                limit,
            )
        return dropped > 0


def stored_bytes() -> Mapping[ReceiverKey, int]:
    """Return the bytes of the bodies that may be dropped, by receiver.

    Reads only the index of these deliveries, which takes about 0.3 s for a million. PostgreSQL also reads the rows that
    autovacuum has not visited yet.
    """
    rows = Delivery.objects.filter(DROPPABLE_BODY).order_by().values_list("project", "receiver")
    return {(project, receiver): size for project, receiver, size in rows.annotate(Sum("stored_bytes"))}


def fair_limit(sizes: Collection[int], total: int) -> int:
    """Return the highest limit for each of several sizes that keeps their sum below `total`.

    For example, with sizes of 1, 5 and 9 and a total of 9, it is 4: the sizes become 1, 4 and 4.
    """
    left = total
    for number, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - number)
        if size > share:
            return share
        left -= size
    return total


@transaction.atomic
def _drop_oldest(receiver: ReceiverKey, limit: int) -> int:
    """Drop the oldest bodies of a receiver that stores more than `limit` bytes, up to the bounds of a transaction.

    Return their number.
    """
    with_body = Delivery.objects.filter(DROPPABLE_BODY, project=receiver[0], receiver=receiver[1])
    oldest = with_body.order_by("received_at")
    if connection.features.has_select_for_update:
        oldest = oldest.select_for_update()
    rows = list(oldest.values_list("pk", "stored_bytes")[:DROPPED_AT_ONCE])
    # Only now that no other process can drop them: it may just have dropped what was too much.
    stored = with_body.aggregate(stored=Sum("stored_bytes"))["stored"] or 0
    to_free = min(stored - limit, BYTES_AT_ONCE)
    chosen = []
    for pk, size in rows:
        if to_free <= 0:
            break
        chosen.append(pk)
        to_free -= size
    if chosen:
        Delivery.objects.filter(pk__in=chosen).update(stored_body=b"", stored_bytes=0)
    return len(chosen)
