"""Pushes to a cluster receiver, as the readers of one project see them: on pages and in the API."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from html import unescape

import pytest

from receivers.kargo.resources import CLUSTER_CONFIGS
from receivers.models import Delivery, Outcome, ProjectDelivery
from tests.clusters import until
from tests.deliveries.rows import delivery, store
from tests.delivery_rows import routed_project, wait_for_result
from tests.product import Product
from tests.web.html import visible_text
from tests.worlds import World, image, push_body

PATH = f"/dockerhub/{hashlib.sha256(b'orgs3cret').hexdigest()}"


@pytest.fixture
def cluster_receiver(product: Product, world: World) -> Iterator[str]:
    """Publish a cluster receiver; return its path."""
    spec = {"webhookReceivers": [{"name": "org", "dockerhub": {"secretRef": {"name": "org"}}}]}
    world.create(CLUSTER_CONFIGS, {"metadata": {"name": "cluster"}, "spec": spec})
    try:
        published = {"name": "org", "path": PATH, "url": f"http://hooks{PATH}"}
        status = {"status": {"webhookReceivers": [published]}}
        world.cluster.patch_status(CLUSTER_CONFIGS, "cluster", None, status)
        until("the receiver is known", lambda: product.post(PATH, b"[]").status == 400)
        yield PATH
    finally:
        world.cluster.delete(CLUSTER_CONFIGS, "cluster")


def push(product: Product, path: str, repository: str, tag: str) -> Delivery:
    response = product.post(path, push_body(repository, tag))
    return wait_for_result(response.headers["X-Kargoweb-Delivery"])


def test_readers_of_a_project_see_the_pushes_that_concern_it(signed_in, product, world, cluster_receiver):
    own = routed_project(product, world, image("example/common", constraint="^1.0.0"))
    other = routed_project(product, world, image("example/common"))
    unrelated = push(product, cluster_receiver, "example/unrelated", "1.0.0")
    shared = push(product, cluster_receiver, "example/common", "1.2.3")
    unmatched = push(product, cluster_receiver, "example/common", "2.0.0")
    concerned = ProjectDelivery.objects.filter(delivery=shared).values_list("project", flat=True)
    assert set(concerned) == {own.name, other.name}

    browser = signed_in(f"viewer:{own.name}")
    for path in ("/pushes", "/deliveries", f"/deliveries?project={own.name}", f"/projects/{own.name}"):
        page = browser.open(path)
        rows = set(re.findall(r'<tr id="(?:delivery|push)-([^"]+)"', page))
        for row, visible in ((shared, True), (unmatched, True), (unrelated, False)):
            assert bool(rows & {str(row.pk), str(row.push_id)}) is visible
        assert other.name not in page
    assert "1 later push, none matched" in visible_text(browser.open(f"/projects/{own.name}"))

    page = unescape(browser.open(f"/deliveries/{shared.pk}"))
    assert browser.status == 200
    assert "You see what concerns your projects" in page
    assert f"{own.name}" in page
    assert other.name not in page
    assert "refreshed 2 warehouse(s)" not in page
    assert "Redeliver" not in page
    browser.open(f"/deliveries/{unrelated.pk}")
    assert browser.status == 404
    browser.submit(f"/deliveries/{shared.pk}/redeliver", on="/")
    assert browser.status == 404


def test_readers_of_a_project_do_not_see_the_actions_which_select_those_of_all(signed_in, product, world):
    own, other = world.bare_project().name, world.bare_project().name
    targets = [
        {"kind": "Warehouse", "project": project, "name": "main", "success": True} for project in (own, other)
    ]
    action = {"position": 1, "action": "Refresh", "result": "Success", "failed": False, "problem": ""}
    actions = [{**action, "targets": targets, "more": 0}]
    [row] = store(delivery("", kind="generic", outcome=Outcome.FREIGHT_CREATED, details={"actions": actions}))
    ProjectDelivery.objects.create(delivery=row, project=own, received_at=row.received_at)
    browser = signed_in(f"viewer:{own}")
    page = browser.open(f"/deliveries/{row.pk}")
    assert browser.status == 200
    assert other not in page
    assert json.loads(browser.open(f"/api/v1/deliveries/{row.pk}"))["actions"] == []
    assert other in signed_in("viewer").open(f"/deliveries/{row.pk}")


def test_the_api_shows_them_as_the_pages_do(signed_in, product, world, cluster_receiver):
    own = routed_project(product, world, image("example/for-api"))
    other = routed_project(product, world, image("example/for-api"))
    shared = push(product, cluster_receiver, "example/for-api", "1.2.3")
    browser = signed_in(f"viewer:{own.name}")
    listed = json.loads(browser.open(f"/api/v1/deliveries?project={own.name}&tag=1.2.3"))["deliveries"]
    assert [(row["id"], row["project"], row["warehouses"]) for row in listed] == [
        (str(shared.pk), "cluster", 1)
    ]
    text = browser.open(f"/api/v1/deliveries/{shared.pk}")
    details = json.loads(text)
    assert [refresh["project"] for refresh in details["refreshes"]] == [own.name]
    assert (details["answer"], details["request"]["body"], details["request"]["headers"]) == ("", "", [])
    assert other.name not in text
    stranger = signed_in("viewer:elsewhere")
    stranger.open(f"/api/v1/deliveries/{shared.pk}")
    assert stranger.status == 404
    whole = json.loads(signed_in("viewer").open(f"/api/v1/deliveries/{shared.pk}"))
    assert {refresh["project"] for refresh in whole["refreshes"]} == {own.name, other.name}
