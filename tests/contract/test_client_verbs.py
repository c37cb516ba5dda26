"""The verbs of the Kubernetes client, against every API server."""

from __future__ import annotations

import contextlib

import pytest

from receivers.cluster.client import connect
from receivers.cluster.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    NotFound,
    NotInstalled,
    Rejected,
    Unauthorized,
)
from receivers.kargo.resources import NAMESPACES, SECRETS, WAREHOUSES, Resource
from tests.contract.api_objects import warehouse

UNKNOWN = Resource("kargo.akuity.io", "v1alpha1", "unicorns", "Unicorn", namespaced=True)


def test_a_created_object_exists(client, namespace):
    created = client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)
    stored = client.get(WAREHOUSES, "w", namespace)
    assert stored["metadata"]["uid"] == created["metadata"]["uid"]
    assert stored["spec"]["subscriptions"][0]["image"]["repoURL"] == "example/app"


def test_a_deleted_object_does_not_exist(client, namespace):
    client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)
    client.delete(WAREHOUSES, "w", namespace)
    with pytest.raises(NotFound, match='"w" not found'):
        client.get(WAREHOUSES, "w", namespace)


def test_a_patch_sets_an_annotation_and_changes_nothing_else(client, namespace):
    created = client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)
    patch = {"metadata": {"annotations": {"example.com/a": "1"}}}
    metadata = client.patch(WAREHOUSES, "w", namespace, patch)
    stored = client.get(WAREHOUSES, "w", namespace)
    assert (
        metadata["resourceVersion"]
        == stored["metadata"]["resourceVersion"]
        != created["metadata"]["resourceVersion"]
    )
    assert stored["metadata"]["annotations"]["example.com/a"] == "1"
    assert stored["spec"] == created["spec"]


def test_a_patch_of_the_status_changes_nothing_else(client, namespace):
    created = client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)
    patch = {"status": {"lastHandledRefresh": "t"}, "spec": {"shard": "x"}}
    changed = client.patch_status(WAREHOUSES, "w", namespace, patch)
    assert changed["status"]["lastHandledRefresh"] == "t"
    assert changed["spec"] == created["spec"]
    assert changed["metadata"]["generation"] == 1


@pytest.mark.parametrize("verb", ["patch", "patch_status"])
def test_a_patch_of_an_old_version_is_a_conflict(client, namespace, verb):
    old = client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)["metadata"]["resourceVersion"]
    client.patch(WAREHOUSES, "w", namespace, {"metadata": {"annotations": {"a": "1"}}})
    patch = {
        "metadata": {"resourceVersion": old, "annotations": {"a": "2"}},
        "status": {"lastFreightID": "f"},
    }
    with pytest.raises(Conflict):
        getattr(client, verb)(WAREHOUSES, "w", namespace, patch)


def test_a_patch_of_the_current_version_is_applied(client, namespace):
    version = client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "status": {"lastFreightID": "f"}}
    assert client.patch_status(WAREHOUSES, "w", namespace, patch)["status"]["lastFreightID"] == "f"


def test_a_list_comes_in_pages_of_one_version(client, namespace):
    for number in range(5):
        client.create(WAREHOUSES, warehouse({"name": f"w{number}"}), namespace)
    pages = list(client.list_pages(WAREHOUSES, namespace, limit=2))
    assert [[raw["metadata"]["name"] for raw in page.items] for page in pages] == [
        ["w0", "w1"],
        ["w2", "w3"],
        ["w4"],
    ]
    assert len({page.resource_version for page in pages}) == 1


def test_a_list_of_all_namespaces_includes_each_of_them(client, namespace):
    client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)
    pages = client.list_pages(WAREHOUSES, item=lambda raw: raw["metadata"])
    keys = {(metadata["namespace"], metadata["name"]) for page in pages for metadata in page.items}
    assert (namespace, "w") in keys


def test_an_empty_list_is_a_page_with_a_version(client, namespace):
    (page,) = client.list_pages(WAREHOUSES, namespace)
    assert (page.items, page.resource_version != "") == ([], True)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda client, namespace: client.get(WAREHOUSES, "none", namespace), NotFound),
        (lambda client, namespace: client.patch(WAREHOUSES, "none", namespace, {"metadata": {}}), NotFound),
        (
            lambda client, namespace: client.patch_status(WAREHOUSES, "none", namespace, {"status": {}}),
            NotFound,
        ),
        (lambda client, namespace: client.delete(WAREHOUSES, "none", namespace), NotFound),
        (
            lambda client, namespace: client.create(WAREHOUSES, warehouse({"name": "w"}), f"not-{namespace}"),
            NotFound,
        ),
        (lambda client, namespace: client.get(UNKNOWN, "none", namespace), NotInstalled),
        (lambda client, _: list(client.list_pages(UNKNOWN)), NotInstalled),
        (lambda client, _: client.watch(UNKNOWN, resource_version="1"), NotInstalled),
        (
            lambda client, namespace: client.create(NAMESPACES, {"metadata": {"name": namespace}}),
            AlreadyExists,
        ),
        (
            lambda client, namespace: client.create(WAREHOUSES, warehouse({"name": "No Name"}), namespace),
            Rejected,
        ),
        (lambda client, namespace: client.get(WAREHOUSES, "..", namespace), Rejected),
        (lambda client, namespace: client.get(SECRETS, "../configmaps", namespace), (NotFound, Rejected)),
    ],
)
def test_each_rejection_has_its_own_error(client, namespace, call, error):
    with pytest.raises(error) as rejected:
        call(client, namespace)
    assert not isinstance(error, type) or type(rejected.value) is error


def test_the_server_has_a_version(client):
    assert client.version().startswith("v1.")


def test_permissions_can_be_reviewed(cluster, client):
    with contextlib.closing(connect(str(cluster.kubeconfig_for("kargoweb")))) as restricted:
        assert client.can_i("delete", WAREHOUSES)
        assert not restricted.can_i("delete", WAREHOUSES)
        assert restricted.can_i("patch", WAREHOUSES, "default")


def test_forbidden_requests_quote_the_message_of_kubernetes(cluster, namespace):
    with contextlib.closing(connect(str(cluster.kubeconfig_for("nobody")))) as nobody:
        with pytest.raises(Forbidden, match="cannot list resource"):
            list(nobody.list_pages(WAREHOUSES))
        with pytest.raises(Forbidden, match="cannot patch resource"):
            nobody.patch(WAREHOUSES, "w", namespace, {"metadata": {}})


def test_a_wrong_token_is_unauthorized(cluster, tmp_path):
    text = cluster.kubeconfig.read_text().replace(cluster.token("admin"), "wr0ng")
    (tmp_path / "kubeconfig").write_text(text)
    with (
        contextlib.closing(connect(str(tmp_path / "kubeconfig"))) as stranger,
        pytest.raises(Unauthorized),
    ):
        list(stranger.list_pages(WAREHOUSES))
