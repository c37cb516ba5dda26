"""Rows of the delivery log that tests store without a serving process."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone

from receivers.deliveries.bounded_scan import LOOKED_AT
from receivers.deliveries.bulk_sql import insert
from receivers.deliveries.filters import DeliveryFilter, DeliveryFilterForm
from receivers.deliveries.form_fields import form_errors
from receivers.deliveries.predicates import MAY_BE_OPEN
from receivers.models import Delivery, Outcome

# Recent, because serving processes of other tests delete old rows.
START = timezone.now().replace(microsecond=0) - timedelta(days=1)
BATCH_SIZE = 200  # rows per statement
_numbers = itertools.count(1)


def unique_name() -> str:
    """Return a name that no other test uses."""
    return f"project-{uuid.uuid4().hex[:8]}-{next(_numbers)}"


def delivery_filter(**values: str) -> DeliveryFilter:
    """Return the filter of these values of the form, which must be valid."""
    form = DeliveryFilterForm(values)
    assert form.wanted is not None, form_errors(form)
    return form.wanted


def delivery(project: str, seconds: float = 0, **fields: Any) -> Delivery:
    """Return an unsaved delivery, received `seconds` after `START`; its id sorts by that time."""
    at = START + timedelta(seconds=seconds)
    digits = f"{int(at.timestamp() * 1000):012x}7{uuid.uuid4().hex[:3]}8{uuid.uuid4().hex[:15]}"
    outcome = fields.get("outcome", Outcome.PENDING)
    defaults = {
        "id": uuid.UUID(digits),
        "received_at": at,
        "project": project,
        "receiver": "hook",
        "kind": "dockerhub",
        "repository": "example/app",
        "tag": "1.0.0",
        "push_id": uuid.UUID(digits),
        "ended_at": None if outcome in MAY_BE_OPEN else at,
        # So that no serving process of another test resumes it.
        "due_at": START + timedelta(days=9) if outcome == Outcome.PENDING else None,
    }
    return Delivery(**(defaults | fields))


def failed_delivery(project: str, seconds: float = 0, **fields: Any) -> Delivery:
    """Return an unsaved delivery that failed and can be redelivered."""
    return delivery(project, seconds, **({"outcome": Outcome.FAILED, "body": b"{}"} | fields))


def store(*rows: Delivery) -> list[Delivery]:
    """Store and return rows. They stay for the tests that follow; see the fixture `store_many`."""
    assert len(rows) < LOOKED_AT / 2, "Store so many rows with the fixture store_many."
    return insert_in_batches(rows)


def insert_in_batches(rows: Sequence[Delivery]) -> list[Delivery]:
    """Insert and return rows."""
    for start in range(0, len(rows), BATCH_SIZE):
        insert(rows[start : start + BATCH_SIZE])
    return list(rows)


def delete_in_batches(rows: Sequence[Delivery]) -> None:
    """Delete rows."""
    keys = [row.pk for row in rows]
    for start in range(0, len(keys), BATCH_SIZE):
        Delivery.objects.filter(pk__in=keys[start : start + BATCH_SIZE]).delete()
