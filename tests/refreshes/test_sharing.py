"""One refresh serves every push of a Warehouse that waits for one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import REFRESH_ANNOTATION
from receivers.models import Delivery, Outcome, Refresh
from tests.clusters import until
from tests.refreshes.shop import Shop, events

pytestmark = pytest.mark.usefixtures("database")

PUSHES = 40


def patches_of(main: Shop, kargo_cluster) -> int:
    """Return the number of patches of the Warehouse since the recording began."""
    patches = kargo_cluster.fault_log()["patches"]
    return sum(1 for one in patches if one["namespace"] == main.project and one["value"])


def test_pushes_that_wait_for_a_lagging_registry_share_retries(shop, kargo_cluster):
    main = shop(image_fields={"discoveryLimit": 100})
    kargo_cluster.faults(record=REFRESH_ANNOTATION)
    tags = [f"1.{number}.0" for number in range(1, PUSHES + 1)]
    for tag in tags:
        main.put(tag, lag=1.0)
    before = patches_of(main, kargo_cluster)

    def announce(tag):
        try:
            return main.announce(tag)
        finally:
            connection.close()  # this thread's own

    with ThreadPoolExecutor(8) as pool:
        deliveries = list(pool.map(announce, tags))
    outcomes = [main.end_of(delivery).outcome for delivery in deliveries]
    assert set(outcomes) <= {RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.NOT_NEWEST}
    assert outcomes[-1] == RefreshOutcome.FREIGHT_CREATED
    assert patches_of(main, kargo_cluster) - before <= 2 * PUSHES
    again = {
        one["at"]
        for delivery in deliveries
        for one in main.end_of(delivery).history
        if one["event"] == "retried"
    }
    assert len(again) < PUSHES


def test_deliveries_of_one_push_all_end_as_its_freight(shop):
    main = shop()
    main.put("1.1.0")
    pushed_at = int(time.time())
    deliveries = [main.announce("1.1.0", pushed_at=pushed_at) for _ in range(6)]
    ends = [main.end_of(delivery) for delivery in deliveries]
    assert {one.outcome for one in ends} == {RefreshOutcome.FREIGHT_CREATED}
    assert len({one.freight for one in ends}) == 1


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


def test_the_refresh_of_a_later_push_serves_an_earlier_one(shop):
    main = shop()
    main.behave("slow=1")
    first = main.push("1.1.0")
    second = main.push("1.2.0")
    assert main.end_of(second).outcome == RefreshOutcome.FREIGHT_CREATED
    refresh = main.end_of(first)
    assert refresh.outcome in {RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.NOT_NEWEST}
    assert "retried" not in events(refresh)
