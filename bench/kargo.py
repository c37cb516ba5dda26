"""`python -m bench.kargo KUBECONFIG RATE SECONDS`: update Warehouses as Kargo does, RATE statuses per second.

Handles every requested refresh: starts discovery, creates Freight, and stores the discovered artifacts. That is three
writes, two of which change the status of the Warehouse. Prints the number of status changes.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from receivers.cluster.client import KubernetesClient, connect
from receivers.cluster.errors import AlreadyExists
from receivers.kargo.resources import FREIGHTS, REFRESH_ANNOTATION, WAREHOUSES

TAG = "1.2.3"


class RefreshRequest(NamedTuple):
    """A refresh that has been requested but not handled."""

    project: str
    warehouse: str
    token: str
    repository: str


def simulate(kubeconfig: str, rate: float, seconds: float) -> int:
    """Change `rate` statuses per second for `seconds`, or until all refreshes are handled; return their number.

    Raises `ClusterError` if the API server is away. Another call continues.
    """
    with closing(connect(kubeconfig)) as cluster:
        changes = _handle(cluster, list(_requests(cluster)))
        begin, done = time.monotonic(), 0
        while (now := time.monotonic() - begin) < seconds:
            if done / rate > now:
                time.sleep(done / rate - now)
            if next(changes, None) is None:
                break
            done += 1
        return done


def _requests(cluster: KubernetesClient) -> Iterator[RefreshRequest]:
    """Yield the refreshes that have not been handled."""
    for page in cluster.list_pages(WAREHOUSES):
        for raw in page.items:
            metadata = raw["metadata"]
            token = (metadata.get("annotations") or {}).get(REFRESH_ANNOTATION)
            if token and (raw.get("status") or {}).get("lastHandledRefresh") != token:
                repository = raw["spec"]["subscriptions"][0]["image"]["repoURL"]
                yield RefreshRequest(metadata["namespace"], metadata["name"], token, repository)


def _handle(cluster: KubernetesClient, requests: list[RefreshRequest]) -> Iterator[bool]:
    """Handle the refreshes one after the other; yield after each change of a status."""
    for project, name, token, repository in requests:
        started = [
            _condition("Reconciling", "True", "ScheduledDiscovery"),
            _condition("Healthy", "Unknown", "Pending"),
        ]
        cluster.patch_status(WAREHOUSES, name, project, {"status": {"conditions": started}})
        yield True
        digest = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
        freight = _freight(cluster, project, name, repository, digest)
        cluster.patch_status(
            WAREHOUSES, name, project, {"status": _handled_status(token, repository, digest, freight)}
        )
        yield True


def _freight(cluster: KubernetesClient, project: str, warehouse: str, repository: str, digest: str) -> str:
    freight: dict[str, Any] = {
        "apiVersion": FREIGHTS.api_version,
        "kind": FREIGHTS.kind,
        "metadata": {"name": hashlib.sha1(f"{warehouse}{digest}".encode()).hexdigest(), "namespace": project},
        "alias": f"bench-{digest[7:19]}",
        "origin": {"kind": "Warehouse", "name": warehouse},
        "images": [{"repoURL": repository, "tag": TAG, "digest": digest}],
    }
    with suppress(AlreadyExists):  # the call before was interrupted
        cluster.create(FREIGHTS, freight, project)
    return str(freight["metadata"]["name"])


def _handled_status(token: str, repository: str, digest: str, freight: str) -> dict[str, Any]:
    references = [{"tag": TAG, "digest": digest}]
    return {
        "lastHandledRefresh": token,
        "lastFreightID": freight,
        "discoveredArtifacts": {
            "discoveredAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "images": [{"repoURL": repository, "references": references}],
        },
        "conditions": [
            _condition("Healthy", "True", "ReconciliationSucceeded"),
            _condition("Ready", "True", "ArtifactsDiscovered"),
            _condition("FreightCreated", "True", "NewFreight"),
        ],
    }


def _condition(type_: str, status: str, reason: str) -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": ""}


if __name__ == "__main__":
    print(simulate(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
