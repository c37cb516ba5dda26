"""The Kubernetes API server hangs: kargoweb says so, keeps accepting pushes, and resumes everything afterwards."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import Delivery, Outcome, Refresh
from tests.clusters import DemoCluster, until
from tests.delivery_rows import routed_project, wait_for_result
from tests.product import Product
from tests.users import create_session, create_user
from tests.web.http_browser import HttpBrowser
from tests.worlds import World, image, push_body

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.any_database("about the API server; test_restarts.py resumes the same rows"),
]

UNREACHABLE = "The Kubernetes API is unreachable"


@pytest.fixture
def cluster(tmp_path):
    """A cluster whose API server this test suspends."""
    with DemoCluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def product(database, cluster):
    """A serving process for one test."""
    with Product(cluster.kubeconfig) as product:
        yield product


def cluster_state(product: Product) -> str:
    """Return what the readiness probe says about the API server."""
    return str(product.get("/readyz").json()["cluster"])


def test_a_hanging_api_server_is_noticed_and_pushes_are_stored_until_it_returns(cluster, product):
    browser = HttpBrowser(product)
    browser.resume_session(create_session(create_user("admin")))
    with World(cluster.kubeconfig) as world:
        project = routed_project(product, world, image("example/app"))
        assert cluster_state(product) == "ok"
        cluster.suspend()
        try:
            until("the probe says so", lambda: cluster_state(product) == "away")
            browser.open_until("/", UNREACHABLE)
            # Pushes are stored, and no request to the API server is waited for.
            assert product.get("/readyz").status == 200
            answer = product.post(project.path(), push_body("example/app", "2.0.0"))
            # 503 if a commit takes longer than a second on a busy machine: the push is then on disk.
            assert answer.status in {500, 503}
            delivery = wait_for_result(answer.headers["X-Kargoweb-Delivery"])
            assert delivery.outcome == Outcome.FAILED
            assert delivery.duration_ms is not None
            assert delivery.duration_ms < 4_000, "the patch was sent and timed out"
        finally:
            cluster.resume()
        until("the probe says so", lambda: cluster_state(product) == "ok")
        until("the page does not any more", lambda: UNREACHABLE not in browser.open("/"))
        until("the Warehouse is refreshed", lambda: delivery.refreshes.get().state == RefreshState.REQUESTED)
        assert project.token() == delivery.refreshes.get().token
        project.warehouse("later", image("example/later"))
        until(
            "the watches are back",
            lambda: b"refreshed 1" in product.post(project.path(), push_body("example/later")).data,
        )


def test_requests_that_failed_are_repeated_when_the_api_server_returns(cluster, database):
    with World(cluster.kubeconfig) as world:
        project = world.project(image("example/app"))
    refresh = failed_request(project.name)
    product = Product(cluster.kubeconfig)
    cluster.suspend()
    try:
        product.start(ready=False)
        try:
            until(
                "the process holds the refresh",
                lambda: Refresh.objects.get(pk=refresh.pk).held_by is not None,
            )
            until("the outage is noticed", lambda: cluster_state(product) == "away")
            cluster.resume()
            until(
                "the Warehouse is refreshed",
                lambda: Refresh.objects.get(pk=refresh.pk).state == RefreshState.REQUESTED,
            )
        finally:
            product.stop()
    finally:
        cluster.resume()


def failed_request(project: str) -> Refresh:
    """Store a refresh whose requests have failed several times, so that the next one is due in an hour."""
    now = timezone.now()
    delivery = Delivery(
        received_at=now,
        project=project,
        receiver="hook",
        kind="dockerhub",
        repository="example/app",
        tag="1.0.0",
        outcome=Outcome.FAILED,
        warehouses=1,
    )
    delivery.body = push_body("example/app")
    delivery.save(force_insert=True)
    return Refresh.objects.create(
        delivery=delivery,
        project=project,
        warehouse="warehouse-0",
        attempts=6,
        failed_requests=6,
        next_attempt_at=now + timedelta(hours=1),
    )
