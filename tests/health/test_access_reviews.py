"""Our permissions, as the API server answers when it is asked."""

from __future__ import annotations

import pytest

from receivers.cluster.client import connect
from receivers.health.access_reviews import Permissions
from receivers.health.rbac import needs
from tests.clusters import READ, ROLES, DemoCluster


@pytest.fixture
def cluster(tmp_path):
    with DemoCluster(tmp_path / "cluster") as cluster:
        yield cluster


def asked(cluster: DemoCluster, role: str, *, manages: bool = False, namespaces: tuple[str, ...] = ()):
    """Return the permissions of a role, asked for once, and the connection that asks."""
    here = connect(str(cluster.kubeconfig_for(role)))
    wanted = needs(
        manages=manages,
        namespaces=namespaces,
        system_namespace="kargo-system-resources",
        kargo_namespace="kargo",
    )
    permissions = Permissions(lambda: here, wanted)
    assert permissions.known() is None
    permissions.work()
    reviews = permissions.known()
    assert reviews is not None
    here.close()
    return reviews


@pytest.mark.parametrize(
    ("role", "manages", "missing"),
    [
        ("admin", True, set()),
        ("kargoweb", False, {"leases"}),
        ("kargoweb", True, {"leases", "secrets", "projectconfigs/status", "clusterconfigs/status"}),
        ("manager", True, {"leases"}),
        (
            "nobody",
            False,
            {"leases", "projects", "projectconfigs", "clusterconfigs", "warehouses", "freights"},
        ),
    ],
)
def test_what_a_role_lacks_is_known(cluster, role, manages, missing):
    reviews = asked(cluster, role, manages=manages)
    assert {one.what for one in reviews.missing} == missing
    assert (reviews.error, reviews.version[:1]) == ("", "v")


def test_a_role_in_one_namespace_lacks_the_other(cluster):
    rules = [{"verbs": [*READ, "patch"], "resources": ["*"], "namespaces": ["shop"]}]
    cluster.grant("nobody", rules)
    reviews = asked(cluster, "nobody", namespaces=("shop", "blog"))
    assert {one.namespace for one in reviews.missing} == {"blog", "", "kargo"}
    assert all(one.optional for one in reviews.missing if one.namespace != "blog")


def test_one_verb_that_is_missing_is_told_alone(cluster):
    cluster.grant("nobody", [rule for rule in ROLES["kargoweb"] if rule["verbs"] == READ])
    missing = [(one.verb, one.what) for one in asked(cluster, "nobody").missing if not one.optional]
    assert missing == [("patch", "warehouses")]


def test_an_api_server_that_is_away_is_told_and_waited_for_once(cluster):
    cluster.stop()
    reviews = asked(cluster, "admin")
    assert reviews.error
    assert (reviews.missing, reviews.version) == ((), "")


def test_nothing_is_asked_while_nobody_looks(cluster):
    here = connect(str(cluster.kubeconfig))
    permissions = Permissions(lambda: here, ())
    permissions.work()
    assert permissions.known() is None
    here.close()
