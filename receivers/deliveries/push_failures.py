"""Note which deliveries ended badly, in the commit that ends them: `ops.alerts` makes alerts of these notes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from receivers.deliveries.outcomes import Tone, tone
from receivers.models import Delivery, PushFailure


def push_failures(rows: Iterable[models.Model]) -> list[PushFailure]:
    """Return the unsaved notes about those of these rows that are deliveries which ended badly.

    The rows need an outcome and `ended_at`. A failure that is still retried has no end.
    """
    return [
        PushFailure(delivery=row.pk)
        for row in rows
        if isinstance(row, Delivery) and row.ended_at is not None and tone(row.outcome) is Tone.BAD
    ]
