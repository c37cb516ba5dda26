"""The order of findings, their keys, and checks of the installation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity, Subject, most_urgent_first
from receivers.health.installation_checks import local_installation, unreadable

FINDING = Finding(
    Severity.WARNING,
    Check.NO_RECENT_PUSH,
    "shop",
    Subject.RECEIVER,
    "hook",
    "No push.",
    "Check the webhook.",
    "monday",
)


def test_findings_are_sorted_by_severity_and_then_by_name():
    names = [("b", Severity.NOTE), ("b", Severity.URGENT), ("a", Severity.WARNING), ("a", Severity.URGENT)]
    findings = [replace(FINDING, name=name, severity=severity) for name, severity in names]
    order = [(finding.name, finding.severity) for finding in most_urgent_first(findings)]
    assert order == [("a", "urgent"), ("b", "urgent"), ("a", "warning"), ("b", "note")]


def test_the_wording_is_not_part_of_the_key():
    assert replace(FINDING, reason="No push for days.", remedy="Look.").key == FINDING.key


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.URGENT},
        {"check": Check.HIGH_FAILURE_RATE},
        {"project": ""},
        {"subject": Subject.WAREHOUSE},
        {"name": "hook2"},
        {"identity": "tuesday"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_other_field_is_part_of_the_key(change):
    assert replace(FINDING, **change).key != FINDING.key


def test_fields_are_separated_in_the_key():
    assert replace(FINDING, name="ab", identity="c").key != replace(FINDING, name="a", identity="bc").key


def test_unreadable_objects_are_reported_with_their_namespace():
    finding = unreadable("warehouses", "shop", "list warehouses: forbidden")
    assert (finding.severity, finding.subject, finding.name) == ("urgent", "cluster", "shop/warehouses")
    assert "list warehouses: forbidden" in finding.reason
    assert finding.command.startswith("kubectl auth can-i watch warehouses.kargo.akuity.io -n shop ")


@pytest.mark.parametrize(
    ("base_url", "receivers", "words"),
    [
        ("http://localhost:8000", 1, "the URL of 1 receiver is on this machine"),
        ("http://127.0.0.1", 3, "the URLs of 3 receivers are on this machine"),
        ("http://localhost:8000", 0, ""),
        ("https://hooks.example.com", 3, ""),
        ("https://box.internal", 3, ""),
    ],
)
def test_a_local_installation_is_a_note(base_url, receivers, words):
    finding = local_installation(base_url, receivers)
    assert (finding.severity if finding else "") == ("note" if words else "")
    assert words in (finding.reason if finding else "")
