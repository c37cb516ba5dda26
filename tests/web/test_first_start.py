"""What people see before there is anything to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters import DemoCluster, until
from tests.product import Product
from tests.web.visiting import Browser

NOTE = "Ask the platform team for an account."


@pytest.fixture
def alone(tmp_path: Path, database: None, make_user):
    """A product whose cluster is away, and comes up, empty, when `start` is called; with a note for who signs in."""
    cluster = DemoCluster(tmp_path / "cluster")
    with cluster:
        kubeconfig = cluster.kubeconfig
        cluster.stop()
        product = Product(kubeconfig, KARGOWEB_SIGN_IN_NOTE=NOTE)
        product.start(ready=False)
        browser = Browser(product)
        yield cluster, browser, make_user("viewer")
        product.stop()


def test_an_installation_starts_without_a_cluster_and_then_without_projects(alone):
    cluster, browser, name = alone
    assert NOTE in browser.open("/sign-in")
    page = browser.sign_in(name)
    assert "The initial cluster sync hasn't finished" in page
    assert "answered with 503" in page
    cluster.start()
    page = until(
        "the cluster is read",
        lambda: "No Kargo projects yet" in (page := browser.open("/")) and page,
    )
    assert "webhookReceivers:" in page
    assert "initial cluster sync" not in page
