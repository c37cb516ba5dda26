"""Sees Freight come into being. None is kept for long: there may be hundreds of thousands."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import Key, version_of
from receivers.cluster.reflector import Freshness, Reflector
from receivers.cluster.snapshot import Change
from receivers.kargo.artifacts import Freight
from receivers.kargo.resources import FREIGHTS, Resource, WarehouseKey

log = logging.getLogger(__name__)

REMEMBERED: Final = 5_000  # pieces of Freight: what a large installation makes in hours, in a few megabytes
# Freight that came before a watch began may have come since the push: its event is then not repeated.
OVERLAP: Final = timedelta(seconds=1)
STOP_TIMEOUT: Final = 5.0  # seconds for the watches to end

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)  # Freight of which nobody knows when it was made

FreightListener = Callable[[Freight], None]


class FreightReflector(Reflector):
    """Watches Freight from now on. Nothing is listed but the version to start from."""

    def _list(self) -> None:
        page = next(self._cluster().list_pages(self.resource, self.namespace or None, limit=1))
        self._contact = self._clock()
        self._relists += 1
        self._version = page.resource_version
        self._synced = True
        self._settled()

    def _take(self, kind: str, raw: dict[str, Any]) -> None:
        if kind != "ADDED":
            if kind == "BOOKMARK":
                self._check_order(version_of(raw))
        else:
            self._changed(self.resource, [(None, self._decode(raw, None))])
        self._version = version_of(raw) or self._version

    def _change(self, key: Key, raw: dict[str, Any], *, exists: bool) -> None:
        raise NotImplementedError("Freight is not kept by key")


class FreightWatch:
    """The Freight that was made lately, by Warehouse, and whoever wants to hear of more."""

    def __init__(
        self,
        cluster: Callable[[], KubernetesClient],
        namespaces: Sequence[str] = (),
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """With `namespaces` only those are watched. `cluster` may raise `ClusterError` while there is none."""
        self._clock = clock
        self._lock = threading.Lock()
        self._recent: OrderedDict[tuple[str, str], Freight] = OrderedDict()
        self._by_warehouse: dict[WarehouseKey, tuple[Freight, ...]] = {}
        self._complete_since: dict[str, datetime] = {}
        self._forgotten_until = datetime.min.replace(tzinfo=clock().tzinfo)
        self._listeners: tuple[FreightListener, ...] = ()
        self._restart_listeners: tuple[Callable[[], None], ...] = ()
        self.reflectors = tuple(
            FreightReflector(
                FREIGHTS,
                namespace,
                cluster=cluster,
                changed=self._apply,
                settled=lambda namespace=namespace: self._begun(namespace),  # type: ignore[misc]
                may_be_forbidden=True,
                backoff=backoff or Backoff(),
                clock=lambda: clock().timestamp(),
            )
            for namespace in (namespaces or ("",))
        )

        self._by_namespace = {reflector.namespace: reflector for reflector in self.reflectors}

    def start(self) -> None:
        """Start to watch, in threads. Never fails: what goes wrong is in `freshness`."""
        for reflector in self.reflectors:
            reflector.start()

    def stop(self) -> None:
        """End the threads."""
        for reflector in self.reflectors:
            reflector.stop()
        for reflector in self.reflectors:
            reflector.join(STOP_TIMEOUT / len(self.reflectors))

    def freshness(self) -> tuple[Freshness, ...]:
        """Return how well Freight is known, per namespace if there are several."""
        return tuple(reflector.freshness() for reflector in self.reflectors)

    def add_listener(self, listener: FreightListener) -> None:
        """Have `listener` called with every Freight that is created from now on, in the thread of the watch."""
        self._listeners += (listener,)

    def add_restart_listener(self, listener: Callable[[], None]) -> None:
        """Have `listener` called when a watch begins: at the start, and when events may have been missed."""
        self._restart_listeners += (listener,)

    def of(self, key: WarehouseKey) -> tuple[Freight, ...]:
        """Return what is remembered of a Warehouse's Freight, oldest first."""
        return self._by_warehouse.get(key, ())

    def is_complete_since(self, project: str, at: datetime) -> bool:
        """Say whether all Freight that a project got since `at` is remembered, but for what is on its way here."""
        reflector = self._by_namespace.get("") or self._by_namespace.get(project)
        since = self._complete_since.get(reflector.namespace) if reflector and reflector.is_watching else None
        return since is not None and max(since + OVERLAP, self._forgotten_until) <= at

    def remember(self, freight: Freight) -> None:
        """Take note of Freight: seen just now, or looked up."""
        with self._lock:
            self._recent[freight.project, freight.name] = freight
            key = (freight.project, freight.warehouse)
            others = (one for one in self.of(key) if one.name != freight.name)
            known = (*others, freight)
            self._by_warehouse[key] = tuple(sorted(known, key=lambda one: one.created_at or LONG_AGO))
            if len(self._recent) > REMEMBERED:
                _, oldest = self._recent.popitem(last=False)
                self._forgotten_until = max(self._forgotten_until, oldest.created_at or self._clock())
                self._forget(oldest)

    def _forget(self, oldest: Freight) -> None:
        key = (oldest.project, oldest.warehouse)
        left = tuple(one for one in self.of(key) if one.name != oldest.name)
        if left:
            self._by_warehouse[key] = left
        else:
            self._by_warehouse.pop(key, None)

    def _begun(self, namespace: str) -> None:
        self._complete_since[namespace] = self._clock()
        for listener in self._restart_listeners:
            listener()

    def _apply(self, _: Resource, changes: list[Change]) -> None:
        for _, freight in changes:
            self.remember(freight)
            for listener in self._listeners:
                try:
                    listener(freight)
                except Exception:
                    log.exception("a listener failed; the watch goes on")
