"""What the Events of Warehouses tell: that a push failed, and that it became Freight afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from receivers.deliveries.outcomes import Tone, lower_label, tone
from receivers.deliveries.push_record import GENERATIONS
from receivers.kargo.matching import MatchResult
from receivers.kargo.quoting import upper_first
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.models import REASON_LENGTH, Delivery, Outcome, Refresh, WarehouseEvent, storable

WATCHED: Final = timedelta(days=2)  # in which a failed push may still become Freight, as for alerts
RETENTION: Final = timedelta(days=30)
BATCH: Final = 100  # pushes of one query
READ: Final = 2_000  # deliveries of the pushes of one batch

FREIGHT: Final = (RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.ALREADY_CURRENT)

_COLUMNS: Final = ("repository", "tag", "push_id", "outcome", "original", "project", "verdicts")

Key = tuple[UUID, str, str]
"""A push, and the project and the name of a Warehouse."""


def failure_events(failures: Sequence[Delivery], after: timedelta) -> list[WarehouseEvent]:
    """Return the unsaved events about these failed deliveries. They are due `after` this time from now.

    Pushes that have become Freight of the Warehouse meanwhile are left out. A few queries for all.
    """
    pushes = _pushes_of(failures)
    rows = {row.pk: row for row in Delivery.objects.filter(pk__in=pushes).only(*_COLUMNS)}
    due_at = timezone.now() + after
    events: dict[Key, WarehouseEvent] = {}
    for refresh in Refresh.objects.filter(delivery__in=rows).exclude(outcome="").order_by("pk"):
        if tone(refresh.outcome) is Tone.BAD:
            key = (pushes[refresh.delivery_id], refresh.project, refresh.warehouse)
            row = rows[refresh.delivery_id]
            events[key] = _failure(key, row, refresh.outcome, refresh.reason or refresh.failure, due_at)
    for row in rows.values():
        if row.outcome != Outcome.INVALID_SUBSCRIPTION:
            continue
        for verdict in row.verdicts:
            if verdict["result"] == MatchResult.NOT_EVALUABLE:
                key = (pushes[row.pk], verdict["project"], verdict["warehouse"])
                events.setdefault(key, _failure(key, row, row.outcome, verdict["reason"], due_at))
    succeeded = _freight({key[0] for key in events})
    return [event for key, event in events.items() if key not in succeeded]


def store_events(events: Iterable[WarehouseEvent]) -> None:
    """Store events, except those that are stored already: a push may fail again when it is redelivered."""
    WarehouseEvent.objects.bulk_create(events, batch_size=BATCH, ignore_conflicts=True)


def note_recoveries(after: timedelta) -> None:
    """Store an event for each Warehouse in which a failed push has become Freight, due `after` this time from now."""
    now = timezone.now()
    watched = list(WarehouseEvent.objects.filter(watched=True, recovered=False, at__gt=now - WATCHED))
    for start in range(0, len(watched), BATCH):
        batch = watched[start : start + BATCH]
        freight = _freight({event.push_id for event in batch})
        recovered = [event for event in batch if _key(event) in freight]
        store_events(_recovery(event, freight[_key(event)], now, now + after) for event in recovered)
        ids = [event.pk for event in recovered]
        if ids:
            WarehouseEvent.objects.filter(pk__in=ids).update(watched=False)


def forget_events(now: datetime) -> None:
    """Delete what is older than `RETENTION`."""
    WarehouseEvent.objects.filter(at__lt=now - RETENTION).delete()


def _key(event: WarehouseEvent) -> Key:
    return event.push_id, event.project, event.warehouse


def _pushes_of(failures: Sequence[Delivery]) -> dict[UUID, UUID]:
    """Return the push of each of these deliveries that has one; a redelivery belongs to the push that it repeats."""
    originals = {row.pk: row for row in failures}
    for _ in range(GENERATIONS):
        repeated = {row.original_id for row in originals.values() if row.original_id}
        if not repeated:
            break
        by_id = {row.pk: row for row in Delivery.objects.filter(pk__in=repeated).only(*_COLUMNS)}
        originals = {
            pk: by_id.get(row.original_id, row) if row.original_id else row for pk, row in originals.items()
        }
    return {pk: row.push_id for pk, row in originals.items() if row.push_id}


def _freight(push_ids: Collection[UUID]) -> dict[Key, Refresh]:
    """Return a refresh with Freight for each push and Warehouse that has one, also by a redelivery."""
    if not push_ids:
        return {}
    pushes = dict(Delivery.objects.filter(push_id__in=push_ids).values_list("pk", "push_id")[:READ])
    newest: Collection[UUID] = list(pushes)
    for _ in range(GENERATIONS):
        redelivered = list(Delivery.objects.filter(original__in=newest).only("original")[:READ])
        if not redelivered:
            break
        pushes |= {row.pk: pushes[row.original_id] for row in redelivered if row.original_id}
        newest = [row.pk for row in redelivered]
    refreshes: dict[Key, Refresh] = {}
    for refresh in Refresh.objects.filter(delivery__in=list(pushes), outcome__in=FREIGHT).order_by("pk"):
        push_id = pushes[refresh.delivery_id]
        if push_id is not None:
            refreshes.setdefault((push_id, refresh.project, refresh.warehouse), refresh)
    return refreshes


def _failure(key: Key, row: Delivery, outcome: str, reason: str, due_at: datetime) -> WarehouseEvent:
    push_id, project, warehouse = key
    why = reason.strip().rstrip(".")
    sentence = f" {upper_first(why)}." if why else ""
    text = f"Push of {row.repository}:{row.tag} failed: {lower_label(outcome)}.{sentence}"
    return WarehouseEvent(
        push_id=push_id,
        project=project,
        warehouse=warehouse,
        reason=outcome,
        text=storable(text, REASON_LENGTH),
        due_at=due_at,
    )


def _recovery(failed: WarehouseEvent, freight: Refresh, now: datetime, due_at: datetime) -> WarehouseEvent:
    artifact = failed.text.removeprefix("Push of ").partition(" failed: ")[0]
    name = freight.freight_alias or freight.freight
    text = f"Push of {artifact} became Freight{f' {name}' if name else ''} after it had failed."
    return WarehouseEvent(
        push_id=failed.push_id,
        project=failed.project,
        warehouse=failed.warehouse,
        recovered=True,
        reason=RefreshOutcome.FREIGHT_CREATED,
        text=storable(text, REASON_LENGTH),
        at=now,
        watched=False,
        due_at=due_at,
    )
