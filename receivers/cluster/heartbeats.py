"""The heartbeats of Kargo's controllers: Leases in Kargo's own namespace, read now and then.

Source: `GetAll` in Kargo's `pkg/heartbeat`, which is newer than Kargo 1.10.
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
    """The Lease of one of Kargo's controllers. `shard` is empty for the one without a name; `until` is when it is dead
    unless it is renewed."""

    shard: str
    until: datetime


class Heartbeats:
    """What is known of Kargo's controllers. `work` is called by one thread, `known` by any."""

    def __init__(self, cluster: Callable[[], KubernetesClient], namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._known: Mapping[str, Heartbeat] | None = None
        self._error = ""

    def known(self) -> Mapping[str, Heartbeat] | None:
        """Return the heartbeats by shard; None if they could not be read the last time, for whatever reason."""
        return self._known

    @property
    def error(self) -> str:
        """Return why they could not be read the last time; empty if they could, or nobody tried yet."""
        return self._error

    def work(self) -> bool:
        """Read them once."""
        try:
            self._known, error = self._read(), ""
        except ClusterError as problem:
            # Without permission nothing is missing but one check; and what was read before has grown too old for it.
            self._known, error = None, str(problem)
        if error and error != self._error:
            log.info("heartbeats of Kargo's controllers are not known: %s", error)
        self._error = error
        return False

    def _read(self) -> Mapping[str, Heartbeat]:
        pages = self._cluster().list_pages(LEASES, self._namespace, item=decode_heartbeat)
        found = [one for page in pages for one in page.items if one is not None]
        # The last one to die speaks for a shard that has several.
        return MappingProxyType({one.shard: one for one in sorted(found, key=lambda one: one.until)})


def decode_heartbeat(raw: Mapping[str, Any]) -> Heartbeat | None:
    """Decode a Lease; None if it is not that of a controller, or has no time and duration that can be read."""
    labels = (raw.get("metadata") or {}).get("labels") or {}
    spec = raw.get("spec") or {}
    renewed, seconds = parse_time(str(spec.get("renewTime"))), spec.get("leaseDurationSeconds")
    if CONTROLLER_LABEL not in labels or renewed is None or not isinstance(seconds, int):
        return None
    return Heartbeat(str(labels[CONTROLLER_LABEL]), renewed + timedelta(seconds=seconds))
