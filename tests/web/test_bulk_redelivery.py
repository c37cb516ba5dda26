"""Sending again all that a filter asks for."""

from __future__ import annotations

import re

import pytest

from receivers.models import Audit, Delivery, Origin, Outcome
from tests.clusters import until
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import deliveries_of, routed_project
from tests.web.test_delivery_detail import pushed, text_of
from tests.worlds import image, push_body


def failed(project, seconds=0.0, **fields):
    return delivery(project, seconds, **({"outcome": Outcome.FAILED, "body": b"{}"} | fields))


def hidden(page: str) -> dict[str, str]:
    """The fields that the form of the page sends along."""
    form = page.partition('action="/deliveries/redeliver"')[2].partition("</form>")[0]
    found = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    found.pop("csrfmiddlewaretoken", None)
    return found


@pytest.fixture
def project(database) -> str:
    return unique_name()


def again(project):
    return Delivery.objects.filter(project=project, origin=Origin.REDELIVERY)


def test_it_says_what_would_be_sent_before_anything_is(signed_in, project):
    store(
        failed(project),
        failed(project, 1),
        failed(project, 2, body=b""),
        failed(project, 3, outcome=Outcome.FREIGHT_CREATED),
    )
    text = text_of(signed_in("operator").open(f"/deliveries/redeliver?project={project}"))
    assert "3 deliveries will be redelivered, oldest first" in text
    assert "to the current Warehouses" in text
    assert "1 of them succeeded. Only those that need action" in text
    assert "1: its body is empty or incomplete" in text
    assert "At this rate, redelivery takes 600 ms" in text
    assert not again(project).exists()


def test_a_selection_is_sent_paced_and_its_progress_shown(signed_in, product, world):
    place = routed_project(product, world, image("example/many"))
    for tag in ("1.0.0", "1.0.1"):
        pushed(product, place, push_body("example/many", tag))
    deliveries_of(place).filter(tag__startswith="1.0.").update(outcome=Outcome.NOT_HANDLED)
    browser = signed_in(f"operator:{place.name}")
    confirm = f"/deliveries/redeliver?project={place.name}&outcome=bad&tag=1.0.1"
    form = hidden(browser.open(confirm))
    assert form["until"]
    page = browser.submit("/deliveries/redeliver", {**form, "rate": "20"}, on=confirm)
    assert "/deliveries/redelivered?at=" in browser.url
    assert re.search(r"[01] of 1 finished", text_of(page))
    [new] = again(place.name)
    until("it was taken up", lambda: again(place.name).exclude(outcome=Outcome.PENDING).exists())
    path = browser.url.partition("/deliveries/")[2]
    assert "refreshed" in browser.open(f"/deliveries/{path}")
    [entry] = Audit.objects.filter(project=place.name, action="redeliver")
    assert entry.user == new.actor
    assert entry.detail.startswith("1 at 20 a second: ")
    for part in (f"project={place.name}", "outcome=bad", "tag=1.0.1"):
        assert part in entry.detail


def test_what_comes_after_one_has_read_the_number_is_not_sent(signed_in, project):
    store(failed(project))
    browser = signed_in("operator")
    confirm = f"/deliveries/redeliver?project={project}"
    form = hidden(browser.open(confirm))
    store(failed(project, 3 * 24 * 3600))
    browser.submit("/deliveries/redeliver", {**form, "rate": "5"}, on=confirm)
    assert again(project).count() == 1


@pytest.mark.parametrize("rate", ["0", "1000", "fast", "nan", ""])
def test_a_rate_out_of_bounds_gets_a_sentence_and_sends_nothing(signed_in, project, rate):
    store(failed(project))
    browser = signed_in("operator")
    confirm = f"/deliveries/redeliver?project={project}"
    page = browser.submit("/deliveries/redeliver", {"project": project, "rate": rate}, on=confirm)
    assert "The rate must be a number from 0.1 to 100." in text_of(page)
    assert re.search(rf'name="rate"\s+inputmode="decimal"\s+value="{re.escape(rate)}"', page)
    assert not again(project).exists()


def test_where_there_is_nothing_it_says_so(signed_in, project):
    page = signed_in("operator").open(f"/deliveries/redeliver?project={project}")
    assert "There is nothing to redeliver" in page


def test_nonsense_leads_back_to_the_list_which_says_what_is_wrong(signed_in, database):
    browser = signed_in("operator")
    page = browser.open("/deliveries/redeliver?since=yesterday")
    assert "/deliveries?since=yesterday" in browser.url
    assert "Since must be a time such as" in page


def test_who_is_operator_of_one_project_sends_nothing_of_others(signed_in, project):
    other = unique_name()
    store(failed(project), failed(other))
    browser = signed_in(f"operator:{project}", f"viewer:{other}")
    confirm = "/deliveries/redeliver?outcome=bad"
    assert "1 delivery will be redelivered" in text_of(browser.open(confirm))
    browser.submit("/deliveries/redeliver", {"outcome": "bad", "rate": "5"}, on=confirm)
    assert (again(project).count(), again(other).count()) == (1, 0)
    browser.open(f"/deliveries/redeliver?project={other}")
    assert browser.status == 403
    browser.open("/deliveries/redeliver?project=cluster")
    assert browser.status == 404


def test_who_may_not_redeliver_anywhere_may_not_ask(signed_in, project):
    browser = signed_in("viewer")
    browser.open("/deliveries/redeliver")
    assert browser.status == 403
    browser.submit("/deliveries/redeliver", {"rate": "5"})
    assert browser.status == 403


@pytest.mark.parametrize("at", ["", "x", "2020-01-01T00:00:00+00:00"])
def test_progress_that_was_made_up_is_not_there(signed_in, at):
    browser = signed_in("operator")
    browser.open(f"/deliveries/redelivered?at={at.replace('+', '%2B')}")
    assert browser.status == 404
