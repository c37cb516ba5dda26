"""The check of Kargo's controllers, and the memory of those that have stopped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from receivers.cluster.heartbeats import Heartbeat
from receivers.health.controller_checks import controller_findings
from receivers.health.finding import Finding
from receivers.health.known_controllers import REMEMBERED, remember, with_stopped
from receivers.kargo.resources import Warehouse, decode_warehouse
from receivers.models import KargoController

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
RUNNING, DOWN = NOON + timedelta(seconds=30), NOON - timedelta(seconds=1)


def warehouse(name: str = "app", shard: str = "") -> Warehouse:
    return decode_warehouse({"metadata": {"name": name, "namespace": "shop"}, "spec": {"shard": shard}})


def heartbeats(leases: dict[str, datetime]) -> dict[str, Heartbeat]:
    return {shard: Heartbeat(shard, until) for shard, until in leases.items()}


def findings_for(leases: dict[str, datetime] | None, *warehouses: Warehouse) -> list[Finding]:
    return list(controller_findings(warehouses, None if leases is None else heartbeats(leases), NOON))


SHARDS = [
    (None, "", False, "heartbeats unknown"),
    ({}, "", False, "no Lease at all"),
    ({}, "eu", False, "no Lease at all, with a shard"),
    ({"": RUNNING}, "", False, "the default controller runs"),
    ({"": DOWN}, "", True, "the default controller is down"),
    ({"": RUNNING}, "eu", True, "no controller has this shard"),
    ({"eu": RUNNING}, "eu", False, "the controller of the shard runs"),
    ({"": RUNNING, "eu": DOWN}, "eu", True, "the controller of the shard is down"),
    ({"eu": RUNNING}, "", False, "a named controller may be the default"),
    ({"": DOWN, "eu": RUNNING}, "", False, "the unnamed controller is down, a named one may be the default"),
    ({"eu": DOWN}, "", True, "all controllers are down"),
]


@pytest.mark.parametrize(
    ("leases", "shard", "expected"), [row[:3] for row in SHARDS], ids=[row[3] for row in SHARDS]
)
def test_a_shard_is_reported_if_no_controller_of_it_is_running(leases, shard, expected):
    assert bool(findings_for(leases, warehouse(shard=shard))) is expected


def test_a_controller_is_one_finding_with_its_warehouses():
    names = [warehouse("api", "eu"), warehouse("app"), warehouse("web", "eu")]
    [finding] = findings_for({"": RUNNING, "eu": DOWN, "us": RUNNING}, *names)
    assert (finding.severity, finding.check, finding.name) == ("urgent", "no_controller", "eu")
    assert finding.warehouses == (("shop", "api"), ("shop", "web"))
    assert 'The controller of shard "eu" has been down since 2026-03-02 11:59 UTC' in finding.reason
    assert 'Running controllers: default, "us".' in finding.reason


def test_its_key_does_not_depend_on_the_warehouses():
    [before] = findings_for({"": DOWN}, warehouse("api"))
    [after] = findings_for({"": DOWN}, warehouse("api"), warehouse("web"))
    assert before.key == after.key


@pytest.fixture
def stored(database) -> None:
    KargoController.objects.all().delete()


def test_a_controller_whose_lease_was_deleted_is_reported(stored):
    remember(heartbeats({"": DOWN - timedelta(minutes=1)}), NOON)
    remember(heartbeats({"": DOWN}), NOON)
    remember({}, NOON)
    [finding] = controller_findings([warehouse()], with_stopped({}), NOON)
    assert "has been down since 2026-03-02 11:59 UTC" in finding.reason


def test_a_current_lease_replaces_what_is_remembered(stored):
    remember(heartbeats({"": DOWN, "eu": DOWN}), NOON)
    assert with_stopped(heartbeats({"": RUNNING})) == heartbeats({"": RUNNING, "eu": DOWN})


def test_nothing_is_known_without_permission_to_read_leases(stored):
    remember(heartbeats({"": DOWN}), NOON)
    assert with_stopped(None) is None


def test_a_stopped_controller_is_forgotten_in_the_end(stored):
    remember(heartbeats({"": DOWN}), NOON)
    remember({}, NOON + REMEMBERED + timedelta(minutes=1))
    assert with_stopped({}) == {}
