"""`python -m bench.worlds KUBECONFIG`: create the Projects and Warehouses of the benchmarks in a cluster.

Works with Kargo, and without it, as it also writes what Kargo's controller would write: the URLs of the receivers.
Prints the path of the receiver that `bench.against` sends to.
"""

from __future__ import annotations

import argparse
import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from receivers.cluster.client import KubernetesClient, connect
from receivers.cluster.errors import AlreadyExists
from receivers.kargo.resources import NAMESPACES, PROJECT_CONFIGS, PROJECTS, SECRETS, WAREHOUSES, Resource

SUBSCRIPTIONS = 4  # per Warehouse
HISTORY_PROJECTS = 200  # with deliveries from `bench.history`
TARGET = "bench-target"  # the project that `bench.against` sends to
SINGLE = "bench/single-{}"  # repositories with one Warehouse each, in the target
SHARED = "bench/shared"  # the repository of many Warehouses, in the target
RECEIVER, SECRET = "hook", "only-for-benchmarks"


@dataclass(frozen=True, slots=True)
class BenchWorld:
    """`projects` projects with `warehouses` Warehouses each, and the target.

    The target has `target` Warehouses with a repository each (`SINGLE`), and as many that share one (`SHARED`). With 0
    Warehouses it is not created.
    """

    projects: int = 0
    warehouses: int = 10
    target: int = 100

    def repository(self, project: int, warehouse: int) -> str:
        """Return the repository to which only that Warehouse subscribes."""
        return f"bench/{project_name(project)}-{warehouse}"


def receiver_path(project: str) -> str:
    """Return the path of a project's receiver (Kargo's `buildWebhookPath`)."""
    return f"/dockerhub/{hashlib.sha256(f'{project}{RECEIVER}{SECRET}'.encode()).hexdigest()}"


def project_name(project: int) -> str:
    """Return the name of a project other than the target."""
    return f"bench-{project:04d}"


def history_project(number: int) -> str:
    """Return the name of a project of `bench.history`; those with the smallest numbers are the busiest."""
    return f"history-{number:03d}"


def fill(kubeconfig: Path, world: BenchWorld) -> None:
    """Create all objects, several projects in parallel. Raises `ClusterError` if one exists already."""
    cluster = connect(str(kubeconfig))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda project: _fill_project(cluster, world, project), range(world.projects)))
    if world.target:
        _project(cluster, TARGET)
    for number in range(world.target):
        _warehouse(cluster, TARGET, f"single-{number}", [image(SINGLE.format(number))])
        _warehouse(cluster, TARGET, f"shared-{number}", [image(SHARED)])
    cluster.close()


def _fill_project(cluster: KubernetesClient, world: BenchWorld, project: int) -> None:
    name = project_name(project)
    _project(cluster, name)
    for number in range(world.warehouses):
        other_images = [
            image(f"ghcr.io/other/{name}-{number}-{position}") for position in range(SUBSCRIPTIONS - 1)
        ]
        _warehouse(
            cluster, name, f"warehouse-{number}", [image(world.repository(project, number)), *other_images]
        )


def image(repo_url: str) -> dict[str, Any]:
    """Return an image subscription."""
    return {"image": {"repoURL": repo_url, "imageSelectionStrategy": "SemVer", "constraint": "^1.0.0"}}


def _project(cluster: KubernetesClient, name: str) -> None:
    _create(cluster, PROJECTS, {"metadata": {"name": name}})
    with suppress(AlreadyExists):  # Kargo's admission has created the namespace
        _create(
            cluster, NAMESPACES, {"metadata": {"name": name, "labels": {"kargo.akuity.io/project": "true"}}}
        )
    secret = {"name": "hooks", "namespace": name, "labels": {"kargo.akuity.io/cred-type": "generic"}}
    _create(cluster, SECRETS, {"metadata": secret, "stringData": {"secret": SECRET}}, name)
    receivers = [{"name": RECEIVER, "dockerhub": {"secretRef": {"name": "hooks"}}}]
    metadata = {"name": name, "namespace": name}
    _create(cluster, PROJECT_CONFIGS, {"metadata": metadata, "spec": {"webhookReceivers": receivers}}, name)
    path = receiver_path(name)
    status = {
        "webhookReceivers": [{"name": RECEIVER, "path": path, "url": f"http://hooks.example.com{path}"}]
    }
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


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.worlds", description=__doc__)
    parser.add_argument("kubeconfig", type=Path)
    parser.add_argument(
        "--target", type=int, default=100, help="half the number of the target's Warehouses; 0: no target"
    )
    parser.add_argument("--projects", type=int, default=0, help="further projects, with ten Warehouses each")
    options = parser.parse_args()
    fill(options.kubeconfig, BenchWorld(projects=options.projects, target=options.target))
    print(receiver_path(TARGET))


if __name__ == "__main__":
    main()
