"""Which deliveries announce one push: Docker Hub sends several for an image of several platforms, and all are alike.

All replicas have to come to the same answer without asking each other, so it is a hash of what the deliveries share.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("4cd605e7-afa2-5360-b5b9-c5e9fb5c76f4")
"""An arbitrary one, never to be changed: groups would fall apart."""

WINDOW: Final = timedelta(seconds=60)
"""How long after the first delivery that names no time of the push others still belong to it.

Docker Hub sends the deliveries of one push within seconds; a minute later somebody has pushed again.
"""

Place = tuple[str, str, str, str]
"""Project (empty for a cluster receiver), receiver, repository and tag."""


def push_id(place: Place, pushed_at: datetime) -> UUID:
    """Return the id of the push of a repository's tag at a time (UTC): the same wherever and whenever it is computed.

    Docker Hub's `pushed_at` is in seconds, and equal in all deliveries of a push of several platforms.
    """
    # As JSON, so that no two different places are one text.
    return uuid5(_NAMESPACE, json.dumps([*place, pushed_at.astimezone(UTC).isoformat()]))


def opens_another(opened: datetime | None, received_at: datetime) -> bool:
    """Say whether a delivery without a time begins a push of its own; `opened` is when the last one of its place began.

    Deliveries that were left over by a process that died may be worked on late, and so before others that came after.
    """
    return opened is None or abs(received_at - opened) > WINDOW
