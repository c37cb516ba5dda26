"""Watch new Freight and remember the latest.

A cluster may have hundreds of thousands of Freight objects, which is too many to cache.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import Key, version_of
from receivers.cluster.reflector import Freshness, TailReflector
from receivers.cluster.snapshot import Change
from receivers.kargo.artifacts import Freight
from receivers.kargo.resources import FREIGHTS, Resource, WarehouseKey

log = logging.getLogger(__name__)

RECENT_LIMIT: Final = 5_000  # Freight: hours of it in a large installation, in a few megabytes
STOP_TIMEOUT: Final = 5.0  # seconds for the watch threads to end

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)  # sorts Freight without a creation time first

FreightListener = Callable[[Freight], None]


class FreightReflector(TailReflector):
    """Watches Freight that is created from now on."""

    def _handle(self, kind: str, raw: dict[str, Any]) -> None:
        if kind != "ADDED":
            if kind == "BOOKMARK":
                self._check_order(version_of(raw))
        else:
            self._changed(self.resource, [(None, self._decode(raw, None))])
        self._version = version_of(raw) or self._version

    def _change(self, key: Key, raw: dict[str, Any], *, exists: bool) -> None:
        raise NotImplementedError("Freight is not cached by key")


class FreightWatch:
    """The latest Freight by Warehouse, and the listeners for new Freight. Thread-safe."""

    def __init__(
        self,
        cluster: Callable[[], KubernetesClient],
        namespaces: Sequence[str] = (),
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Create a watch that is not yet running, of all namespaces or only of `namespaces`.

        `cluster` may raise `ClusterError`; it is called again after a delay.
        """
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[str, str], Freight] = OrderedDict()
        self._by_warehouse: dict[WarehouseKey, tuple[Freight, ...]] = {}
        self._listeners: tuple[FreightListener, ...] = ()
        self._restart_listeners: tuple[Callable[[], None], ...] = ()
        self.reflectors = tuple(
            FreightReflector(
                FREIGHTS,
                namespace,
                cluster=cluster,
                changed=self._apply,
                settled=self._started,
                may_be_forbidden=True,
                backoff=backoff or Backoff(),
                clock=lambda: clock().timestamp(),
            )
            for namespace in (namespaces or ("",))
        )

    def start(self) -> None:
        """Start the threads that watch. Never raises; errors are reported by `freshness`."""
        for reflector in self.reflectors:
            reflector.start()

    def stop(self) -> None:
        """Stop the threads."""
        for reflector in self.reflectors:
            reflector.stop()
        for reflector in self.reflectors:
            reflector.join(STOP_TIMEOUT / len(self.reflectors))

    def retry(self) -> None:
        """Watch again now instead of at the end of the current delay."""
        for reflector in self.reflectors:
            reflector.retry()

    def freshness(self) -> tuple[Freshness, ...]:
        """Return the freshness of Freight, per namespace if the watch is limited to namespaces."""
        return tuple(reflector.freshness() for reflector in self.reflectors)

    def add_listener(self, listener: FreightListener) -> None:
        """Call `listener` with all Freight that is created from now on, in the thread of the watch."""
        self._listeners += (listener,)

    def add_restart_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` when a watch starts: at first, and after a gap in which events may have been missed."""
        self._restart_listeners += (listener,)

    def of(self, key: WarehouseKey) -> tuple[Freight, ...]:
        """Return the remembered Freight of a Warehouse, oldest first."""
        return self._by_warehouse.get(key, ())

    def remember(self, freight: Freight) -> None:
        """Remember Freight that was watched or looked up; forget the oldest if there is too much."""
        with self._lock:
            self._recent[freight.project, freight.name] = freight
            key = (freight.project, freight.warehouse)
            others = (other for other in self.of(key) if other.name != freight.name)
            self._by_warehouse[key] = tuple(sorted((*others, freight), key=_creation_time))
            if len(self._recent) > RECENT_LIMIT:
                _, oldest = self._recent.popitem(last=False)
                self._forget(oldest)

    def _forget(self, oldest: Freight) -> None:
        key = (oldest.project, oldest.warehouse)
        others = tuple(freight for freight in self.of(key) if freight.name != oldest.name)
        if others:
            self._by_warehouse[key] = others
        else:
            self._by_warehouse.pop(key, None)

    def _started(self) -> None:
        for listener in self._restart_listeners:
            listener()

    def _apply(self, _: Resource, changes: list[Change]) -> None:
        for _, freight in changes:
            self.remember(freight)
            for listener in self._listeners:
                try:
                    listener(freight)
                except Exception:
                    log.exception("A Freight listener failed")


def _creation_time(freight: Freight) -> datetime:
    return freight.created_at or LONG_AGO
