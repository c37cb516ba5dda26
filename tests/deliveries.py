"""Reads of the delivery log that tests share."""

from __future__ import annotations

from django.db.models import QuerySet

from receivers.models import Delivery
from receivers.rules.outcomes import Outcome
from tests.clusters import until
from tests.product import Product
from tests.worlds import Place, World


def ended(delivery_id: str) -> Delivery:
    """Return a delivery once its end is on record, for which nobody waits when answering."""
    done = Delivery.objects.exclude(outcome=Outcome.PENDING)
    return until("the end is stored", lambda: done.filter(pk=delivery_id).first())


def routed(product: Product, world: World, *subscriptions, **more) -> Place:
    """Make a project and wait until the product knows its receiver and Warehouses."""
    place = world.project(*subscriptions, **more)
    until("the receiver is known", lambda: product.post(place.path(), b"[]").status == 400)
    return place


def of_project(place: Place) -> QuerySet[Delivery]:
    """Return the deliveries of one project's receivers, oldest first."""
    return Delivery.objects.filter(project=place.name).order_by("received_at")
