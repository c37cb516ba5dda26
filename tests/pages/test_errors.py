"""Pages that nobody wanted to see, and the cluster being away."""

from __future__ import annotations

import re

import pytest
from django.template.loader import render_to_string

from tests.clusters import until
from tests.deliveries import ended, routed
from tests.worlds import push_body


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_an_error_page_needs_nothing_to_be_shown(name):
    assert re.search(r"<h1>\w[^<]+</h1>\s+<p>\w[^<]+</p>", render_to_string(f"{name}.html"))


def test_an_address_that_is_not_there_is_404_in_our_own_look(browser):
    page = browser.open("/nothing-here")
    assert (browser.status, "There is no page at this address" in page) == (404, True)
    assert "nothing-here" not in page


def test_somebody_without_a_role_is_told_whom_to_ask(browser, make_user):
    name = make_user("unrelated group")
    page = browser.sign_in(name)
    assert (browser.status, "You have no role yet" in page) == (403, True)
    assert f"manage.py grant {name} viewer" in page


def test_a_page_may_load_nothing_inline_and_nothing_from_elsewhere(browser):
    page = browser.open("/sign-in")
    policy = browser.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)


def test_a_push_pays_for_no_policy(product):
    answer = product.post("/dockerhub/" + "0" * 64)
    assert "Content-Security-Policy" not in answer.headers


def test_the_history_can_be_read_while_the_cluster_is_away(signed_in, product, world, demo_cluster):
    place = routed(product, world)
    ended(product.post(place.path(), push_body("example/history")).headers["X-Kargoweb-Delivery"])
    browser = signed_in("viewer")
    try:
        demo_cluster.faults({"verb": "watch", "status": 500}, dropWatches=True)
        page = until(
            "it is away",
            lambda: "cannot be read" in (page := browser.open(f"/projects/{place.name}")) and page,
        )
    finally:
        demo_cluster.faults()
    assert re.search(r"\(since <time ", page)
    assert 'title="example/history:1.0.0"' in page
