"""`python -m bench.kargo KUBECONFIG RATE SECONDS`: write Warehouses' statuses as Kargo does, so many a second.

For every Warehouse that was asked to refresh: discovery begins, Freight is made, and the refresh is handled, with what
was discovered. That is three writes, two of them changes of a status. Each Warehouse in turn, again and again.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from receivers.cluster.client import KubernetesClient, connect
from receivers.kargo.resources import FREIGHTS, REFRESH_ANNOTATION, WAREHOUSES

TAG = "1.2.3"


def play(kubeconfig: str, rate: float, seconds: float) -> int:
    """Write `rate` statuses a second for `seconds`; return how many there were."""
    cluster = connect(kubeconfig)
    changes = _changes(cluster, list(_asked(cluster)))
    begin, done = time.monotonic(), 0
    while (now := time.monotonic() - begin) < seconds:
        if done / rate > now:
            time.sleep(done / rate - now)
        if next(changes, None) is None:
            break
        done += 1
    cluster.close()
    return done


def _asked(cluster: KubernetesClient) -> Iterator[tuple[str, str, str, str]]:
    """Yield project, name, token and repository of every Warehouse that waits to be handled."""
    for page in cluster.list_pages(WAREHOUSES):
        for raw in page.items:
            metadata = raw["metadata"]
            token = (metadata.get("annotations") or {}).get(REFRESH_ANNOTATION)
            if token and (raw.get("status") or {}).get("lastHandledRefresh") != token:
                repository = raw["spec"]["subscriptions"][0]["image"]["repoURL"]
                yield metadata["namespace"], metadata["name"], token, repository


def _changes(cluster: KubernetesClient, asked: list[tuple[str, str, str, str]]) -> Iterator[bool]:
    for project, name, token, repository in asked:
        began = [
            _condition("Reconciling", "True", "ScheduledDiscovery"),
            _condition("Healthy", "Unknown", "Pending"),
        ]
        cluster.patch_status(WAREHOUSES, name, project, {"status": {"conditions": began}})
        yield True
        digest = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
        freight = _freight(cluster, project, name, repository, digest)
        cluster.patch_status(WAREHOUSES, name, project, {"status": _end(token, repository, digest, freight)})
        yield True


def _freight(cluster: KubernetesClient, project: str, warehouse: str, repository: str, digest: str) -> str:
    made = {
        "apiVersion": FREIGHTS.api_version,
        "kind": FREIGHTS.kind,
        "metadata": {"name": hashlib.sha1(f"{warehouse}{digest}".encode()).hexdigest(), "namespace": project},
        "alias": f"bench-{digest[7:19]}",
        "origin": {"kind": "Warehouse", "name": warehouse},
        "images": [{"repoURL": repository, "tag": TAG, "digest": digest}],
    }
    return str(cluster.create(FREIGHTS, made, project)["metadata"]["name"])


def _end(token: str, repository: str, digest: str, freight: str) -> dict[str, Any]:
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
    print(play(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
