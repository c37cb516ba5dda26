"""CustomResourceDefinitions add and remove types."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

from tests.clusters import Cluster, until
from tests.contract.api_objects import Json, ok

PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def group(cluster):
    group = f"g{secrets.token_hex(4)}.example.com"
    yield group
    cluster.api.delete(f"{PATH}/objects.{group}")


def definition(group: str, **version: Any) -> Json:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        **version,
    }
    names = {"plural": "objects", "kind": "Thing"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"objects.{group}"},
        "spec": {"group": group, "scope": "Cluster", "names": names, "versions": [version]},
    }


def custom_object(group: str, **content: Any) -> Json:
    return {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": "one"}, **content}


def established(cluster: Cluster, group: str) -> bool:
    conditions = cluster.api.get(f"{PATH}/objects.{group}").body.get("status", {}).get("conditions") or []
    return {condition["type"]: condition["status"] for condition in conditions}.get("Established") == "True"


def test_a_definition_adds_a_type_and_deleting_it_removes_the_type(cluster, group):
    path = f"/apis/{group}/v1/objects"
    assert cluster.api.get(path).status == 404

    ok(cluster.api.post(PATH, definition(group)), 201)
    until("the type is established", lambda: established(cluster, group))
    until("the type is served", lambda: cluster.api.get(path).status == 200)
    ok(cluster.api.post(path, custom_object(group)), 201)

    ok(cluster.api.delete(f"{PATH}/objects.{group}"))
    until("the type is gone", lambda: cluster.api.get(path).status == 404)


def test_without_a_status_subresource_the_status_is_ordinary_content(cluster, group):
    path = f"/apis/{group}/v1/objects"
    ok(cluster.api.post(PATH, definition(group)), 201)
    until("the type is served", lambda: cluster.api.get(path).status == 200)

    created = ok(cluster.api.post(path, custom_object(group, status={"a": "b"})), 201)
    patched = ok(cluster.api.patch(f"{path}/one", {"status": {"a": "c"}}))

    assert created["status"] == {"a": "b"}
    assert (patched["status"], patched["metadata"]["generation"]) == ({"a": "c"}, 2)
    assert cluster.api.patch(f"{path}/one/status", {"status": {"a": "d"}}).status == 404


def test_the_name_of_a_definition_must_match_its_type(cluster, group):
    body = definition(group)
    body["metadata"]["name"] = f"others.{group}"

    assert cluster.api.post(PATH, body).status == 422
