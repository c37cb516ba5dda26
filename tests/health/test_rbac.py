"""What the service account needs: as deployed, as asked for, and as YAML that allows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from receivers.health.rbac import Need, needs, rbac
from tests.clusters import ROOT

Granted = set[tuple[str, str, str]]


def of_objects(text: str) -> Granted:
    """Return what the roles in some YAML allow: group, resource, verb."""
    roles = [one for one in yaml.safe_load_all(text) if one["kind"] in {"Role", "ClusterRole"}]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def deployed(*paths: str) -> Granted:
    return set().union(*(of_objects((ROOT / "deploy" / path / "rbac.yaml").read_text()) for path in paths))


def asked(**changes: Any) -> tuple[Need, ...]:
    defaults: dict[str, Any] = {
        "manages": False,
        "namespaces": (),
        "system_namespace": "kargo-system-resources",
        "kargo_namespace": "kargo",
    }
    return needs(**(defaults | changes))


def granted(several: Iterable[Need]) -> Granted:
    return {(one.resource.group, one.what, one.verb) for one in several}


@pytest.mark.parametrize(
    ("manages", "paths"),
    [(False, ["base", "heartbeats"]), (True, ["base", "heartbeats", "components/manage-receivers"])],
    ids=["Kargo manages", "kargoweb manages"],
)
def test_what_is_needed_is_what_is_deployed(manages, paths):
    assert granted(asked(manages=manages)) == deployed(*paths)


@pytest.mark.parametrize("manages", [False, True])
@pytest.mark.parametrize("namespaces", [(), ("shop", "blog")], ids=["everywhere", "in two namespaces"])
def test_the_yaml_allows_what_is_missing_and_nothing_else_where_it_is_missing(manages, namespaces):
    missing = asked(manages=manages, namespaces=namespaces)
    objects = list(yaml.safe_load_all(rbac(missing)))
    for namespace in {one.namespace for one in missing}:
        here = [one for one in objects if one["metadata"].get("namespace", "") == namespace]
        role, binding = here
        assert role["kind"] == ("Role" if namespace else "ClusterRole")
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        assert of_objects(yaml.safe_dump(role)) == granted(
            one for one in missing if one.namespace == namespace
        )


def test_resources_with_the_same_verbs_share_a_rule():
    objects = list(yaml.safe_load_all(rbac(asked())))
    rules = next(one for one in objects if one["kind"] == "ClusterRole")["rules"]
    assert [rule["verbs"] for rule in rules] == [["get", "list", "watch"], ["get", "list", "watch", "patch"]]


def test_nothing_missing_is_nothing_to_paste():
    assert rbac(()) == ""


def test_in_some_namespaces_only_projects_are_not_listed_and_cluster_receivers_are_optional():
    found = asked(namespaces=("shop",), manages=True)
    assert "projects" not in {one.what for one in found}
    assert {one.namespace for one in found if not one.optional} == {"shop"}
    assert {one.what for one in found if one.optional} == {
        "clusterconfigs", "clusterconfigs/status", "leases", "secrets"
    }  # fmt: skip
