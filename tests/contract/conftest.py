"""The clusters of the contract tests: always the demo's API server, and a real one if configured."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator

import pytest

from receivers.cluster.client import KubernetesClient, connect
from tests.clusters import Cluster, DemoCluster
from tests.contract.api_objects import ObjectCollection, lease, secret, warehouse
from tests.real_cluster import real_cluster, real_cluster_configured

CLUSTERS = ["demo", "real"] if real_cluster_configured() else ["demo"]


@pytest.fixture(scope="session", params=CLUSTERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Kubernetes API server with Kargo's types; the same tests run against each of them."""
    directory = tmp_path_factory.mktemp(f"{request.param}-cluster")
    with DemoCluster(directory) if request.param == "demo" else real_cluster(directory) as cluster:
        yield cluster


@pytest.fixture
def demo(tmp_path) -> Iterator[DemoCluster]:
    """A demo cluster for one test, for features that only the demo's API server has."""
    with DemoCluster(tmp_path / "demo") as cluster:
        yield cluster


@pytest.fixture
def client(cluster: Cluster) -> Iterator[KubernetesClient]:
    """A Kubernetes client of the admin."""
    with contextlib.closing(connect(str(cluster.kubeconfig))) as client:
        yield client


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """The name of a new namespace, labeled as that of a Kargo Project."""
    name = f"kargoweb-{secrets.token_hex(4)}"
    labels = {"kargo.akuity.io/project": "true"}
    response = cluster.api.post("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    assert response.status == 201, response.data
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def warehouses(cluster: Cluster, namespace: str) -> ObjectCollection:
    """Custom resources with a status subresource."""
    return ObjectCollection(
        cluster.api, f"/apis/kargo.akuity.io/v1alpha1/namespaces/{namespace}/warehouses", warehouse
    )


@pytest.fixture
def secrets_(cluster: Cluster, namespace: str) -> ObjectCollection:
    """Objects of a built-in type without spec and status."""
    return ObjectCollection(cluster.api, f"/api/v1/namespaces/{namespace}/secrets", secret)


@pytest.fixture
def leases(cluster: Cluster, namespace: str) -> ObjectCollection:
    """Objects of a built-in type with a spec."""
    return ObjectCollection(cluster.api, f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases", lease)
