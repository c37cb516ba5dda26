"""Requests to retired, shared and unsupported URLs are rejected and recorded."""

from __future__ import annotations

import pytest

from receivers.models import Outcome
from tests.clusters import until
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body


def refused(product, path):
    """Return the delivery once the product has noticed the change and rejects it."""
    answer = until(
        "the request is rejected", lambda: _if_recorded(product.post(path, push_body("example/app")))
    )
    assert (answer.status, answer.data) == (404, b"{}\n")
    return wait_for_result(answer.headers["X-Kargoweb-Delivery"])


def _if_recorded(answer):
    return answer if answer.status == 404 and "X-Kargoweb-Delivery" in answer.headers else None


@pytest.fixture
def place(product, world):
    """A project whose Warehouse these tests must not refresh."""
    return routed_project(product, world, image("example/app"))


def test_renaming_a_receiver_retires_its_url(product, place):
    place.publish("renamed")
    delivery = refused(product, place.path("hook"))
    assert (delivery.receiver, delivery.outcome, delivery.status) == ("hook", Outcome.RETIRED_URL, 404)


def test_an_unsupported_kind_is_recorded(product, place):
    place.publish("hook", kind="github")
    delivery = refused(product, place.path("hook", kind="github"))
    assert delivery.outcome == Outcome.UNSUPPORTED_KIND
    assert "github" in delivery.reason


def test_a_collision_names_both_receivers(product, place):
    # Kargo joins name and secret without a separator: hook + "2s" and hook2 + "s" have the same digest.
    place.publish_as({"hook": "2s", "hook2": "s"})
    delivery = refused(product, place.path("hook", secret="2s"))
    assert delivery.outcome == Outcome.COLLISION
    assert f"{place.name}/hook, {place.name}/hook2" in delivery.reason


def test_a_published_url_without_a_receiver_in_the_spec_is_rejected(product, place):
    place.forget("hook")
    delivery = refused(product, place.path("hook"))
    assert delivery.outcome == Outcome.RETIRED_URL
    assert not delivery.refreshes.exists()
