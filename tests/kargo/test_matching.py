"""Matching a push against Warehouses, and which of them are refreshed."""

import json

from receivers.kargo.matching import MatchResult, Verdict, to_refresh, verdicts
from receivers.kargo.push import Push
from receivers.kargo.resources import decode_warehouse


def warehouse(name, *subscriptions, project="demo"):
    return decode_warehouse(
        {"metadata": {"namespace": project, "name": name}, "spec": {"subscriptions": list(subscriptions)}}
    )


def image(repo_url="example/repo", **fields):
    return {"image": {"repoURL": repo_url, **fields}}


def summary(push, *warehouses):
    return [
        (verdict.warehouse, verdict.position, verdict.result, verdict.rule)
        for verdict in verdicts(push, warehouses)
    ]


V1 = Push("example/repo", "1.0.0")


def test_every_subscription_to_the_repository_has_a_verdict_in_order():
    results = summary(
        V1,
        warehouse("b", image("other/repo"), image(constraint="^1"), image(constraint="^2")),
        warehouse(
            "a",
            {"git": {"repoURL": "https://example.com/x"}},
            {"chart": {"repoURL": "oci://docker.io/example/repo"}},
        ),
        warehouse("c", image("ghcr.io/example/repo"), image(constraint="(")),
    )
    assert results == [
        ("b", 1, MatchResult.MATCH, "semver.satisfied"),
        ("b", 2, MatchResult.NO_MATCH, "semver.not_satisfied"),
        ("a", 1, MatchResult.MATCH, "semver.any"),
        ("c", 0, MatchResult.NEAR_MISS, "near_miss"),
        ("c", 1, MatchResult.NOT_EVALUABLE, "constraint.invalid"),
    ]


def test_without_a_tag_every_subscription_matches_and_no_selector_is_evaluated():
    push = Push("example/repo", "")
    results = summary(
        push,
        warehouse("a", image(constraint="^9"), image(constraint="("), image("hub.docker.com/r/example/repo")),
    )
    assert results == [
        ("a", 0, MatchResult.MATCH, "no_tag"),
        ("a", 1, MatchResult.MATCH, "no_tag"),
        ("a", 2, MatchResult.NEAR_MISS, "near_miss"),
    ]


def test_an_empty_repository_matches_nothing():
    assert verdicts(Push("", ""), [warehouse("a", image(""), image(), {"acme": {}})]) == ()


def test_a_warehouse_is_refreshed_once_and_only_for_a_match():
    results = verdicts(
        V1,
        [
            warehouse("b", image(), image(constraint="^1"), project="z"),
            warehouse("a", image(constraint="^2"), image(constraint="("), image("ghcr.io/example/repo")),
            warehouse("c", image()),
        ],
    )
    assert to_refresh(results) == (("demo", "c"), ("z", "b"))


def test_an_invalid_subscription_does_not_prevent_a_refresh_of_its_warehouse():
    assert to_refresh(verdicts(V1, [warehouse("a", image(constraint="("), image())])) == (("demo", "a"),)


def test_a_verdict_is_json_with_the_values_of_the_subscription():
    (verdict,) = verdicts(V1, [warehouse("a", {"name": "app", **image("docker.io/Example/Repo")})])
    assert isinstance(verdict, Verdict)
    assert json.loads(json.dumps(verdict.as_dict())) == {
        "project": "demo",
        "warehouse": "a",
        "position": 0,
        "subscription": "app",
        "kind": "image",
        "repo_url": "docker.io/Example/Repo",
        "result": "match",
        "rule": "semver.any",
        "reason": 'tag "1.0.0" is a semantic version (no constraint set)',
    }


def test_the_names_of_a_push_are_sorted_and_unique():
    assert V1.names == ("example/repo",)
    assert Push("127.0.0.1:5000/Chart", "").names == ("127.0.0.1:5000/Chart", "127.0.0.1:5000/chart")
    assert Push("", "").names == ()
