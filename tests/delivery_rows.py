"""Deliveries of a serving process: queries of the delivery log that tests share."""

from __future__ import annotations

from typing import Any

import urllib3
from django.db.models import QuerySet

from receivers.models import Delivery, Outcome
from tests.clusters import until
from tests.product import Product
from tests.worlds import KargoProject, World, push_body


def wait_for_result(delivery_id: str) -> Delivery:
    """Return a delivery once its result is stored, which happens after the response."""
    done = Delivery.objects.exclude(outcome=Outcome.PENDING)
    return until("the result is stored", lambda: done.filter(pk=delivery_id).first())


def routed_project(
    product: Product, world: World, *subscriptions: dict[str, Any], warehouses: int = 1
) -> KargoProject:
    """Create a project with Warehouses, and wait until the product has its receiver and all Warehouses."""
    project = world.project(*subscriptions, warehouses=warehouses)
    until("the receiver is known", lambda: product.post(project.path(), b"[]").status == 400)
    names = [subscription["image"]["repoURL"] for subscription in subscriptions]
    until(
        "its Warehouses are known",
        lambda: all(verdict_count(product, project, name) >= warehouses for name in names),
    )
    return project


def verdict_count(product: Product, project: KargoProject, repository: str) -> int:
    """Return the number of verdicts for a push of the repository, with a tag that no subscription selects."""
    response = product.post(project.path(), push_body(repository.removeprefix("docker.io/"), "not a version"))
    return len(wait_for_result(response.headers["X-Kargoweb-Delivery"]).verdicts)


def rejected_delivery(product: Product, path: str, body: bytes) -> Delivery:
    """POST to a URL until the product responds with 404 and records the request; return the delivery."""

    def rejection() -> urllib3.BaseHTTPResponse | None:
        response = product.post(path, body)
        return response if response.status == 404 and "X-Kargoweb-Delivery" in response.headers else None

    response = until("the request is rejected", rejection)
    assert response.data == b"{}\n"
    return wait_for_result(response.headers["X-Kargoweb-Delivery"])


def deliveries_of(project: KargoProject) -> QuerySet[Delivery]:
    """Return the deliveries of one project's receivers, oldest first."""
    return Delivery.objects.filter(project=project.name).order_by("received_at")
