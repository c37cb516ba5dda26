"""Pushes that wait for the same Warehouse share a refresh."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import REFRESH_ANNOTATION
from receivers.models import Delivery, Outcome, Refresh
from tests.clusters import until
from tests.refreshes.shop import events

pytestmark = pytest.mark.usefixtures("database")

PUSHES = 40


def test_pushes_that_wait_for_a_lagging_registry_share_retries(shop, kargo_cluster):
    main = shop(image_fields={"discoveryLimit": 100})
    kargo_cluster.faults(record=REFRESH_ANNOTATION)
    tags = [f"1.{number}.0" for number in range(1, PUSHES + 1)]
    for tag in tags:
        main.put(tag, lag=0.6)  # less than the shortest time that all retries take
    before = len(kargo_cluster.recorded_patches(main.project))

    def announce(tag):
        try:
            return main.announce(tag)
        finally:
            connection.close()  # the connection of this thread

    with ThreadPoolExecutor(8) as pool:
        deliveries = list(pool.map(announce, tags))
    outcomes = [main.ended_refresh(delivery).outcome for delivery in deliveries]
    # On a slow machine, the registry lists the last tags before they are announced.
    with_freight = {RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.ALREADY_CURRENT}
    assert set(outcomes) <= {*with_freight, RefreshOutcome.NOT_NEWEST}
    assert outcomes[-1] in with_freight
    assert len(kargo_cluster.recorded_patches(main.project)) - before <= 2 * PUSHES
    retry_times = {
        entry["at"]
        for delivery in deliveries
        for entry in main.ended_refresh(delivery).history
        if entry["event"] == "retried"
    }
    assert len(retry_times) < PUSHES


def test_all_deliveries_of_a_push_end_with_the_same_freight(shop):
    main = shop()
    main.put("1.1.0")
    pushed_at = int(time.time())
    deliveries = [main.announce("1.1.0", pushed_at=pushed_at) for _ in range(6)]
    refreshes = [main.ended_refresh(delivery) for delivery in deliveries]
    assert {refresh.outcome for refresh in refreshes} == {RefreshOutcome.FREIGHT_CREATED}
    assert len({refresh.freight for refresh in refreshes}) == 1


def test_a_delivery_for_two_warehouses_ends_with_the_last_refresh(shop):
    main = shop()
    main.second_warehouse("other", freightCreationPolicy="Manual")
    delivery = main.push("1.1.0")
    ended = Delivery.objects.filter(pk=delivery.pk, outcome=Outcome.MANUAL_CREATION_POLICY)
    until("the second Warehouse needs action", ended.exists)
    outcomes = (
        Refresh.objects.filter(delivery=delivery).order_by("warehouse").values_list("outcome", flat=True)
    )
    assert list(outcomes) == [RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.MANUAL_CREATION_POLICY]
    row = ended.get()
    assert (row.warehouses, row.with_freight) == (2, 1)
    assert row.reason.startswith("main: Freight ")
    assert "; other: manual creation policy (" in row.reason


def test_the_refresh_of_a_later_push_also_serves_an_earlier_push(shop):
    main = shop()
    main.behave("slow=1")
    first = main.push("1.1.0")
    second = main.push("1.2.0")
    assert main.ended_refresh(second).outcome == RefreshOutcome.FREIGHT_CREATED
    refresh = main.ended_refresh(first)
    assert refresh.outcome in {RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.NOT_NEWEST}
    assert "retried" not in events(refresh)
