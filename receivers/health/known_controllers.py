"""Remembers Kargo's controllers: one that stops properly deletes its Lease, which leaves no trace in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from receivers.cluster.heartbeats import Heartbeat, Heartbeats
from receivers.models import KargoController

# Of a controller that stopped. After a downgrade to a version of Kargo without heartbeats, this ends the finding.
REMEMBERED: Final = timedelta(days=30)


class KnownControllers:
    """Reads the heartbeats of Kargo's controllers and stores them. Only one thread may call `work`."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats

    def work(self) -> bool:
        """Read and store the heartbeats once. Returns False: there is never more work to do at once."""
        self._heartbeats.work()
        remember(self._heartbeats.latest() or {}, timezone.now())
        return False


def remember(heartbeats: Mapping[str, Heartbeat], now: datetime) -> None:
    """Store the heartbeats by shard; forget controllers that stopped `REMEMBERED` ago."""
    rows = [
        KargoController(shard=heartbeat.shard, until=heartbeat.until) for heartbeat in heartbeats.values()
    ]
    KargoController.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["shard"], update_fields=["until"]
    )
    KargoController.objects.filter(until__lt=now - REMEMBERED).delete()


def with_stopped(heartbeats: Mapping[str, Heartbeat] | None) -> Mapping[str, Heartbeat] | None:
    """Add the last heartbeats of controllers that have no Lease any more. One query; none if nothing is known."""
    if heartbeats is None:
        return None
    stored = KargoController.objects.values_list("shard", "until")
    return {shard: Heartbeat(shard, until) for shard, until in stored} | dict(heartbeats)
