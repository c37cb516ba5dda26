"""Calls of URLs that are no receiver's any more, or not one that is spoken here: refused, and on record as that."""

from __future__ import annotations

import pytest

from receivers.models import Outcome
from tests.clusters import until
from tests.delivery_rows import ended, routed
from tests.worlds import image, push_body


def refused(product, path):
    """Return the answer once the product has heard of the change that makes it refuse."""
    answer = until("it is refused", lambda: _if_recorded(product.post(path, push_body("example/app"))))
    assert (answer.status, answer.data) == (404, b"{}\n")
    return ended(answer.headers["X-Kargoweb-Delivery"])


def _if_recorded(answer):
    return answer if answer.status == 404 and "X-Kargoweb-Delivery" in answer.headers else None


@pytest.fixture
def place(product, world):
    """A project whose Warehouse must not be refreshed in these tests."""
    return routed(product, world, image("example/app"))


def test_a_receiver_that_was_renamed_leaves_a_retired_url(product, place):
    place.publish("renamed")
    delivery = refused(product, place.path("hook"))
    assert (delivery.receiver, delivery.outcome, delivery.status) == ("hook", Outcome.RETIRED_URL, 404)


def test_a_kind_that_is_not_spoken_is_recorded_as_that(product, place):
    place.publish("hook", kind="github")
    delivery = refused(product, place.path("hook", kind="github"))
    assert delivery.outcome == Outcome.UNSUPPORTED_KIND
    assert "github" in delivery.reason


def test_two_receivers_with_one_digest_are_refused_by_name(product, place):
    # What comes before the secret is only joined: hook + "2s" and hook2 + "s" are one.
    place.publish_as({"hook": "2s", "hook2": "s"})
    delivery = refused(product, place.path("hook", secret="2s"))
    assert delivery.outcome == Outcome.COLLISION
    assert f"{place.name}/hook, {place.name}/hook2" in delivery.reason


def test_what_is_published_but_no_longer_specified_is_refused(product, place):
    place.forget("hook")
    delivery = refused(product, place.path("hook"))
    assert delivery.outcome == Outcome.RETIRED_URL
    assert not delivery.refreshes.exists()
