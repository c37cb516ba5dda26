"""Refreshes are tracked across restarts and outages."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.models import Refresh, Replica
from tests.clusters import until
from tests.product import Product
from tests.refreshes.conftest import SHORT_DELAYS, SHORT_TIMEOUTS
from tests.refreshes.shop import Shop
from tests.worlds import World

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def own_product(database, kargo, kargo_cluster) -> Iterator[Product]:
    """A serving process, in which no controller times out. A test that kills it starts it again."""
    environment = SHORT_DELAYS | {"KARGOWEB_HANDLED_WITHIN": "60"}
    with Product(kargo_cluster.kubeconfig_for("kargoweb"), **environment) as product:
        yield product


@pytest.fixture
def main(own_product, kargo, kargo_cluster) -> Iterator[Shop]:
    with World(kargo_cluster.kubeconfig) as world:
        yield Shop(own_product, world, kargo)


def requested_refresh(delivery) -> Refresh:
    rows = Refresh.objects.filter(delivery=delivery, state=RefreshState.REQUESTED)
    return until("the request is stored", rows.first)


def test_a_killed_process_resumes_its_refreshes_after_a_restart(main: Shop, own_product: Product):
    main.behave("dead")
    delivery = main.push("1.1.0")
    owner = requested_refresh(delivery).held_by
    own_product.kill()
    main.behave(None)
    until(
        "Kargo has handled the refresh",
        lambda: main.status.get("lastHandledRefresh") == requested_refresh(delivery).token,
    )
    own_product.start()
    refresh = main.ended_refresh(delivery)
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert refresh.held_by == owner


def test_a_token_that_was_replaced_during_a_downtime_is_handled_with_its_successor(
    main: Shop, own_product: Product
):
    main.behave("dead")
    delivery = main.push("1.1.0")
    requested_refresh(delivery)
    own_product.kill()
    main.request("please")
    main.behave(None)
    until("Kargo has handled their token", lambda: main.status.get("lastHandledRefresh") == "please")
    own_product.start()
    refresh = main.ended_refresh(delivery)
    assert (refresh.outcome, refresh.attempts) == (RefreshOutcome.FREIGHT_CREATED, 1)


def test_freight_created_during_a_downtime_corrects_ended_refreshes(main: Shop, own_product: Product):
    main.behave("dead")
    delivery = main.push("1.1.0")
    refresh = requested_refresh(delivery)
    own_product.kill()
    Refresh.objects.filter(pk=refresh.pk).update(
        state=RefreshState.ENDED, outcome=RefreshOutcome.NOT_HANDLED, ended_at=refresh.requested_at
    )
    main.behave(None)
    until("there is Freight", lambda: any(item["images"][0]["tag"] == "1.1.0" for item in main.freight))
    own_product.start()
    until(
        "the outcome is corrected", lambda: delivery.refreshes.get().outcome == RefreshOutcome.FREIGHT_CREATED
    )


def test_another_replica_takes_over_refreshes_whose_lease_has_expired(
    main: Shop, own_product: Product, tracking_product: Product
):
    main.behave("dead")
    delivery = main.push("1.1.0")
    owner = requested_refresh(delivery).held_by
    own_product.kill()
    assert owner
    # As if the lease had expired.
    Replica.objects.filter(pk=owner).delete()
    main.behave(None)
    refresh = main.ended_refresh(delivery)
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert refresh.held_by != owner
    own_product.start()


def test_a_refresh_ends_even_if_all_watches_must_relist(main: Shop, kargo_cluster):
    main.behave("slow=1")
    delivery = main.push("1.1.0")
    kargo_cluster.faults(expireWatches=True)
    assert main.ended_refresh(delivery).outcome == RefreshOutcome.FREIGHT_CREATED
    kargo_cluster.faults()


def test_a_controller_does_not_time_out_while_the_api_server_is_unreachable(database, kargo, kargo_cluster):
    kubeconfig = kargo_cluster.kubeconfig_for("kargoweb")
    with Product(kubeconfig, **SHORT_TIMEOUTS) as product, World(kargo_cluster.kubeconfig) as world:
        main = Shop(product, world, kargo)
        main.behave("slow=0.5")
        delivery = main.push("1.1.0")
        kargo_cluster.stop()
        time.sleep(4)  # longer than all timeouts for the controller together
        kargo_cluster.start()
        assert main.ended_refresh(delivery).outcome == RefreshOutcome.FREIGHT_CREATED
