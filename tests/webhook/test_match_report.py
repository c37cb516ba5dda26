"""The match report of a push: every verdict in scope, and hints at other projects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from receivers.cluster.cache import ClusterCache
from receivers.kargo.matching import MatchResult
from receivers.kargo.push import Push
from receivers.webhook.match_report import ELSEWHERE, HINTS, VERDICTS_SHOWN, explain
from tests.clusters import until
from tests.contract.caches import running_cache
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body


@pytest.fixture(scope="module")
def cache(demo_cluster) -> Iterator[ClusterCache]:
    with running_cache(demo_cluster.kubeconfig) as cache:
        yield cache


def wait_for_warehouses(cache, project, count):
    """Wait until the cache has `count` Warehouses of the project."""
    until("the Warehouses are in the cache", lambda: len(cache.warehouses(project.name)) == count)


def summary(report):
    return [
        (verdict.warehouse, verdict.position, verdict.result, verdict.rule) for verdict in report.verdicts
    ]


@pytest.fixture
def mixed(world, cache):
    """A project whose Warehouses have subscriptions with every result."""
    project = world.bare_project()
    project.warehouse(
        "a",
        image(project.repository, constraint="^1"),
        {"git": {"repoURL": "https://example.com/x.git"}},
        image(f"hub.docker.com/r/{project.repository}"),
        image("example/another"),
    )
    project.warehouse("b", image(project.repository, constraint="^2"), image(f"ghcr.io/{project.repository}"))
    project.warehouse("c", image(project.repository, allowTags="x"))
    wait_for_warehouses(cache, project, 3)
    return project


def test_the_report_has_every_subscription_in_scope_with_the_most_relevant_first(cache, mixed):
    report = explain(cache, Push(mixed.repository, "1.2.3"), mixed.name, everything=True)
    assert report.to_refresh == ((mixed.name, "a"),)
    assert summary(report) == [
        ("a", 0, MatchResult.MATCH, "semver.satisfied"),
        ("c", 0, MatchResult.NOT_EVALUABLE, "allowTags.removed"),
        ("b", 0, MatchResult.NO_MATCH, "semver.not_satisfied"),
        ("a", 2, MatchResult.NEAR_MISS, "near_miss"),
        ("b", 1, MatchResult.NEAR_MISS, "near_miss"),
        ("a", 1, MatchResult.OTHER_REPOSITORY, "other_repository"),
        ("a", 3, MatchResult.OTHER_REPOSITORY, "other_repository"),
    ]
    assert report.left_out == 0


def test_the_verdict_of_another_repository_names_it(cache, mixed):
    report = explain(cache, Push(mixed.repository, "1.2.3"), mixed.name, everything=True)
    assert (
        report.verdicts[-1].reason
        == f'the subscription uses "example/another", but the push went to "{mixed.repository}"'
    )


def test_by_default_the_report_has_only_the_verdicts_of_the_repository_and_of_similar_names(cache, mixed):
    default = explain(cache, Push(mixed.repository, "1.2.3"), mixed.name)
    full = explain(cache, Push(mixed.repository, "1.2.3"), mixed.name, everything=True)
    assert default.verdicts == full.verdicts[:5]
    assert default.to_refresh == full.to_refresh


@pytest.mark.parametrize("everything", [False, True])
def test_verdicts_beyond_the_limit_are_counted(cache, mixed, everything):
    push = Push(mixed.repository, "1.2.3")
    full = explain(cache, push, mixed.name, everything=everything)
    limited = explain(cache, push, mixed.name, everything=everything, most=2)
    assert limited.verdicts == full.verdicts[:2]
    assert limited.left_out == len(full.verdicts) - 2
    assert limited.to_refresh == full.to_refresh


def test_a_cluster_receiver_serves_every_project(cache, mixed):
    report = explain(cache, Push(mixed.repository, "1.2.3"), "", everything=True, most=10_000)
    assert report.to_refresh == ((mixed.name, "a"),)
    total = sum(len(warehouse.subscriptions) for warehouse in cache.warehouses())
    assert len(report.verdicts) == total > 7


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("ghcr.io/{}", "is hosted on ghcr.io; this push"),
        ("hub.docker.com/r/{}", "is a page of Docker Hub's website, not the name of a repository; use"),
        ("https://hub.docker.com/repository/docker/{}/general", "is a page of Docker Hub's website"),
        ("registry.hub.docker.com/{}", "but pushes never match this address; use"),
        ("_/{}", "pushes never match"),
    ],
)
def test_a_similar_name_gets_a_suggestion(cache, world, written, hint):
    project = world.bare_project()
    project.warehouse("w", image(written.format(project.repository)))
    wait_for_warehouses(cache, project, 1)
    report = explain(cache, Push(project.repository, "1.2.3"), project.name)
    assert [verdict.result for verdict in report.verdicts] == [MatchResult.NEAR_MISS]
    assert hint in report.why_no_match_anywhere


class TestSimilarNames:
    def test_a_typing_error_gets_a_suggestion(self, cache, world):
        project = world.bare_project()
        project.warehouse("w", image("acme/payments-api"), image("acme/web"))
        wait_for_warehouses(cache, project, 1)
        for everything in (False, True):
            report = explain(cache, Push("acme/payment-api", "1.2.3"), project.name, everything=everything)
            assert summary(report)[0] == ("w", 0, MatchResult.NEAR_MISS, "similar_name")
            assert len(report.verdicts) == (2 if everything else 1)
            assert report.left_out == 0
            assert report.why_no_match == (
                'no subscription uses "acme/payment-api"; did you mean "acme/payments-api"?'
            )

    def test_there_is_no_suggestion_if_a_subscription_uses_the_repository(self, cache, world):
        project = world.bare_project()
        project.warehouse("w", image("acme/payments-api"), image("acme/payment-api", constraint="^9"))
        wait_for_warehouses(cache, project, 1)
        report = explain(cache, Push("acme/payment-api", "1.2.3"), project.name)
        assert summary(report) == [("w", 1, MatchResult.NO_MATCH, "semver.not_satisfied")]


class TestOtherProjects:
    def test_the_report_hints_at_a_warehouse_that_would_have_matched(self, cache, world):
        project, other = world.bare_project(), world.bare_project()
        other.warehouse("w", image(other.repository), image(other.repository, constraint="^9"))
        wait_for_warehouses(cache, other, 1)
        report = explain(cache, Push(other.repository, "1.2.3"), project.name)
        assert summary(report) == [("w", 0, MatchResult.OUT_OF_SCOPE, "out_of_scope")]
        assert report.to_refresh == ()
        assert report.why_no_match_anywhere == (
            f'Warehouse "w" in project "{other.name}" subscribes to this repository, '
            f'but this receiver serves only project "{project.name}"'
        )

    def test_there_is_no_hint_at_a_warehouse_that_would_not_have_matched(self, cache, world):
        project, other = world.bare_project(), world.bare_project()
        other.warehouse("w", image(other.repository, constraint="^9"))
        wait_for_warehouses(cache, other, 1)
        report = explain(cache, Push(other.repository, "1.2.3"), project.name, everything=True)
        assert report.verdicts == ()
        assert report.why_no_match_anywhere == "no Warehouse in scope subscribes to this repository"

    def test_there_is_no_hint_if_a_warehouse_in_scope_matches(self, cache, world):
        project, other = world.bare_project(), world.bare_project()
        for each in (project, other):
            each.warehouse("w", image(project.repository))
            wait_for_warehouses(cache, each, 1)
        report = explain(cache, Push(project.repository, "1.2.3"), project.name)
        assert [verdict.result for verdict in report.verdicts] == [MatchResult.MATCH]

    def test_the_number_of_hints_is_limited_and_several_projects_are_included(self, cache, world):
        before, project, after = (world.bare_project() for _ in range(3))
        project.warehouse("w", image(project.repository, constraint="^9"))
        wait_for_warehouses(cache, project, 1)
        for other in (before, after):
            for number in range(HINTS * 3 // 4):
                other.warehouse(f"w-{number}", image(project.repository))
            wait_for_warehouses(cache, other, HINTS * 3 // 4)
        report = explain(cache, Push(project.repository, "1.2.3"), project.name)
        hints = [verdict for verdict in report.verdicts if verdict.result is MatchResult.OUT_OF_SCOPE]
        assert len(hints) == HINTS
        assert {hint.project for hint in hints} == {before.name, after.name}
        assert report.verdicts[0].result is MatchResult.NO_MATCH

    def test_the_delivery_has_the_hint_but_its_reason_names_no_other_project(self, product, world):
        other = routed_project(product, world, image("example/of-another"))
        project = routed_project(product, world)
        response = product.post(project.path(), push_body("example/of-another"))
        delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
        (hint,) = delivery.verdicts
        assert (hint["project"], hint["result"]) == (other.name, "out_of_scope")
        # Lists show the reason to users who may not see the other project.
        assert delivery.reason == ELSEWHERE
        assert other.token() == ""


def test_the_report_of_a_large_scope_is_short(cache, world):
    project = world.bare_project()
    subscriptions = [image(f"example/number-{number}") for number in range(VERDICTS_SHOWN)]
    project.warehouse("large", *subscriptions)
    project.warehouse("small", image(project.repository), image("example/x"))
    wait_for_warehouses(cache, project, 2)
    report = explain(cache, Push(project.repository, "1.2.3"), project.name, everything=True)
    assert len(report.verdicts) == VERDICTS_SHOWN
    assert report.left_out == 2
    assert report.verdicts[0].result is MatchResult.MATCH
