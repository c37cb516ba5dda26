"""A real Kubernetes API server accepts what the Helm chart renders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.charts import EXAMPLES, NAMESPACE, render
from tests.clusters import Cluster
from tests.components import require

NOT_THERE = {"HTTPRoute", "PrometheusRule", "ServiceMonitor"}  # types that their own projects install


@pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_accepts_every_object(cluster: Cluster, values: Path):
    if cluster.name == "demo":
        pytest.skip("the demo's API server has only the types that kargoweb uses")
    objects = [item for item in render(values) if item["kind"] not in NOT_THERE]
    for name in {NAMESPACE, *(item["metadata"].get("namespace", NAMESPACE) for item in objects)}:
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        body = {"metadata": {"name": name, "labels": labels}}
        assert cluster.api.post("/api/v1/namespaces", body).status in {201, 409}
    done = subprocess.run(
        [
            require("kubectl"), "--kubeconfig", cluster.kubeconfig,
            "apply", "--server-side", "--dry-run=server", "--validate=strict", "--filename=-",
        ],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(objects)
    assert "would violate PodSecurity" not in done.stderr
