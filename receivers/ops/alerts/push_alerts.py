"""Alerts about pushes that failed: made of the notes that the log's transactions left, ended when the push succeeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.db import transaction
from django.urls import reverse
from django.utils import timezone

from receivers.deliveries.outcomes import Tone, headline_of, tone
from receivers.deliveries.pushes import PushEntry, pushes_of
from receivers.kargo.scopes import scope_name
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

KIND: Final = "push"
BATCH: Final = 100  # notes at once, so that one transaction is short
WATCHED: Final = timedelta(days=2)  # in which a failed push may still succeed: the retries take one
_COLUMNS: Final = (
    "project",
    "receiver",
    "repository",
    "tag",
    "push_id",
    "outcome",
    "reason",
    "ended_at",
    "received_at",
)


def note_failures(scopes: Iterable[str]) -> bool:
    """Make alerts of the notes, and delete them in the same transaction. Return whether there may be more."""
    notes = list(PushFailure.objects.order_by("pk")[:BATCH])
    if not notes:
        return False
    rows = list(
        Delivery.objects.filter(pk__in=[note.delivery for note in notes])
        .exclude(TESTS)
        .exclude(origin=Origin.CATCH_UP)
        .only(*_COLUMNS)
        .order_by("-received_at", "-pk")
    )
    problems = {scope: list(_failed(scope, rows)) for scope in scopes}
    with transaction.atomic():
        for scope, of_scope in problems.items():
            begin(scope, of_scope)
        PushFailure.objects.filter(pk__in=[note.pk for note in notes]).delete()
    return len(notes) == BATCH


def end_recovered(scopes: Iterable[str]) -> None:
    """End the alerts about pushes that succeeded, were redelivered, or are too old to watch."""
    for scope in scopes:
        alerts = open_alerts(scope, {KIND})
        for start in range(0, len(alerts), BATCH):
            _end_recovered(scope, alerts[start : start + BATCH])


def _end_recovered(scope: str, alerts: list[Alert]) -> None:
    ids = [UUID(alert.key.removeprefix("push:")) for alert in alerts if alert.key.startswith("push:")]
    rows = list(
        Delivery.objects.filter(push_id__in=ids).only(*_COLUMNS).order_by("-received_at", "-pk")[:2_000]
    )
    current = {entry.push_id: entry for entry in _entries(scope, rows)}
    recovered, expired = [], []
    for alert in alerts:
        entry = current.get(UUID(alert.key.partition(":")[2])) if alert.key.startswith("push:") else None
        # One that is redelivered is in progress: neither failed nor over.
        if entry is not None and tone(entry.decisive.outcome) in {Tone.GOOD, Tone.PLAIN}:
            recovered.append(alert)
        elif timezone.now() - alert.opened_at > WATCHED:
            expired.append(alert)
    finish(recovered, AlertEnd.RESOLVED)
    finish(expired, AlertEnd.EXPIRED)


def _failed(scope: str, rows: list[Delivery]) -> Iterator[Problem]:
    for entry in _entries(scope, rows):
        decisive = entry.decisive
        if tone(decisive.outcome) is Tone.BAD and decisive.ended_at is not None:
            yield _of_push(entry)
    for row in rows:
        # A body that wasn't understood belongs to no push; only the readers of the receiver's project see it.
        if row.push_id is None and scope in {EVERYTHING, row.project}:
            yield _of_delivery(row)


def _entries(scope: str, rows: list[Delivery]) -> tuple[PushEntry, ...]:
    seen = None if scope == EVERYTHING else frozenset({scope})
    return tuple(
        entry
        for start in range(0, len(rows), BATCH)
        for entry in pushes_of(rows[start : start + BATCH], seen, BATCH)
    )


def _of_push(entry: PushEntry) -> Problem:
    decisive = entry.decisive
    return Problem(
        key=f"push:{entry.push_id}",
        kind=KIND,
        severity=AlertSeverity.URGENT,
        project=decisive.project,
        title=f"{decisive.repository}:{decisive.tag}: {_lower(headline_of(decisive))}",
        text=_reason(decisive),
        path=reverse("push", args=[entry.push_id]),
    )


def _of_delivery(row: Delivery) -> Problem:
    return Problem(
        key=f"delivery:{row.pk}",
        kind=KIND,
        severity=AlertSeverity.URGENT,
        project=row.project,
        title=f"Push to receiver {scope_name(row.project)}/{row.receiver}: {_lower(headline_of(row))}",
        text=_reason(row),
        path=reverse("delivery", args=[row.pk]),
    )


def _reason(row: Delivery) -> str:
    reason = row.reason.strip()
    return f"{reason[:1].upper()}{reason[1:]}{'' if reason.endswith('.') else '.'}" if reason else ""


def _lower(headline: str) -> str:
    """Return a headline for the middle of a sentence; "Freight" stays as Kargo spells it."""
    return headline if headline.startswith("Freight") else headline[:1].lower() + headline[1:]
