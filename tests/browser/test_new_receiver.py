"""Setting up a receiver in a real browser, from the form to its first push."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from receivers.kargo.resources import PROJECT_CONFIGS, SECRETS
from receivers.models import Audit
from tests.browser.conftest import session_cookie
from tests.browser.pages import DESKTOP, PHONE, Visitor, assert_accessible, assert_fits
from tests.clusters import DemoCluster
from tests.databases import temporary_database
from tests.product import Product
from tests.users import create_user
from tests.worlds import World, image, push_body

PAGE = "/receivers/new"


@dataclass(frozen=True, slots=True)
class Installation:
    """kargoweb where it manages receivers and admins may create them, with project `store`, and an admin's browser."""

    world: World
    product: Product
    admin: Visitor

    def secret(self, name: str) -> str:
        """Return the value of a receiver's Secret."""
        data = self.world.cluster.get(SECRETS, name, "store")["data"]
        return base64.b64decode(data["secret"]).decode()


@pytest.fixture
def installation(tmp_path: Path, database: None, chromium: Browser) -> Iterator[Installation]:
    """Start an installation of its own: the shared one's receivers are managed by the tests."""
    with DemoCluster(tmp_path / "cluster") as cluster, World(cluster.kubeconfig) as world:
        project = world.bare_project("store")
        project.warehouse("api", image("acme/api"))
        project.warehouse("web", image("acme/web"), image("nginx"))
        with temporary_database():
            product = Product(
                cluster.kubeconfig, KARGOWEB_CREATE_RECEIVERS="true", KARGOWEB_MANAGE_RECEIVERS="true"
            )
            cookie = session_cookie(product, create_user("admin"))
            product.start()
            try:
                yield Installation(world, product, Visitor(chromium, product.url, [cookie]))
            finally:
                product.stop()  # fails if the log has a digest


def test_a_receiver_is_set_up_from_the_form_to_its_first_push(installation: Installation):
    with installation.admin.page() as monitored:
        page = monitored.open("/projects/store")
        page.get_by_role("link", name="New receiver").click()
        page.get_by_label("Name").fill("hub")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("region", name="YAML")).to_contain_text("hub-webhook")
        expect(page.locator("ins")).to_be_visible()
        shown = page.content()
        for viewport in (PHONE, DESKTOP):
            page.set_viewport_size(viewport)
            assert_fits(page)
            assert_accessible(page)
        page.get_by_role("button", name="Apply", exact=True).click()
        page.wait_for_url("**/projects/store/receivers/hub/registration")
        expect(page.get_by_text("Created receiver hub")).to_be_visible()
        expect(page.get_by_role("region", name="State")).to_contain_text("Waiting for the first push")
        secret = installation.secret("hub-webhook")
        assert secret not in shown + page.content() + page.url
        card = page.get_by_role("article", name="Receiver hub")
        expect(card).to_contain_text("Registered for 0 of 2 repositories")
        expect(card.get_by_role("link", name="Webhooks of acme/web on Docker Hub")).to_be_visible()
        card.get_by_role("button", name="Reveal").click()
        url = card.locator("code.revealed").inner_text()
        installation.product.post(urlsplit(url).path, push_body("acme/api", "1.0.0"))
        expect(page.get_by_role("region", name="State")).to_contain_text("The first push has arrived")
        expect(card).to_contain_text("Registered for 1 of 2 repositories")
        expect(card.get_by_role("listitem").filter(has_text="acme/api")).to_contain_text("first push")
        expect(card.get_by_role("listitem").filter(has_text="acme/web")).to_contain_text("no push yet")
        assert_accessible(page)
    audit = Audit.objects.get(action="create_receiver")
    assert (audit.project, audit.receiver) == ("store", "hub")
    assert secret not in audit.detail + installation.product.log()


def test_it_works_without_javascript_and_overwrites_nothing(installation: Installation):
    existing = {"metadata": {"name": "taken"}, "stringData": {"secret": "mine"}}
    installation.world.cluster.create(SECRETS, existing, "store")
    with installation.admin.page(javascript=False) as monitored:
        page = monitored.open(f"{PAGE}?project=store")
        page.get_by_label("Name").fill("hub")
        page.get_by_label("Secret").fill("taken")
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Apply", exact=True).click()
        expect(page.get_by_text("already exists in namespace store")).to_be_visible()
        assert "mine" not in page.content()
        page.get_by_label("Secret").fill("free")
        page.get_by_role("button", name="Update").click()
        page.get_by_role("button", name="Apply", exact=True).click()
        expect(page.get_by_role("heading", name="Register hub at Docker Hub")).to_be_visible()
        page = monitored.open(f"{PAGE}?project=store")
        page.get_by_label("Name").fill("hub")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_text("Name already exists.")).to_be_visible()
    assert installation.secret("taken") == "mine"
    config = installation.world.cluster.get(PROJECT_CONFIGS, "store", "store")
    assert [entry["name"] for entry in config["spec"]["webhookReceivers"]] == ["hub"]
