"""Pages that nobody wanted to see, and the cluster being away."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.template.loader import render_to_string

from receivers.ops import runtime
from tests.clusters import DemoCluster, until
from tests.delivery_rows import routed_project, wait_for_result
from tests.web.conftest import apart
from tests.worlds import World, image, push_body


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "503"])
def test_an_error_page_needs_nothing_to_be_shown(name):
    assert re.search(r"<h1>\s*\w[^<]+</h1>\s+<p>\s*\w[^<]+</p>", render_to_string(f"{name}.html"))


def test_an_address_that_is_not_there_is_404_in_our_own_look(browser):
    page = browser.open("/nothing-here")
    assert (browser.status, "This page doesn't exist" in page) == (404, True)
    assert "nothing-here" not in page


def test_somebody_without_a_role_is_told_whom_to_ask(browser, make_user):
    name = make_user("unrelated group")
    page = browser.sign_in(name)
    assert (browser.status, "No role yet" in page) == (403, True)
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
    place = routed_project(product, world)
    wait_for_result(product.post(place.path(), push_body("example/history")).headers["X-Kargoweb-Delivery"])
    browser = signed_in("viewer")
    try:
        demo_cluster.faults({"verb": "watch", "status": 500}, dropWatches=True)
        page = until(
            "it is away",
            lambda: "API is unreachable" in (page := browser.open(f"/projects/{place.name}")) and page,
        )
    finally:
        demo_cluster.faults()
    assert re.search(r"\(since <time ", page)
    assert 'title="example/history:1.0.0"' in page


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500", "503"])
def test_an_error_page_has_a_way_on(name):
    assert 'href="/"' in render_to_string(f"{name}.html").partition("<main")[2]


def test_while_the_api_server_is_gone_every_page_can_be_read_and_says_since_when(tmp_path):
    with (
        DemoCluster(tmp_path / "cluster") as cluster,
        World(cluster.kubeconfig) as world,
        apart(cluster.kubeconfig, tmp_path) as (product, browser),
    ):
        place = world.project()
        until("the receiver is known", lambda: product.post(place.path(), b"[]").status == 400)
        product.post(place.path(), push_body("example/history"))
        until("it is stored", lambda: "example/history" in browser.open(f"/projects/{place.name}"))
        cluster.stop()
        until("it is noticed", lambda: "API is unreachable" in browser.open("/"))
        for path in ("/", f"/projects/{place.name}", "/cluster", "/attention", "/status", "/audit"):
            page = browser.open(path)
            assert (browser.status, bool(re.search(r"\(since <time ", page))) == (200, True), path
        assert "example/history" in browser.open(f"/projects/{place.name}")
        cluster.start()
        until("it is back", lambda: "API is unreachable" not in browser.open("/"))


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock on what is muted by another connection; ours gives up soon."""
    impatient = {
        "sqlite": "PRAGMA busy_timeout = 100",
        "postgresql": "SET lock_timeout = '100ms'",
    }[connection.vendor]
    patient = {"sqlite": "PRAGMA busy_timeout = 20000", "postgresql": "SET lock_timeout = 0"}[
        connection.vendor
    ]
    other = connection.copy()
    try:
        with other.cursor() as cursor, connection.cursor() as ours:
            ours.execute(impatient)
            cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
            if connection.vendor == "postgresql":
                cursor.execute("LOCK TABLE receivers_mute IN ACCESS EXCLUSIVE MODE")
            yield
            cursor.execute("ROLLBACK")
            ours.execute(patient)
    finally:
        other.close()


def test_a_database_that_is_locked_is_told_and_nothing_is_muted(inside, world):
    place = world.bare_project()
    place.warehouse("app", image("nginx", constraint="nonsense >"))
    here = runtime.current()
    until("it is known", lambda: here.cache.warehouses(place.name))
    [finding] = [
        finding
        for finding in here.health.run_checks()
        if finding.project == place.name and finding.severity == "urgent"
    ]
    here.health._report.refresh(0.0)
    inside.raise_request_exception = False
    with locked():
        answer = inside.post(f"/attention/{finding.key}", {"note": "later"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Database unavailable" in answer.content.decode()
    assert inside.get(f"/attention/{finding.key}").status_code == 200
    assert "Mute until it changes" in inside.get(f"/attention/{finding.key}").content.decode()


def test_a_fault_of_ours_is_500(inside, monkeypatch):
    monkeypatch.setattr(runtime, "_current", None)
    inside.raise_request_exception = False
    answer = inside.get("/")
    assert (answer.status_code, "This is an error in kargoweb" in answer.content.decode()) == (500, True)
