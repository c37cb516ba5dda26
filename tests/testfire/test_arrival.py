"""Tests at the HTTP edge: what a ticket does there, and what a stranger's header does not."""

from __future__ import annotations

import time

import pytest

from receivers.models import Delivery, Origin, Outcome, new_id
from receivers.webhook.test_tokens import VALID_SECONDS, TestToken, issue
from tests.clusters import until
from tests.delivery_rows import ended, routed
from tests.worlds import image, push_body

BODY = push_body("example/fired", "1.2.3")


@pytest.fixture
def place(product, world):
    """A project whose Warehouse selects what is fired."""
    return routed(product, world, image("example/fired", constraint="^1.0.0"))


def ticket_for(place, **fields):
    """Return a ticket for the project's receiver."""
    return TestToken(
        **{"delivery": new_id(), "project": place.name, "receiver": "hook", "user": "jane", "dry_run": False}
        | fields
    )


def send(product, place, ticket, body=BODY, *, path=""):
    return product.post(path or place.path(), body, {"X-Kargoweb-Test": ticket})


def test_a_test_is_on_record_as_one_and_refreshes(product, place):
    ticket = ticket_for(place)
    answer = send(product, place, issue(ticket, BODY))
    assert (answer.status, answer.data) == (200, b'{"msg":"refreshed 1 warehouse(s)"}\n')
    assert answer.headers["X-Kargoweb-Delivery"] == str(ticket.delivery)
    delivery = ended(str(ticket.delivery))
    assert (delivery.origin, delivery.actor, delivery.push_id) == (Origin.TEST, "jane", ticket.delivery)
    assert place.token() == delivery.refreshes.get().token


def test_a_dry_run_judges_and_refreshes_nothing(product, place):
    before = place.token()
    ticket = ticket_for(place, dry_run=True)
    answer = send(product, place, issue(ticket, BODY))
    assert (answer.status, answer.data) == (200, b'{"msg":"refreshed 0 warehouse(s)"}\n')
    delivery = ended(str(ticket.delivery))
    assert (delivery.outcome, delivery.status, delivery.origin) == (Outcome.DRY_RUN, 200, Origin.TEST)
    assert delivery.ended_at
    assert delivery.reason == "it would have refreshed 1 Warehouse(s)"
    assert [one["result"] for one in delivery.verdicts] == ["match"]
    assert (delivery.repository, delivery.tag) == ("example/fired", "1.2.3")
    # A push that comes later is refreshed: what the dry run did not do, the product can do by now.
    assert product.post(place.path(), BODY).data == b'{"msg":"refreshed 1 warehouse(s)"}\n'
    assert not delivery.refreshes.exists()
    assert place.token() != before


def test_a_dry_run_of_a_body_that_is_none_says_so(product, place):
    ticket = ticket_for(place, dry_run=True)
    assert send(product, place, issue(ticket, b"{"), b"{").status == 400
    assert ended(str(ticket.delivery)).outcome == Outcome.INVALID_BODY


def assert_refused(product, place, answer, reason):
    """It is answered and on record as refused, as no test, and nothing was refreshed."""
    assert answer.status == 403
    assert answer.json() == {"error": f"test refused: {reason}"}
    delivery = ended(answer.headers["X-Kargoweb-Delivery"])
    assert (delivery.outcome, delivery.reason) == (Outcome.TEST_REFUSED, reason)
    assert (delivery.origin, delivery.actor) == (Origin.PUSH, "")
    assert delivery.ended_at
    assert not delivery.refreshes.exists()
    return delivery


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_ticket_is_good_once(product, place, dry_run):
    ticket = ticket_for(place, dry_run=dry_run)
    text = issue(ticket, BODY)
    assert send(product, place, text).status == 200
    token = place.token()
    assert bool(token) != dry_run
    again = assert_refused(product, place, send(product, place, text), "its ticket was used before")
    assert place.token() == token
    assert again.pk != ticket.delivery
    first = Delivery.objects.get(pk=ticket.delivery)
    assert (first.origin, first.actor) == (Origin.TEST, "jane")


def test_a_used_ticket_harms_no_push_that_comes_with_it(product, place):
    ticket = ticket_for(place, dry_run=True)
    text = issue(ticket, BODY)
    send(product, place, text)
    assert_refused(product, place, send(product, place, text), "its ticket was used before")
    assert product.post(place.path(), BODY).status == 200


def test_a_ticket_that_is_too_old_is_refused(product, place, monkeypatch):
    now = time.time()
    with monkeypatch.context() as clock:
        clock.setattr(time, "time", lambda: now - VALID_SECONDS - 5)
        text = issue(ticket_for(place), BODY)
    assert_refused(product, place, send(product, place, text), "its ticket is older than 60 s")
    assert place.token() == ""


BAD = {
    "forged": (
        lambda place: "somebody:1tXxXx:aaaa",
        "its ticket was not signed with the secret key of this kargoweb",
    ),
    "for another body": (
        lambda place: issue(ticket_for(place), BODY + b" "),
        "its ticket is for another body",
    ),
    "for another receiver": (
        lambda place: issue(ticket_for(place, receiver="other"), BODY),
        "its ticket is for another receiver",
    ),
    "for another project": (
        lambda place: issue(ticket_for(place, project=""), BODY),
        "its ticket is for another receiver",
    ),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_a_bad_ticket_is_refused_and_on_record(product, place, make, reason):
    assert_refused(product, place, send(product, place, make(place)), reason)
    assert place.token() == ""


def test_a_ticket_opens_no_url_that_is_unknown(product, place):
    ticket = ticket_for(place)
    answer = send(product, place, issue(ticket, BODY), path=f"/dockerhub/{'0' * 64}")
    assert (answer.status, answer.data) == (404, b"{}\n")
    assert not Delivery.objects.filter(pk=ticket.delivery).exists()


def test_a_test_at_a_retired_url_is_told_as_that(product, place):
    place.forget("hook")
    until("it is retired", lambda: product.post(place.path(), BODY).status == 404)
    ticket = ticket_for(place)
    assert send(product, place, issue(ticket, BODY)).status == 404
    delivery = ended(str(ticket.delivery))
    assert (delivery.outcome, delivery.origin) == (Outcome.RETIRED_URL, Origin.TEST)


@pytest.mark.parametrize("good", [True, False])
def test_a_ticket_is_neither_stored_nor_logged(product, place, good):
    ticket = ticket_for(place)
    text = issue(ticket, BODY) if good else issue(ticket, b"")
    delivery = ended(send(product, place, text).headers["X-Kargoweb-Delivery"])
    assert "x-kargoweb-test" not in {name.lower() for name, _ in delivery.headers}
    assert text not in str(delivery.headers)
    assert text.split(":")[0] not in product.log()


def test_what_calls_itself_a_test_in_other_words_is_a_push(product, place):
    answer = product.post(place.path(), BODY, {"X-Kargoweb-Origin": "test", "X-Kargoweb-Test": ""})
    assert ended(answer.headers["X-Kargoweb-Delivery"]).origin == Origin.PUSH
