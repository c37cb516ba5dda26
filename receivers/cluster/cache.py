"""The cluster cache: an in-memory copy of Kargo's objects that is kept up to date by watches."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from receivers.cluster.api_probe import ApiProbe
from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.codecs import WarehouseCodec
from receivers.cluster.garbage import freeze_objects
from receivers.cluster.kargo_version import KargoVersionDetector
from receivers.cluster.reflector import Freshness, Reflector
from receivers.cluster.snapshot import Change, Collision, Route, Snapshot, routing_key
from receivers.kargo.resources import (
    CLUSTER_CONFIG_NAME,
    CLUSTER_CONFIGS,
    PROJECT_CONFIGS,
    PROJECTS,
    WAREHOUSES,
    Project,
    ReceiverConfig,
    Resource,
    Warehouse,
)

log = logging.getLogger(__name__)

STOP_TIMEOUT: Final = 5.0  # seconds for the watch threads to end; closing their connections takes far less

Listener = Callable[[Resource, Any, Any], None]
"""Called with the resource type and the decoded object before and after the change; None if it did not exist."""


class ClusterCache:
    """The Projects, ProjectConfigs, ClusterConfig and Warehouses of a cluster, in memory.

    Reads take no lock and never block; each method reads one consistent snapshot. Before `ready` the cache may be
    empty. After that, failures never empty it: it serves the last known objects until it can update them.
    """

    def __init__(
        self,
        cluster_factory: Callable[[], KubernetesClient],
        namespaces: Sequence[str] = (),
        *,
        kargo_version: KargoVersionDetector | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Create a cache that is not yet running.

        `cluster_factory` is called until it returns a client, which the cache then owns and closes. With
        `namespaces` the cache reads only these projects, and the ClusterConfig if RBAC allows it; each namespace
        takes two threads and two watches. Warehouses are decoded by the rules of `kargo_version`; without it, by the
        latest. `clock` returns seconds since 1970.
        """
        self._cluster_factory = cluster_factory
        self._cluster: KubernetesClient | None = None
        self._stopped = False
        self._connecting = threading.Lock()
        self._writing = threading.Lock()
        self._ready = threading.Event()
        self._listeners: tuple[Listener, ...] = ()
        self._return_listeners: tuple[Callable[[], None], ...] = ()
        self._snapshot = Snapshot(projects={name: Project(name, "") for name in sorted(namespaces)})
        self.reflectors = tuple(
            Reflector(
                resource,
                namespace,
                cluster=self.cluster,
                changed=self._apply,
                settled=self._check_ready,
                may_be_forbidden=bool(namespaces) and not resource.namespaced,
                backoff=backoff or Backoff(),
                clock=clock,
                codec=self._warehouse_codec(kargo_version) if resource is WAREHOUSES else None,
            )
            for resource, namespace in _watched_resources(namespaces)
        )
        self._probe = ApiProbe(self.cluster, namespaces[0] if namespaces else None, self._returned)

    def _warehouse_codec(self, kargo_version: KargoVersionDetector | None) -> WarehouseCodec | None:
        return WarehouseCodec(lambda: kargo_version.rules(self.cluster())) if kargo_version else None

    def start(self) -> None:
        """Start the threads that list and watch. Never raises; errors are reported by `freshness`."""
        for reflector in self.reflectors:
            reflector.start()
        self._probe.start()

    def stop(self) -> None:
        """Stop the threads and close the client's connections."""
        self._probe.stop()
        for reflector in self.reflectors:
            reflector.stop()
        # Without the lock: a kubeconfig's exec plugin may hold it for an unlimited time.
        self._stopped = True
        if self._cluster is not None:
            self._cluster.close()
        deadline = time.monotonic() + STOP_TIMEOUT
        for reflector in self.reflectors:
            reflector.join(max(0.0, deadline - time.monotonic()))
        self._probe.join(max(0.0, deadline - time.monotonic()))

    def cluster(self) -> KubernetesClient:
        """Return the client, creating it if necessary. Raises `KubeconfigError` if that is not possible."""
        if self._cluster is None:
            with self._connecting:  # every reflector asks at the start, and one client serves them all
                if self._cluster is None:
                    self._cluster = self._cluster_factory()
                    if self._stopped:  # by another thread while the factory ran
                        self._cluster.close()
        return self._cluster

    @property
    def ready(self) -> bool:
        """Return whether every resource type was listed completely at least once."""
        return self._ready.is_set()

    @property
    def is_current(self) -> bool:
        """Return whether the cache is ready and no list or watch is failing, so that it matches the cluster."""
        return self.ready and not any(reflector.is_failing for reflector in self.reflectors)

    @property
    def is_responding(self) -> bool:
        """Return whether the API server responds, as far as is known; if not, requests to it fail at once."""
        return self._cluster is None or not self._cluster.is_suspended

    @property
    def resumed_at(self) -> float | None:
        """Return when the API server responded again after an outage, in `time.monotonic` seconds, or None."""
        return self._cluster.resumed_at if self._cluster is not None else None

    def wait_ready(self, timeout: float) -> bool:
        """Wait until `ready` for at most `timeout` seconds; return whether it is."""
        return self._ready.wait(timeout)

    def freshness(self) -> tuple[Freshness, ...]:
        """Return the freshness of each resource type, per namespace if the cache is limited to namespaces."""
        return tuple(reflector.freshness() for reflector in self.reflectors)

    def add_listener(self, listener: Listener) -> None:
        """Call `listener` after every change, in the thread of that resource type's watch and in order.

        At that time the cache returns the changed object or a later version. Existing objects are not replayed.
        """
        with self._writing:
            self._listeners += (listener,)

    def add_return_listener(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the API server responds for the first time, and when it responds again.

        It is called in the thread of the probe and must return soon.
        """
        self._return_listeners += (listener,)

    def route(self, digest: str) -> Route | Collision | None:
        """Return the receiver with this digest (64 hex characters), a `Collision` if several share it, or None."""
        routes = self._snapshot.routes.get(routing_key(digest))
        if len(routes) > 1:
            return Collision(routes)
        return routes[0] if routes else None

    def warehouses_for(self, names: Iterable[str], project: str) -> tuple[Warehouse, ...]:
        """Return the Warehouses that subscribe to any of these normalized repository names, sorted by key.

        `project` limits the result to one project; empty means all projects.
        """
        snapshot = self._snapshot
        return snapshot.subscribers(snapshot.by_repository, names, project)

    def subscribers_elsewhere(self, names: Iterable[str], project: str, most: int) -> tuple[Warehouse, ...]:
        """Return at most `most` Warehouses outside `project` that subscribe to any of these names."""
        snapshot = self._snapshot
        return snapshot.subscribers_elsewhere(snapshot.by_repository, names, project, most)

    def near_misses(self, near_key: str, project: str) -> tuple[Warehouse, ...]:
        """Return the Warehouses with a subscription that has this near key, sorted by key.

        `project` works as in `warehouses_for`. Exact matches are included.
        """
        snapshot = self._snapshot
        return snapshot.subscribers(snapshot.by_near_key, [near_key], project)

    def warehouse(self, project: str, name: str) -> Warehouse | None:
        """Return a Warehouse, or None if there is none."""
        return self._snapshot.warehouse(project, name)

    def warehouses(self, project: str | None = None) -> tuple[Warehouse, ...]:
        """Return the Warehouses of one project, or of all projects if `project` is None, sorted by key."""
        index = self._snapshot.by_project
        return index.get(project) if project is not None else _merged(list(index.buckets()))

    def projects(self) -> tuple[Project, ...]:
        """Return the projects, sorted by name."""
        return tuple(project for _, project in sorted(self._snapshot.projects.items()))

    def config(self, project: str) -> ReceiverConfig | None:
        """Return the ProjectConfig of a project, or the ClusterConfig if `project` is empty."""
        return self._snapshot.configs.get((project, project or CLUSTER_CONFIG_NAME))

    def configs(self) -> tuple[ReceiverConfig, ...]:
        """Return the ClusterConfig, if any, and all ProjectConfigs, sorted by project."""
        return tuple(config for _, config in sorted(self._snapshot.configs.items()))

    def _apply(self, resource: Resource, changes: list[Change]) -> None:
        if not changes:
            return
        # The lock is for the writers, one thread per resource type. Readers get the old snapshot or the new one, whole.
        with self._writing:
            self._snapshot = self._snapshot.changed(resource, changes)
            listeners = self._listeners
        # Without the lock: a listener may take its time, and may read the cache.
        for listener in listeners:
            for old, new in changes:
                _call(listener, resource, old, new)

    def _returned(self) -> None:
        # The watches first: listeners request refreshes, and the watches deliver their results.
        for reflector in self.reflectors:
            reflector.retry()
        for listener in self._return_listeners:
            listener()

    def _check_ready(self) -> None:
        if not self.ready and all(reflector.is_settled for reflector in self.reflectors):
            freeze_objects()  # before requests come: it stops all threads for a moment
            self._ready.set()


def _call(listener: Listener, resource: Resource, old: Any, new: Any) -> None:
    try:
        listener(resource, old, new)
    except Exception:
        log.exception("A cache listener failed")


def _merged(buckets: Sequence[tuple[Warehouse, ...]]) -> tuple[Warehouse, ...]:
    if len(buckets) == 1:
        return buckets[0]
    by_key = {warehouse.key: warehouse for bucket in buckets for warehouse in bucket}
    return tuple(by_key[key] for key in sorted(by_key))


def _watched_resources(namespaces: Sequence[str]) -> Iterable[tuple[Resource, str]]:
    if not namespaces:
        return [(resource, "") for resource in (PROJECTS, PROJECT_CONFIGS, CLUSTER_CONFIGS, WAREHOUSES)]
    namespaced = [
        (resource, namespace)
        for namespace in sorted(set(namespaces))
        for resource in (PROJECT_CONFIGS, WAREHOUSES)
    ]
    # No Projects: listing these takes a ClusterRole, which an installation limited to namespaces does not have.
    return [(CLUSTER_CONFIGS, ""), *namespaced]
