"""Requests to retired, shared and unsupported URLs are rejected and recorded."""

from __future__ import annotations

import pytest

from receivers.models import Outcome
from tests.delivery_rows import rejected_delivery, routed_project
from tests.worlds import image, push_body

PUSH = push_body("example/app")


@pytest.fixture
def project(product, world):
    """A project with a Warehouse that the rejected requests do not refresh."""
    return routed_project(product, world, image("example/app"))


def test_renaming_a_receiver_retires_its_url(product, project):
    project.publish("renamed")
    delivery = rejected_delivery(product, project.path("hook"), PUSH)
    assert (delivery.receiver, delivery.outcome, delivery.status) == ("hook", Outcome.RETIRED_URL, 404)


def test_a_push_to_an_old_url_shows_what_it_would_have_matched(product, project):
    project.publish("renamed")
    delivery = rejected_delivery(product, project.path("hook"), PUSH)
    assert delivery.reason == (
        "not evaluated: this is an old URL of the receiver; its Secret or name has changed; "
        "it would have refreshed 1 Warehouse"
    )
    assert [verdict["result"] for verdict in delivery.verdicts] == ["match"]
    assert delivery.warehouses == 0


def test_a_request_to_an_old_url_without_a_push_is_recorded(product, project):
    project.publish("renamed")
    delivery = rejected_delivery(product, project.path("hook"), b"[]")
    assert delivery.outcome == Outcome.RETIRED_URL
    assert delivery.verdicts == []


def test_an_unsupported_kind_is_recorded(product, project):
    project.publish("hook", kind="ecr")
    delivery = rejected_delivery(product, project.path("hook", kind="ecr"), PUSH)
    assert delivery.outcome == Outcome.UNSUPPORTED_KIND
    assert "ecr" in delivery.reason


def test_a_collision_names_both_receivers(product, project):
    # Kargo joins name and secret without a separator: hook + "2s" and hook2 + "s" have the same digest.
    project.publish_as({"hook": "2s", "hook2": "s"})
    delivery = rejected_delivery(product, project.path("hook", secret="2s"), PUSH)
    assert delivery.outcome == Outcome.COLLISION
    assert f"{project.name}/hook, {project.name}/hook2" in delivery.reason


def test_a_published_url_without_a_receiver_in_the_spec_is_rejected(product, project):
    project.forget("hook")
    delivery = rejected_delivery(product, project.path("hook"), PUSH)
    assert delivery.outcome == Outcome.RETIRED_URL
    assert not delivery.refreshes.exists()


def test_a_test_header_that_is_not_ascii_is_no_push(product, world):
    project = routed_project(product, world, image("example/app"))
    response = product.post(project.path(), push_body("example/app"), {"X-Kargoweb-Test": b"\xff\xfe"})
    assert response.status == 403
    assert project.token() == ""
