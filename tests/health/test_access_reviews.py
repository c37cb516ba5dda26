"""Access reviews: kargoweb's own permissions, as the API server reports them."""

from __future__ import annotations

import pytest

from receivers.cluster.client import connect
from receivers.health.access_reviews import AccessReviews
from receivers.health.rbac import required_permissions
from tests.clusters import READ, ROLES, DemoCluster


@pytest.fixture
def cluster(tmp_path):
    with DemoCluster(tmp_path / "cluster") as cluster:
        yield cluster


def reviewed(cluster: DemoCluster, role: str, *, manages: bool = False, namespaces: tuple[str, ...] = ()):
    """Return the results after all reviews of a role."""
    client = connect(str(cluster.kubeconfig_for(role)))
    required = required_permissions(
        manages=manages,
        namespaces=namespaces,
        system_namespace="kargo-system-resources",
        kargo_namespace="kargo",
    )
    reviews = AccessReviews(lambda: client, required)
    assert reviews.latest() is None
    reviews.work()
    results = reviews.latest()
    assert results is not None
    client.close()
    return results


@pytest.mark.parametrize(
    ("role", "manages", "missing"),
    [
        ("admin", True, set()),
        ("kargoweb", False, {"leases", "deployments"}),
        (
            "kargoweb",
            True,
            {"leases", "deployments", "secrets", "projectconfigs/status", "clusterconfigs/status"},
        ),
        ("manager", True, {"leases", "deployments"}),
        (
            "nobody",
            False,
            {
                "leases",
                "deployments",
                "projects",
                "projectconfigs",
                "clusterconfigs",
                "warehouses",
                "freights",
            },
        ),
    ],
)
def test_the_missing_permissions_of_a_role_are_reported(cluster, role, manages, missing):
    results = reviewed(cluster, role, manages=manages)
    assert {permission.resource_name for permission in results.missing} == missing
    assert (results.error, results.version[:1]) == ("", "v")


def test_a_role_in_one_namespace_has_no_permissions_in_another(cluster):
    rules = [{"verbs": [*READ, "patch"], "resources": ["*"], "namespaces": ["shop"]}]
    cluster.grant("nobody", rules)
    results = reviewed(cluster, "nobody", namespaces=("shop", "blog"))
    assert {permission.namespace for permission in results.missing} == {"blog", "", "kargo"}
    assert all(permission.optional for permission in results.missing if permission.namespace != "blog")


def test_a_single_missing_verb_is_reported(cluster):
    cluster.grant("nobody", [rule for rule in ROLES["kargoweb"] if rule["verbs"] == READ])
    missing = [
        (permission.verb, permission.resource_name)
        for permission in reviewed(cluster, "nobody").missing
        if not permission.optional
    ]
    assert missing == [("patch", "warehouses")]


def test_an_unreachable_api_server_is_an_error_without_missing_permissions(cluster):
    cluster.stop()
    results = reviewed(cluster, "admin")
    assert results.error
    assert (results.missing, results.version) == ((), "")


def test_reviews_start_when_results_are_first_requested(cluster):
    client = connect(str(cluster.kubeconfig))
    reviews = AccessReviews(lambda: client, ())
    reviews.work()
    assert reviews.latest() is None
    client.close()
