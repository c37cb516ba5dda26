"""Redelivery of all deliveries that a filter selects."""

from __future__ import annotations

import re

import pytest

from receivers.models import Audit, Delivery, Origin, Outcome
from tests.clusters import until
from tests.deliveries.rows import store, unique_name
from tests.delivery_rows import deliveries_of, routed_project
from tests.web.deliveries import failed_delivery, send_push
from tests.web.html import visible_text
from tests.worlds import image, push_body


def hidden_fields(page: str) -> dict[str, str]:
    """Return the hidden fields of the form, without the CSRF token."""
    form = page.partition('action="/deliveries/redeliver"')[2].partition("</form>")[0]
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))
    fields.pop("csrfmiddlewaretoken", None)
    return fields


def redeliveries(project_name):
    """Return the redeliveries of a project's deliveries."""
    return Delivery.objects.filter(project=project_name, origin=Origin.REDELIVERY)


def test_the_confirmation_describes_the_redelivery_and_sends_nothing(signed_in, project_name):
    store(
        failed_delivery(project_name),
        failed_delivery(project_name, 1),
        failed_delivery(project_name, 2, body=b""),
        failed_delivery(project_name, 3, outcome=Outcome.FREIGHT_CREATED),
    )
    text = visible_text(signed_in("operator").open(f"/deliveries/redeliver?project={project_name}"))
    assert "3 deliveries will be redelivered, oldest first" in text
    assert "to the current Warehouses" in text
    assert "1 of them succeeded. Only those that need action" in text
    assert "1: its body is empty or incomplete" in text
    assert "At this rate, redelivery takes 600 ms" in text
    assert not redeliveries(project_name).exists()


def test_a_selection_is_redelivered_at_a_rate_and_shows_its_progress(signed_in, product, world):
    project = routed_project(product, world, image("example/many"))
    for tag in ("1.0.0", "1.0.1"):
        send_push(product, project, push_body("example/many", tag))
    deliveries_of(project).filter(tag__startswith="1.0.").update(outcome=Outcome.NOT_HANDLED)
    browser = signed_in(f"operator:{project.name}")
    confirm = f"/deliveries/redeliver?project={project.name}&outcome=bad&tag=1.0.1"
    form = hidden_fields(browser.open(confirm))
    assert form["until"]
    page = browser.submit("/deliveries/redeliver", {**form, "rate": "20"}, on=confirm)
    assert "/deliveries/redelivered?at=" in browser.url
    assert re.search(r"[01] of 1 finished", visible_text(page))
    [new] = redeliveries(project.name)
    until(
        "the redelivery is processed",
        lambda: redeliveries(project.name).exclude(outcome=Outcome.PENDING).exists(),
    )
    path = browser.url.partition("/deliveries/")[2]
    assert "refreshed" in browser.open(f"/deliveries/{path}")
    [entry] = Audit.objects.filter(project=project.name, action="redeliver")
    assert entry.user == new.actor
    assert entry.detail.startswith("1 at 20 a second: ")
    for part in (f"project={project.name}", "outcome=bad", "tag=1.0.1"):
        assert part in entry.detail


def test_deliveries_received_after_the_confirmation_are_not_redelivered(signed_in, project_name):
    store(failed_delivery(project_name))
    browser = signed_in("operator")
    confirm = f"/deliveries/redeliver?project={project_name}"
    form = hidden_fields(browser.open(confirm))
    store(failed_delivery(project_name, 3 * 24 * 3600))
    browser.submit("/deliveries/redeliver", {**form, "rate": "5"}, on=confirm)
    assert redeliveries(project_name).count() == 1


@pytest.mark.parametrize("rate", ["0", "1000", "fast", "nan", ""])
def test_an_invalid_rate_is_rejected_with_an_error(signed_in, project_name, rate):
    store(failed_delivery(project_name))
    browser = signed_in("operator")
    confirm = f"/deliveries/redeliver?project={project_name}"
    page = browser.submit("/deliveries/redeliver", {"project": project_name, "rate": rate}, on=confirm)
    value = f' value="{re.escape(rate)}"' if rate else ""
    assert "Deliveries per second must be a number from 0.1 to 100." in visible_text(page)
    assert re.search(rf'name="rate"{value} inputmode="decimal"', page)
    assert not redeliveries(project_name).exists()


def test_an_empty_selection_is_reported(signed_in, project_name):
    page = signed_in("operator").open(f"/deliveries/redeliver?project={project_name}")
    assert "There is nothing to redeliver" in page


def test_an_invalid_filter_redirects_to_the_list_with_an_error(signed_in, database):
    browser = signed_in("operator")
    page = browser.open("/deliveries/redeliver?since=yesterday")
    assert "/deliveries?since=yesterday" in browser.url
    assert "Since must be a time such as" in page


def test_an_operator_of_one_project_cannot_redeliver_deliveries_of_others(signed_in, project_name):
    other = unique_name()
    store(failed_delivery(project_name), failed_delivery(other))
    browser = signed_in(f"operator:{project_name}", f"viewer:{other}")
    confirm = "/deliveries/redeliver?outcome=bad"
    assert "1 delivery will be redelivered" in visible_text(browser.open(confirm))
    browser.submit("/deliveries/redeliver", {"outcome": "bad", "rate": "5"}, on=confirm)
    assert (redeliveries(project_name).count(), redeliveries(other).count()) == (1, 0)
    browser.open(f"/deliveries/redeliver?project={other}")
    assert browser.status == 403
    browser.open("/deliveries/redeliver?project=cluster")
    assert browser.status == 404


def test_a_viewer_cannot_open_or_submit_the_confirmation(signed_in, project_name):
    browser = signed_in("viewer")
    browser.open("/deliveries/redeliver")
    assert browser.status == 403
    browser.submit("/deliveries/redeliver", {"rate": "5"})
    assert browser.status == 403


@pytest.mark.parametrize("at", ["", "x", "2020-01-01T00:00:00+00:00"])
def test_the_progress_of_an_unknown_redelivery_is_404(signed_in, at):
    browser = signed_in("operator")
    browser.open(f"/deliveries/redelivered?at={at.replace('+', '%2B')}")
    assert browser.status == 404
