"""Rolls the outcomes of refreshes up into their deliveries: a delivery ends with its last refresh."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from receivers.deliveries.actions import failed_actions
from receivers.deliveries.bulk_sql import insert, update
from receivers.deliveries.outcomes import Tone, named_results, summary, tone, urgency
from receivers.deliveries.push_failures import push_failures
from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import TEXT_LENGTH, Delivery, Outcome, Refresh, storable

log = logging.getLogger(__name__)

MOST_NAMED: Final = 3  # Warehouses with Freight, and others, in a reason: about as many as it has room for
BATCH: Final = 500  # deliveries in one query; every database takes that many parameters

_COLUMNS: Final = (
    "delivery_id", "project", "warehouse", "state", "outcome", "reason", "ended_at", "freight", "freight_alias",
)  # fmt: skip


def update_ended(refreshes: Iterable[Refresh], also: Collection[UUID] = ()) -> None:
    """Set the outcomes of the deliveries of those refreshes that have ended, and of the deliveries `also`.

    Call it in the transaction that stores the refreshes, which may have ended since that was queued. What ends together
    must be committed together: if the process is killed before a second commit, nothing makes up for it.
    """
    update_deliveries({refresh.delivery_id for refresh in refreshes if refresh.outcome}.union(also))


def close_left_over() -> bool:
    """End the open deliveries whose refreshes have all ended. Return whether there may be more.

    A delivery ends with its last refresh. This is for those that a process left behind in some other way.
    """
    open_refreshes = Refresh.objects.filter(delivery=OuterRef("pk"), outcome="")
    left_over: list[UUID] = []
    for outcome in (Outcome.REFRESHED, Outcome.FAILED):  # one by one, because each has an index of its own
        open_ = Delivery.objects.filter(outcome=outcome, ended_at=None).order_by("received_at")
        ended = open_.filter(Exists(Refresh.objects.filter(delivery=OuterRef("pk"))), ~Exists(open_refreshes))
        left_over += ended.values_list("pk", flat=True)[:BATCH]
    if left_over:
        log.warning("ending %d deliveries whose refreshes have ended", len(left_over))
        with transaction.atomic():
            update_deliveries(left_over)
    return len(left_over) >= BATCH


def update_deliveries(ids: Collection[UUID]) -> None:
    """Set the outcomes of these deliveries from the current state of their refreshes. Idempotent."""
    pks = list(ids)
    for start in range(0, len(pks), BATCH):
        _update(pks[start : start + BATCH])


def _update(ids: Collection[UUID]) -> None:
    if connection.features.has_select_for_update:
        # Without the lock, two processes that each end one refresh of a delivery would see the other one as open.
        list(Delivery.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
    by_delivery: dict[UUID, list[Refresh]] = defaultdict(list)
    for row in Refresh.objects.filter(delivery__in=ids).order_by("pk").only(*_COLUMNS):
        by_delivery[row.delivery_id].append(row)
    failed = failed_actions(by_delivery)
    rolled_up = [_rolled_up(pk, rows, failed.get(pk, "")) for pk, rows in by_delivery.items()]
    update(rolled_up, names=("outcome", "reason", "ended_at", "with_freight"))
    insert(push_failures(rolled_up))


def _rolled_up(pk: UUID, rows: Sequence[Refresh], failed_actions: str) -> Delivery:
    outcome, reason, ended_at = _outcome(rows)
    if failed_actions and outcome != Outcome.FAILED:
        # One action that failed is not hidden by another one that succeeded, as one Warehouse of several isn't.
        if ended_at is not None:
            outcome = min(outcome, Outcome.ACTION_FAILED, key=urgency)
            reason = named_results(rows, MOST_NAMED)
        reason = storable("; ".join(filter(None, (failed_actions, reason))), TEXT_LENGTH)
    with_freight = sum(tone(row.outcome) is Tone.GOOD for row in rows)
    return Delivery(pk=pk, outcome=outcome, reason=reason, ended_at=ended_at, with_freight=with_freight)


def _outcome(rows: Sequence[Refresh]) -> tuple[Outcome, str, datetime | None]:
    """Return the outcome of a delivery with these refreshes, its reason, and when the last of them ended."""
    outcome = summary(row.outcome for row in rows)
    if outcome is not None:
        reason = rows[0].reason if len(rows) == 1 else named_results(rows, MOST_NAMED)
        return (
            outcome,
            storable(reason, TEXT_LENGTH),
            max((row.ended_at for row in rows if row.ended_at), default=timezone.now()),
        )
    if any(row.state == RefreshState.WAITING for row in rows):
        return (
            Outcome.FAILED,
            "the request to refresh a Warehouse failed; it is retried in the background",
            None,
        )
    return Outcome.REFRESHED, "", None
