"""The ways in which Kargo lets a push down, as the demo's controller plays them."""

from __future__ import annotations

import threading
from typing import Any

from demo.controller.behaviors import BEHAVIOR_ANNOTATION
from receivers.kargo.resources import WAREHOUSES
from tests.clusters import until
from tests.demo.kargo import Kargo, Warehouse


class Witness:
    """Writes down every condition that a Warehouse has ever had, from now on."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.seen: set[str] = set()
        version = warehouse.raw["metadata"]["resourceVersion"]
        self._watch = warehouse.kargo.cluster.watch(WAREHOUSES, warehouse.project, resource_version=version)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        with self._watch as watch:
            for _, raw in watch:
                conditions: list[dict[str, Any]] = (raw.get("status") or {}).get("conditions", [])
                self.seen |= {f"{one['type']}={one['status']}/{one['reason']}" for one in conditions}

    def saw(self, *conditions: str) -> None:
        """Wait until all of these were seen, and end."""
        try:
            until(f"{conditions} were seen", lambda: self.seen.issuperset(conditions))
        finally:
            self._watch.close()
            self._thread.join(10)


def fresh(kargo: Kargo, **spec: Any) -> Warehouse:
    """Return a Warehouse with Freight of 1.0.0, for whose image 1.1.0 was just pushed."""
    warehouse = kargo.warehouse(**spec)
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    warehouse.push("1.1.0")
    return warehouse


def test_the_conditions_tell_that_discovery_is_under_way(kargo: Kargo) -> None:
    warehouse = fresh(kargo)
    witness = Witness(warehouse)
    warehouse.refresh()
    witness.saw(
        "Reconciling=True/ScheduledDiscovery", "Ready=False/DiscoveryInProgress", "Healthy=Unknown/Pending"
    )


def test_a_failed_discovery_counts_as_handled_and_the_retry_swallows_it(kargo: Kargo) -> None:
    warehouse = fresh(kargo)
    before = warehouse.status["discoveredArtifacts"]
    warehouse.behave("fail-discovery-once")
    witness = Witness(warehouse)
    token = warehouse.request()
    until(
        "the retry is over",
        lambda: (
            warehouse.handled == token and warehouse.conditions.get("FreightCreated") == "False/AlreadyExists"
        ),
    )
    assert warehouse.conditions["Ready"] == "True/ArtifactsDiscovered"
    assert warehouse.status["discoveredArtifacts"] == before
    witness.saw("Healthy=False/DiscoveryFailed", "Ready=False/DiscoveryFailure")
    assert BEHAVIOR_ANNOTATION not in warehouse.raw["metadata"]["annotations"]
    assert warehouse.refresh().tags == ["1.1.0", "1.0.0"]


def test_the_first_discovery_of_a_warehouse_is_tried_until_it_succeeds(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(behavior="fail-discovery-once")
    warehouse.push("1.0.0")
    warehouse.settled()
    assert warehouse.status["discoveredArtifacts"]


def test_a_failure_names_the_rate_limit_and_the_image(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(behavior="fail-discovery")

    def failures() -> list[str]:
        conditions = warehouse.status.get("conditions", ())
        return [one["message"] for one in conditions if one["reason"] == "DiscoveryFailure"]

    [message] = until("it has failed", failures)
    assert message.startswith(
        "Artifact discovery failed: error discovering artifacts: error discovering newest"
    )
    assert warehouse.repository in message
    assert "TOOMANYREQUESTS" in message
    warehouse.behave(None)


def test_a_registry_that_lags_for_one_warehouse_hides_the_new_tag(kargo: Kargo) -> None:
    warehouse = fresh(kargo)
    warehouse.behave("lag=3600")
    assert "1.1.0" not in warehouse.refresh().tags
    warehouse.behave(None)
    assert "1.1.0" in warehouse.refresh().tags


def test_a_push_that_the_registry_lists_later_is_missed(kargo: Kargo) -> None:
    warehouse = fresh(kargo)
    warehouse.push("1.2.0", lag=3600)
    assert warehouse.refresh().tags == ["1.1.0", "1.0.0"]


def test_slow_discovery_shows_and_ends(kargo: Kargo) -> None:
    warehouse = fresh(kargo)
    warehouse.behave("slow=0.3")
    token = warehouse.request()
    until("discovery is under way", lambda: warehouse.conditions["Ready"] == "False/DiscoveryInProgress")
    assert warehouse.handled != token
    until("it has ended", lambda: warehouse.handled == token)
    assert warehouse.tags[0] == "1.1.0"


def test_a_dead_controller_handles_nothing_until_it_is_back(kargo: Kargo) -> None:
    warehouse = fresh(kargo)
    warehouse.behave("dead")
    token = warehouse.request()
    other = fresh(kargo).refresh()  # by when the dead one would have been looked at as well
    assert other.tags[0] == "1.1.0"
    assert warehouse.handled != token
    warehouse.behave(None)
    until("it is handled late", lambda: warehouse.handled == token)


def test_a_shard_has_no_controller_here(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(shard="eu-west")
    warehouse.request()
    fresh(kargo).refresh()
    assert warehouse.status == {}
