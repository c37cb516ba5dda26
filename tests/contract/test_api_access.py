"""Authentication and authorization: 401, 403, SelfSubjectAccessReview."""

from __future__ import annotations

import pytest

from tests.api_client import ApiClient
from tests.contract.api_objects import ok, rejected

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def test_an_unknown_token_is_unauthorized(cluster):
    stranger = ApiClient(cluster.url, token="stranger", ca_file=cluster.ca_file)

    rejected(stranger.get("/api/v1/namespaces"), 401, "Unauthorized")
    stranger.close()


def test_requests_without_a_token_are_rejected(cluster, secrets_):
    assert cluster.client("").get(secrets_.path).status in (401, 403)


def test_a_forbidden_request_names_user_verb_and_resource(cluster, warehouses, namespace):
    warehouses.create("one")

    status = rejected(cluster.client("nobody").get(warehouses.at("one")), 403, "Forbidden")

    assert status["message"].startswith('warehouses.kargo.akuity.io "one" is forbidden: User "')
    assert (
        f'cannot get resource "warehouses" in API group "kargo.akuity.io" in the namespace "{namespace}"'
        in status["message"]
    )
    assert status["details"] == {"name": "one", "group": "kargo.akuity.io", "kind": "warehouses"}


def test_a_list_of_all_namespaces_is_forbidden_at_cluster_scope(cluster):
    status = rejected(cluster.client("kargoweb").get("/api/v1/secrets"), 403, "Forbidden")

    assert 'cannot list resource "secrets" in API group "" at the cluster scope' in status["message"]


def test_a_permission_covers_one_verb_and_resource(cluster, warehouses, secrets_):
    warehouses.create("one")
    kargoweb = cluster.client("kargoweb")

    ok(kargoweb.get("/apis/kargo.akuity.io/v1alpha1/warehouses"))
    ok(kargoweb.patch(warehouses.at("one"), {"metadata": {"annotations": {"a": "b"}}}))
    rejected(kargoweb.delete(warehouses.at("one")), 403, "Forbidden")
    rejected(kargoweb.patch(warehouses.at("one", "status"), {}), 403, "Forbidden")
    rejected(kargoweb.get(secrets_.path), 403, "Forbidden")


def test_a_forbidden_request_does_not_reveal_whether_an_object_exists(cluster, warehouses):
    rejected(cluster.client("nobody").get(warehouses.at("none")), 403, "Forbidden")


@pytest.mark.parametrize(
    ("role", "verb", "resource", "subresource", "allowed"),
    [
        ("kargoweb", "list", "warehouses", "", True),
        ("kargoweb", "patch", "warehouses", "", True),
        ("kargoweb", "patch", "projectconfigs", "status", False),
        ("manager", "patch", "projectconfigs", "status", True),
        ("nobody", "list", "warehouses", "", False),
        ("admin", "delete", "warehouses", "", True),
    ],
)
def test_users_can_review_their_own_permissions(cluster, role, verb, resource, subresource, allowed):
    attributes = {"verb": verb, "group": "kargo.akuity.io", "resource": resource, "subresource": subresource}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }

    response = ok(cluster.client(role).post(REVIEWS, review), 201)

    assert (response["kind"], response["status"]["allowed"]) == ("SelfSubjectAccessReview", allowed)


def test_every_authenticated_user_can_use_discovery(cluster):
    for path in ("/version", "/api", "/apis", "/api/v1", "/apis/kargo.akuity.io/v1alpha1"):
        assert ok(cluster.client("nobody").get(path))
