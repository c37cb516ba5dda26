"""Failures of the Kubernetes API: the response is right, nothing is lost, and no restart is needed."""

from __future__ import annotations

import pytest

from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.resources import WAREHOUSES
from receivers.kargo.responses import UNAVAILABLE
from receivers.models import Delivery, Outcome
from tests.clusters import until
from tests.delivery_rows import routed_project, wait_for_result
from tests.product import Product
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e

FAILED_RESPONSE = b'{"error":"failed to refresh 1 of 1 warehouses"}\n'
UNREACHABLE_RESPONSE = b"{}\n"


def assert_failed(response, body):
    """Assert that a push was answered with an error, because no Warehouse could be refreshed.

    On a busy machine, a commit may take longer than a second. The delivery is then only on disk, and the answer is 503.
    """
    on_disk = (UNAVAILABLE.status, UNAVAILABLE.body)
    assert (response.status, response.data) in {(500, body), on_disk}


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"status": 409}, id="409"),
        pytest.param({"status": 429, "retryAfter": 1}, id="429 with Retry-After"),
        pytest.param({"status": 500}, id="500"),
        pytest.param({"status": 403}, id="403"),
        # Twice, because the client retries a broken connection once.
        pytest.param({"reset": True, "times": 2}, id="reset connection"),
    ],
)
def test_a_failed_patch_is_reported_as_500_and_retried_until_it_succeeds(product, demo_cluster, world, fault):
    expected = UNREACHABLE_RESPONSE if "reset" in fault else FAILED_RESPONSE
    project = routed_project(product, world, image("example/app"))
    demo_cluster.faults({"verb": "patch", "namespace": project.name, "times": 1, **fault})
    response = product.post(project.path(), push_body("example/app"))
    assert_failed(response, expected)
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    until("the refresh is retried", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
    assert delivery.refreshes.get().token == project.token()
    until(
        "the delivery is refreshed", lambda: Delivery.objects.get(pk=delivery.pk).outcome == Outcome.REFRESHED
    )


def test_a_patch_is_repeated_if_its_response_is_lost(product, demo_cluster, world):
    project = routed_project(product, world, image("example/app"))
    demo_cluster.faults(
        {"verb": "patch", "namespace": project.name, "times": 1, "reset": True, "after": True}
    )
    assert product.post(project.path(), push_body("example/app")).status == 200


def test_a_failing_warehouse_does_not_delay_the_others(product, demo_cluster, world):
    project = routed_project(product, world, image("example/app"), warehouses=3)
    demo_cluster.faults({"verb": "patch", "namespace": project.name, "name": "warehouse-1", "status": 500})
    response = product.post(project.path(), push_body("example/app"))
    assert (response.status, response.data) == (500, b'{"error":"failed to refresh 1 of 3 warehouses"}\n')
    assert project.token("warehouse-0")
    assert project.token("warehouse-2")


def test_retries_end_when_the_warehouse_is_deleted(product, demo_cluster, world):
    project = routed_project(product, world, image("example/app"))
    demo_cluster.faults({"verb": "patch", "namespace": project.name, "times": 1, "status": 500})
    response = product.post(project.path(), push_body("example/app"))
    world.cluster.delete(WAREHOUSES, "warehouse-0", project.name)
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    until("the retries end", lambda: delivery.refreshes.get().outcome == RefreshOutcome.WAREHOUSE_DELETED)
    assert "not found" in delivery.refreshes.get().error


def test_if_the_api_server_hangs_the_response_is_in_time_and_the_refresh_is_retried(
    database, demo_cluster, world
):
    # Time enough to save the push on most busy machines.
    with Product(demo_cluster.kubeconfig, KARGOWEB_ANSWER_TIMEOUT="20") as product:
        project = routed_project(product, world, image("example/app"))
        demo_cluster.faults({"verb": "patch", "namespace": project.name, "silence": 60, "times": 1})
        response = product.post(project.path(), push_body("example/app"))
        assert_failed(response, UNREACHABLE_RESPONSE)
        delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
        until("the refresh is retried", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
        demo_cluster.faults()


@pytest.mark.parametrize(
    "faults",
    [{"dropWatches": True}, {"expireWatches": True, "compact": True}, {"swapEvents": True}],
    ids=["dropped", "expired", "out of order"],
)
def test_a_watch_with_faults_loses_no_change(product, demo_cluster, world, faults):
    demo_cluster.faults(**faults)
    project = routed_project(product, world, image("example/watched"))
    until(
        "the push matches",
        lambda: b"refreshed 1" in product.post(project.path(), push_body("example/watched")).data,
    )


def test_failed_refreshes_are_retried_when_the_api_server_is_back(product, demo_cluster, world):
    project = routed_project(product, world, image("example/app"))
    demo_cluster.kill()
    try:
        response = product.post(project.path(), push_body("example/app", "5.0.0"))
        assert_failed(response, UNREACHABLE_RESPONSE)
        assert product.status("/healthz") == 200
    finally:
        demo_cluster.start()
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    until("the refresh is retried", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
    other = routed_project(product, world, image("example/after"))
    until(
        "changes are observed again",
        lambda: b"1 ware" in product.post(other.path(), push_body("example/after")).data,
    )


def test_a_delivery_ends_if_its_warehouse_has_just_been_deleted(product, demo_cluster, world):
    project = routed_project(product, world, image("example/app"))
    # The cache is not informed in time.
    demo_cluster.faults({"verb": "watch", "status": 500}, dropWatches=True)
    world.cluster.delete(WAREHOUSES, "warehouse-0", project.name)
    response = product.post(project.path(), push_body("example/app"))
    assert_failed(response, FAILED_RESPONSE)
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.outcome, delivery.ended_at is None) == (Outcome.WAREHOUSE_DELETED, False)
