"""Discovery documents and unknown paths."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clusters import Cluster
from tests.contract.api_objects import ok, rejected


def resources(cluster: Cluster, path: str) -> dict[str, Any]:
    return {entry["name"]: entry for entry in ok(cluster.api.get(path))["resources"]}


def test_discovery_lists_kargos_types(cluster):
    discovered = resources(cluster, "/apis/kargo.akuity.io/v1alpha1")

    assert {
        "projects",
        "projectconfigs",
        "clusterconfigs",
        "warehouses",
        "freights",
        "warehouses/status",
    } <= set(discovered)
    assert [discovered[name]["namespaced"] for name in ("projects", "clusterconfigs", "warehouses")] == [
        False,
        False,
        True,
    ]
    assert discovered["warehouses"]["kind"] == "Warehouse"
    assert {"get", "list", "watch", "create", "update", "patch", "delete"} <= set(
        discovered["warehouses"]["verbs"]
    )


def test_discovery_lists_the_core_types(cluster):
    discovered = resources(cluster, "/api/v1")

    assert discovered["namespaces"]["shortNames"] == ["ns"]
    assert {"secrets", "events", "serviceaccounts"} <= set(discovered)


def test_discovery_lists_groups_with_their_version(cluster):
    groups = {group["name"]: group for group in ok(cluster.api.get("/apis"))["groups"]}

    assert groups["kargo.akuity.io"]["preferredVersion"]["groupVersion"] == "kargo.akuity.io/v1alpha1"
    assert {"apiextensions.k8s.io", "coordination.k8s.io", "authorization.k8s.io"} <= set(groups)


@pytest.mark.parametrize(
    "path",
    [
        "/apis/kargo.akuity.io/v1alpha1/nothing",
        "/apis/kargo.akuity.io/v9/warehouses",
        "/nothing",
        "/api/v1/nothing",
    ],
)
def test_unknown_paths_are_not_found(cluster, path):
    assert cluster.api.get(path).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/namespaces/default"),
        ("PUT", "/api/v1/namespaces"),
        ("DELETE", "/api/v1/namespaces"),
    ],
)
def test_unsupported_methods_are_rejected(cluster, method, path):
    rejected(cluster.api.request(method, path, {}), 405, "MethodNotAllowed")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b"5"], ids=["empty", "broken", "list", "text", "number"]
)
def test_a_body_that_is_not_an_object_is_rejected(warehouses, body):
    rejected(warehouses.api.post(warehouses.path, body), 400, "BadRequest")


def test_a_body_must_be_json(warehouses):
    response = warehouses.api.request(
        "POST", warehouses.path, b"a=b", content_type="application/x-www-form-urlencoded"
    )

    rejected(response, 415, "UnsupportedMediaType")


def test_a_body_has_a_limit(warehouses):
    assert warehouses.api.post(warehouses.path, b" " * (3 * 1024 * 1024 + 1)).status == 413
