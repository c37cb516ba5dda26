"""Deliveries and their refreshes as JSON values, for the API and the commands. Times are ISO 8601, in UTC."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from receivers.deliveries.outcomes import tone
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Refresh

Json = dict[str, Any]

STEPS: Final = ("requested", "handled", "discovered", "ended")
"""The steps of a refresh whose times are stored, in order."""


def delivery_summary(delivery: Delivery) -> Json:
    """Return a delivery as lists show it. `project` is `cluster` for a cluster receiver."""
    return {
        "id": str(delivery.pk),
        "received_at": isoformat(delivery.received_at),
        "origin": delivery.origin,
        "project": scope_name(delivery.project),
        "receiver": delivery.receiver,
        "kind": delivery.kind,
        "repository": delivery.repository,
        "tag": delivery.tag,
        "media_type": delivery.media_type,
        "pusher": delivery.pusher,
        "pushed_at": isoformat(delivery.pushed_at),
        "outcome": delivery.outcome,
        "tone": tone(delivery.outcome).value,
        "reason": delivery.reason,
        "ended_at": isoformat(delivery.ended_at),
        "status": delivery.status,
        "duration_ms": delivery.duration_ms,
        "warehouses": delivery.warehouses,
        "push_id": str(delivery.push_id) if delivery.push_id else None,
        "repeats": getattr(delivery, "repeats", None),
        "original": str(delivery.original_id) if delivery.original_id else None,
        "actor": delivery.actor,
    }


def delivery_details(
    delivery: Delivery, refreshes: Iterable[Refresh], redeliveries: Iterable[Delivery]
) -> Json:
    """Return all about a delivery. `body` is text, or None if it isn't UTF-8; then there is `body_base64`."""
    return delivery_summary(delivery) | {
        "request": {
            "client_address": delivery.client_address,
            "user_agent": delivery.user_agent,
            "path": delivery.path,
            "headers": delivery.headers,
            **_body(bytes(delivery.body)),
        },
        "answer": delivery.answer,
        "verdicts": delivery.verdicts,
        "refreshes": [refresh_details(refresh, delivery.received_at) for refresh in refreshes],
        "redeliveries": [str(redelivery.pk) for redelivery in redeliveries],
    }


def refresh_details(refresh: Refresh, received_at: datetime) -> Json:
    """Return all about the refresh of one Warehouse. `seconds` has the time from the delivery to each step."""
    times = {step: getattr(refresh, f"{step}_at") for step in STEPS}
    return {
        "project": refresh.project,
        "warehouse": refresh.warehouse,
        "state": refresh.state,
        "outcome": refresh.outcome,
        "reason": refresh.reason,
        "error": refresh.error,
        "attempts": refresh.attempts,
        "next_attempt_at": isoformat(refresh.next_attempt_at),
        "token": refresh.token,
        "digest": refresh.digest,
        "freight": refresh.freight,
        "freight_alias": refresh.freight_alias,
        **{f"{step}_at": isoformat(at) for step, at in times.items()},
        "seconds": {step: (at - received_at).total_seconds() for step, at in times.items() if at},
        "history": refresh.history,
    }


def isoformat(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 text, or None."""
    return at.isoformat() if at else None


def _body(body: bytes) -> Json:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body": None, "body_base64": base64.b64encode(body).decode()}
