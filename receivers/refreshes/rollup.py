"""Brings deliveries up to date with their refreshes: a delivery ends when the last of them does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection

from receivers.deliveries.bulk_sql import update
from receivers.deliveries.outcomes import summary
from receivers.kargo.outcomes import RefreshState
from receivers.models import TEXT_LENGTH, Delivery, Outcome, Refresh, storable

AT_ONCE: Final = 500  # deliveries in one query: every database takes that many values


def close_deliveries(ids: Collection[UUID]) -> None:
    """Give these deliveries the outcome that their refreshes have by now. May be called again at any time."""
    wanted = list(ids)
    for start in range(0, len(wanted), AT_ONCE):
        _close(wanted[start : start + AT_ONCE])


def _close(ids: Collection[UUID]) -> None:
    if connection.features.has_select_for_update:
        # Two processes that end two refreshes of a delivery would each see the other's as open.
        list(Delivery.objects.filter(pk__in=ids).order_by("pk").select_for_update().values_list("pk"))
    columns = ("delivery_id", "state", "outcome", "reason", "ended_at")
    by_delivery: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in Refresh.objects.filter(delivery__in=ids).order_by("pk").values(*columns):
        by_delivery[row["delivery_id"]].append(row)
    update([_with_end(pk, rows) for pk, rows in by_delivery.items()], names=("outcome", "reason", "ended_at"))


def _with_end(pk: UUID, rows: list[dict[str, Any]]) -> Delivery:
    outcome, reason, ended_at = _end(rows)
    return Delivery(pk=pk, outcome=outcome, reason=reason, ended_at=ended_at)


def _end(rows: list[dict[str, Any]]) -> tuple[Outcome, str, datetime | None]:
    """Return the outcome that refreshes come to, the reason, and when the last of them ended."""
    outcome = summary(row["outcome"] for row in rows)
    if outcome is not None:
        reason = next(row["reason"] for row in rows if row["outcome"] == outcome)
        return outcome, storable(reason, TEXT_LENGTH), max(row["ended_at"] for row in rows if row["ended_at"])
    waiting = [row for row in rows if row["state"] == RefreshState.WAITING]
    if waiting:
        return Outcome.FAILED, "a Warehouse could not be asked; it is tried again in the background", None
    return Outcome.REFRESHED, "", None
