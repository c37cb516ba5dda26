"""Error pages, and pages while the cluster or the database is unavailable."""

from __future__ import annotations

import re

import pytest
from django.template.loader import render_to_string

from receivers.accounts.access import admin_names
from receivers.ops import runtime
from tests.clusters import DemoCluster, until
from tests.delivery_rows import routed_project
from tests.users import create_user
from tests.web.conftest import other_installation
from tests.web.deliveries import send_push
from tests.web.locks import locked_table
from tests.worlds import World, image, push_body

ERROR_PAGES = ["400", "403", "403_csrf", "404", "500", "503"]


@pytest.mark.parametrize("name", ERROR_PAGES)
def test_an_error_page_renders_without_context(name):
    assert re.search(r"<h1>\s*\w[^<]+</h1>\s+<p>\s*\w[^<]+</p>", render_to_string(f"{name}.html"))


@pytest.mark.parametrize("name", ERROR_PAGES)
def test_an_error_page_links_to_the_start_page(name):
    assert 'href="/"' in render_to_string(f"{name}.html").partition("<main")[2]


@pytest.mark.parametrize("name", ERROR_PAGES)
def test_an_error_page_looks_like_the_others(name, browser):
    links = re.findall(r'<link rel="stylesheet" href="[^"]*">', browser.open("/sign-in"))
    assert len(links) > 1
    assert re.findall(r'<link rel="stylesheet" href="[^"]*">', render_to_string(f"{name}.html")) == links


def test_errors_of_the_server_keep_the_theme(admin_client, monkeypatch):
    monkeypatch.setattr(runtime, "_current", None)
    admin_client.raise_request_exception = False
    admin_client.cookies["theme"] = "dark"
    assert 'data-theme="dark"' in admin_client.get("/").content.decode()


def test_an_unknown_host_name_is_400(product):
    response = product.http.request("GET", f"{product.url}/sign-in", headers={"Host": "evil.example.com"})
    page = response.data.decode()
    assert (response.status, "doesn't serve pages under this host name" in page) == (400, True)
    assert 'rel="stylesheet"' in page
    assert "evil.example.com" not in page


def test_an_unknown_url_shows_the_404_page(browser):
    page = browser.open("/nothing-here")
    assert (browser.status, "This page doesn't exist" in page) == (404, True)
    assert "nothing-here" not in page


NO_ROLE = "You have no role in this project, or it does not exist"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/projects/{hidden}", NO_ROLE),
        ("/projects/nowhere", NO_ROLE),
        ("/projects/{hidden}/receivers/hook/test", NO_ROLE),
        ("/projects/nowhere/receivers/hook/test", NO_ROLE),
        ("/deliveries/{delivery}", "You have no role in the project of this page"),
        ("/deliveries/00000000-0000-0000-0000-000000000000", "You have no role in the project of this page"),
        ("/cluster", "This page needs a role in all projects"),
        ("/status", "This page needs a role in all projects"),
        ("/projects/own-project", "This page doesn't exist"),
        ("/nothing-here", "This page doesn't exist"),
    ],
)
def test_a_user_of_some_projects_gets_the_hint_that_a_role_may_be_missing(
    signed_in, product, world, path, text
):
    hidden = routed_project(product, world)
    delivery = send_push(product, hidden, push_body("example/hidden"))
    browser = signed_in("viewer:own-project")
    page = browser.open(path.format(hidden=hidden.name, delivery=delivery.pk))
    assert (browser.status, text in page) == (404, True)
    assert hidden.name not in page.partition("<main")[2]


def test_the_page_for_a_missing_role_names_admins_and_projects_with_a_role(signed_in):
    create_user("admin")
    page = signed_in("viewer:own-project").open("/projects/nowhere")
    assert f"<strong>{admin_names()[0]}</strong>" in page  # of several, if other tests have created some
    assert 'href="/projects/own-project"' in page


def test_a_user_of_all_projects_gets_no_hint_that_a_role_is_missing(signed_in):
    browser = signed_in("viewer")
    page = browser.open("/projects/nowhere")
    assert (browser.status, "This page doesn't exist" in page) == (404, True)


def test_a_user_without_a_role_sees_how_to_get_one(browser):
    name = create_user("unrelated group").username
    page = browser.sign_in(name)
    assert (browser.status, "No role yet" in page) == (403, True)
    assert f"manage.py grant {name} viewer" in page


def test_the_policy_forbids_inline_code_and_other_origins(browser):
    page = browser.open("/sign-in")
    policy = browser.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page)


def test_webhook_responses_have_no_content_security_policy(product):
    response = product.post("/dockerhub/" + "0" * 64)
    assert "Content-Security-Policy" not in response.headers


def test_the_history_is_available_while_the_cluster_is_unreachable(signed_in, product, world, demo_cluster):
    project = routed_project(product, world)
    send_push(product, project, push_body("example/history"))
    browser = signed_in("viewer")
    try:
        demo_cluster.faults({"verb": "watch", "status": 500}, dropWatches=True)
        page = browser.open_until(f"/projects/{project.name}", "API is unreachable")
    finally:
        demo_cluster.faults()
    assert re.search(r"\(since <time ", page)
    assert "example/history" in page.partition('id="recent"')[2]


@pytest.mark.e2e
def test_every_page_is_available_while_the_api_server_is_down(database, tmp_path):
    with (
        DemoCluster(tmp_path / "cluster") as cluster,
        World(cluster.kubeconfig) as world,
        other_installation(cluster.kubeconfig) as (product, browser),
    ):
        project = world.project()
        until("the receiver is known", lambda: product.post(project.path(), b"[]").status == 400)
        product.post(project.path(), push_body("example/history"))
        browser.open_until(f"/projects/{project.name}", "example/history")
        cluster.stop()
        browser.open_until("/", "API is unreachable")
        for path in ("/", f"/projects/{project.name}", "/cluster", "/attention", "/status", "/audit"):
            page = browser.open(path)
            assert (browser.status, bool(re.search(r"\(since <time ", page))) == (200, True), path
        assert "example/history" in browser.open(f"/projects/{project.name}")
        cluster.start()
        until("the cluster is reachable", lambda: "API is unreachable" not in browser.open("/"))


def test_a_locked_database_is_reported_and_nothing_is_muted(admin_client, world):
    project = world.bare_project()
    project.warehouse("app", image("nginx", constraint="nonsense >"))
    current = runtime.current()
    until("the Warehouse is known", lambda: current.cache.warehouses(project.name))
    [finding] = [
        finding
        for finding in current.health.run_checks()
        if finding.project == project.name and finding.severity == "urgent"
    ]
    current.health._report.refresh(0.0)
    admin_client.raise_request_exception = False
    with locked_table("receivers_mute"):
        response = admin_client.post(f"/attention/{finding.key}", {"note": "later"})
    assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
    assert "Database unavailable" in response.content.decode()
    assert admin_client.get(f"/attention/{finding.key}").status_code == 200
    assert "Mute until it changes" in admin_client.get(f"/attention/{finding.key}").content.decode()


def test_an_internal_error_is_500(admin_client, monkeypatch):
    monkeypatch.setattr(runtime, "_current", None)
    admin_client.raise_request_exception = False
    response = admin_client.get("/")
    assert (response.status_code, "This is an error in kargoweb" in response.content.decode()) == (500, True)
