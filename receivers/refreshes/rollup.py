"""Rolls the outcomes of refreshes up into their deliveries: a delivery ends with its last refresh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from receivers.deliveries.bulk_sql import update
from receivers.deliveries.outcomes import summary
from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import TEXT_LENGTH, Delivery, Outcome, Refresh, storable

BATCH: Final = 500  # deliveries in one query; every database takes that many parameters


def update_deliveries(ids: Collection[UUID]) -> None:
    """Set the outcomes of these deliveries from the current state of their refreshes. Idempotent."""
    pks = list(ids)
    for start in range(0, len(pks), BATCH):
        _update(pks[start : start + BATCH])


def _update(ids: Collection[UUID]) -> None:
    if connection.features.has_select_for_update:
        # Without the lock, two processes that each end one refresh of a delivery would see the other one as open.
        list(Delivery.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
    columns = ("delivery_id", "state", "outcome", "reason", "ended_at")
    by_delivery: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in Refresh.objects.filter(delivery__in=ids).order_by("pk").values(*columns):
        by_delivery[row["delivery_id"]].append(row)
    update(
        [_rolled_up(pk, rows) for pk, rows in by_delivery.items()], names=("outcome", "reason", "ended_at")
    )


def _rolled_up(pk: UUID, rows: list[dict[str, Any]]) -> Delivery:
    outcome, reason, ended_at = _outcome(rows)
    return Delivery(pk=pk, outcome=outcome, reason=reason, ended_at=ended_at)


def _outcome(rows: list[dict[str, Any]]) -> tuple[Outcome, str, datetime | None]:
    """Return the outcome of a delivery with these refreshes, its reason, and when the last of them ended."""
    outcome = summary(row["outcome"] for row in rows)
    if outcome is not None:
        reason = next(row["reason"] for row in rows if row["outcome"] == outcome)
        return outcome, storable(reason, TEXT_LENGTH), max(row["ended_at"] for row in rows if row["ended_at"])
    waiting = [row for row in rows if row["state"] == RefreshState.WAITING]
    if waiting:
        return (
            Outcome.FAILED,
            "the request to refresh a Warehouse failed; it is retried in the background",
            None,
        )
    return Outcome.REFRESHED, "", None
