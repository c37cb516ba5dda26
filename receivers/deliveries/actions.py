"""The actions of receivers that select their targets themselves (the kind `generic`), as stored with a delivery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import UUID

from receivers.models import Delivery

KIND: Final = "generic"


def actions_of(delivery: Delivery) -> list[dict[str, Any]]:
    """Return the actions of a delivery, as `webhook.results.storable_action` has stored them."""
    return list(delivery.details.get("actions", ()))


def failed_actions(ids: Iterable[UUID]) -> Mapping[UUID, str]:
    """Return the actions that failed, in a sentence, of those of these deliveries that have any. One query."""
    rows = Delivery.objects.filter(pk__in=list(ids), kind=KIND).only("details")
    failed = {row.pk: sentence(actions_of(row)) for row in rows}
    return {pk: text for pk, text in failed.items() if text}


def sentence(actions: Iterable[Mapping[str, Any]]) -> str:
    """Return which actions failed and why; empty if none did."""
    return "; ".join(
        f"action {action['position']}: {action['problem']}" for action in actions if action["failed"]
    )
