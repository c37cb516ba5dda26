"""The health report counts, mutes and groups findings; the checks have codes and titles."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from receivers.health.checks import Check, check_title
from receivers.health.finding import Finding, Severity, Subject, most_urgent_first
from receivers.health.report import HealthReport, Muted, group_findings
from tests.clusters import ROOT

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ONE = Finding(
    Severity.URGENT, Check.NO_CONTROLLER, "shop", Subject.WAREHOUSE, "app", "It is down.", "Start it."
)
WARNING = replace(ONE, severity=Severity.WARNING, check=Check.WAREHOUSE_WITHOUT_RECEIVER)
NOTE = replace(ONE, severity=Severity.NOTE, check=Check.OFFICIAL_IMAGE)
OTHER = replace(ONE, project="blog")
CLUSTER = replace(ONE, project="", subject=Subject.CLUSTER, check=Check.CLUSTER_UNREADABLE)
ALL = most_urgent_first([ONE, WARNING, NOTE, OTHER, CLUSTER])
JANE = Muted("jane", NOON, "known")


def report(*muted: Finding) -> HealthReport:
    return HealthReport.build(NOON, ALL, {finding.key: JANE for finding in muted})


@pytest.mark.parametrize(
    ("muted", "expected"),
    [
        ([], {"shop": 2, "blog": 1, "": 1}),
        ([NOTE], {"shop": 2, "blog": 1, "": 1}),
        ([WARNING], {"shop": 1, "blog": 1, "": 1}),
        ([OTHER, CLUSTER], {"shop": 2}),
        ([replace(ONE, identity="another")], {"shop": 2, "blog": 1, "": 1}),
    ],
    ids=["nothing muted", "a note", "a warning", "two other findings", "a finding before it changed"],
)
def test_unmuted_urgent_findings_and_warnings_are_counted(muted, expected):
    assert dict(report(*muted).action_counts) == expected


@pytest.mark.parametrize(
    ("projects", "seen"),
    [(None, set(ALL)), ({"blog"}, {OTHER}), ({"shop"}, {ONE, WARNING, NOTE}), (set(), set())],
    ids=["all", "one project", "another", "none"],
)
def test_only_findings_of_visible_projects_are_returned(projects, seen):
    open_, muted = report(ONE, OTHER).open_and_muted(projects)
    assert set(open_) == seen - {ONE, OTHER}
    assert set(muted) == seen & {ONE, OTHER}


def test_new_mutes_do_not_change_the_findings():
    before = report()
    after = before.with_mutes({ONE.key: JANE})
    assert (after.findings, after.at) == (before.findings, before.at)
    assert after.action_counts["shop"] == before.action_counts["shop"] - 1


def test_groups_are_sorted_by_severity_and_then_by_size():
    many = [replace(ONE, name=f"app-{number:04}", check=Check.MISSED_PUSHES) for number in range(1000)]
    groups = group_findings(most_urgent_first([*ALL, *many]))
    assert [(group.severity, group.check, len(group.findings)) for group in groups] == [
        ("urgent", "missed_pushes", 1000),
        ("urgent", "no_controller", 2),
        ("urgent", "cluster_unreadable", 1),
        ("warning", "warehouse_without_receiver", 1),
        ("note", "official_image", 1),
    ]
    assert [finding.name for finding in groups[0].findings[:2]] == ["app-0000", "app-0001"]


def test_a_check_of_two_severities_is_two_groups():
    urgent, warning = ONE, replace(ONE, severity=Severity.WARNING, name="other")
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


def test_a_title_is_the_label_of_a_check_and_an_unknown_code_is_its_own_title():
    assert check_title("secret_changed") == "Changed Secrets"
    assert check_title("nonsense") == "nonsense"


def test_muting_a_finding_leaves_the_others_open():
    for one, other in product(ALL, ALL):
        if one is not other:
            open_, _ = report(one).open_and_muted(None)
            assert other in open_
