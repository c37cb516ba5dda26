"""Stories survive the process that follows them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from receivers.kargo.outcomes import RefreshOutcome, RefreshState
from receivers.models import Refresh, Replica
from tests.clusters import until
from tests.product import Product
from tests.refreshes.conftest import LITTLE_PATIENCE
from tests.refreshes.shop import Shop
from tests.worlds import World


@pytest.fixture
def own(database, kargo, kargo_cluster) -> Iterator[Product]:
    """A serving process of this test's own, which waits for a controller as long as it takes."""
    patience = LITTLE_PATIENCE | {"KARGOWEB_HANDLED_WITHIN": "60"}
    with Product(kargo_cluster.kubeconfig_for("kargoweb"), **patience) as product:
        yield product


@pytest.fixture
def main(own, kargo, kargo_cluster) -> Iterator[Shop]:
    with World(kargo_cluster.kubeconfig) as world:
        yield Shop(own, world, kargo)


def requested(delivery) -> Refresh:
    rows = Refresh.objects.filter(delivery=delivery, state=RefreshState.REQUESTED)
    return until("it is on record", rows.first)


def test_a_process_that_was_killed_finds_its_stories_again(main: Shop, own: Product):
    main.behave("dead")
    delivery = main.push("1.1.0")
    owner = requested(delivery).owner
    own.kill()
    main.behave(None)
    until(
        "it is handled while nobody looks",
        lambda: main.status.get("lastHandledRefresh") == requested(delivery).token,
    )
    own.start()
    refresh = main.end_of(delivery)
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert refresh.owner == owner


def test_freight_that_came_while_nobody_was_there_corrects_what_had_ended(main: Shop, own: Product):
    main.behave("dead")
    delivery = main.push("1.1.0")
    refresh = requested(delivery)
    own.kill()
    Refresh.objects.filter(pk=refresh.pk).update(
        state=RefreshState.ENDED, outcome=RefreshOutcome.NOT_HANDLED, ended_at=refresh.requested_at
    )
    main.behave(None)
    until("there is Freight", lambda: any(one["images"][0]["tag"] == "1.1.0" for one in main.freight))
    own.start()
    until("it is corrected", lambda: delivery.refreshes.get().outcome == RefreshOutcome.FREIGHT_CREATED)


def test_another_replica_takes_over_when_one_dies(main: Shop, own: Product, following_product: Product):
    main.behave("dead")
    delivery = main.push("1.1.0")
    owner = requested(delivery).owner
    own.kill()
    # As after a quarter of a minute without a sign of life.
    assert owner
    Replica.objects.filter(pk=owner).delete()
    main.behave(None)
    refresh = main.end_of(delivery)
    assert refresh.outcome == RefreshOutcome.FREIGHT_CREATED
    assert refresh.owner != owner
    own.start()  # for its orderly end


def test_a_story_goes_on_after_all_watches_were_dropped_and_their_history_is_gone(main: Shop, kargo_cluster):
    main.behave("slow=1")
    delivery = main.push("1.1.0")
    kargo_cluster.faults(expireWatches=True)
    assert main.end_of(delivery).outcome == RefreshOutcome.FREIGHT_CREATED
    kargo_cluster.faults()


def test_an_api_server_that_is_away_is_no_reason_to_say_that_nobody_answered(database, kargo, kargo_cluster):
    kubeconfig = kargo_cluster.kubeconfig_for("kargoweb")
    with Product(kubeconfig, **LITTLE_PATIENCE) as product, World(kargo_cluster.kubeconfig) as world:
        main = Shop(product, world, kargo)
        main.behave("slow=0.5")
        delivery = main.push("1.1.0")
        kargo_cluster.stop()
        time.sleep(4)  # longer than anybody waits for a controller here
        kargo_cluster.start()
        assert main.end_of(delivery).outcome == RefreshOutcome.FREIGHT_CREATED
