"""What processes with different roles serve."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters import DemoCluster, until
from tests.delivery_rows import wait_for_result
from tests.product import Product
from tests.users import create_session, create_user
from tests.web.html import visible_text
from tests.web.http_browser import HttpBrowser
from tests.worlds import World, image, push_body

pytestmark = pytest.mark.e2e
PAGES = ("/", "/sign-in", "/deliveries", "/api/v1/deliveries", "/admin/", "/static/base.css", "/nothing")


@pytest.fixture(scope="module")
def receiver(database: None, demo_cluster: DemoCluster) -> Iterator[Product]:
    """A process that the internet reaches."""
    with Product(demo_cluster.kubeconfig, KARGOWEB_ROLE="receiver") as product:
        yield product


@pytest.fixture(scope="module")
def dashboard(database: None, demo_cluster: DemoCluster) -> Iterator[Product]:
    """A process that serves pages only."""
    with Product(demo_cluster.kubeconfig, KARGOWEB_ROLE="dashboard") as product:
        yield product


@pytest.mark.parametrize("path", PAGES)
def test_a_receiver_serves_no_pages(receiver: Product, path: str):
    for method in ("GET", "POST"):
        response = receiver.http.request(method, receiver.url + path, redirect=False)
        assert (response.status, response.data) == (404, b"not found\n")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "Set-Cookie" not in response.headers


def test_both_respond_to_probes(receiver: Product, dashboard: Product):
    for product in (receiver, dashboard):
        assert product.status("/healthz") == product.status("/readyz") == 200


def test_a_push_to_a_receiver_is_shown_by_the_dashboard(receiver: Product, dashboard: Product, world: World):
    repository = "example/roles"
    project = world.project(image(repository))
    until("the receiver is known", lambda: receiver.post(project.path(), b"[]").status == 400)
    response = receiver.post(project.path(), push_body(repository, "1.2.3"))
    assert response.status == 200
    row = wait_for_result(response.headers["X-Kargoweb-Delivery"])
    browser = HttpBrowser(dashboard)
    browser.resume_session(create_session(create_user("viewer")))
    assert repository in browser.open(f"/deliveries/{row.pk}")


@pytest.mark.parametrize(
    ("page", "sentence"),
    [
        ("/projects/{}", "No pushes yet."),
        ("/pushes", "No pushes yet."),
        ("/deliveries", "No deliveries yet."),
    ],
)
def test_an_empty_list_of_a_dashboard_says_where_pushes_are_received(
    dashboard: Product, world: World, page: str, sentence: str
):
    hidden, project = world.bare_project(), world.bare_project()
    hidden.base, project.base = "https://hidden.example.com", "https://hooks.example.com:8443"
    for each in (hidden, project):
        each.publish("hook")
    browser = HttpBrowser(dashboard)
    browser.resume_session(create_session(create_user(f"viewer:{project.name}")))

    def text() -> str:
        return visible_text(browser.open(page.format(project.name)))

    nowhere = f"{sentence} This process receives no pushes ( KARGOWEB_ROLE=dashboard )."
    # Receivers of the cluster, which other tests may have left, lead to hosts of their own.
    until("the receiver is listed", lambda: "hooks.example.com:8443" in text())
    assert f"{nowhere} The receiver URLs lead to" in text()
    assert "hidden.example.com" not in text()
    assert "appear here as soon as" not in text()


def test_a_dashboard_takes_no_pushes_and_says_so_in_its_log(dashboard: Product, world: World):
    project = world.project(image("example/astray"))
    response = dashboard.post(project.path(), push_body("example/astray"))
    assert (response.status, response.data) == (404, b"This server has no receiver URLs.\n")
    assert "KARGOWEB_ROLE=dashboard serves no receiver URLs" in dashboard.log()
    assert project.path().rpartition("/")[2] not in dashboard.log()
