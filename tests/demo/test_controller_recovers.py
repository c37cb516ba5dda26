"""The controller goes on, whatever ends around it."""

from __future__ import annotations

from tests.clusters import until
from tests.demo.kargo import Kargo


def test_it_goes_on_after_the_api_server_was_away(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled().refresh()
    kargo.api_server.stop()
    kargo.api_server.start()
    warehouse.push("1.1.0")
    assert warehouse.refresh().tags == ["1.1.0", "1.0.0"]


def test_it_goes_on_after_its_watch_has_expired(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled()
    kargo.api_server.faults(expireWatches=True, compact=True)
    assert warehouse.refresh().tags == ["1.0.0"]


def test_a_status_that_cannot_be_written_is_written_later(kargo: Kargo) -> None:
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


def test_what_was_asked_while_no_controller_ran_is_handled_by_the_next(kargo: Kargo) -> None:
    warehouse = kargo.warehouse()
    warehouse.push("1.0.0")
    warehouse.settled()
    kargo.stop()
    token = warehouse.request()
    kargo.start()
    until("the new controller handles it", lambda: warehouse.handled == token)
    assert warehouse.tags == ["1.0.0"]


def test_a_deleted_warehouse_is_forgotten(kargo: Kargo) -> None:
    warehouse = kargo.warehouse(behavior="slow=0.2")
    until("it is looked at", lambda: "Reconciling" in warehouse.conditions)
    kargo.api_server.api.delete(
        f"/apis/kargo.akuity.io/v1alpha1/namespaces/{warehouse.project}/warehouses/main"
    )
    other = kargo.warehouse()
    other.push("1.0.0")
    assert other.settled().refresh().tags == ["1.0.0"]
