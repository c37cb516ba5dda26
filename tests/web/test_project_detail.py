"""The page of one project, and of the cluster receivers."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.kargo.resources import PROJECT_CONFIGS, PROJECTS, PublishedUrl
from receivers.models import Audit, Delivery, Origin, Outcome
from receivers.web.receiver_rows import masked
from tests.clusters import until
from tests.deliveries.rows import delivery, store
from tests.delivery_rows import routed_project, wait_for_result
from tests.product import DIGEST
from tests.worlds import image, push_body


def test_a_receiver_url_is_masked_and_revealed_to_an_operator_who_is_on_record(signed_in, product, world):
    place = routed_project(product, world)
    browser = signed_in("operator")
    page = browser.open(f"/projects/{place.name}")
    assert not DIGEST.search(page)
    assert f"…{place.path()[-6:]}" in page
    page = browser.submit(f"/projects/{place.name}/receivers/hook", on=f"/projects/{place.name}")
    assert f"http://hooks{place.path()}" in page
    assert "no-store" in browser.headers["Cache-Control"]
    [entry] = Audit.objects.filter(project=place.name)
    assert (entry.action, entry.receiver) == ("reveal_url", "hook")


def test_one_receiver_is_revealed_and_no_other(signed_in, product, world):
    place = routed_project(product, world)
    place.publish_as({"hook": "s3cret", "other": "t"})
    browser = signed_in("operator")
    until("both are there", lambda: "receiver-other" in browser.open(f"/projects/{place.name}"))
    page = browser.submit(f"/projects/{place.name}/receivers/hook", on=f"/projects/{place.name}")
    assert set(DIGEST.findall(page)) == {place.path().rpartition("/")[2]}


@pytest.mark.parametrize(
    ("group", "status"),
    [("viewer", 403), ("viewer:{project}", 403), ("operator:elsewhere", 404), ("operator:{project}", 200)],
)
def test_who_may_not_reveal_a_url_does_not(signed_in, product, world, group, status):
    place = routed_project(product, world)
    browser = signed_in(group.format(project=place.name))
    page = browser.submit(f"/projects/{place.name}/receivers/hook", on="/")
    assert browser.status == status
    assert bool(DIGEST.search(page)) == (status == 200)


def test_a_viewer_is_not_offered_to_reveal(signed_in, product, world):
    place = routed_project(product, world)
    page = signed_in("viewer").open(f"/projects/{place.name}")
    assert "Reveal" not in page
    assert "only operators can reveal it" in page


def test_a_receiver_waits_for_its_first_push_until_it_comes(signed_in, product, world):
    place = routed_project(product, world)
    place.publish_as({"hook": "s3cret", "fresh": "t"})
    browser = signed_in("viewer")
    state = f"/projects/{place.name}/receivers/fresh"
    until("it waits", lambda: "waiting for the first push" in browser.part(state, ""))
    assert 'hx-trigger="every' in browser.part(state, "")
    product.post(place.path("fresh", secret="t"), push_body("example/none"))
    text = until("it came", lambda: "last push" in (text := browser.part(state, "")) and text)
    assert "hx-trigger" not in text


def test_the_steps_have_the_names_that_docker_hub_uses(signed_in, product, world):
    place = routed_project(product, world)
    page = signed_in("viewer").open(f"/projects/{place.name}")
    for name in ("Webhooks", "Webhook name", "Webhook URL", "+", "View history"):
        assert f"<strong>{name}</strong>" in page


def test_an_operator_is_told_the_line_of_kargos_documentation(signed_in, product, world):
    place = routed_project(product, world)
    page = signed_in("operator").open(f"/projects/{place.name}")
    line = (
        f"kubectl get projectconfigs {place.name} -n {place.name} -o=jsonpath='{{.status.webhookReceivers}}'"
    )
    assert f"<code>{line}</code>" in unescape(page)


def test_a_warehouse_is_shown_with_what_covers_it_and_its_last_push(signed_in, product, world):
    place = routed_project(product, world, image("example/covered"), image("ghcr.io/example/other"))
    wait_for_result(
        product.post(place.path(), push_body("example/covered", "1.2.3")).headers["X-Kargoweb-Delivery"]
    )
    page = signed_in("viewer").open(f"/projects/{place.name}")
    row = page.partition('id="warehouse-warehouse-0"')[2].partition("</tr>")[0]
    assert "not on Docker Hub" in row
    assert re.search(r"<span>hook</span>", row)
    assert 'title="example/covered:1.2.3"' in row


def test_a_warehouse_that_no_receiver_covers_says_so(signed_in, world):
    place = world.bare_project()
    place.warehouse("alone", image("example/alone"))
    browser = signed_in("viewer")
    page = until("it is there", lambda: "alone" in (page := browser.open(f"/projects/{place.name}")) and page)
    row = page.partition('id="warehouse-alone"')[2].partition("</tr>")[0]
    assert "no receiver" in row or "(cluster)" in row


def test_what_a_sender_writes_stays_text(signed_in, product, world):
    place = routed_project(product, world)
    hostile = 'x/"><script>alert(1)</script>'
    product.post(place.path(), push_body(hostile, "'><b>"))
    browser = signed_in("viewer")
    page = until(
        "it is listed", lambda: "alert(1)" in (page := browser.open(f"/projects/{place.name}")) and page
    )
    assert "<script>alert" not in page
    assert "'><b>" not in page


def test_a_project_that_is_not_there_is_404_and_so_is_one_that_may_not_be_seen(signed_in, world):
    place = world.bare_project()
    browser = signed_in("viewer:elsewhere")
    for path in ("/projects/nowhere", f"/projects/{place.name}", "/cluster"):
        page = browser.open(path)
        assert (browser.status, "This page doesn't exist" in page) == (404, True)


def test_the_history_of_a_project_that_is_gone_can_be_read(signed_in, product, world):
    place = routed_project(product, world)
    wait_for_result(product.post(place.path(), push_body("example/past")).headers["X-Kargoweb-Delivery"])
    browser = signed_in("viewer")
    until("it is in the books", lambda: "example/past" in browser.open(f"/projects/{place.name}"))
    world.cluster.delete(PROJECT_CONFIGS, place.name, place.name)
    world.cluster.delete(PROJECTS, place.name)
    page = until(
        "it is gone",
        lambda: "no longer in the cluster" in (page := browser.open(f"/projects/{place.name}")) and page,
    )
    assert 'title="example/past:1.0.0"' in page


def test_more_warehouses_and_deliveries_take_no_more_queries(inside, product, world):
    def queries(name: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert inside.get(f"/projects/{name}").status_code == 200
        return len(captured)

    small = routed_project(product, world, image("example/small"))
    wait_for_result(product.post(small.path(), push_body("example/small")).headers["X-Kargoweb-Delivery"])
    large = routed_project(product, world, image("example/large"), warehouses=6)
    for number in range(12):
        answer = product.post(large.path(), push_body("example/large", f"1.0.{number}"))
        wait_for_result(answer.headers["X-Kargoweb-Delivery"])
    until("both are seen", lambda: inside.get(f"/projects/{large.name}").status_code == 200)
    assert queries(large.name) == queries(small.name)
    assert queries(large.name) <= 11


def test_a_push_that_is_announced_again_and_again_is_one_recent_delivery(signed_in, product, world):
    place = routed_project(product, world, image("example/again"))
    body = push_body("example/again", "1.2.3")
    last = [
        wait_for_result(product.post(place.path(), body).headers["X-Kargoweb-Delivery"]) for _ in range(3)
    ][-1]
    page = signed_in("viewer").open(f"/projects/{place.name}")
    assert f'href="/deliveries/{last.pk}"' in page
    recent = page.partition('id="recent"')[2]
    assert recent.count(f'href="/deliveries/{last.pk}"') == 1
    assert "sent this push 3 times" in recent


def test_a_test_is_no_first_push(signed_in, product, world):
    place = routed_project(product, world, image("example/waits"))
    # What finds out that it is known is sent as Docker Hub does.
    Delivery.objects.filter(project=place.name).delete()
    store(delivery(place.name, origin=Origin.TEST, outcome=Outcome.DRY_RUN))
    page = signed_in("viewer").open(f"/projects/{place.name}")
    assert "waiting for the first push" in page
    store(delivery(place.name, outcome=Outcome.FREIGHT_CREATED))
    page = signed_in("viewer").open(f"/projects/{place.name}")
    assert "waiting for the first push" not in page


@pytest.mark.parametrize(
    ("path", "url", "shown"),
    [
        ("/dockerhub/" + 64 * "a", "https://h/dockerhub/" + 64 * "a", "https://h/dockerhub/…aaaaaa"),
        ("/dockerhub/" + 64 * "a", "https://h/dockerhub/" + 64 * "a" + "/", "https://h/dockerhub/…aaaaaa"),
        ("/dockerhub/" + 64 * "a", "", "/dockerhub/…aaaaaa"),
        ("/dockerhub/" + 64 * "a", "https://h/dockerhub/" + 64 * "b", "…"),
        ("/elsewhere", "https://h/elsewhere", "…"),
    ],
    ids=["url", "slash", "path", "two digests", "no digest"],
)
def test_no_mask_lets_a_digest_through(path, url, shown):
    assert masked(PublishedUrl("hook", path, url)) == shown
