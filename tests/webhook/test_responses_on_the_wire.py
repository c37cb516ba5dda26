"""The responses of receiver URLs, byte for byte."""

from __future__ import annotations

import json

import pytest

from receivers.models import Outcome
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body

LIMIT = 2 << 20


def test_a_push_refreshes_the_warehouse_and_is_recorded_with_its_response(product, world):
    project = routed_project(product, world, image("example/first"))
    response = product.post(project.path(), push_body("example/first", "1.2.3"))
    assert (response.status, response.data) == (200, b'{"msg":"refreshed 1 warehouse(s)"}\n')
    assert response.headers["Content-Type"] == "application/json"
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.outcome, delivery.status, delivery.answer) == (
        Outcome.REFRESHED,
        200,
        '{"msg":"refreshed 1 warehouse(s)"}',
    )
    assert (delivery.project, delivery.receiver, delivery.repository, delivery.tag) == (
        project.name,
        "hook",
        "example/first",
        "1.2.3",
    )
    refresh = delivery.refreshes.get()
    assert refresh.token == project.token() != ""
    assert refresh.requested_at
    assert delivery.received_at <= refresh.requested_at


def test_every_matching_warehouse_is_refreshed_once(product, world):
    project = routed_project(
        product, world, image("example/many"), image("docker.io/example/many"), warehouses=3
    )
    response = product.post(project.path(), push_body("example/many"))
    assert json.loads(response.data) == {"msg": "refreshed 3 warehouse(s)"}
    assert len({project.token(f"warehouse-{number}") for number in range(3)}) == 3


@pytest.mark.parametrize(
    ("body", "status", "data"),
    [
        pytest.param(
            push_body("example/other"), 200, b'{"msg":"refreshed 0 warehouse(s)"}\n', id="another repository"
        ),
        pytest.param(
            push_body("example/app", "nope"),
            200,
            b'{"msg":"refreshed 0 warehouse(s)"}\n',
            id="tag not selected",
        ),
        pytest.param(
            push_body("example/app", None), 200, b'{"msg":"refreshed 1 warehouse(s)"}\n', id="no tag"
        ),
        pytest.param(b"{}", 200, b'{"msg":"refreshed 0 warehouse(s)"}\n', id="empty object"),
        pytest.param(b"", 400, b'{"error":"invalid request body"}\n', id="empty body"),
        pytest.param(b"[]", 400, b'{"error":"invalid request body"}\n', id="array"),
        pytest.param(b'{"push_data":{"tag":5}}', 400, b'{"error":"invalid request body"}\n', id="wrong type"),
        pytest.param(b"{} {}", 400, b'{"error":"invalid request body"}\n', id="trailing bytes"),
        pytest.param(
            b" " * LIMIT + b"{}", 413, b'{"error":"content exceeds limit of 2097152 bytes"}\n', id="too large"
        ),
    ],
)
def test_responses_are_the_same_as_in_kargo(product, world, body, status, data):
    project = routed_project(product, world, image("example/app"))
    response = product.post(project.path(), body)
    assert (response.status, response.data) == (status, data)
    assert wait_for_result(response.headers["X-Kargoweb-Delivery"]).status == status


def test_a_chunked_body_that_is_too_large_is_413(product, world):
    project = routed_project(product, world, image("example/app"))
    response = product.post(project.path(), iter([b" " * LIMIT, b"{}"]))
    assert (response.status, response.data) == (413, b'{"error":"content exceeds limit of 2097152 bytes"}\n')


def test_a_chunked_body_at_the_limit_is_accepted(product, world):
    project = routed_project(product, world, image("example/app"))
    body = push_body("example/app")
    response = product.post(project.path(), iter([body, b" " * (LIMIT - len(body))]))
    assert response.status == 200


@pytest.mark.parametrize("path", ["{}/", "/any/prefix{}", "/webhooks{}/"], ids=["slash", "prefix", "both"])
def test_a_prefix_and_a_trailing_slash_are_accepted(product, world, path):
    project = routed_project(product, world, image("example/app"))
    assert product.post(path.format(project.path()), push_body("example/app")).status == 200


@pytest.mark.parametrize(
    "path", ["{}//", "{}/more", "{}x"], ids=["two slashes", "more segments", "longer digest"]
)
def test_other_paths_are_not_found(product, world, path):
    project = routed_project(product, world, image("example/app"))
    assert product.post(path.format(project.path()), push_body("example/app")).status == 404


def test_an_unknown_digest_is_404_with_an_empty_object(product):
    response = product.post("/dockerhub/" + "0" * 64, push_body("example/app"))
    assert (response.status, response.data) == (404, b"{}\n")


def test_the_digest_of_a_receiver_is_unknown_under_another_kind(product, world):
    project = routed_project(product, world, image("example/app"))
    assert product.post(project.path().replace("dockerhub", "quay"), push_body("example/app")).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_allowed(product, world, method):
    project = routed_project(product, world, image("example/app"))
    response = product.post(project.path(), push_body("example/app"), method=method)
    assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_an_accept_header_does_not_change_the_response(product, world):
    project = routed_project(product, world, image("example/app"))
    response = product.post(project.path(), push_body("example/app"), headers={"Accept": "text/html"})
    assert response.headers["Content-Type"] == "application/json"
