"""The page from which tests are fired."""

from __future__ import annotations

import re
from html import unescape

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from receivers.models import Audit, Delivery, Origin, Outcome
from tests.cluster.servers import serving
from tests.clusters import until
from tests.delivery_rows import routed_project, wait_for_result
from tests.ports import free_port
from tests.product import DIGEST
from tests.worlds import image, push_body

PUSH = {"repository": "example/fire", "tag": "1.2.3", "media_type": ""}


@pytest.fixture
def place(product, world):
    """A project with a receiver whose URL leads to the product."""
    place = routed_project(product, world, image("docker.io/example/fire", constraint="^1.0.0"))
    return published_at(product, place, product.url)


def published_at(product, place, base):
    """Publish the project's URLs with another start, and wait until the product knows."""
    place.base = base
    place.publish(place.receiver)
    return place


def page_of(place, receiver="hook"):
    return f"/projects/{place.name}/receivers/{receiver}/test"


def fire(browser, place, **fields):
    """Fire a test and return the page that comes then, once the product calls the URL that was published last."""
    where = place.base.partition("://")[2]
    until("the URL is known", lambda: where in browser.open(page_of(place)))
    return unescape(browser.submit(page_of(place), {**PUSH, "do": "fire", **fields}, on=page_of(place)))


def fired_at(place):
    return Delivery.objects.filter(project=place.name, origin=Origin.TEST)


@pytest.mark.parametrize("way", ["outside", "inside"])
def test_a_test_takes_the_whole_way_and_is_on_record(signed_in, place, way):
    browser = signed_in("operator")
    page = fire(browser, place, way=way)
    delivery = wait_for_result(str(fired_at(place).get().pk))
    assert browser.status == 200
    assert str(delivery.pk) in browser.url
    assert "example/fire" in page
    user = delivery.actor
    assert user.startswith("person-")
    assert (delivery.pusher, delivery.repository, delivery.tag, delivery.status) == (
        user,
        "example/fire",
        "1.2.3",
        200,
    )
    assert place.token() == delivery.refreshes.get().token
    [entry] = Audit.objects.filter(project=place.name)
    assert (entry.user, entry.action, entry.receiver, entry.delivery) == (
        user,
        "test_fire",
        "hook",
        delivery.pk,
    )
    assert "example/fire:1.2.3" in entry.detail
    assert "x-kargoweb-test" not in {name.lower() for name, _ in delivery.headers}


@pytest.mark.parametrize("way", ["outside", "inside"])
def test_a_dry_run_refreshes_nothing(signed_in, place, way):
    fire(signed_in("operator"), place, way=way, dry_run="on")
    delivery = fired_at(place).get()
    assert (delivery.outcome, delivery.status) == (Outcome.DRY_RUN, 200)
    assert place.token() == ""


@pytest.mark.parametrize(
    ("group", "status"),
    [("viewer", 403), ("viewer:{project}", 403), ("operator:elsewhere", 404), ("operator:{project}", 200)],
)
def test_who_may_not_fire_does_not(signed_in, place, group, status):
    browser = signed_in(group.format(project=place.name))
    browser.open(page_of(place))
    assert browser.status == status
    browser.submit(page_of(place), {**PUSH, "do": "fire", "way": "inside"}, on="/")
    assert browser.status == status
    assert fired_at(place).exists() == (status == 200)


def test_a_viewer_is_not_offered_to_fire_and_sees_what_came_of_a_test(signed_in, place):
    operator, viewer = signed_in("operator"), signed_in("viewer")
    fire(operator, place, way="inside")
    assert page_of(place) in operator.open(f"/projects/{place.name}")
    assert page_of(place) not in viewer.open(f"/projects/{place.name}")
    page = viewer.open(operator.url.removeprefix(operator.url.partition("/projects")[0]))
    assert viewer.status == 200
    assert "Send test push" not in page


def test_the_page_has_no_receiver_url(signed_in, place):
    page = signed_in("operator").open(page_of(place))
    assert not DIGEST.search(page)
    assert f"…{place.path()[-6:]}" in page


def test_the_fields_hold_what_would_refresh_something(signed_in, place):
    page = signed_in("operator").open(page_of(place))
    assert re.search(r'name="repository"\s+value="example/fire"', page)
    assert re.search(r'name="tag"\s+value="(1\.0\.0|not a version)"', page)
    assert '<option value="example/fire">' in page


def preview(browser, place, **fields):
    return unescape(browser.submit(page_of(place), {**PUSH, "do": "preview", **fields}, on=page_of(place)))


def test_the_preview_says_why_and_fires_nothing(signed_in, place):
    browser = signed_in("operator")
    place.warehouse("other", image("example/other"))
    until("it is known", lambda: "example/other" in browser.open(page_of(place)))
    page = preview(browser, place, tag="2.0.0")
    assert "does not satisfy ^1.0.0" in page
    assert "refreshes nothing" in page
    assert "Other repository" in page
    page = preview(browser, place, tag="1.5.0")
    assert "refreshes 1 Warehouse." in page
    assert page.index("satisfies ^1.0.0") < page.index("Other repository")
    assert not fired_at(place).exists()
    assert not Audit.objects.filter(project=place.name).exists()


def test_a_warehouse_of_a_project_that_one_may_not_see_is_not_told_of(signed_in, product, world, place):
    elsewhere = routed_project(product, world, image("example/elsewhere"))
    told = f'Warehouse "warehouse-0" in project "{elsewhere.name}"'
    push = {"repository": "example/elsewhere", "tag": "1.0.0"}
    assert told in preview(signed_in("operator"), place, **push)
    assert elsewhere.name not in preview(signed_in(f"operator:{place.name}"), place, **push)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"repository": ""}, "Enter a repository"),
        ({"repository": " "}, "Enter a repository"),
        ({"tag": "x" * 256}, "at most 255"),
        ({"repository": "a\x1bb"}, "all of them printable"),
    ],
)
def test_what_makes_no_sense_is_not_fired(signed_in, place, fields, problem):
    browser = signed_in("operator")
    assert problem in fire(browser, place, way="inside", **fields)
    assert not fired_at(place).exists()


@pytest.mark.parametrize(
    ("base", "told"),
    [
        pytest.param("http://nobody.invalid", "nobody.invalid doesn't resolve (DNS)", id="DNS"),
        pytest.param(f"http://127.0.0.1:{free_port()}", "connection refused at 127.0.0.1", id="connect"),
    ],
)
def test_a_url_that_cannot_be_reached_is_told_of_by_the_step(signed_in, product, place, base, told):
    published_at(product, place, base)
    browser = signed_in("operator")
    page = fire(browser, place, way="outside")
    assert told in page
    assert not DIGEST.search(page)
    assert not fired_at(place).exists()
    [entry] = Audit.objects.filter(project=place.name)
    assert "did not arrive" in entry.detail


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 7\r\n\r\n404 nix",
            "Another server (“nginx”) responded",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://else.example/\r\nContent-Length: 0\r\n\r\n",
            "The URL redirects",
        ),
        (
            b'HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n{"msg":"refreshed 1 warehouse(s)"}',
            "Kargo’s own server responded",
        ),
    ],
    ids=["the Ingress", "a redirect", "Kargo"],
)
def test_something_else_that_answers_is_named(signed_in, product, place, answer, told):
    with serving(lambda server: server.answer(answer)) as server:
        published_at(product, place, f"http://127.0.0.1:{server.port}")
        page = fire(signed_in("operator"), place, way="outside")
    assert told.replace("“", '"').replace("”", '"') in page
    assert not fired_at(place).exists()


def test_a_kargoweb_with_another_key_says_that_it_does_not_know_us(signed_in, product, demo_cluster, place):
    with type(product)(demo_cluster.kubeconfig, KARGOWEB_SECRET_KEY="another-" * 8) as other:
        published_at(product, place, other.url)
        until("it knows the receiver", lambda: other.post(place.path(), b"[]").status == 400)
        page = fire(signed_in("operator"), place, way="outside")
    assert "with a different secret key" in page
    assert not fired_at(place).exists()
    refused = Delivery.objects.get(project=place.name, outcome=Outcome.TEST_REFUSED)
    assert str(refused.pk) in page


def test_a_test_that_another_replica_takes_is_ours(signed_in, product, demo_cluster, place):
    with type(product)(demo_cluster.kubeconfig) as replica:
        published_at(product, place, replica.url)
        until("it knows the receiver", lambda: replica.post(place.path(), b"[]").status == 400)
        page = fire(signed_in("operator"), place, way="outside", dry_run="on")
    assert "dry run" in page
    assert fired_at(place).get().outcome == Outcome.DRY_RUN


def test_a_receiver_without_a_url_says_so(signed_in, product, world):
    place = routed_project(product, world)
    place.publish("hook", kind="github")
    browser = signed_in("operator")
    until("it is known", lambda: "does not support github" in browser.open(page_of(place)))
    browser.open(page_of(place, "nobody"))
    assert browser.status == 404


def test_it_leads_to_the_delivery_which_says_what_a_dry_run_would_have_done(signed_in, product, place):
    browser = signed_in("operator")
    page = fire(browser, place, way="inside", dry_run="on", tag="1.2.4")
    assert browser.url.removeprefix(product.url).startswith("/deliveries/")
    assert "1 Warehouse would have been refreshed" in page


def test_the_number_of_queries_does_not_grow_with_the_log(inside, product, world):
    place = routed_project(product, world, image("example/counted"))
    counts = []
    for _ in range(2):
        until("it is known here", lambda: inside.get(page_of(place)).status_code == 200)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert inside.get(page_of(place)).status_code == 200
        counts.append(len(queries))
        for number in range(15):
            product.post(place.path(), push_body("example/counted", f"1.0.{number}"))
    assert counts[0] == counts[1] <= 9
