"""An immutable state of the cluster cache, with indexes for its readers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter, itemgetter
from typing import Any, TypeVar

from receivers.cluster.index import Bucket, Index
from receivers.kargo.receiver_path import digest_hash
from receivers.kargo.resources import (
    PROJECTS,
    WAREHOUSES,
    Project,
    Receiver,
    ReceiverConfig,
    Resource,
    Warehouse,
    WarehouseKey,
)

Change = tuple[Any, Any]
"""A decoded object before and after a change (or None); both of the same type."""

K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Route:
    """The receiver that a digest belongs to; `project` is empty for a cluster receiver.

    `kind` is the receiver's type as written in the spec (`dockerhub`, `github`, ...).
    """

    project: str
    receiver: str
    kind: str


@dataclass(frozen=True, slots=True)
class Collision:
    """Several receivers that share a digest; pushes to it are rejected."""

    routes: tuple[Route, ...]


def published_routes(config: ReceiverConfig) -> Iterator[tuple[str, Route]]:
    """Yield the digest and route of every published URL whose receiver is still in the spec."""
    receivers: dict[str, Receiver] = {receiver.name: receiver for receiver in config.receivers}
    for published in config.published:
        receiver = receivers.get(published.name)
        digest = published.digest
        if receiver is not None and digest:
            yield digest, Route(config.project, receiver.name, receiver.kind)


def routing_key(digest: str) -> str:
    """Return the key of a digest in the index of routes. It is hashed, so that lookups leak nothing through timing."""
    return digest_hash(digest).hex()


def _routes(config: ReceiverConfig) -> Iterator[tuple[str, Route]]:
    return ((routing_key(digest), route) for digest, route in published_routes(config))


def _by_project(warehouse: Warehouse) -> Iterator[tuple[str, Warehouse]]:
    yield warehouse.project, warehouse


def _by_repository(warehouse: Warehouse) -> Iterator[tuple[str, WarehouseKey]]:
    return (
        (subscription.repository, warehouse.key)
        for subscription in warehouse.subscriptions
        if subscription.repository
    )


def _by_near_key(warehouse: Warehouse) -> Iterator[tuple[str, WarehouseKey]]:
    return (
        (subscription.near_key, warehouse.key)
        for subscription in warehouse.subscriptions
        if subscription.near_key
    )


def _resubscribed(change: Change) -> bool:
    """Return whether a change affects subscriptions. Most do not: they update the status or an annotation."""
    old, new = change
    return old is None or new is None or old.key != new.key or old.subscriptions is not new.subscriptions


def _itself(key: WarehouseKey) -> WarehouseKey:
    return key


_key = attrgetter("key")
_project = itemgetter(0)
_name = attrgetter("name")
_config_key = attrgetter("project", "name")
_route_order = attrgetter("project", "receiver")


def _in_project(bucket: Bucket[WarehouseKey], project: str) -> Bucket[WarehouseKey]:
    """Return the keys of one project, or of all projects if `project` is empty."""
    if not project:
        return bucket
    return bucket[bisect_left(bucket, project, key=_project) : bisect_right(bucket, project, key=_project)]


def _elsewhere(bucket: Bucket[WarehouseKey], project: str, most: int) -> Bucket[WarehouseKey]:
    """Return the first `most` keys of other projects, in constant time for a bucket of any size."""
    start, end = bisect_left(bucket, project, key=_project), bisect_right(bucket, project, key=_project)
    return (bucket[: min(start, most)] + bucket[end : end + most])[:most]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the cache at one moment. Immutable: `changed` returns the next snapshot."""

    projects: dict[str, Project] = field(default_factory=dict)
    configs: dict[tuple[str, str], ReceiverConfig] = field(default_factory=dict)
    routes: Index[ReceiverConfig, Route] = field(default_factory=lambda: Index(_routes, _route_order))
    by_project: Index[Warehouse, Warehouse] = field(default_factory=lambda: Index(_by_project, _key))
    by_repository: Index[Warehouse, WarehouseKey] = field(
        default_factory=lambda: Index(_by_repository, _itself)
    )
    by_near_key: Index[Warehouse, WarehouseKey] = field(default_factory=lambda: Index(_by_near_key, _itself))

    def changed(self, resource: Resource, changes: Sequence[Change]) -> Snapshot:
        """Return the snapshot after these changes to objects of one type."""
        if resource is WAREHOUSES:
            resubscribed = list(filter(_resubscribed, changes))
            return replace(
                self,
                by_project=self.by_project.changed(changes),
                by_repository=self.by_repository.changed(resubscribed),
                by_near_key=self.by_near_key.changed(resubscribed),
            )
        if resource is PROJECTS:
            return replace(self, projects=_merged(self.projects, changes, _name))
        configs = _merged(self.configs, changes, _config_key)
        return replace(self, configs=configs, routes=self.routes.changed(changes))

    def subscribers(
        self, index: Index[Warehouse, WarehouseKey], names: Iterable[str], project: str
    ) -> tuple[Warehouse, ...]:
        """Return the Warehouses that `index` has under any of these names, sorted by key.

        `project` limits the result to one project; empty means all projects.
        """
        keys = {key for name in names for key in _in_project(index.get(name), project)}
        return self._warehouses(keys)

    def subscribers_elsewhere(
        self, index: Index[Warehouse, WarehouseKey], names: Iterable[str], project: str, most: int
    ) -> tuple[Warehouse, ...]:
        """Return at most `most` of the Warehouses that `index` has under any of these names outside `project`."""
        keys = {key for name in names for key in _elsewhere(index.get(name), project, most)}
        return self._warehouses(sorted(keys)[:most])

    def _warehouses(self, keys: Iterable[WarehouseKey]) -> tuple[Warehouse, ...]:
        warehouses = (self.warehouse(*key) for key in sorted(keys))
        return tuple(warehouse for warehouse in warehouses if warehouse is not None)

    def warehouse(self, project: str, name: str) -> Warehouse | None:
        """Return a Warehouse, or None if there is none."""
        bucket = self.by_project.get(project)
        at = bisect_left(bucket, (project, name), key=_key)
        return bucket[at] if at < len(bucket) and bucket[at].name == name else None


def _merged(objects: dict[K, T], changes: Iterable[Change], key: Callable[[T], K]) -> dict[K, T]:
    merged = objects.copy()
    for old, new in changes:
        if old is not None:
            merged.pop(key(old), None)
        if new is not None:
            merged[key(new)] = new
    return merged
