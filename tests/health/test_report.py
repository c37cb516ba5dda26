"""What was found at one moment: counted, muted, put into groups; and the names of the checks."""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from receivers.health.check_titles import TITLES
from receivers.health.finding import Finding, Severity, Subject, most_urgent_first
from receivers.health.report import Look, Muted, grouped
from tests.clusters import ROOT

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ONE = Finding(
    Severity.URGENT, "Warehouse.no controller", "shop", Subject.WAREHOUSE, "app", "Dead.", "Start it."
)
WARNING = replace(ONE, severity=Severity.WARNING, check="Warehouse.no receiver")
NOTE = replace(ONE, severity=Severity.NOTE, check="Warehouse.official image")
OTHER = replace(ONE, project="blog")
CLUSTER = replace(ONE, project="", subject=Subject.CLUSTER, check="cluster.unreadable")
ALL = most_urgent_first([ONE, WARNING, NOTE, OTHER, CLUSTER])
SOMEBODY = Muted("jane", NOON, "known")


def look(*muted: Finding) -> Look:
    return Look.of(NOON, ALL, {one.key: SOMEBODY for one in muted})


@pytest.mark.parametrize(
    ("muted", "expected"),
    [
        ([], {"shop": 2, "blog": 1, "": 1}),
        ([NOTE], {"shop": 2, "blog": 1, "": 1}),
        ([WARNING], {"shop": 1, "blog": 1, "": 1}),
        ([OTHER, CLUSTER], {"shop": 2}),
        ([replace(ONE, matter="was another")], {"shop": 2, "blog": 1, "": 1}),
    ],
    ids=["nothing muted", "a note", "a warning", "two of others", "what it was before it changed"],
)
def test_what_is_at_least_a_warning_and_not_muted_is_counted(muted, expected):
    assert dict(look(*muted).pressing) == expected


@pytest.mark.parametrize(
    ("projects", "seen"),
    [(None, set(ALL)), ({"blog"}, {OTHER}), ({"shop"}, {ONE, WARNING, NOTE}), (set(), set())],
    ids=["all", "one project", "another", "none"],
)
def test_only_what_may_be_seen_is_told_muted_or_not(projects, seen):
    open_, muted = look(ONE, OTHER).seen_by(projects)
    assert set(open_) == seen - {ONE, OTHER}
    assert set(muted) == seen & {ONE, OTHER}


def test_other_mutes_leave_the_findings_as_they_are():
    before = look()
    after = before.with_mutes({ONE.key: SOMEBODY})
    assert (after.findings, after.at) == (before.findings, before.at)
    assert after.pressing["shop"] == before.pressing["shop"] - 1


def test_groups_are_by_check_the_urgent_and_then_the_large_ones_first():
    many = [replace(ONE, name=f"app-{number:04}", check="Warehouse.many") for number in range(1000)]
    groups = grouped(most_urgent_first([*ALL, *many]))
    assert [(one.severity, one.check, len(one.findings)) for one in groups] == [
        ("urgent", "Warehouse.many", 1000),
        ("urgent", "Warehouse.no controller", 2),
        ("urgent", "cluster.unreadable", 1),
        ("warning", "Warehouse.no receiver", 1),
        ("note", "Warehouse.official image", 1),
    ]
    assert [one.name for one in groups[0].findings[:2]] == ["app-0000", "app-0001"]


def test_a_check_of_two_severities_is_two_groups():
    urgent, warning = ONE, replace(ONE, severity=Severity.WARNING, name="other")
    assert [one.severity for one in grouped([warning, urgent])] == ["urgent", "warning"]


def checks() -> set[str]:
    """Return the names that the rules' source gives to checks."""
    calls = (
        node
        for path in (ROOT / "receivers/health").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    )
    found = set()
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"urgent", "warning", "note", "found"}:
            words = [one.value for one in call.args[:2] if isinstance(one, ast.Constant)]
            found |= {str(word) for word in words[:1]}
    return found


def test_every_check_has_a_title():
    names = checks()
    assert len(names) >= 18
    assert {check.partition(".")[2] for check in TITLES} == names
    assert {check.partition(".")[0] for check in TITLES} == set(Subject)


def test_muting_one_of_several_leaves_the_others():
    for one, other in product(ALL, ALL):
        if one is not other:
            open_, _ = look(one).seen_by(None)
            assert other in open_
