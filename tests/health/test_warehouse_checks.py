"""The checks of Warehouses: pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from receivers.health.finding import Finding
from receivers.health.warehouse_checks import MissedPushes, WarehouseFacts, warehouse_findings
from receivers.health.warehouse_problems import WarehouseProblems, current_problem
from receivers.kargo.golang.goduration import format_duration, parse_duration
from receivers.kargo.resources import WAREHOUSES, Warehouse, decode_warehouse
from tests.worlds import image

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FACTS = WarehouseFacts(covered=True, min_interval=timedelta(minutes=5))


def findings_for(*subscriptions, facts: WarehouseFacts = FACTS, conditions=(), **spec) -> dict[str, Finding]:
    """Return the findings about a Warehouse by check."""
    warehouse = warehouse_with(*conditions, subscriptions=list(subscriptions) or [image("acme/shop")], **spec)
    facts = replace(facts, problem=current_problem(warehouse))
    return {finding.check: finding for finding in warehouse_findings(warehouse, facts)}


def warehouse_with(
    *conditions: dict[str, str], discovered_at: str = "", uid: str = "1", **spec: Any
) -> Warehouse:
    """Return a Warehouse with these conditions."""
    status = {"conditions": list(conditions), "discoveredArtifacts": {"discoveredAt": discovered_at}}
    metadata = {"name": "app", "namespace": "shop", "uid": uid}
    return decode_warehouse({"metadata": metadata, "spec": spec, "status": status})


def test_a_healthy_warehouse_has_no_findings():
    assert findings_for(interval="5m0s") == {}


UNCOVERED = replace(FACTS, covered=False)
SUBSCRIPTIONS = [
    (image("acme/shop"), {"warehouse_without_receiver"}),
    (image("docker.io/acme/shop"), {"warehouse_without_receiver"}),
    ({"chart": {"repoURL": "oci://registry-1.docker.io/acme/chart"}}, {"warehouse_without_receiver"}),
    (image("nginx"), {"official_image"}),
    (image("docker.io/library/nginx"), {"official_image"}),
    (image("ghcr.io/acme/shop"), set()),
    (image("localhost:5000/shop"), set()),
    ({"chart": {"repoURL": "https://charts.example.com", "name": "shop"}}, set()),
    ({"git": {"repoURL": "https://github.com/acme/shop.git"}}, set()),
    ({"other": {"repoURL": "acme/shop"}}, set()),
]


@pytest.mark.parametrize(
    ("subscription", "expected"),
    SUBSCRIPTIONS,
    ids=[str(subscription)[:60] for subscription, _ in SUBSCRIPTIONS],
)
def test_only_repositories_on_docker_hub_need_a_receiver(subscription, expected):
    assert set(findings_for(subscription, facts=UNCOVERED)) == expected


def test_a_warehouse_without_a_receiver_is_a_warning():
    finding = findings_for(image("acme/shop"), image("acme/web"), facts=UNCOVERED)[
        "warehouse_without_receiver"
    ]
    assert finding.severity == "warning"
    assert '"acme/shop", "acme/web"' in finding.reason
    assert finding.command == "kubectl edit projectconfig shop -n shop"


def test_an_invalid_subscription_is_reported_with_its_position_and_reason():
    invalid = image("acme/web", allowTagsRegexes=["("])
    finding = findings_for(image("acme/shop"), invalid)["invalid_subscription"]
    assert finding.severity == "urgent"
    assert 'Subscription 2 ("acme/web") is invalid' in finding.reason
    assert finding.remedy == "Fix spec.subscriptions[1]."


def test_a_subscription_that_is_too_complex_is_a_warning():
    findings = findings_for(image("acme/web", allowTagsRegexes=[r"(?:\PC){1000}x"]))
    assert set(findings) == {"subscription_too_complex"}
    assert "cannot be evaluated: too complex" in findings["subscription_too_complex"].reason


INTERVALS = [
    ("5m0s", False),
    ("5m", False),
    ("1h0m0s", False),
    ("", False),
    ("soon", False),
    ("4m59s", True),
    ("1m0s", True),
    ("0s", True),
]


@pytest.mark.parametrize(("interval", "expected"), INTERVALS)
def test_an_interval_below_the_minimum_of_kargo_is_reported(interval, expected):
    assert ("interval_too_short" in findings_for(interval=interval)) is expected


def test_the_minimum_interval_is_configurable():
    assert findings_for(interval="1m0s", facts=replace(FACTS, min_interval=timedelta(minutes=1))) == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m0s", 300), ("1h2m3s", 3723), ("1.5h", 5400), ("300ms", 0.3), ("1m", 60), ("0", 0), ("90s", 90)],
)
def test_durations_are_parsed_as_in_go(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "1d", "5m0", "x" * 100, "9" * 60 + "h"])
def test_an_invalid_duration_is_none(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize(("seconds", "text"), [(300, "5m0s"), (45, "45s"), (3600, "1h0m0s")])
def test_durations_are_formatted_as_in_go(seconds, text):
    assert format_duration(timedelta(seconds=seconds)) == text


def failed(message: str, type_: str = "Healthy", reason: str = "DiscoveryFailed", status: str = "False"):
    return {"type": type_, "status": status, "reason": reason, "message": message}


CONDITIONS = [
    ([failed("git: 401")], True),
    ([failed("git: 401", "Ready", "DiscoveryFailure")], True),
    ([failed("", "Healthy", "Pending", "Unknown")], False),
    ([failed("", "Ready", "ArtifactsDiscovered", "True")], False),
    ([failed("", "Ready", "DiscoveryInProgress")], False),
]


@pytest.mark.parametrize(("conditions", "expected"), CONDITIONS)
def test_a_failed_discovery_is_reported(conditions, expected):
    assert ("discovery_failed" in findings_for(conditions=conditions)) is expected


BLOCKED = [
    ("MissingImageReferences", "warning"),
    ("MissingCommits", "warning"),
    ("MissingChartVersions", "warning"),
    ("CriteriaEvaluationFailed", "urgent"),
    ("FreightBuildFailure", "urgent"),
    ("FreightCreationFailure", "urgent"),
]


@pytest.mark.parametrize(("reason", "severity"), BLOCKED)
def test_a_warehouse_that_can_create_no_freight_is_reported(reason, severity):
    finding = findings_for(conditions=[failed("cannot compile.", "Ready", reason)])["freight_blocked"]
    assert (finding.severity, finding.reason.endswith(" cannot compile.")) == (severity, True)


def test_criteria_that_are_not_met_are_no_problem():
    unmet = failed("", "FreightCreationCriteriaSatisfied", "CriteriaNotSatisfied")
    assert findings_for(conditions=[unmet]) == {}


def test_a_discovery_that_fails_because_of_an_invalid_subscription_is_one_finding():
    invalid = image("acme/web", allowTagsRegexes=["("])
    assert set(findings_for(invalid, conditions=[failed("cannot compile")])) == {"invalid_subscription"}


DISCOVERING = (
    failed("", "Healthy", "Pending", "Unknown"),
    failed("", "Ready", "DiscoveryInProgress"),
    failed("", "Reconciling", "ScheduledDiscovery", "True"),
)
DISCOVERED = failed("", "Ready", "ArtifactsDiscovered", "True")
DISCOVERY_FAILED = failed("git: 401")
MISSING = failed("none", "Ready", "MissingImageReferences")
STORIES = {
    "while Kargo tries again": ([(DISCOVERY_FAILED, "1"), (*DISCOVERING, "1")], "git: 401"),
    "after a retry without a discovery": (
        [(DISCOVERY_FAILED, "1"), (*DISCOVERING, "1"), (DISCOVERED, "1")],
        "git: 401",
    ),
    "after a retry that found old artifacts incomplete": (
        [(DISCOVERY_FAILED, "1"), (MISSING, "1")],
        "git: 401",
    ),
    "until discoveredAt changes": ([(DISCOVERY_FAILED, "1"), (DISCOVERED, "2")], ""),
    "with the latest message": ([(DISCOVERY_FAILED, "1"), (failed("timeout"), "1")], "timeout"),
    "the first discovery failed": ([(DISCOVERY_FAILED, ""), (*DISCOVERING, "")], "git: 401"),
    "missing artifacts, during the next discovery": ([(MISSING, "1"), (*DISCOVERING, "1")], "none"),
    "missing artifacts, after the next discovery": (
        [(MISSING, "1"), (*DISCOVERING, "1"), (DISCOVERED, "2")],
        "",
    ),
    "artifacts are missing after a failed discovery": ([(DISCOVERY_FAILED, "1"), (MISSING, "2")], "none"),
}


@pytest.mark.parametrize(("states", "message"), STORIES.values(), ids=STORIES.keys())
def test_a_problem_lasts_until_kargo_has_resolved_it(states, message):
    problems, warehouse = WarehouseProblems(), warehouse_with()
    for *conditions, discovered_at in states:
        warehouse = warehouse_with(*conditions, discovered_at=discovered_at)
        problems.on_change(WAREHOUSES, None, warehouse)
    problem = problems.of(warehouse)
    assert (problem.condition.message if problem else "") == message


def test_a_problem_ends_with_its_warehouse():
    problems, failing = WarehouseProblems(), warehouse_with(DISCOVERY_FAILED)
    problems.on_change(WAREHOUSES, None, failing)
    assert problems.of(warehouse_with(*DISCOVERING)) is not None
    assert problems.of(warehouse_with(*DISCOVERING, uid="2")) is None
    problems.on_change(WAREHOUSES, failing, None)
    assert problems.of(warehouse_with(*DISCOVERING)) is None


def test_a_rate_limit_has_its_own_remedy_and_the_same_key_for_all_requests():
    limited = "GET https://index.docker.io/v2/acme/shop/tags/list: TOOMANYREQUESTS: request {}"
    first, second = (findings_for(conditions=[failed(limited.format(n))])["discovery_failed"] for n in (1, 2))
    assert first.key == second.key
    assert "rate limit" in first.remedy
    assert findings_for(conditions=[failed("401 Unauthorized")])["discovery_failed"].key != first.key


def test_numbers_in_a_message_are_not_part_of_the_key():
    keys = {findings_for(conditions=[failed(f"timeout after {n} s")])["discovery_failed"].key for n in (1, 2)}
    assert len(keys) == 1


def test_missed_pushes_are_reported_with_their_number_and_last_tag():
    missed = MissedPushes("acme/shop", "1.2.3", 4, NOON - timedelta(days=1), NOON)
    finding = findings_for(facts=replace(FACTS, missed=(missed,)))["missed_pushes"]
    assert 'found 4 tags of acme/shop by polling (last: "1.2.3" on 2026-03-02 12:00 UTC)' in finding.reason
    assert "https://hub.docker.com/r/acme/shop" in finding.remedy


def test_a_repository_that_pushes_never_match_says_what_to_use_instead():
    finding = findings_for({"image": {"repoURL": "registry.hub.docker.com/x/y"}})["never_matched"]
    assert "but pushes never match this address" in finding.reason
    assert finding.remedy == "Set repoURL of spec.subscriptions[0] to x/y."


def test_an_invalid_subscription_has_one_finding():
    registry = {"image": {"repoURL": "registry.hub.docker.com/x/y", "allowTagsRegexes": ["("]}}
    assert set(findings_for(registry)) == {"invalid_subscription"}


def test_a_field_that_kargo_does_not_read_is_a_warning():
    finding = findings_for({"image": {"repoURL": "x/y", "semverConstraint": "^1"}})["unread_fields"]
    assert finding.severity == "warning"
    assert finding.reason == (
        'Subscription 1 ("x/y") has fields without effect: Kargo does not read "semverConstraint", use constraint.'
    )
