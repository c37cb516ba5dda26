"""The process is killed while it processes deliveries, and started again."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import urllib3
from django.utils import timezone

from receivers.kargo.refresh_outcomes import RefreshState
from receivers.kargo.times import parse_time
from receivers.models import Delivery, Outcome, Refresh
from tests.clusters import PATIENCE, until
from tests.delivery_rows import deliveries_of, routed_project
from tests.product import Product
from tests.worlds import World, image, push_body

pytestmark = pytest.mark.e2e

PUSHES = 200
WAREHOUSES = 10
KILL_AFTER = 40  # responses, while the other pushes are at various stages


@pytest.fixture
def own_product(database, demo_cluster):
    """A serving process for one test, which kills it."""
    with Product(demo_cluster.kubeconfig) as product:
        yield product
    demo_cluster.faults()


def test_every_acknowledged_push_is_stored_and_every_stored_push_is_finished(
    own_product: Product, demo_cluster, world: World
):
    project = routed_project(own_product, world)
    for number in range(WAREHOUSES):
        project.warehouse(f"warehouse-{number}", image(f"example/crash-{number}"))
    last = push_body(f"example/crash-{WAREHOUSES - 1}", "9.9.9")
    until("all Warehouses are known", lambda: b"refreshed 1" in own_product.post(project.path(), last).data)
    demo_cluster.faults({"verb": "patch", "latency": 0.02})
    acknowledged = _push_until_killed(own_product, project.path())
    assert KILL_AFTER <= len(acknowledged) < PUSHES
    demo_cluster.faults()
    own_product.start()

    stored = {str(pk) for pk in deliveries_of(project).values_list("pk", flat=True)}
    assert set(acknowledged) <= stored
    until(
        "all deliveries are finished",
        lambda: not deliveries_of(project).filter(outcome=Outcome.PENDING).exists(),
    )
    pushes = deliveries_of(project).filter(tag__startswith="1.0.")
    assert {delivery.outcome for delivery in pushes} == {Outcome.REFRESHED}
    for number in range(WAREHOUSES):
        newest = pushes.filter(repository=f"example/crash-{number}").last()
        refreshed_at = parse_time(project.token(f"warehouse-{number}"))
        assert newest is not None
        assert refreshed_at is not None
        assert refreshed_at >= newest.received_at
    assert not Refresh.objects.filter(project=project.name).exclude(state=RefreshState.REQUESTED).exists()


def _push_until_killed(product: Product, path: str) -> list[str]:
    """Send pushes in parallel until the process is killed; return the ids of those acknowledged with 200."""
    acknowledged: list[str] = []
    kill_now = threading.Event()

    def push(number: int) -> None:
        try:
            response = product.post(path, push_body(f"example/crash-{number % WAREHOUSES}", f"1.0.{number}"))
        except urllib3.exceptions.HTTPError:
            return
        if response.status == 200:
            acknowledged.append(response.headers["X-Kargoweb-Delivery"])
        if len(acknowledged) >= KILL_AFTER:
            kill_now.set()

    with ThreadPoolExecutor(16) as pool:
        for number in range(PUSHES):
            pool.submit(push, number)
        assert kill_now.wait(PATIENCE)
        product.kill()
    return acknowledged


def test_a_stored_delivery_is_processed_later(product: Product, world: World):
    project = routed_project(product, world, image("example/stored"))
    delivery = _stored_before(project, push_body("example/stored", "3.0.0"))
    until(
        "the delivery is finished", lambda: Delivery.objects.get(pk=delivery.pk).outcome == Outcome.REFRESHED
    )
    finished = Delivery.objects.get(pk=delivery.pk)
    assert (finished.tag, finished.status) == ("3.0.0", None)
    assert finished.refreshes.get().token == project.token()


def test_a_stored_delivery_with_an_invalid_body_ends_as_invalid_body(product: Product, world: World):
    project = routed_project(product, world, image("example/stored"))
    delivery = _stored_before(project, b"garbage")
    until(
        "the delivery is finished",
        lambda: Delivery.objects.get(pk=delivery.pk).outcome == Outcome.INVALID_BODY,
    )


def test_a_start_closes_deliveries_whose_refreshes_have_ended(own_product: Product, world: World):
    project = routed_project(own_product, world, image("example/left"))
    own_product.kill()
    delivery = deliveries_of(project).create(
        received_at=timezone.now(),
        project=project.name,
        receiver="hook",
        kind="dockerhub",
        outcome=Outcome.REFRESHED,
        warehouses=1,
    )
    Refresh.objects.create(
        delivery=delivery,
        project=project.name,
        warehouse="warehouse-0",
        state=RefreshState.ENDED,
        outcome=Outcome.FREIGHT_CREATED,
        ended_at=delivery.received_at,
    )
    own_product.start()
    until(
        "the delivery has ended",
        lambda: deliveries_of(project).filter(pk=delivery.pk, outcome=Outcome.FREIGHT_CREATED).exists(),
    )


def _stored_before(project, body: bytes) -> Delivery:
    """Store a delivery as a process leaves it that is killed before the refresh, a minute ago."""
    delivery = Delivery(
        received_at=timezone.now() - timedelta(minutes=1),
        project=project.name,
        receiver="hook",
        kind="dockerhub",
    )
    delivery.body = body
    delivery.save(force_insert=True)
    return delivery
