"""A new installation, before the first sync and without projects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clusters import DemoCluster
from tests.deliveries.rows import unique_name
from tests.product import Product
from tests.users import create_user
from tests.web.http_browser import HttpBrowser

NOTE = "Ask the platform team for an account."


@pytest.fixture
def new_installation(tmp_path: Path, database: None):
    """A product with a note on the sign-in page, and its empty cluster, which is stopped."""
    cluster = DemoCluster(tmp_path / "cluster")
    with cluster:
        kubeconfig = cluster.kubeconfig
        cluster.stop()
        product = Product(kubeconfig, KARGOWEB_SIGN_IN_NOTE=NOTE)
        product.start(ready=False)
        yield cluster, HttpBrowser(product)
        product.stop()


@pytest.mark.e2e
def test_a_new_installation_starts_before_its_cluster_and_without_projects(new_installation):
    cluster, browser = new_installation
    assert NOTE in browser.open("/sign-in")
    # With a role in one project, because the deliveries of other tests are in the same database.
    page = browser.sign_in(create_user(f"viewer:{unique_name()}").username)
    assert "The initial cluster sync hasn't finished" in page
    assert "answered with 503" in page
    assert "The cluster is being read." in page
    cluster.start()
    page = browser.open_until("/", "In sync with the cluster")
    assert "Connect your first repository" in page
    assert "0 receivers and 0 Warehouses in 0 projects" in page
    assert "webhookReceivers:" in page
    assert "initial cluster sync" not in page
    assert "No Kargo projects yet" in browser.open("/projects")
