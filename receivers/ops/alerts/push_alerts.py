"""Alerts about pushes that failed: made of the notes that the log's transactions left, ended when the push succeeds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone

from receivers.accounts.access import Access, Role
from receivers.deliveries.outcomes import Tone, headline_of, tone
from receivers.deliveries.push_names import push_name
from receivers.deliveries.push_record import GENERATIONS, find_push
from receivers.kargo.quoting import lower_first, upper_first
from receivers.models import (
    TESTS,
    Alert,
    AlertEnd,
    AlertSeverity,
    Delivery,
    Origin,
    PushFailure,
)
from receivers.ops.alerts.alert_log import EVERYTHING, Problem, begin, finish, open_alerts
from receivers.ops.alerts.warehouse_events import failure_events, store_events

KIND: Final = "push"
PUSH: Final = "push:"  # the start of the keys of pushes; a delivery without a push has another one
BATCH: Final = 100  # notes at once, so that one transaction is short
READ: Final = 2_000  # deliveries of the pushes of one batch
WATCHED: Final = timedelta(days=2)  # in which a failed push may still succeed: the retries take one
_COLUMNS: Final = (
    "project",
    "receiver",
    "repository",
    "tag",
    "push_id",
    "original",
    "outcome",
    "reason",
    "ended_at",
    "received_at",
)


def note_failures(scopes: Iterable[str], events_after: timedelta | None = None) -> bool:
    """Make alerts of the notes, and delete them in the same transaction. Return whether there may be more.

    With `events_after`, the Warehouses get Events, too, which are sent after that time.
    """
    notes = list(PushFailure.objects.order_by("pk")[:BATCH])
    if not notes:
        return False
    failed = _log().filter(pk__in=[note.delivery for note in notes])
    failures = list(failed.exclude(TESTS).exclude(origin=Origin.CATCH_UP))
    rows = _originals(failures)
    events = [] if events_after is None else failure_events(failures, events_after)
    problems = {scope: list(_failed(scope, rows)) for scope in scopes}
    with transaction.atomic():
        for scope, of_scope in problems.items():
            begin(scope, of_scope)
        store_events(events)
        PushFailure.objects.filter(pk__in=[note.pk for note in notes]).delete()
    return len(notes) == BATCH


def end_recovered(scopes: Iterable[str]) -> None:
    """End the alerts about pushes that succeeded, also by a redelivery, or that are too old to watch."""
    for scope in scopes:
        alerts = open_alerts(scope, {KIND})
        for start in range(0, len(alerts), BATCH):
            _end_recovered(scope, alerts[start : start + BATCH])


def _end_recovered(scope: str, alerts: Sequence[Alert]) -> None:
    pushes = {UUID(alert.key.removeprefix(PUSH)): alert for alert in alerts if alert.key.startswith(PUSH)}
    recovered = [pushes[push_id] for push_id in _perhaps_recovered(pushes) if _has_recovered(scope, push_id)]
    finish(recovered, AlertEnd.RESOLVED)
    now = timezone.now()
    expired = [alert for alert in alerts if now - alert.opened_at > WATCHED and alert not in recovered]
    finish(expired, AlertEnd.EXPIRED)


def _perhaps_recovered(push_ids: Collection[UUID]) -> set[UUID]:
    """Return those of these pushes of which a delivery or a redelivery is not a failure. A few queries for all."""
    candidates: set[UUID] = set()
    pushes = {row.pk: row.push_id for row in _log().filter(push_id__in=push_ids)[:READ]}
    rows = list(_log().filter(pk__in=pushes))
    for _ in range(GENERATIONS + 1):
        candidates.update(
            push_id for row in rows if tone(row.outcome) is not Tone.BAD and (push_id := pushes[row.pk])
        )
        rows = list(_log().filter(original__in=[row.pk for row in rows])[:READ])
        if not rows:
            break
        pushes |= {row.pk: pushes[row.original_id] for row in rows if row.original_id}
    return candidates


def _has_recovered(scope: str, push_id: UUID) -> bool:
    """Say whether a push succeeded. One that is redelivered now has neither failed nor succeeded."""
    record = find_push(_access(scope), push_id)
    return record is not None and tone(record.decisive.outcome) in {Tone.GOOD, Tone.PLAIN}


def _failed(scope: str, rows: Iterable[Delivery]) -> Iterator[Problem]:
    """Return the failures of these deliveries, which aren't redeliveries, as the viewers of a scope see them."""
    rows = list(rows)
    for push_id in dict.fromkeys(row.push_id for row in rows if row.push_id):
        record = find_push(_access(scope), push_id)
        if record is None:
            continue
        decisive = record.decisive
        if tone(decisive.outcome) is Tone.BAD and decisive.ended_at is not None:
            yield _of_push(push_id, decisive)
    for row in rows:
        # A body that wasn't understood belongs to no push; only the readers of the receiver's project see it.
        if row.push_id is None and scope in {EVERYTHING, row.project}:
            yield _of_delivery(row)


def _originals(rows: list[Delivery]) -> list[Delivery]:
    """Return what these deliveries repeat, in the place of redeliveries: their push is that of the original."""
    for _ in range(GENERATIONS):
        repeated = [row.original_id for row in rows if row.original_id]
        if not repeated:
            break
        rows = [row for row in rows if not row.original_id] + list(_log().filter(pk__in=repeated))
    return rows


def _log() -> QuerySet[Delivery]:
    return Delivery.objects.only(*_COLUMNS)


def _access(scope: str) -> Access:
    return Access(Role.VIEWER) if scope == EVERYTHING else Access(by_project={scope: Role.VIEWER})


def _of_push(push_id: UUID, decisive: Delivery) -> Problem:
    return Problem(
        key=f"{PUSH}{push_id}",
        kind=KIND,
        severity=AlertSeverity.URGENT,
        project=decisive.project,
        title=f"{push_name(decisive.repository, decisive.tag)}: {_lower(headline_of(decisive))}",
        text=_reason(decisive),
        path=reverse("push", args=[push_id]),
    )


def _of_delivery(row: Delivery) -> Problem:
    return Problem(
        key=f"delivery:{row.pk}",
        kind=KIND,
        severity=AlertSeverity.URGENT,
        project=row.project,
        title=f"Push to receiver {row.receiver_name}: {_lower(headline_of(row))}",
        text=_reason(row),
        path=reverse("delivery", args=[row.pk]),
    )


def _reason(row: Delivery) -> str:
    reason = row.reason.strip()
    return f"{upper_first(reason)}{'' if reason.endswith('.') else '.'}" if reason else ""


def _lower(headline: str) -> str:
    """Return a headline for the middle of a sentence; "Freight" stays as Kargo spells it."""
    return headline if headline.startswith("Freight") else lower_first(headline)
