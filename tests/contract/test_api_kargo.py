"""Kargo's admission webhooks. Demo only: a real API server has them only where Kargo is installed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api_client import ApiResponse
from tests.clusters import DemoCluster
from tests.contract.api_objects import ok, rejected

BASE = "/apis/kargo.akuity.io/v1alpha1"


@pytest.fixture(scope="module")
def kargo(tmp_path_factory):
    with DemoCluster(tmp_path_factory.mktemp("kargo")) as cluster:
        create(cluster, "projects", "Project", "demo")
        yield cluster


def create(
    cluster: DemoCluster, plural: str, kind: str, name: str, namespace: str = "", **content: Any
) -> ApiResponse:
    where = f"{BASE}/namespaces/{namespace}/{plural}" if namespace else f"{BASE}/{plural}"
    body = {"apiVersion": "kargo.akuity.io/v1alpha1", "kind": kind, "metadata": {"name": name}, **content}
    return cluster.api.post(where, body)


def warehouse_with(cluster: DemoCluster, name: str, subscriptions: Any, **spec: Any) -> ApiResponse:
    spec = {"subscriptions": subscriptions, **spec}
    return create(cluster, "warehouses", "Warehouse", name, "demo", spec=spec)


def test_a_project_creates_and_deletes_its_namespace(kargo):
    ok(create(kargo, "projects", "Project", "brief"), 201)

    assert (
        ok(kargo.api.get("/api/v1/namespaces/brief"))["metadata"]["labels"]["kargo.akuity.io/project"]
        == "true"
    )

    ok(kargo.api.delete(f"{BASE}/projects/brief"))
    assert kargo.api.get("/api/v1/namespaces/brief").status == 404


def test_a_project_adopts_only_a_labeled_namespace(kargo):
    label = {"kargo.akuity.io/project": "true"}
    ok(kargo.api.post("/api/v1/namespaces", {"metadata": {"name": "adopted", "labels": label}}), 201)

    ok(create(kargo, "projects", "Project", "adopted"), 201)
    rejected(create(kargo, "projects", "Project", "default"), 409, "Conflict")


def test_a_project_config_is_named_like_its_namespace(kargo):
    rejected(create(kargo, "projectconfigs", "ProjectConfig", "other", "demo"), 422, "Invalid")
    ok(create(kargo, "projectconfigs", "ProjectConfig", "demo", "demo"), 201)


def test_a_project_config_needs_the_namespace_of_a_project(kargo):
    rejected(create(kargo, "projectconfigs", "ProjectConfig", "default", "default"), 403, "Forbidden")


def test_the_cluster_config_has_a_fixed_name(kargo):
    rejected(create(kargo, "clusterconfigs", "ClusterConfig", "other"), 422, "Invalid")
    ok(create(kargo, "clusterconfigs", "ClusterConfig", "cluster"), 201)


def test_subscriptions_get_their_defaults(kargo):
    image, chart, git = (
        {"repoURL": url} for url in ("a/b", "oci://docker.io/a/b", "https://example.com/a.git")
    )
    subscriptions = [{"image": image, "name": "mine"}, {"chart": chart}, {"git": git}, {"other": {}}]

    spec = ok(warehouse_with(kargo, "defaults", subscriptions), 201)["spec"]

    assert spec["subscriptions"] == [
        {
            "name": "mine",
            "image": {
                **image,
                "imageSelectionStrategy": "SemVer",
                "strictSemvers": True,
                "discoveryLimit": 20,
            },
        },
        {"chart": {**chart, "discoveryLimit": 20}},
        {
            "git": {
                **git,
                "commitSelectionStrategy": "NewestFromBranch",
                "strictSemvers": True,
                "discoveryLimit": 20,
            }
        },
        {"other": {}},
    ]
    assert (spec["interval"], spec["freightCreationPolicy"]) == ("5m0s", "Automatic")


def test_explicit_values_are_kept(kargo):
    image = {
        "repoURL": "a/b",
        "imageSelectionStrategy": "Lexical",
        "strictSemvers": False,
        "discoveryLimit": 5,
    }

    spec = ok(warehouse_with(kargo, "explicit", [{"image": image}], interval="1m0s"), 201)["spec"]

    assert (spec["subscriptions"], spec["interval"]) == ([{"image": image}], "1m0s")


@pytest.mark.parametrize("subscriptions", [[], None, "x"], ids=["none", "null", "text"])
def test_a_warehouse_requires_a_subscription(kargo, subscriptions):
    rejected(warehouse_with(kargo, "empty", subscriptions), 422, "Invalid")


def test_the_shard_becomes_a_label(kargo):
    created = ok(warehouse_with(kargo, "sharded", [{"git": {}}], shard="east"), 201)
    assert created["metadata"]["labels"] == {"kargo.akuity.io/shard": "east"}

    path = f"{BASE}/namespaces/demo/warehouses/sharded"
    assert "labels" not in ok(kargo.api.patch(path, {"spec": {"shard": None}}))["metadata"]


def test_the_alias_of_freight_becomes_a_label(kargo):
    body = {"alias": "funny-cat", "origin": {"kind": "Warehouse", "name": "x"}}

    created = ok(create(kargo, "freights", "Freight", "f", "demo", **body), 201)

    assert created["metadata"]["labels"] == {"kargo.akuity.io/alias": "funny-cat"}
