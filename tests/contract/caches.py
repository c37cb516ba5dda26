"""Helpers for tests of the cluster cache: running caches, Kargo's objects, and comparisons with lists."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from receivers.cluster.backoff import Backoff
from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import KubernetesClient, connect
from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    PROJECT_CONFIGS,
    PROJECTS,
    WAREHOUSES,
    Resource,
    decode_config,
    decode_project,
    decode_warehouse,
)
from tests.clusters import PATIENCE

FAST_BACKOFF = Backoff(first=0.01, longest=0.1, forbidden=0.1, healthy=0.2)
TYPES = {
    PROJECTS: decode_project,
    PROJECT_CONFIGS: decode_config,
    CLUSTER_CONFIGS: decode_config,
    WAREHOUSES: decode_warehouse,
}
Json = dict[str, Any]


@contextlib.contextmanager
def running_cache(
    kubeconfig: Path, *, ready: bool = True, backoff: Backoff = FAST_BACKOFF, **options: Any
) -> Iterator[ClusterCache]:
    """Run a cache; wait until it is ready, unless `ready` is false."""
    cache = ClusterCache(lambda: connect(str(kubeconfig)), backoff=backoff, **options)
    cache.start()
    try:
        if ready:
            assert cache.wait_ready(PATIENCE), cache.freshness()
        yield cache
    finally:
        cache.stop()


class Kargo:
    """Writes Kargo's objects through the Kubernetes client."""

    def __init__(self, client: KubernetesClient) -> None:
        self.client = client

    def create(self, resource: Resource, name: str, namespace: str | None = None, **content: Any) -> None:
        """Create an object."""
        body = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {"name": name},
            **content,
        }
        self.client.create(resource, body, namespace)

    def warehouse(self, project: str, name: str, *repositories: str) -> None:
        """Create a Warehouse that subscribes to these images."""
        self.create(WAREHOUSES, name, project, spec=subscriptions(*repositories))

    def subscribe(self, project: str, name: str, *repositories: str) -> None:
        """Change the subscriptions of a Warehouse."""
        self.client.patch(WAREHOUSES, name, project, {"spec": subscriptions(*repositories)})

    def delete_warehouse(self, project: str, name: str) -> None:
        """Delete a Warehouse."""
        self.client.delete(WAREHOUSES, name, project)

    def receivers(self, project: str, *names: str) -> None:
        """Create the ProjectConfig (or with an empty project the ClusterConfig) with these receivers."""
        resource = PROJECT_CONFIGS if project else CLUSTER_CONFIGS
        self.create(resource, project or "cluster", project or None, spec=receivers(*names))

    def publish(self, project: str, **digests: str) -> None:
        """Publish URLs as Kargo does, with these digests by receiver name."""
        resource = PROJECT_CONFIGS if project else CLUSTER_CONFIGS
        published = [
            {"name": name, "path": f"/hooks/dockerhub/{digest}", "url": f"https://x/hooks/dockerhub/{digest}"}
            for name, digest in digests.items()
        ]
        body = {"status": {"webhookReceivers": published}}
        self.client.patch_status(resource, project or "cluster", project or None, body)


def subscriptions(*repositories: str) -> Json:
    """Return the spec of a Warehouse."""
    return {
        "interval": "5m0s",
        "subscriptions": [
            {"image": {"repoURL": repository, "strictSemvers": True}} for repository in repositories
        ],
    }


def receivers(*names: str) -> Json:
    """Return the spec of a ProjectConfig with Docker Hub receivers."""
    return {"webhookReceivers": [{"name": name, "dockerhub": {"secretRef": {"name": "s"}}} for name in names]}


def digest(text: str) -> str:
    """Return a digest that is unique for `text`."""
    return hashlib.sha256(text.encode()).hexdigest()


def cached_versions(cache: ClusterCache) -> dict[str, set[tuple[str, str, str]]]:
    """Return the namespace, name and version of all cached objects, by kind."""
    return {
        "Project": {("", project.name, project.resource_version) for project in cache.projects()},
        "Config": {(config.project, config.name, config.resource_version) for config in cache.configs()},
        "Warehouse": {
            (warehouse.project, warehouse.name, warehouse.resource_version)
            for warehouse in cache.warehouses()
        },
    }


def listed_versions(client: KubernetesClient) -> dict[str, set[tuple[str, str, str]]]:
    """Return the namespace, name and version of all objects in the cluster, by kind."""
    versions: dict[str, set[tuple[str, str, str]]] = {"Project": set(), "Config": set(), "Warehouse": set()}
    for resource in TYPES:
        kind = "Config" if resource.kind.endswith("Config") else resource.kind
        for page in client.list_pages(resource):
            for raw in page.items:
                metadata = raw["metadata"]
                versions[kind].add(
                    (metadata.get("namespace", ""), metadata["name"], metadata["resourceVersion"])
                )
    return versions


def cached_keys(cache: ClusterCache, names: list[str]) -> dict[str, list[tuple[str, str]]]:
    """Return the keys of the cached Warehouses by repository name, for these names."""
    return {name: [warehouse.key for warehouse in cache.warehouses_for([name], "")] for name in names}
