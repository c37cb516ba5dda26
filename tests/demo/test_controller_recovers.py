"""The controller recovers from outages, conflicts and restarts."""

from __future__ import annotations

from tests.clusters import until
from tests.demo.kargo import Kargo


def test_the_controller_reconnects_after_a_restart_of_the_api_server(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    kargo.api_server.stop()
    kargo.api_server.start()
    warehouse.push("1.1.0")
    assert warehouse.refresh().tags == ["1.1.0", "1.0.0"]


def test_the_controller_relists_after_its_watch_has_expired(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled()
    kargo.api_server.faults(expireWatches=True, compact=True)
    assert warehouse.refresh().tags == ["1.0.0"]


def test_a_failed_status_update_is_retried(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled()
    kargo.api_server.faults(
        {
            "verb": "patch",
            "resource": "warehouses/status",
            "namespace": warehouse.project,
            "status": 409,
            "times": 2,
        }
    )
    assert warehouse.refresh().tags == ["1.0.0"]


def test_a_refresh_requested_while_no_controller_runs_is_handled_after_its_start(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled()
    kargo.stop()
    token = warehouse.request()
    kargo.start()
    until("the new controller handles it", lambda: warehouse.handled_token == token)
    assert warehouse.tags == ["1.0.0"]


def test_deleting_a_warehouse_during_discovery_does_not_affect_others(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(behavior="slow=0.2")
    until("it is reconciling", lambda: "Reconciling" in warehouse.conditions)
    kargo.api_server.api.delete(
        f"/apis/kargo.akuity.io/v1alpha1/namespaces/{warehouse.project}/warehouses/main"
    )
    other = kargo.warehouse()
    other.push("1.0.0")
    assert other.settled().refresh().tags == ["1.0.0"]
