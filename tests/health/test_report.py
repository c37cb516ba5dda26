"""The health report counts, mutes and groups findings; the checks have codes and titles."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity, Subject, most_urgent_first
from receivers.health.report import HealthReport, Muted, group_findings
from tests.clusters import ROOT

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
URGENT = Finding(
    Severity.URGENT, Check.INVALID_SUBSCRIPTION, "shop", Subject.WAREHOUSE, "app", "It is down.", "Start it."
)
WARNING = replace(URGENT, severity=Severity.WARNING, check=Check.WAREHOUSE_WITHOUT_RECEIVER)
NOTE = replace(URGENT, severity=Severity.NOTE, check=Check.OFFICIAL_IMAGE)
OTHER = replace(URGENT, project="blog")
CLUSTER = replace(URGENT, project="", subject=Subject.CLUSTER, check=Check.CLUSTER_UNREADABLE)
ALL = most_urgent_first([URGENT, WARNING, NOTE, OTHER, CLUSTER])
JANE = Muted("jane", NOON, "known")


def report(*muted: Finding) -> HealthReport:
    return HealthReport.build(NOON, ALL, {finding.mute_key: JANE for finding in muted})


@pytest.mark.parametrize(
    ("muted", "expected"),
    [
        ([], {"shop": 2, "blog": 1, "": 1}),
        ([NOTE], {"shop": 2, "blog": 1, "": 1}),
        ([WARNING], {"shop": 1, "blog": 1, "": 1}),
        ([OTHER, CLUSTER], {"shop": 2}),
        ([replace(URGENT, identity="another")], {"shop": 2, "blog": 1, "": 1}),
    ],
    ids=["nothing muted", "a note", "a warning", "two other findings", "a finding before it changed"],
)
def test_unmuted_urgent_findings_and_warnings_are_counted(muted, expected):
    assert {project: len(causes) for project, causes in report(*muted).causes_by_project.items()} == expected


@pytest.mark.parametrize(
    ("projects", "visible"),
    [(None, set(ALL)), ({"blog"}, {OTHER}), ({"shop"}, {URGENT, WARNING, NOTE}), (set(), set())],
    ids=["all projects", "one project", "another project", "no project"],
)
def test_only_findings_of_visible_projects_are_returned(projects, visible):
    open_, muted = report(URGENT, OTHER).open_and_muted(projects)
    assert set(open_) == visible - {URGENT, OTHER}
    assert set(muted) == visible & {URGENT, OTHER}


def test_new_mutes_change_only_the_counts():
    before = report()
    after = before.with_mutes({URGENT.key: JANE})
    assert (after.findings, after.at) == (before.findings, before.at)
    assert after.causes_by_project["shop"] == before.causes_by_project["shop"] - {URGENT.key}


def test_groups_are_sorted_by_severity_and_then_by_size():
    missed = [replace(URGENT, name=f"app-{number:04}", check=Check.MISSED_PUSHES) for number in range(1000)]
    groups = group_findings(most_urgent_first([*ALL, *missed]))
    assert [(group.severity, group.check, len(group.causes)) for group in groups] == [
        ("urgent", "missed_pushes", 1000),
        ("urgent", "invalid_subscription", 2),
        ("urgent", "cluster_unreadable", 1),
        ("warning", "warehouse_without_receiver", 1),
        ("note", "official_image", 1),
    ]
    assert [finding.name for [finding] in groups[0].causes[:2]] == ["app-0000", "app-0001"]


def test_findings_of_a_check_with_different_severities_are_separate_groups():
    urgent, warning = URGENT, replace(URGENT, severity=Severity.WARNING, name="other")
    assert [group.severity for group in group_findings([warning, urgent])] == ["urgent", "warning"]


def used_checks() -> set[str]:
    """Return the members of `Check` that the source of the checks uses."""
    attributes = (
        node
        for path in (ROOT / "receivers/health").glob("*_checks.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    )
    return {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "Check"}


def test_every_check_is_used():
    assert used_checks() == set(Check.names)


def test_muting_a_finding_does_not_mute_other_findings():
    for muted, other in product(ALL, ALL):
        if muted is not other:
            open_, _ = report(muted).open_and_muted(None)
            assert other in open_


SHARED = Finding(
    Severity.URGENT, Check.NO_CONTROLLER, "", Subject.CONTROLLER, "eu", "It is down.", "Start it.",
    warehouses=(("blog", "web"), ("shop", "api"), ("shop", "web")),
)  # fmt: skip


def test_a_problem_of_several_warehouses_is_one_finding_reduced_to_what_a_reader_may_see():
    shared = HealthReport.build(NOON, (SHARED,), {})
    [finding], _ = shared.open_and_muted({"shop", "other"})
    assert finding.affected == "Affects 2 Warehouses: shop/api, shop/web."
    assert (finding.key, shared.find(SHARED.key, {"shop", "other"})) == (SHARED.key, finding)
    assert shared.for_project("blog") == (replace(SHARED, warehouses=(("blog", "web"),)),)
    assert shared.open_and_muted({"other"}) == ((), ())
    assert shared.find(SHARED.key, {"other"}) is None
    assert shared.for_project("") == (SHARED,)


def test_many_warehouses_are_counted_instead_of_named():
    many = replace(SHARED, warehouses=tuple(("shop", f"w-{number:03}") for number in range(112)))
    assert many.affected.startswith("Affects 112 Warehouses: shop/w-000, ")
    assert many.affected.endswith(", shop/w-009 and 102 more.")


def test_findings_of_the_same_cause_are_muted_together_within_a_project():
    first = replace(URGENT, identity="rate limit", common_cause=True)
    second, elsewhere = replace(first, name="web"), replace(first, project="blog")
    unrelated = replace(second, identity="401")
    findings = (first, second, elsewhere, unrelated)
    after = HealthReport.build(NOON, findings, {first.mute_key: JANE})
    assert after.open_and_muted(None) == ((elsewhere, unrelated), (first, second))
    assert after.with_same_cause(second) == (first, second)
    assert len({finding.key for finding in findings}) == 4


def test_findings_of_the_same_cause_count_once_and_are_one_row():
    first = replace(URGENT, identity="rate limit", common_cause=True)
    second, unrelated = replace(first, name="web"), replace(first, identity="401")
    findings = (first, second, unrelated)
    counts = HealthReport.build(NOON, findings, {}).causes_by_project
    assert {project: len(causes) for project, causes in counts.items()} == {"shop": 2}
    [group] = group_findings(findings)
    assert group.causes == ((first, second), (unrelated,))
