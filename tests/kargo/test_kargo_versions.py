"""Warehouses from the field are matched as by the version of Kargo that runs."""

from typing import Any

import pytest

from receivers.kargo.kargo_rules import LATEST, KargoRules, rules_of_schema, rules_of_version
from receivers.kargo.matching import MatchResult, to_refresh, verdicts
from receivers.kargo.push import Push
from receivers.kargo.resources import decode_warehouse
from receivers.kargo.subscriptions import decode_subscription
from tests.cases import cases
from tests.kargo.defaults import with_admission_defaults

WAREHOUSES = {case["id"]: case for case in cases("warehouses")}


def stored(warehouse):
    """Return a Warehouse as Kargo's admission webhook stores it."""
    subscriptions = map(with_admission_defaults, warehouse["spec"]["subscriptions"])
    return {**warehouse, "spec": {**warehouse["spec"], "subscriptions": list(subscriptions)}}


def matched(case, push, rules):
    """Return the verdicts of kargoweb on a push, for the Warehouses of a case."""
    warehouses = [decode_warehouse(stored(raw), rules=rules) for raw in case["warehouses"]]
    return verdicts(Push(push["repository"], push["tag"], push.get("media_type", "")), warehouses)


def cannot_be_evaluated(matches):
    return any(verdict.result is MatchResult.NOT_EVALUABLE for verdict in matches)


@pytest.mark.parametrize("case", WAREHOUSES.values(), ids=WAREHOUSES)
def test_a_warehouse_is_matched_as_in_kargo_1_11(case):
    for push in case["pushes"]:
        matches = matched(case, push, KargoRules.FROM_1_11)
        if push["main"] == "cannot be evaluated":
            assert cannot_be_evaluated(matches), push
        else:
            assert bool(to_refresh(matches)) == (push["main"] == "refresh"), push
            assert not cannot_be_evaluated(matches)


@pytest.mark.parametrize("case", WAREHOUSES.values(), ids=WAREHOUSES)
def test_a_warehouse_is_matched_as_in_kargo_1_10(case):
    for push in case["pushes"]:
        expected = push["v1.10.10"]
        if expected is None:
            continue  # not run
        matches = matched(case, push, KargoRules.FROM_1_9)
        if expected["status"] == 500:
            assert cannot_be_evaluated(matches), push
        else:
            assert len(to_refresh(matches)) == expected["refreshed"], push
            assert not cannot_be_evaluated(matches)


def decided(rules, tag, **fields):
    decision = decode_subscription({"image": {"repoURL": "x/y", **fields}}, rules).selector.evaluate(tag)
    return decision.matches, decision.reason


LEGACY = {"imageSelectionStrategy": "Lexical", "allowTags": "^v", "ignoreTags": ["v.9", "v0"]}


@pytest.mark.parametrize("rules", [KargoRules.UP_TO_1_8, KargoRules.FROM_1_9])
@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("v1", (True, 'tag "v1" matches allowTags "^v"')),
        ("1", (False, 'tag "1" does not match allowTags "^v"')),
        ("v0", (False, 'tag "v0" matches ignoreTags "v0"')),
        ("vX9", (True, 'tag "vX9" matches allowTags "^v"')),
    ],
)
def test_up_to_1_10_allow_tags_is_an_expression_and_ignore_tags_a_list(rules, tag, expected):
    assert decided(rules, tag, **LEGACY) == expected


def test_in_1_9_and_1_10_the_fields_of_both_generations_apply():
    fields = {"imageSelectionStrategy": "Lexical", "allowTags": "^v", "allowTagsRegexes": ["^w"]}
    assert [decided(KargoRules.FROM_1_9, tag, **fields)[0] for tag in ("v1", "w1", "x1")] == [
        True,
        True,
        False,
    ]
    assert decided(KargoRules.FROM_1_9, "x1", **fields)[1] == (
        'tag "x1" matches none of allowTagsRegexes and allowTags "^w", "^v"'
    )


def test_git_subscriptions_follow_the_same_rules():
    raw = {"git": {"repoURL": "https://x/y", "commitSelectionStrategy": "Lexical", "allowTags": "^v"}}
    for rules, expected in ((KargoRules.FROM_1_9, True), (KargoRules.FROM_1_11, None)):
        assert decode_subscription(raw, rules).selector.evaluate("refs/tags/v1").matches is expected


@pytest.mark.parametrize(
    ("fields", "tag", "up_to_1_8", "later"),
    [
        ({"imageSelectionStrategy": "Digest", "semverConstraint": "latest"}, "latest", True, False),
        ({"semverConstraint": "^1"}, "2.0.0", False, True),
        ({"semverConstraint": "^1", "constraint": "^2"}, "2.0.0", True, True),
        ({"semverConstraint": "1..2"}, "2.0.0", None, True),
    ],
    ids=["Digest", "SemVer", "both", "invalid"],
)
def test_up_to_1_8_images_have_semver_constraint(fields, tag, up_to_1_8, later):
    assert decided(KargoRules.UP_TO_1_8, tag, **fields)[0] is up_to_1_8
    for rules in (KargoRules.FROM_1_9, KargoRules.FROM_1_11):
        assert decided(rules, tag, **fields)[0] is later


@pytest.mark.parametrize(
    ("rules", "unread"),
    [(KargoRules.UP_TO_1_8, ()), (KargoRules.FROM_1_9, ("semverConstraint",))],
)
def test_a_field_is_unread_only_in_versions_that_ignore_it(rules, unread):
    raw = {"image": {"repoURL": "x/y", "semverConstraint": "^1"}}
    assert decode_subscription(raw, rules).unread == unread


@pytest.mark.parametrize(
    ("version", "rules"),
    [
        ("v1.10.10", KargoRules.FROM_1_9),
        ("1.11", KargoRules.FROM_1_11),
        ("v1.11.0-rc.1-132-g1c764767a", KargoRules.FROM_1_11),
        ("v1.8.14", KargoRules.UP_TO_1_8),
        ("v1.9.0", KargoRules.FROM_1_9),
        ("v1.20.3", KargoRules.FROM_1_11),
        ("v2.0.0", KargoRules.FROM_1_11),
        ("v0.9.1", KargoRules.UP_TO_1_8),
        ("latest", None),
        ("1", None),
        ("", None),
    ],
)
def test_a_version_has_the_rules_of_its_range(version, rules):
    assert rules_of_version(version) is rules


def openapi(subscriptions, status=(), cluster_config=()):
    """Return what an API server publishes about Kargo's types, reduced to what differs between versions."""
    git: dict[str, Any] = {"items": {"properties": {name: {} for name in status}}}
    warehouse = {
        "spec": {"properties": {"subscriptions": {"items": subscriptions}}},
        "status": {"properties": {"discoveredArtifacts": {"properties": {"git": git}}}},
    }
    config: dict[str, Any] = {"spec": {"properties": {name: {} for name in cluster_config}}}
    schemas = {"Warehouse": warehouse, "ClusterConfig": config, "WarehouseList": {}}
    prefix = "io.akuity.kargo.v1alpha1"
    return {
        "components": {
            "schemas": {f"{prefix}.{kind}": {"properties": each} for kind, each in schemas.items()}
        }
    }


ANY = {"x-kubernetes-preserve-unknown-fields": True}


@pytest.mark.parametrize(
    ("document", "rules"),
    [
        (openapi({"properties": {"image": {}, "chart": {}, "git": {}}}), KargoRules.UP_TO_1_8),
        (openapi(ANY), KargoRules.FROM_1_9),
        (openapi(ANY, status=["observedRefs"]), KargoRules.FROM_1_11),
        (openapi(ANY, cluster_config=["webhookReceivers", "stageLinks"]), LATEST),
        ({}, None),
        ({"components": {"schemas": {"io.akuity.kargo.v1alpha1.Warehouse": {"properties": {}}}}}, None),
        ({"components": {"schemas": []}}, None),
    ],
)
def test_the_schema_of_kargos_types_shows_the_rules(document, rules):
    assert rules_of_schema(document) is rules
