"""The controller: watch Warehouses, and reconcile each of them when it changes, is refreshed or is due.

The watch adds Warehouses to a `WorkQueue`, and worker threads pass them to the `Reconciler`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any, Final

from demo.controller.behaviors import BEHAVIOR_ANNOTATION, parse_behavior
from demo.controller.heartbeat import Heartbeat
from demo.controller.reconciler import MINIMUM_INTERVAL, ReconcileError, Reconciler
from demo.controller.stage_controller import StageController
from demo.controller.work_queue import WorkQueue
from demo.registry import Registry
from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, Gone
from receivers.cluster.watch import Watch
from receivers.kargo.resources import REFRESH_ANNOTATION, WAREHOUSES, WarehouseKey

log = logging.getLogger("demo.controller")

# Concurrent reconciliations. Kargo's chart has 4, but the demo's Warehouses can be slow on purpose.
WORKERS: Final = 8
RECONNECT_DELAY: Final = 0.5  # seconds between attempts to reconnect to the API server
STOP_TIMEOUT: Final = 3.0  # for each thread to finish

State = tuple[str, int, str | None, bool]
"""The controller reconciles when this changes: uid, generation, refresh token and whether the Warehouse is `dead`."""


class Controller:
    """A watch thread, worker threads and a heartbeat thread."""

    def __init__(
        self, cluster: KubernetesClient, registry: Registry, *, minimum_interval: float = MINIMUM_INTERVAL
    ) -> None:
        self._cluster = cluster
        self._stopping = threading.Event()
        self._queue: WorkQueue[WarehouseKey] = WorkQueue()
        self._reconciler = Reconciler(cluster, registry, self._stopping, minimum_interval)
        self._heartbeat = Heartbeat(cluster)
        self._stages = StageController(cluster)
        self._seen: dict[WarehouseKey, State] = {}
        self._watch: Watch | None = None
        self._threads = [
            threading.Thread(target=self._watch_forever, name="watch", daemon=True),
            threading.Thread(
                target=self._heartbeat.run, args=(self._stopping,), name="heartbeat", daemon=True
            ),
            threading.Thread(target=self._stages.run, args=(self._stopping,), name="stages", daemon=True),
            *(threading.Thread(target=self._work, name=f"worker-{n}", daemon=True) for n in range(WORKERS)),
        ]

    def start(self) -> None:
        """Start all threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop all threads. A reconciliation in progress may be interrupted, as when a controller is killed."""
        self._stopping.set()
        self._queue.close()
        if self._watch is not None:
            self._watch.close()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT)
        self._cluster.close()

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                self._reconcile(key)
            finally:
                self._queue.done(key)

    def _reconcile(self, key: WarehouseKey) -> None:
        try:
            due = self._reconciler.reconcile(*key)
        except ReconcileError as error:
            log.info("%s/%s: %s", *key, error)
            self._queue.retry(key)
        except ClusterError as error:
            if not self._stopping.is_set():
                log.info("retrying %s/%s: %s", *key, error)
            self._queue.retry(key)
        except Exception:
            log.exception("reconciling %s/%s failed", *key)
        else:
            self._queue.forget(key)
            if due is not None:
                self._queue.add_after(key, due)

    def _watch_forever(self) -> None:
        disconnected = False
        while not self._stopping.is_set():
            try:
                version = self._list()
                if disconnected:
                    log.info("reconnected to the API server")
                disconnected = False
                self._follow(version)
            except Gone:
                continue
            except ClusterError as error:
                if not disconnected and not self._stopping.is_set():
                    log.info("lost the API server: %s", error)
                disconnected = True
                self._stopping.wait(RECONNECT_DELAY)

    def _list(self) -> str:
        """Observe all Warehouses. Return the resource version from which to watch."""
        version, listed = "", set()
        for page in self._cluster.list_pages(WAREHOUSES):
            listed |= {self._observe(raw) for raw in page.items}
            version = page.resource_version
        for deleted in self._seen.keys() - listed:
            del self._seen[deleted]
        return version

    def _follow(self, version: str) -> None:
        """Observe changes until the connection is lost. Raises `ClusterError`."""
        while not self._stopping.is_set():
            with self._cluster.watch(WAREHOUSES, resource_version=version) as watch:
                self._watch = watch
                for event, raw in watch:
                    version = raw["metadata"]["resourceVersion"]
                    if event == "DELETED":
                        self._seen.pop(_key(raw), None)
                    elif event != "BOOKMARK":
                        self._observe(raw)

    def _observe(self, raw: Mapping[str, Any]) -> WarehouseKey:
        """Queue a Warehouse if it is new or its `State` has changed."""
        key, metadata = _key(raw), raw["metadata"]
        annotations = metadata.get("annotations") or {}
        dead = parse_behavior(annotations.get(BEHAVIOR_ANNOTATION, "")).dead
        state = (
            metadata.get("uid", ""),
            metadata.get("generation", 0),
            annotations.get(REFRESH_ANNOTATION),
            dead,
        )
        if self._seen.get(key) != state:
            self._seen[key] = state
            self._queue.add(key)
        return key


def _key(raw: Mapping[str, Any]) -> WarehouseKey:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]
