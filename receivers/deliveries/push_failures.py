"""Record which deliveries failed, in the commit that ends them: `ops.alerts` creates alerts from these rows."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models

from receivers.deliveries.outcomes import Tone, tone
from receivers.models import Delivery, PushFailure


def push_failures(rows: Iterable[models.Model]) -> list[PushFailure]:
    """Return an unsaved `PushFailure` for each of these rows that is a failed delivery.

    The rows need an outcome and `ended_at`. A failure that is still retried has no end.
    """
    return [
        PushFailure(delivery=row.pk)
        for row in rows
        if isinstance(row, Delivery) and row.ended_at is not None and tone(row.outcome) is Tone.BAD
    ]
