"""Reads of the delivery log that tests share."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from receivers.models import Delivery, Outcome
from tests.clusters import until
from tests.product import Product
from tests.worlds import Place, World, push_body


def ended(delivery_id: str) -> Delivery:
    """Return a delivery once its end is on record, for which nobody waits when answering."""
    done = Delivery.objects.exclude(outcome=Outcome.PENDING)
    return until("the end is stored", lambda: done.filter(pk=delivery_id).first())


def routed(product: Product, world: World, *subscriptions: dict[str, Any], warehouses: int = 1) -> Place:
    """Make a project with Warehouses, and wait until the product knows its receiver and all of them."""
    place = world.project(*subscriptions, warehouses=warehouses)
    until("the receiver is known", lambda: product.post(place.path(), b"[]").status == 400)
    names = [subscription["image"]["repoURL"] for subscription in subscriptions]
    until(
        "its Warehouses are known", lambda: all(judged(product, place, name) >= warehouses for name in names)
    )
    return place


def judged(product: Product, place: Place, repository: str) -> int:
    """Return how many subscriptions are judged for a push of the repository, with a tag that none of them selects."""
    answer = product.post(place.path(), push_body(repository.removeprefix("docker.io/"), "not a version"))
    return len(ended(answer.headers["X-Kargoweb-Delivery"]).verdicts)


def of_project(place: Place) -> QuerySet[Delivery]:
    """Return the deliveries of one project's receivers, oldest first."""
    return Delivery.objects.filter(project=place.name).order_by("received_at")
