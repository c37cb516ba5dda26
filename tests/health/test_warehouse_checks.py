"""The checks of Warehouses, as pure functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from receivers.cluster.heartbeats import Heartbeat
from receivers.health.finding import Finding
from receivers.health.warehouse_checks import MissedPushes, WarehouseFacts, warehouse_findings
from receivers.kargo.golang.goduration import format_duration, parse_duration
from receivers.kargo.resources import decode_warehouse
from tests.worlds import image

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
FACTS = WarehouseFacts(covered=True, now=NOON, shortest_interval=timedelta(minutes=5))
ALIVE, DEAD = NOON + timedelta(seconds=30), NOON - timedelta(seconds=1)


def found(*subscriptions, facts: WarehouseFacts = FACTS, conditions=(), **spec) -> dict[str, Finding]:
    """Return by check what is found about a Warehouse."""
    raw = {
        "metadata": {"name": "app", "namespace": "shop"},
        "spec": {"subscriptions": list(subscriptions) or [image("acme/shop")], **spec},
        "status": {"conditions": list(conditions)},
    }
    return {one.check: one for one in warehouse_findings(decode_warehouse(raw), facts)}


def test_nothing_is_said_of_a_good_warehouse():
    assert found(interval="5m0s") == {}


UNCOVERED = replace(FACTS, covered=False)
COVERS = [
    (image("acme/shop"), {"Warehouse.no receiver"}),
    (image("docker.io/acme/shop"), {"Warehouse.no receiver"}),
    ({"chart": {"repoURL": "oci://registry-1.docker.io/acme/chart"}}, {"Warehouse.no receiver"}),
    (image("nginx"), {"Warehouse.official image"}),
    (image("docker.io/library/nginx"), {"Warehouse.official image"}),
    (image("ghcr.io/acme/shop"), set()),
    (image("localhost:5000/shop"), set()),
    ({"chart": {"repoURL": "https://charts.example.com", "name": "shop"}}, set()),
    ({"git": {"repoURL": "https://github.com/acme/shop.git"}}, set()),
    ({"other": {"repoURL": "acme/shop"}}, set()),
]


@pytest.mark.parametrize(("subscription", "expected"), COVERS, ids=[str(one)[:60] for one, _ in COVERS])
def test_what_needs_a_receiver_is_a_repository_on_docker_hub(subscription, expected):
    assert set(found(subscription, facts=UNCOVERED)) == expected


def test_a_warehouse_that_no_receiver_covers_is_told_what_it_lacks():
    finding = found(image("acme/shop"), image("acme/web"), facts=UNCOVERED)["Warehouse.no receiver"]
    assert finding.severity == "warning"
    assert '"acme/shop", "acme/web"' in finding.reason
    assert finding.command == "kubectl edit projectconfig shop -n shop"


def test_a_broken_subscription_is_told_with_its_place_and_reason():
    broken = image("acme/web", allowTagsRegexes=["("])
    finding = found(image("acme/shop"), broken)["Warehouse.broken subscription"]
    assert finding.severity == "urgent"
    assert 'Subscription 2 ("acme/web") cannot be evaluated' in finding.reason
    assert "spec.subscriptions[1]" in finding.remedy


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
def test_an_interval_below_kargos_floor(interval, expected):
    assert ("Warehouse.short interval" in found(interval=interval)) is expected


def test_the_floor_may_be_another():
    assert found(interval="1m0s", facts=replace(FACTS, shortest_interval=timedelta(minutes=1))) == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5m0s", 300), ("1h2m3s", 3723), ("1.5h", 5400), ("300ms", 0.3), ("1m", 60), ("0", 0), ("90s", 90)],
)
def test_durations_are_read_as_go_does(text, seconds):
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5 m", "1d", "5m0", "x" * 100, "9" * 60 + "h"])
def test_what_is_no_duration(text):
    assert parse_duration(text) is None


@pytest.mark.parametrize(("seconds", "text"), [(300, "5m0s"), (45, "45s"), (3600, "1h0m0s")])
def test_durations_are_written_as_go_does(seconds, text):
    assert format_duration(timedelta(seconds=seconds)) == text


SHARDS = [
    (None, "", False, "not known"),
    ({}, "", False, "no Lease at all"),
    ({}, "eu", False, "no Lease at all, with a shard"),
    ({"": ALIVE}, "", False, "the default one lives"),
    ({"": DEAD}, "", True, "the default one is dead"),
    ({"": ALIVE}, "eu", True, "nobody has this shard"),
    ({"eu": ALIVE}, "eu", False, "the shard lives"),
    ({"": ALIVE, "eu": DEAD}, "eu", True, "the shard is dead"),
    ({"eu": ALIVE}, "", False, "a named one may be the default"),
    ({"": DEAD, "eu": ALIVE}, "", False, "the unnamed one went, a named one may be the default"),
    ({"eu": DEAD}, "", True, "all are dead"),
]


@pytest.mark.parametrize(
    ("leases", "shard", "expected"), [row[:3] for row in SHARDS], ids=[row[3] for row in SHARDS]
)
def test_a_shard_without_a_living_controller(leases, shard, expected):
    heartbeats = None if leases is None else {name: Heartbeat(name, until) for name, until in leases.items()}
    findings = found(shard=shard, facts=replace(FACTS, heartbeats=heartbeats))
    assert ("Warehouse.no controller" in findings) is expected


def test_a_dead_shard_is_told_with_those_that_live():
    heartbeats = {"": Heartbeat("", ALIVE), "eu": Heartbeat("eu", DEAD), "us": Heartbeat("us", ALIVE)}
    finding = found(shard="eu", facts=replace(FACTS, heartbeats=heartbeats))["Warehouse.no controller"]
    assert finding.severity == "urgent"
    assert 'its shard "eu" has not been heard of since 2026-03-02 11:59 UTC' in finding.reason
    assert 'Controllers that live: the one without a name, "us".' in finding.reason


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
def test_discovery_that_fails_now(conditions, expected):
    assert ("Warehouse.discovery failed" in found(conditions=conditions)) is expected


def test_a_rate_limit_is_named_and_stays_the_same_finding_whatever_the_message_says():
    limited = "GET https://index.docker.io/v2/acme/shop/tags/list: TOOMANYREQUESTS: request {}"
    one, two = (found(conditions=[failed(limited.format(n))])["Warehouse.discovery failed"] for n in (1, 2))
    assert one.key == two.key
    assert "rate limit" in one.remedy
    assert found(conditions=[failed("401 Unauthorized")])["Warehouse.discovery failed"].key != one.key


def test_numbers_in_a_message_do_not_make_it_another_finding():
    keys = {
        found(conditions=[failed(f"timeout after {n} s")])["Warehouse.discovery failed"].key for n in (1, 2)
    }
    assert len(keys) == 1


def test_docker_hub_did_not_call_us():
    missed = MissedPushes("acme/shop", "1.2.3", 4, NOON - timedelta(days=1), NOON)
    finding = found(facts=replace(FACTS, missed=(missed,)))["Warehouse.not called"]
    assert (
        'found 4 tags of acme/shop by polling, the last one "1.2.3" on 2026-03-02 12:00 UTC' in finding.reason
    )
    assert "https://hub.docker.com/r/acme/shop" in finding.remedy
