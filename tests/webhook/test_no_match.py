"""Why a push refreshes nothing: no match, a subscription that can't be evaluated, or no repository in the body."""

from __future__ import annotations

import json

import pytest

from receivers.models import Outcome
from tests.delivery_rows import routed_project, wait_for_result
from tests.web.deliveries import send_push
from tests.worlds import image, push_body


@pytest.fixture
def project(product, world):
    """A project with one Warehouse."""
    return routed_project(product, world, image("example/app"))


def test_a_subscription_that_cannot_be_evaluated_needs_action(product, world):
    project = routed_project(product, world, image("example/app", allowTagsRegexes=["("]))
    delivery = send_push(product, project, push_body("example/app"))
    assert (delivery.outcome, delivery.status) == (Outcome.INVALID_SUBSCRIPTION, 200)
    assert delivery.reason.startswith(
        'subscription 1 of Warehouse "warehouse-0" can\'t be evaluated: allowTagsRegexes "(" isn\'t a valid'
    )


def test_a_subscription_that_cannot_be_evaluated_hides_no_match_of_another(product, world):
    invalid = image("example/app", allowTagsRegexes=["("])
    project = routed_project(product, world, invalid, image("example/app"))
    delivery = send_push(product, project, push_body("example/app"))
    assert delivery.warehouses == 1
    assert [verdict["result"] for verdict in delivery.verdicts] == ["match", "not_evaluable"]


def test_no_match_is_no_error(product, project):
    delivery = send_push(product, project, push_body("example/app", "not a version"))
    assert delivery.outcome == Outcome.NO_MATCH


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"push_data": {"tag": "x"}}, "repository.repo_name is missing or empty"),
        (
            {"zen": "Design for failure.", "hook_id": 1},
            "repository.repo_name is missing or empty; the body looks like a ping from GitHub",
        ),
    ],
)
def test_a_body_without_a_repository_says_so(product, project, body, reason):
    delivery = send_push(product, project, json.dumps(body).encode())
    assert (delivery.outcome, delivery.reason, delivery.status) == (Outcome.NO_REPOSITORY, reason, 200)
    assert delivery.answer == '{"msg":"refreshed 0 warehouse(s)"}'


def test_an_invalid_body_names_the_sender_it_resembles(product, project):
    body = {"repository": "example/app", "docker_url": "quay.io/example/app", "homepage": "x"}
    response = product.post(project.path(), json.dumps(body).encode())
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.outcome, response.status) == (Outcome.INVALID_BODY, 400)
    assert delivery.reason.endswith("; the body looks like a notification from Quay")
