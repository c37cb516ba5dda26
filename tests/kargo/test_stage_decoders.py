"""Decoding Stages, Promotions, Freight and promotion policies as an API server may send them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receivers.kargo.promotion_policies import decode_policies, is_automatic, name_matches
from receivers.kargo.stages import (
    FreightName,
    actor_name,
    creation_order,
    decode_freight_status,
    decode_promotion,
    decode_stage,
)
from tests.kargo.recorded_watches import RECORDED

DECODERS = {"Stage": decode_stage, "Promotion": decode_promotion, "Freight": decode_freight_status}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)


def recorded(kind: str) -> list[dict[str, Any]]:
    events = map(json.loads, RECORDED.read_text().splitlines())
    return [event["object"] for event in events if event["kind"] == kind]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in decoded JSON."""
    inner: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(inner_path for key, entry in inner for inner_path in paths(entry, (*path, key)))]


@given(st.sampled_from(sorted(DECODERS)), st.data(), VALUES)
def test_no_value_makes_decoding_fail(kind, data, value):
    largest = max(recorded(kind), key=lambda raw: len(json.dumps(raw)))
    *path, last = data.draw(st.sampled_from(paths(largest)[1:]))
    target = largest
    for key in path:
        target = target[key]
    target[last] = value
    DECODERS[kind](largest)


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
def test_an_empty_object_has_empty_values(decode):
    assert decode({}).name == ""


def test_charts_name_freight_too():
    item = {"name": "f", "charts": [{"repoURL": "oci://x/y", "version": "1.2.3"}]}
    raw = {"status": {"freightHistory": [{"items": {"Warehouse/app": item}}]}}
    assert decode_stage(raw).current("app") == FreightName("f", tag="1.2.3")


def test_a_step_without_an_alias_is_counted_from_one():
    assert decode_promotion({"spec": {"steps": [{"uses": "x"}, {"as": "y"}]}}).steps == ("step-1", "y")


def test_a_soak_time_is_a_go_duration():
    raw = {"status": {"verifiedIn": {"test": {"longestSoak": "5m45.585408023s"}}}}
    assert decode_freight_status(raw).verified_in["test"].soaked == timedelta(minutes=5, seconds=45.585408)


def test_freight_without_a_time_of_discovery_was_discovered_when_it_was_created():
    raw = {"metadata": {"creationTimestamp": "2026-01-02T03:04:05Z"}}
    assert decode_freight_status(raw).discovered_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("freight", "label"),
    [
        (FreightName("a" * 40, "calm-lemur", "1.0"), "1.0"),
        (FreightName("a" * 40, "calm-lemur"), "calm-lemur"),
        (FreightName("a" * 40), "a" * 7),
    ],
)
def test_the_label_of_freight(freight, label):
    assert freight.label == label


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("test.01m89hkgw8trf29p6atavbda1g.1100edd", "01m89hkgw8trf29p6atavbda1g"),
        ("test.eu.01m89hkgw8trf29p6atavbda1g.1100edd", "01m89hkgw8trf29p6atavbda1g"),
        ("by-hand", "by-hand"),
        ("a.b.c", "a.b.c"),
        ("", ""),
    ],
)
def test_promotions_sort_by_the_time_in_their_names(name, order):
    assert creation_order(name) == order


@pytest.mark.parametrize(
    ("actor", "name"),
    [("kubernetes:admin", "admin"), ("email:a@b.c", "a@b.c"), ("admin", "admin"), ("", "")],
)
def test_the_name_of_an_actor(actor, name):
    assert actor_name(actor) == name


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("test", "test", True),
        ("test", "test-1", False),
        ("tes.", "test", False),
        ("glob:test*", "test-1", True),
        ("glob:test*", "a-test", False),
        ("glob:te?t", "text", True),
        ("glob:{test,uat}", "uat", True),
        ("glob:{test,uat}", "prod", False),
        ("glob:prod-[a-c]", "prod-b", True),
        ("glob:prod-[!a-c]", "prod-b", False),
        ("glob:prod-[^a-c]", "prod-z", True),
        ("glob:a.b", "axb", False),
        ("glob:a,b", "a,b", True),
        (r"glob:a\*", "a*", True),
        ("glob:[", "x", False),
        ("glob:{", "x", False),
        ("regex:^prod-", "prod-eu", True),
        ("regexp:eu$", "prod-eu", True),
        ("regex:od", "prod", True),
        ("regex:(", "(", False),
    ],
)
def test_name_patterns(pattern, name, matches):
    assert name_matches(pattern, name) is matches


def test_the_first_policy_that_selects_a_stage_decides():
    raw = [
        {"stageSelector": {"name": "prod"}},
        {"stageSelector": {"name": "glob:*"}, "autoPromotionEnabled": True},
    ]
    policies = decode_policies(raw)
    assert not is_automatic(policies, "prod", {})
    assert is_automatic(policies, "test", {})
    assert not is_automatic((), "test", {})


@pytest.mark.parametrize(
    ("rule", "labels", "selected"),
    [
        ({"operator": "In", "values": ["a"]}, {"key": "a"}, True),
        ({"operator": "In", "values": ["a"]}, {}, False),
        ({"operator": "NotIn", "values": ["a"]}, {}, True),
        ({"operator": "NotIn", "values": ["a"]}, {"key": "a"}, False),
        ({"operator": "Exists"}, {"key": ""}, True),
        ({"operator": "DoesNotExist"}, {"key": ""}, False),
        ({"operator": "Like"}, {"key": ""}, False),
    ],
)
def test_label_expressions(rule, labels, selected):
    selector = {"matchExpressions": [{"key": "key", **rule}]}
    policies = decode_policies([{"stageSelector": selector, "autoPromotionEnabled": True}])
    assert is_automatic(policies, "any", labels) is selected


def test_names_and_labels_must_both_match():
    selector = {"name": "test", "matchLabels": {"team": "a"}}
    policies = decode_policies([{"stageSelector": selector, "autoPromotionEnabled": True}])
    assert is_automatic(policies, "test", {"team": "a"})
    assert not is_automatic(policies, "test", {"team": "b"})
    assert not is_automatic(policies, "prod", {"team": "a"})


def test_the_old_field_names_a_stage():
    policies = decode_policies([{"stage": "test", "autoPromotionEnabled": True}])
    assert is_automatic(policies, "test", {})
    assert not is_automatic(policies, "prod", {})


@given(VALUES)
def test_no_policy_makes_decoding_fail(value):
    for entries in (
        value,
        [value],
        [{"stageSelector": value}],
        [{"stageSelector": {"matchExpressions": [value]}}],
    ):
        is_automatic(decode_policies(entries), "test", {})


@given(st.text(alphabet="ab*?[]{},\\^!-.", max_size=12))
def test_no_glob_fails(glob):
    name_matches(f"glob:{glob}", "ab")
