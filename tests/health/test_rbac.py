"""The permissions of the service account: required, deployed, and granted by the generated manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from receivers.health.rbac import RequiredPermission, rbac_manifest, required_permissions
from tests.clusters import ROOT

Granted = set[tuple[str, str, str]]


def granted_by(text: str) -> Granted:
    """Return the group, resource and verb of each permission that the roles of a manifest grant."""
    roles = [item for item in yaml.safe_load_all(text) if item["kind"] in {"Role", "ClusterRole"}]
    return set().union(*(granted_by_rules(role["rules"]) for role in roles))


def granted_by_rules(rules: list[dict[str, list[str]]]) -> Granted:
    return {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def deployed(*names: str) -> Granted:
    rules = (yaml.safe_load((ROOT / f"deploy/chart/files/rbac/{name}.yaml").read_text()) for name in names)
    return set().union(*(granted_by_rules(of_file) for of_file in rules))


def required(**changes: Any) -> tuple[RequiredPermission, ...]:
    defaults: dict[str, Any] = {
        "manages": False,
        "namespaces": (),
        "system_namespace": "kargo-system-resources",
        "kargo_namespace": "kargo",
    }
    return required_permissions(**(defaults | changes))


def granted(permissions: Iterable[RequiredPermission]) -> Granted:
    return {(item.resource.group, item.resource_name, item.verb) for item in permissions}


@pytest.mark.parametrize(
    ("manages", "names"),
    [(False, ["base", "heartbeats"]), (True, ["base", "heartbeats", "manage-receivers"])],
    ids=["Kargo manages", "kargoweb manages"],
)
def test_the_deployed_roles_grant_exactly_the_required_permissions(manages, names):
    assert granted(required(manages=manages)) == deployed(*names)


def test_the_role_for_stages_grants_exactly_what_following_them_requires():
    added = granted(required(follows_stages=True)) - granted(required())
    assert added == deployed("follow-stages")


def test_the_role_for_new_receivers_grants_exactly_what_creating_them_requires():
    added = granted(required(creates_receivers=True)) - granted(required())
    assert added == deployed("create-receivers")


def test_the_role_for_events_grants_exactly_what_recording_them_requires():
    added = set(required(records_events=True)) - set(required())
    assert granted(added) == deployed("events")
    assert all(item.optional for item in added)
    in_one = [item.namespace for item in required(records_events=True, namespaces=("shop",))]
    assert (
        in_one.count("shop") == [item.namespace for item in required(namespaces=("shop",))].count("shop") + 2
    )


def test_the_role_for_reviews_grants_exactly_what_they_require():
    added = granted(required(reviews_access=True)) - granted(required())
    assert added == deployed("review-access")


def test_stages_are_optional():
    permissions = set(required(follows_stages=True)) - set(required())
    assert {item.resource.plural for item in permissions if item.optional} == {"stages", "promotions"}
    assert all(item.optional for item in permissions)


@pytest.mark.parametrize("manages", [False, True])
@pytest.mark.parametrize("namespaces", [(), ("shop", "blog")], ids=["everywhere", "in two namespaces"])
def test_the_manifest_grants_exactly_the_missing_permissions(manages, namespaces):
    missing = required(manages=manages, namespaces=namespaces)
    objects = list(yaml.safe_load_all(rbac_manifest(missing)))
    for namespace in {permission.namespace for permission in missing}:
        role, binding = (item for item in objects if item["metadata"].get("namespace", "") == namespace)
        assert role["kind"] == ("Role" if namespace else "ClusterRole")
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert granted_by(yaml.safe_dump(role)) == granted(
            permission for permission in missing if permission.namespace == namespace
        )


def test_resources_with_the_same_verbs_share_a_rule():
    objects = list(yaml.safe_load_all(rbac_manifest(required())))
    rules = next(item for item in objects if item["kind"] == "ClusterRole")["rules"]
    assert [rule["verbs"] for rule in rules] == [["get", "list", "watch"], ["get", "list", "watch", "patch"]]


def test_the_manifest_is_empty_if_nothing_is_missing():
    assert rbac_manifest(()) == ""


def test_with_a_list_of_namespaces_projects_are_not_read_and_permissions_for_the_cluster_are_optional():
    permissions = required(namespaces=("shop",), manages=True)
    assert "projects" not in {permission.resource_name for permission in permissions}
    assert {permission.namespace for permission in permissions if not permission.optional} == {"shop"}
    assert {permission.resource_name for permission in permissions if permission.optional} == {
        "clusterconfigs",
        "clusterconfigs/status",
        "deployments",
        "leases",
        "secrets",
    }
