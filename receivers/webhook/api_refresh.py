"""Refreshes that a request of the API asks for: for registries and scripts that send no webhook.

Each is on record like a delivery, with the origin `api`. Its body says what was requested, so that any process can
finish it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from django.utils import timezone

from receivers.kargo.push import Push
from receivers.kargo.resources import WarehouseKey
from receivers.kargo.responses import WebhookResponse
from receivers.models import Delivery, Origin, new_id, storable

KIND: Final = "api"

ANSWER: Final = WebhookResponse(201, b"")
"""What the log has of the response, whose body is the delivery itself."""


@dataclass(frozen=True, slots=True)
class WantedRefresh:
    """What to refresh in `project` (everywhere if that is `CLUSTER_SCOPE`).

    Either the Warehouses that select a push, or the one named `warehouse`.
    """

    project: str
    repository: str = ""
    tag: str = ""
    media_type: str = ""
    warehouse: str = ""

    @property
    def push(self) -> Push:
        """Return the push to match; it has no repository if a Warehouse is named."""
        return Push(self.repository, self.tag, self.media_type)

    @property
    def key(self) -> WarehouseKey | None:
        """Return the key of the named Warehouse, None if a push is to be matched."""
        return (self.project, self.warehouse) if self.warehouse else None


def new_delivery(wanted: WantedRefresh, actor: str, address: str, user_agent: str) -> Delivery:
    """Return the unsaved delivery of a request by a user. It is a push of its own."""
    delivery = Delivery(
        id=new_id(),
        received_at=timezone.now(),
        origin=Origin.API,
        project=wanted.project,
        kind=KIND,
        repository=storable(wanted.repository),
        tag=storable(wanted.tag),
        media_type=storable(wanted.media_type),
        actor=storable(actor),
        client_address=address,
        user_agent=storable(user_agent),
    )
    delivery.push_id = delivery.pk
    delivery.body = json.dumps(asdict(wanted)).encode()
    return delivery


def read(delivery: Delivery) -> WantedRefresh:
    """Return what the request of a delivery asked for."""
    return WantedRefresh(**json.loads(delivery.body))
