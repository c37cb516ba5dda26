"""The cache: what everybody else asks about Kargo's objects."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from receivers.cluster.backoff import Backoff
from receivers.cluster.client import KubernetesClient
from receivers.cluster.garbage import settle
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

STOP_TIMEOUT: Final = 5.0  # seconds for the watches to end; longer than closing their connections ever takes

Listener = Callable[[Resource, Any, Any], None]
"""Called with the resource type and the decoded object before and after; None where there is none."""


class ClusterCache:
    """Projects, ProjectConfigs, the ClusterConfig and Warehouses of a cluster, in memory and up to date.

    Reading takes no lock and never waits; every method reads one consistent state. Until `ready` it may be
    empty; after that it never is because of a fault: what was known stays until it is known better.
    """

    def __init__(
        self,
        cluster_factory: Callable[[], KubernetesClient],
        namespaces: Sequence[str] = (),
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`cluster_factory` is called until it gives a cluster, which then belongs to the cache.

        With `namespaces` only those are looked at: they are the projects, and the ClusterConfig is read if
        RBAC allows it. Each costs two threads and two watches. `clock` gives seconds since 1970.
        """
        self._cluster_factory = cluster_factory
        self._cluster: KubernetesClient | None = None
        self._stopped = False
        self._connecting = threading.Lock()
        self._writing = threading.Lock()
        self._ready = threading.Event()
        self._listeners: tuple[Listener, ...] = ()
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
            )
            for resource, namespace in _watched(namespaces)
        )

    def start(self) -> None:
        """Start to list and watch, in threads. Never fails: what goes wrong is in `freshness`."""
        for reflector in self.reflectors:
            reflector.start()

    def stop(self) -> None:
        """End the threads and close the cluster's connections."""
        for reflector in self.reflectors:
            reflector.stop()
        # Without the lock: a kubeconfig's plugin may hold it for as long as it likes.
        self._stopped = True
        if self._cluster is not None:
            self._cluster.close()
        deadline = time.monotonic() + STOP_TIMEOUT
        for reflector in self.reflectors:
            reflector.join(max(0.0, deadline - time.monotonic()))

    def cluster(self) -> KubernetesClient:
        """Return the cluster. Raises `ConfigurationProblem` as long as there is no way to connect to one."""
        if self._cluster is None:
            with self._connecting:
                if self._cluster is None:
                    self._cluster = self._cluster_factory()
                    if self._stopped:  # by another thread, meanwhile
                        self._cluster.close()
        return self._cluster

    @property
    def ready(self) -> bool:
        """Say whether every type of object was listed completely once."""
        return self._ready.is_set()

    @property
    def is_current(self) -> bool:
        """Say whether nothing is known to fail: what is seen in the cache is how it is in the cluster."""
        return self.ready and not any(reflector.is_failing for reflector in self.reflectors)

    def wait_ready(self, timeout: float) -> bool:
        """Wait until `ready`, `timeout` seconds at most; return it."""
        return self._ready.wait(timeout)

    def freshness(self) -> tuple[Freshness, ...]:
        """Return how well each type of object is known, per namespace if there are several."""
        return tuple(reflector.freshness() for reflector in self.reflectors)

    def add_listener(self, listener: Listener) -> None:
        """Have `listener` called after every change, in the thread of that object's watch, in order.

        By then the cache answers with the changed object, or a later one. What it knew before is not repeated.
        """
        with self._writing:
            self._listeners += (listener,)

    def route(self, digest: str) -> Route | Collision | None:
        """Return the receiver that a digest (64 hex characters) leads to, or that several do, or None."""
        routes = self._snapshot.routes.get(routing_key(digest))
        if len(routes) > 1:
            return Collision(routes)
        return routes[0] if routes else None

    def warehouses_for(self, names: Iterable[str], project: str) -> tuple[Warehouse, ...]:
        """Return the Warehouses that subscribe to one of these normalised repository names, sorted by key.

        `project` limits them to one project; empty means all.
        """
        snapshot = self._snapshot
        return snapshot.subscribers(snapshot.by_repository, names, project)

    def subscribers_elsewhere(self, names: Iterable[str], project: str, most: int) -> tuple[Warehouse, ...]:
        """Return Warehouses outside of `project` that subscribe to one of these names, `most` at most."""
        snapshot = self._snapshot
        return snapshot.subscribers_elsewhere(snapshot.by_repository, names, project, most)

    def near_misses(self, near_key: str, project: str) -> tuple[Warehouse, ...]:
        """Return the Warehouses with a subscription of this near key, sorted by key.

        `project` is as for `warehouses_for`. Those that name the repository exactly are among them.
        """
        snapshot = self._snapshot
        return snapshot.subscribers(snapshot.by_near_key, [near_key], project)

    def warehouse(self, project: str, name: str) -> Warehouse | None:
        """Return one Warehouse, or None."""
        return self._snapshot.warehouse(project, name)

    def warehouses(self, project: str | None = None) -> tuple[Warehouse, ...]:
        """Return the Warehouses of one project, or (None) of all, sorted by key."""
        index = self._snapshot.by_project
        return index.get(project) if project is not None else _united(list(index.buckets()))

    def projects(self) -> tuple[Project, ...]:
        """Return the projects, sorted by name."""
        return tuple(project for _, project in sorted(self._snapshot.projects.items()))

    def config(self, project: str) -> ReceiverConfig | None:
        """Return the ProjectConfig of a project, or the ClusterConfig if `project` is empty."""
        return self._snapshot.configs.get((project, project or CLUSTER_CONFIG_NAME))

    def configs(self) -> tuple[ReceiverConfig, ...]:
        """Return the ClusterConfig (if there is one) and all ProjectConfigs, sorted by project."""
        return tuple(config for _, config in sorted(self._snapshot.configs.items()))

    def _apply(self, resource: Resource, changes: list[Change]) -> None:
        if not changes:
            return
        with self._writing:
            self._snapshot = self._snapshot.changed(resource, changes)
            listeners = self._listeners
        for listener in listeners:
            for old, new in changes:
                _call(listener, resource, old, new)

    def _check_ready(self) -> None:
        if not self.ready and all(reflector.is_settled for reflector in self.reflectors):
            settle()
            self._ready.set()


def _call(listener: Listener, resource: Resource, old: Any, new: Any) -> None:
    try:
        listener(resource, old, new)
    except Exception:
        log.exception("a listener failed; the cache goes on")


def _united(buckets: Sequence[tuple[Warehouse, ...]]) -> tuple[Warehouse, ...]:
    if len(buckets) == 1:
        return buckets[0]
    found = {warehouse.key: warehouse for bucket in buckets for warehouse in bucket}
    return tuple(found[key] for key in sorted(found))


def _watched(namespaces: Sequence[str]) -> Iterable[tuple[Resource, str]]:
    if not namespaces:
        return [(resource, "") for resource in (PROJECTS, PROJECT_CONFIGS, CLUSTER_CONFIGS, WAREHOUSES)]
    one_by_one = [(kind, name) for name in sorted(set(namespaces)) for kind in (PROJECT_CONFIGS, WAREHOUSES)]
    return [(CLUSTER_CONFIGS, ""), *one_by_one]
