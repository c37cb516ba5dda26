"""Injected failures: how the controller fails, reports it, and recovers."""

from __future__ import annotations

import threading
from typing import Any

from demo.controller.behaviors import BEHAVIOR_ANNOTATION
from receivers.kargo.resources import WAREHOUSES
from tests.clusters import PATIENCE, until
from tests.demo.kargo import Kargo, Warehouse


class ConditionRecorder:
    """Records all conditions that a Warehouse has from now on."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.recorded: set[str] = set()
        version = warehouse.raw["metadata"]["resourceVersion"]
        self._watch = warehouse.kargo.cluster.watch(WAREHOUSES, warehouse.project, resource_version=version)
        self._thread = threading.Thread(target=self._record, daemon=True)
        self._thread.start()

    def _record(self) -> None:
        with self._watch as watch:
            for _, raw in watch:
                conditions: list[dict[str, Any]] = (raw.get("status") or {}).get("conditions", [])
                self.recorded |= {
                    f"{condition['type']}={condition['status']}/{condition['reason']}"
                    for condition in conditions
                }

    def wait_for(self, *conditions: str) -> None:
        """Wait until all of these are recorded, and stop recording."""
        try:
            until(f"{conditions} are recorded", lambda: self.recorded.issuperset(conditions))
        finally:
            self._watch.close()
            self._thread.join(PATIENCE)


def warehouse_with_new_tag(kargo: Kargo, **spec: Any) -> Warehouse:
    """Return a Warehouse that has discovered 1.0.0 but not 1.1.0, which was pushed afterwards."""
    warehouse = kargo.warehouse(**spec)
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    warehouse.push("1.1.0")
    return warehouse


def test_conditions_show_that_a_discovery_is_in_progress(kargo: Kargo) -> None:
    warehouse = warehouse_with_new_tag(kargo)
    recorder = ConditionRecorder(warehouse)
    warehouse.refresh()
    recorder.wait_for(
        "Reconciling=True/ScheduledDiscovery", "Ready=False/DiscoveryInProgress", "Healthy=Unknown/Pending"
    )


def test_a_failed_discovery_counts_as_handled_and_its_retry_hides_the_failure(kargo: Kargo) -> None:
    warehouse = warehouse_with_new_tag(kargo)
    before = warehouse.status["discoveredArtifacts"]
    warehouse.behave("fail-discovery-once")
    recorder = ConditionRecorder(warehouse)
    token = warehouse.request()
    until(
        "the retry has finished",
        lambda: (
            warehouse.handled_token == token
            and warehouse.conditions.get("FreightCreated") == "False/AlreadyExists"
        ),
    )
    assert warehouse.conditions["Ready"] == "True/ArtifactsDiscovered"
    assert warehouse.status["discoveredArtifacts"] == before
    recorder.wait_for("Healthy=False/DiscoveryFailed", "Ready=False/DiscoveryFailure")
    assert BEHAVIOR_ANNOTATION not in warehouse.raw["metadata"]["annotations"]
    assert warehouse.refresh().tags == ["1.1.0", "1.0.0"]


def test_the_first_discovery_of_a_warehouse_is_retried_until_it_succeeds(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(behavior="fail-discovery-once")
    warehouse.push("1.0.0")
    warehouse.settled()
    assert warehouse.status["discoveredArtifacts"]


def test_a_failure_message_names_the_rate_limit_and_the_image(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(behavior="fail-discovery")

    def failures() -> list[str]:
        conditions = warehouse.status.get("conditions", ())
        return [condition["message"] for condition in conditions if condition["reason"] == "DiscoveryFailure"]

    [message] = until("it has failed", failures)
    assert message.startswith(
        "Artifact discovery failed: error discovering artifacts: error discovering newest"
    )
    assert warehouse.repository in message
    assert "TOOMANYREQUESTS" in message
    warehouse.behave(None)


def test_a_registry_that_lags_for_one_warehouse_hides_the_new_tag(kargo: Kargo) -> None:
    warehouse = warehouse_with_new_tag(kargo)
    warehouse.behave("lag=3600")
    assert "1.1.0" not in warehouse.refresh().tags
    warehouse.behave(None)
    assert "1.1.0" in warehouse.refresh().tags


def test_a_discovery_misses_a_tag_that_the_registry_lists_later(kargo: Kargo) -> None:
    warehouse = warehouse_with_new_tag(kargo)
    warehouse.push("1.2.0", lag=3600)
    assert warehouse.refresh().tags == ["1.1.0", "1.0.0"]


def test_a_slow_discovery_is_in_progress_until_it_succeeds(kargo: Kargo) -> None:
    warehouse = warehouse_with_new_tag(kargo)
    warehouse.behave("slow=0.3")
    token = warehouse.request()
    until("discovery is in progress", lambda: warehouse.conditions["Ready"] == "False/DiscoveryInProgress")
    assert warehouse.handled_token != token
    until("it has finished", lambda: warehouse.handled_token == token)
    assert warehouse.tags[0] == "1.1.0"


def test_a_dead_warehouse_is_reconciled_once_the_word_is_removed(kargo: Kargo) -> None:
    warehouse = warehouse_with_new_tag(kargo)
    warehouse.behave("dead")
    token = warehouse.request()
    other = warehouse_with_new_tag(kargo).refresh()  # gives the dead Warehouse the time to be reconciled
    assert other.tags[0] == "1.1.0"
    assert warehouse.handled_token != token
    warehouse.behave(None)
    until("it is handled", lambda: warehouse.handled_token == token)


def test_a_warehouse_with_a_shard_is_not_reconciled(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(shard="eu-west")
    warehouse.request()
    warehouse_with_new_tag(kargo).refresh()
    assert warehouse.status == {}
