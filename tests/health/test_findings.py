"""Findings: their order, and when one is still the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receivers.health.finding import Finding, Severity, Subject, most_urgent_first
from receivers.health.installation_checks import local_installation, unreadable

ONE = Finding(
    Severity.WARNING, "receiver.silent", "shop", Subject.RECEIVER, "hook", "It is silent.", "Look.", "monday"
)


def test_the_most_urgent_comes_first_then_the_order_is_that_of_names():
    names = [("b", Severity.NOTE), ("b", Severity.URGENT), ("a", Severity.WARNING), ("a", Severity.URGENT)]
    findings = [replace(ONE, name=name, severity=severity) for name, severity in names]
    order = [(one.name, one.severity) for one in most_urgent_first(findings)]
    assert order == [("a", "urgent"), ("b", "urgent"), ("a", "warning"), ("b", "note")]


def test_other_words_leave_a_finding_what_it_is():
    assert replace(ONE, reason="It is very silent.", remedy="Look again.").key == ONE.key


@pytest.mark.parametrize(
    "change",
    [
        {"severity": Severity.URGENT},
        {"check": "receiver.error rate"},
        {"project": ""},
        {"subject": Subject.WAREHOUSE},
        {"name": "hook2"},
        {"matter": "tuesday"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_it_is_about_makes_it_another(change):
    assert replace(ONE, **change).key != ONE.key


def test_names_that_run_together_are_kept_apart():
    assert replace(ONE, name="ab", matter="c").key != replace(ONE, name="a", matter="bc").key


def test_what_cannot_be_read_is_told_with_its_namespace():
    finding = unreadable("warehouses", "shop", "list warehouses: forbidden")
    assert (finding.severity, finding.subject, finding.name) == ("urgent", "cluster", "shop/warehouses")
    assert "list warehouses: forbidden" in finding.reason
    assert finding.command.startswith("kubectl auth can-i watch warehouses.kargo.akuity.io -n shop ")


@pytest.mark.parametrize(
    ("base_url", "receivers", "told"),
    [
        ("http://localhost:8000", 1, "1 receiver has its URL on this machine"),
        ("http://127.0.0.1", 3, "3 receivers have their URLs on this machine"),
        ("http://localhost:8000", 0, ""),
        ("https://hooks.example.com", 3, ""),
        ("https://box.internal", 3, ""),
    ],
)
def test_that_nobody_outside_can_reach_kargoweb_is_told_once_and_as_a_note(base_url, receivers, told):
    finding = local_installation(base_url, receivers)
    assert (finding.severity if finding else "") == ("note" if told else "")
    assert told in (finding.reason if finding else "")
