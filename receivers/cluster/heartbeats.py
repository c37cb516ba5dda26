"""Read the heartbeats of Kargo's controllers: Leases in Kargo's namespace.

Source: `GetAll` in Kargo's `pkg/heartbeat`. Kargo 1.10 and earlier have no heartbeats.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.kargo.resources import LEASES
from receivers.kargo.times import parse_time

log = logging.getLogger(__name__)

CONTROLLER_LABEL: Final = "kargo.akuity.io/controller"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The Lease of a Kargo controller, which expires at `until`. `shard` is empty for the default controller."""

    shard: str
    until: datetime


class Heartbeats:
    """The latest heartbeats of Kargo's controllers. Thread-safe, but only one thread may call `work`."""

    def __init__(self, cluster: Callable[[], KubernetesClient], namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._latest: Mapping[str, Heartbeat] | None = None
        self._error = ""

    def latest(self) -> Mapping[str, Heartbeat] | None:
        """Return the heartbeats by shard, or None if the last read failed or there was none yet."""
        return self._latest

    @property
    def error(self) -> str:
        """Return the error of the last read; empty if it succeeded or there was none yet."""
        return self._error

    def work(self) -> bool:
        """Read the heartbeats once. Returns False: there is never more work to do at once."""
        try:
            self._latest, error = self._read(), ""
        except ClusterError as failure:
            # Old heartbeats would make every controller seem down. Without any, that one health check is skipped.
            self._latest, error = None, str(failure)
        if error and error != self._error:
            log.info("Cannot read the heartbeats of Kargo's controllers: %s", error)
        self._error = error
        return False

    def _read(self) -> Mapping[str, Heartbeat]:
        pages = self._cluster().list_pages(LEASES, self._namespace, item=decode_heartbeat)
        heartbeats = [heartbeat for page in pages for heartbeat in page.items if heartbeat is not None]
        # A shard may have the Leases of several controllers, old ones included: the last to expire wins.
        heartbeats.sort(key=lambda heartbeat: heartbeat.until)
        return MappingProxyType({heartbeat.shard: heartbeat for heartbeat in heartbeats})


def decode_heartbeat(raw: Mapping[str, Any]) -> Heartbeat | None:
    """Decode a Lease. Returns None if it is not that of a controller, or has no valid time and duration."""
    labels = (raw.get("metadata") or {}).get("labels") or {}
    spec = raw.get("spec") or {}
    renewed, seconds = parse_time(str(spec.get("renewTime"))), spec.get("leaseDurationSeconds")
    if CONTROLLER_LABEL not in labels or renewed is None or not isinstance(seconds, int):
        return None
    return Heartbeat(str(labels[CONTROLLER_LABEL]), renewed + timedelta(seconds=seconds))
