"""Takes over open refreshes that no process holds, or whose process has died."""

from __future__ import annotations

from typing import Final

from receivers.models import Refresh
from receivers.refreshes.leases import ReplicaLease
from receivers.refreshes.tracker import Tracker

BATCH: Final = 500  # refreshes taken over at once

_REFRESH_FIELDS: Final = tuple(field.name for field in Refresh._meta.concrete_fields)
_DELIVERY_FIELDS: Final = tuple(
    f"delivery__{name}"
    for name in ("repository", "tag", "media_type", "pusher", "pushed_at", "received_at", "origin")
)


class Takeover:
    """Takes over refreshes for a tracker that has room. One thread calls `work`, every few seconds."""

    def __init__(self, lease: ReplicaLease, tracker: Tracker) -> None:
        self._lease = lease
        self._tracker = tracker

    def work(self) -> bool:
        """Renew the lease and take over refreshes; return whether there may be more."""
        if self._lease.renew():
            self._tracker.release(self._lease.held_by_others(self._tracker.tracked_ids()))
        room = min(self._tracker.room, BATCH)
        open_ = Refresh.objects.filter(outcome="").select_related("delivery").order_by("pk")
        rows = self._lease.claim(open_.only(*_REFRESH_FIELDS, *_DELIVERY_FIELDS), room) if room else []
        self._tracker.resume(rows)
        return len(rows) == BATCH
