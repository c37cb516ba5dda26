"""Namespaces."""

from __future__ import annotations

import secrets

import pytest

from tests.clusters import until
from tests.contract.api_objects import ok, rejected

PATH = "/api/v1/namespaces"


@pytest.fixture
def name(cluster):
    name = f"kargoweb-{secrets.token_hex(4)}"
    yield name
    cluster.api.delete(f"{PATH}/{name}")


def test_a_new_namespace_is_active_and_labeled_with_its_name(cluster, name):
    created = ok(cluster.api.post(PATH, {"metadata": {"name": name, "labels": {"a": "b"}}}), 201)

    assert created["metadata"]["labels"] == {"a": "b", "kubernetes.io/metadata.name": name}
    assert created["status"] == {"phase": "Active"}
    assert created["spec"] == {"finalizers": ["kubernetes"]}


@pytest.mark.parametrize("bad", ["with.dot", "Upper", "x" * 64])
def test_names_of_namespaces_must_be_dns_labels(cluster, bad):
    rejected(cluster.api.post(PATH, {"metadata": {"name": bad}}), 422, "Invalid")


def test_nothing_can_be_created_in_a_terminating_namespace(cluster, name, secrets_):
    ok(cluster.api.post(PATH, {"metadata": {"name": name}}), 201)
    holding = {"name": "holding", "finalizers": ["example.com/held"]}
    ok(cluster.api.post(f"{PATH}/{name}/secrets", secrets_.make(holding)), 201)

    terminating = ok(cluster.api.delete(f"{PATH}/{name}"))

    assert terminating["status"]["phase"] == "Terminating"
    assert terminating["metadata"]["deletionTimestamp"]
    status = rejected(
        cluster.api.post(f"{PATH}/{name}/secrets", secrets_.make({"name": "one"})), 403, "Forbidden"
    )
    assert "because it is being terminated" in status["message"]
    cluster.api.patch(f"{PATH}/{name}/secrets/holding", {"metadata": {"finalizers": None}})


def test_deleting_a_namespace_deletes_its_objects(demo):
    """Demo only: a real API server leaves the work to the controller manager, which tests do not start."""
    ok(demo.api.post(PATH, {"metadata": {"name": "full"}}), 201)
    secret = {"metadata": {"name": "one", "finalizers": ["example.com/held"]}}
    ok(demo.api.post(f"{PATH}/full/secrets", secret), 201)
    ok(demo.api.post(f"{PATH}/full/secrets", {"metadata": {"name": "two"}}), 201)

    ok(demo.api.delete(f"{PATH}/full"))

    rejected(demo.api.get(f"{PATH}/full/secrets/two"), 404, "NotFound")
    assert ok(demo.api.get(f"{PATH}/full"))["status"]["phase"] == "Terminating", (
        "a finalizer holds the other one"
    )
    demo.api.patch(f"{PATH}/full/secrets/one", {"metadata": {"finalizers": None}})
    rejected(demo.api.get(f"{PATH}/full"), 404, "NotFound")


def test_finalizing_deletes_a_namespace(cluster, name):
    ok(cluster.api.post(PATH, {"metadata": {"name": name}}), 201)
    deleted = cluster.api.delete(f"{PATH}/{name}").body

    if deleted["kind"] == "Namespace":
        cluster.api.put(f"{PATH}/{name}/finalize", {"metadata": {"name": name}, "spec": {"finalizers": []}})

    until("the namespace is gone", lambda: cluster.api.get(f"{PATH}/{name}").status == 404)
