"""Test pushes at the webhook endpoint: valid tokens mark a delivery as a test, invalid ones are refused."""

from __future__ import annotations

import time

import pytest

from receivers.models import Delivery, Origin, Outcome, new_id
from receivers.webhook import signed_test_tokens
from receivers.webhook.signed_test_tokens import VALID_SECONDS, issue
from tests.clusters import until
from tests.deliveries.rows import unique_name
from tests.delivery_rows import routed_project, wait_for_result
from tests.worlds import image, push_body

BODY = push_body("example/tested", "1.2.3")


@pytest.fixture
def project(product, world):
    """A project whose Warehouse selects the test push."""
    return routed_project(product, world, image("example/tested", constraint="^1.0.0"))


def token_for(project, /, **fields):
    """Return a token for the project's receiver."""
    return signed_test_tokens.TestToken(
        **{
            "delivery": new_id(),
            "project": project.name,
            "receiver": "hook",
            "user": "jane",
            "dry_run": False,
        }
        | fields
    )


def send(product, project, token, body=BODY, *, path=""):
    return product.post(path or project.path(), body, {"X-Kargoweb-Test": token})


def test_a_test_push_is_recorded_as_a_test_and_refreshes_warehouses(product, project):
    test = token_for(project)
    response = send(product, project, issue(test, BODY))
    assert (response.status, response.data) == (200, b'{"msg":"refreshed 1 warehouse(s)"}\n')
    assert response.headers["X-Kargoweb-Delivery"] == str(test.delivery)
    delivery = wait_for_result(str(test.delivery))
    assert (delivery.origin, delivery.actor, delivery.push_id) == (Origin.TEST, "jane", test.delivery)
    assert project.token() == delivery.refreshes.get().token


def test_a_dry_run_evaluates_and_refreshes_nothing(product, project):
    before = project.token()
    test = token_for(project, dry_run=True)
    response = send(product, project, issue(test, BODY))
    assert (response.status, response.data) == (200, b'{"msg":"refreshed 0 warehouse(s)"}\n')
    delivery = wait_for_result(str(test.delivery))
    assert (delivery.outcome, delivery.status, delivery.origin) == (Outcome.DRY_RUN, 200, Origin.TEST)
    assert delivery.ended_at
    assert delivery.reason == "1 Warehouse would have been refreshed"
    assert [verdict["result"] for verdict in delivery.verdicts] == ["match"]
    assert (delivery.repository, delivery.tag) == ("example/tested", "1.2.3")
    # Once a later push has refreshed the Warehouse, a refresh by the dry run would have been stored, too.
    assert product.post(project.path(), BODY).data == b'{"msg":"refreshed 1 warehouse(s)"}\n'
    assert not delivery.refreshes.exists()
    assert project.token() != before


def test_a_dry_run_does_not_name_warehouses_of_other_projects(product, world):
    # No other test subscribes to them.
    own_repository, repository = (f"example/{unique_name()}" for _ in range(2))
    own, other = (routed_project(product, world, image(name)) for name in (own_repository, repository))
    body = push_body(repository, "1.2.3")
    send(product, own, issue(test := token_for(own, dry_run=True), body), body)
    delivery = wait_for_result(str(test.delivery))
    assert [verdict["project"] for verdict in delivery.verdicts] == [other.name]
    assert (
        delivery.reason == "no Warehouse in scope subscribes to this repository; one of another project does"
    )


def test_a_dry_run_of_an_invalid_body_is_rejected(product, project):
    test = token_for(project, dry_run=True)
    assert send(product, project, issue(test, b"{"), b"{").status == 400
    assert wait_for_result(str(test.delivery)).outcome == Outcome.INVALID_BODY


def assert_refused(product, project, response, reason):
    """Assert that a response and its delivery are a refused test, and that nothing was refreshed."""
    assert response.status == 403
    assert response.json() == {"error": f"test refused: {reason}"}
    delivery = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    assert (delivery.outcome, delivery.reason) == (Outcome.TEST_REFUSED, reason)
    assert (delivery.origin, delivery.actor) == (Origin.PUSH, "")
    assert delivery.ended_at
    assert not delivery.refreshes.exists()
    return delivery


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_token_is_valid_once(product, project, dry_run):
    test = token_for(project, dry_run=dry_run)
    text = issue(test, BODY)
    assert send(product, project, text).status == 200
    token = project.token()
    assert bool(token) != dry_run
    repeated = assert_refused(product, project, send(product, project, text), "its token was used before")
    assert project.token() == token
    assert repeated.pk != test.delivery
    first = Delivery.objects.get(pk=test.delivery)
    assert (first.origin, first.actor) == (Origin.TEST, "jane")


def test_a_used_token_does_not_affect_pushes_with_the_same_body(product, project):
    test = token_for(project, dry_run=True)
    text = issue(test, BODY)
    send(product, project, text)
    assert_refused(product, project, send(product, project, text), "its token was used before")
    assert product.post(project.path(), BODY).status == 200


def test_an_expired_token_is_refused(product, project, monkeypatch):
    now = time.time()
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now - VALID_SECONDS - 5)
        text = issue(token_for(project), BODY)
    assert_refused(product, project, send(product, project, text), "its token is older than 60 s")
    assert project.token() == ""


INVALID_TOKENS = {
    "forged": (
        lambda project: "forged:1tXxXx:aaaa",
        "its token was not signed with the secret key of this kargoweb",
    ),
    "for another body": (
        lambda project: issue(token_for(project), BODY + b" "),
        "its token is for another body",
    ),
    "for another receiver": (
        lambda project: issue(token_for(project, receiver="other"), BODY),
        "its token is for another receiver",
    ),
    "for another project": (
        lambda project: issue(token_for(project, project=""), BODY),
        "its token is for another receiver",
    ),
}


@pytest.mark.parametrize(("make", "reason"), INVALID_TOKENS.values(), ids=INVALID_TOKENS)
def test_an_invalid_token_is_refused_and_recorded(product, project, make, reason):
    assert_refused(product, project, send(product, project, make(project)), reason)
    assert project.token() == ""


def test_a_token_does_not_open_an_unknown_url(product, project):
    test = token_for(project)
    response = send(product, project, issue(test, BODY), path=f"/dockerhub/{'0' * 64}")
    assert (response.status, response.data) == (404, b"{}\n")
    assert not Delivery.objects.filter(pk=test.delivery).exists()


def test_a_test_push_to_a_retired_url_is_recorded_as_a_test(product, project):
    project.forget("hook")
    until("the URL is retired", lambda: product.post(project.path(), BODY).status == 404)
    test = token_for(project)
    assert send(product, project, issue(test, BODY)).status == 404
    delivery = wait_for_result(str(test.delivery))
    assert (delivery.outcome, delivery.origin) == (Outcome.RETIRED_URL, Origin.TEST)


@pytest.mark.parametrize("valid", [True, False])
def test_a_token_is_neither_stored_nor_logged(product, project, valid):
    test = token_for(project)
    text = issue(test, BODY) if valid else issue(test, b"")
    delivery = wait_for_result(send(product, project, text).headers["X-Kargoweb-Delivery"])
    assert "x-kargoweb-test" not in {name.lower() for name, _ in delivery.headers}
    assert text not in str(delivery.headers)
    assert text.split(":")[0] not in product.log()


def test_other_headers_do_not_turn_a_push_into_a_test(product, project):
    response = product.post(project.path(), BODY, {"X-Kargoweb-Origin": "test", "X-Kargoweb-Test": ""})
    assert wait_for_result(response.headers["X-Kargoweb-Delivery"]).origin == Origin.PUSH


@pytest.mark.parametrize("value", ["", " ", "é", "\xff\xfe", "abc\xff"])
def test_a_token_that_the_server_cannot_read_does_not_turn_a_test_into_a_push(product, project, value):
    before = project.token()
    response = send(product, project, value.encode("latin-1"))
    reason = "its token was not signed with the secret key of this kargoweb"
    assert_refused(product, project, response, reason)
    assert project.token() == before
