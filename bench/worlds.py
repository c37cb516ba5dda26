"""Clusters for benchmarks, with many projects and Warehouses."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receivers.cluster.client import KubernetesClient, connect
from receivers.kargo.resources import PROJECT_CONFIGS, PROJECTS, WAREHOUSES, Resource

SUBSCRIPTIONS = 4  # per Warehouse
HISTORY_PROJECTS = 200  # with deliveries from `bench.history`


@dataclass(frozen=True, slots=True)
class BenchWorld:
    """`projects` projects with `warehouses` Warehouses each, and one with `shared` Warehouses on one image."""

    projects: int
    warehouses: int
    shared: int

    def path(self, project: int) -> str:
        """Return the path of a project's receiver."""
        return f"/dockerhub/{hashlib.sha256(f'{project_name(project)}hook'.encode()).hexdigest()}"

    def repository(self, project: int, warehouse: int) -> str:
        """Return the repository to which only that Warehouse subscribes."""
        return f"bench/{project_name(project)}-{warehouse}"

    @property
    def fan_out(self) -> int:
        """Return the number of the project in which `shared` Warehouses subscribe to `bench/shared`."""
        return self.projects


def project_name(project: int) -> str:
    """Return a project's name."""
    return f"bench-{project:04d}"


def history_project(number: int) -> str:
    """Return the name of a project of `bench.history`; those with the smallest numbers are the busiest."""
    return f"history-{number:03d}"


def fill(kubeconfig: Path, world: BenchWorld) -> None:
    """Create all objects, several projects in parallel."""
    cluster = connect(str(kubeconfig))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda project: _fill_project(cluster, world, project), range(world.projects)))
    _project(cluster, world, world.fan_out)
    for number in range(world.shared):
        _warehouse(cluster, project_name(world.fan_out), f"shared-{number}", [image("bench/shared")])


def _fill_project(cluster: KubernetesClient, world: BenchWorld, project: int) -> None:
    _project(cluster, world, project)
    for number in range(world.warehouses):
        name = project_name(project)
        other_images = [
            image(f"ghcr.io/other/{name}-{number}-{position}") for position in range(SUBSCRIPTIONS - 1)
        ]
        _warehouse(
            cluster, name, f"warehouse-{number}", [image(world.repository(project, number)), *other_images]
        )


def image(repo_url: str) -> dict[str, Any]:
    """Return an image subscription."""
    return {"image": {"repoURL": repo_url, "imageSelectionStrategy": "SemVer", "constraint": "^1.0.0"}}


def _project(cluster: KubernetesClient, world: BenchWorld, project: int) -> None:
    name = project_name(project)
    _create(cluster, PROJECTS, {"metadata": {"name": name}})
    receivers = [{"name": "hook", "dockerhub": {"secretRef": {"name": "hooks"}}}]
    metadata = {"name": name, "namespace": name}
    _create(cluster, PROJECT_CONFIGS, {"metadata": metadata, "spec": {"webhookReceivers": receivers}}, name)
    path = world.path(project)
    status = {"webhookReceivers": [{"name": "hook", "path": path, "url": f"http://hooks.example.com{path}"}]}
    cluster.patch_status(PROJECT_CONFIGS, name, name, {"status": status})


def _warehouse(
    cluster: KubernetesClient, project: str, name: str, subscriptions: list[dict[str, Any]]
) -> None:
    body = {"metadata": {"name": name, "namespace": project}, "spec": {"subscriptions": subscriptions}}
    _create(cluster, WAREHOUSES, body, project)


def _create(
    cluster: KubernetesClient, resource: Resource, body: dict[str, Any], namespace: str | None = None
) -> None:
    cluster.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **body}, namespace)
