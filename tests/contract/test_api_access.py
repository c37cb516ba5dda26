"""Authentication and authorization: 401, 403, access reviews."""

from __future__ import annotations

import contextlib

import pytest

from receivers.accounts.kubernetes_access import KubernetesAccess, ReviewSubject, subject_of
from receivers.accounts.roles import Access, Role
from receivers.cluster.client import connect
from receivers.cluster.errors import Forbidden
from receivers.kargo.resources import WAREHOUSES
from tests.api_client import ApiClient
from tests.clusters import until
from tests.contract.api_objects import ok, rejected

REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
OTHERS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


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


@pytest.mark.parametrize("groups", [[], ["some-team"]])
def test_reviewers_can_review_the_permissions_of_others(cluster, namespace, groups):
    name = f"reader-{namespace}"
    rules = [{"verbs": ["get"], "resources": ["warehouses"], "namespaces": [namespace]}]
    attributes = {"verb": "get", "group": "kargo.akuity.io", "resource": "warehouses", "namespace": namespace}
    spec = {"user": name, "groups": groups, "resourceAttributes": attributes}

    def allowed(**changes: str) -> bool:
        body = {"spec": {**spec, "resourceAttributes": attributes | changes}}
        review = ok(cluster.client("reviewer").post(OTHERS, body), 201)
        assert (review["kind"], review["spec"]["user"]) == ("SubjectAccessReview", name)
        return bool(review["status"]["allowed"])

    assert not allowed()
    cluster.allow(**({"groups": {"some-team": rules}} if groups else {"users": {name: rules}}))
    until("the rules are in force", allowed)
    assert not allowed(verb="patch")
    assert not allowed(namespace="")  # all namespaces
    assert not allowed(namespace="default")
    assert not allowed(resource="stages")


def test_reviews_of_others_take_a_permission_and_a_subject(cluster):
    attributes = {"verb": "get", "group": "kargo.akuity.io", "resource": "warehouses"}
    status = rejected(
        cluster.client("kargoweb").post(OTHERS, {"spec": {"user": "a", "resourceAttributes": attributes}}),
        403,
        "Forbidden",
    )
    assert (
        'cannot create resource "subjectaccessreviews" in API group "authorization.k8s.io"'
        in status["message"]
    )
    nobody = {"spec": {"resourceAttributes": attributes}}
    rejected(cluster.client("reviewer").post(OTHERS, nobody), 422, "Invalid")


def test_the_client_reviews_users_and_groups(cluster, namespace):
    name = f"reader-{namespace}"
    cluster.allow(
        users={name: [{"verbs": ["get"], "resources": ["warehouses"], "namespaces": [namespace]}]},
        groups={f"team-{namespace}": [{"verbs": ["patch"], "resources": ["warehouses"]}]},
    )
    with contextlib.closing(connect(str(cluster.kubeconfig_for("reviewer")))) as client:
        until("the rules are in force", lambda: client.may(name, [], "get", WAREHOUSES, namespace))
        assert not client.may(name, [], "get", WAREHOUSES)
        assert not client.may(name, [], "patch", WAREHOUSES, namespace)
        until("the other is, too", lambda: client.may("x", [f"team-{namespace}"], "patch", WAREHOUSES))
        assert not client.may("x", [f"team-{namespace}"], "get", WAREHOUSES, namespace)
    with (
        contextlib.closing(connect(str(cluster.kubeconfig_for("kargoweb")))) as client,
        pytest.raises(Forbidden),
    ):
        client.may(name, [], "get", WAREHOUSES, namespace)


def test_kargoweb_grants_what_the_api_server_allows(cluster, namespace):
    """The reviews as kargoweb makes them, with rules for one project and for everyone who signs in."""
    name = f"reader-{namespace}"
    with contextlib.closing(connect(str(cluster.kubeconfig_for("reviewer")))) as client:

        def review(subject: ReviewSubject, verb: str, scope: str | None) -> bool:
            return client.may(subject.user, subject.groups, verb, WAREHOUSES, scope)

        def granted() -> Access:
            access = KubernetesAccess(review, lambda: [namespace, "default"], 60.0)
            subject = subject_of(name, [], username_prefix="oidc:", groups_prefix="")
            assert subject
            result = access.access_of(subject)
            access.stop()
            return result

        assert granted() == Access()
        operates = [{"verbs": ["get", "patch"], "resources": ["warehouses"], "namespaces": [namespace]}]
        cluster.allow(users={f"oidc:{name}": operates})
        until("the user is an operator", lambda: granted() == Access(None, {namespace: Role.OPERATOR}))
        views = [{"verbs": ["get"], "resources": ["warehouses"]}]
        cluster.allow(users={f"oidc:{name}": operates}, groups={"system:authenticated": views})
        both = Access(Role.VIEWER, {namespace: Role.OPERATOR, "default": Role.VIEWER})
        until("everyone is a viewer", lambda: granted() == both)
    cluster.allow()


def test_every_authenticated_user_can_use_discovery(cluster):
    for path in ("/version", "/api", "/apis", "/api/v1", "/apis/kargo.akuity.io/v1alpha1"):
        assert ok(cluster.client("nobody").get(path))
