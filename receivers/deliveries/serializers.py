"""Deliveries and all that belongs to them as plain JSON values, for commands and programs.

Times are ISO 8601, in UTC.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from receivers.deliveries.outcomes import tone
from receivers.models import Delivery, Refresh

Json = dict[str, Any]

STEPS: Final = ("requested", "handled", "discovered", "ended")
"""The steps of a refresh of which the time is kept, in their order."""


def summary(delivery: Delivery) -> Json:
    """Return what a list tells of a delivery; `project` is empty for a cluster receiver."""
    return {
        "id": str(delivery.pk),
        "received_at": moment(delivery.received_at),
        "origin": delivery.origin,
        "project": delivery.project,
        "receiver": delivery.receiver,
        "kind": delivery.kind,
        "repository": delivery.repository,
        "tag": delivery.tag,
        "media_type": delivery.media_type,
        "pusher": delivery.pusher,
        "pushed_at": moment(delivery.pushed_at),
        "outcome": delivery.outcome,
        "tone": tone(delivery.outcome).value,
        "reason": delivery.reason,
        "ended_at": moment(delivery.ended_at),
        "status": delivery.status,
        "duration_ms": delivery.duration_ms,
        "warehouses": delivery.warehouses,
        "push_id": str(delivery.push_id) if delivery.push_id else None,
        "repeats": getattr(delivery, "repeats", None),
        "original": str(delivery.original_id) if delivery.original_id else None,
        "actor": delivery.actor,
    }


def everything(delivery: Delivery, refreshes: Iterable[Refresh], redeliveries: Iterable[Delivery]) -> Json:
    """Return all that is on record about a delivery. `body` is its text, or None with `body_base64` if it is none."""
    return summary(delivery) | {
        "request": {
            "client_address": delivery.client_address,
            "user_agent": delivery.user_agent,
            "path": delivery.path,
            "headers": delivery.headers,
            **_body(bytes(delivery.body)),
        },
        "answer": delivery.answer,
        "verdicts": delivery.verdicts,
        "refreshes": [refresh(one, delivery.received_at) for one in refreshes],
        "redeliveries": [str(one.pk) for one in redeliveries],
    }


def refresh(row: Refresh, received_at: datetime) -> Json:
    """Return all about the refresh of one Warehouse; `seconds` has how long after the push it came to each step."""
    times = {step: getattr(row, f"{step}_at") for step in STEPS}
    return {
        "project": row.project,
        "warehouse": row.warehouse,
        "state": row.state,
        "outcome": row.outcome,
        "reason": row.reason,
        "error": row.error,
        "attempts": row.attempts,
        "next_attempt_at": moment(row.next_attempt_at),
        "token": row.token,
        "digest": row.digest,
        "freight": row.freight,
        "freight_alias": row.freight_alias,
        **{f"{step}_at": moment(at) for step, at in times.items()},
        "seconds": {step: (at - received_at).total_seconds() for step, at in times.items() if at},
        "story": row.story,
    }


def moment(at: datetime | None) -> str | None:
    """Return a time as text, None for none."""
    return at.isoformat() if at else None


def _body(body: bytes) -> Json:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body": None, "body_base64": base64.b64encode(body).decode()}
