"""The page that sends test pushes in a real browser."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from receivers.models import Delivery, Origin
from tests.browser.pages import PHONE, THEMES, Theme, Visitor, assert_accessible, assert_fits
from tests.clusters import DemoCluster
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.worlds import KargoProject, World, image


@pytest.fixture(scope="module")
def project(shared_product: Product, demo_cluster: DemoCluster) -> KargoProject:
    """A project whose receiver URL leads to the product."""
    with World(demo_cluster.kubeconfig) as world:
        project = routed_project(
            shared_product, world, image("example/tested", constraint="^1.0.0"), warehouses=2
        )
        project.base = shared_product.url
        project.publish(project.receiver)
    return project


def path(project: KargoProject) -> str:
    return f"/projects/{project.name}/receivers/hook/test"


def test_the_preview_follows_the_input_and_a_click_sends_the_push(operator: Visitor, project: KargoProject):
    with operator.page() as monitored:
        page = monitored.open(f"/projects/{project.name}")
        page.get_by_role("link", name="Test-fire hook").click()
        expect(page.get_by_role("button", name="Preview")).to_be_hidden()
        page.get_by_label("Repository").fill("example/tested")
        tag = page.get_by_role("combobox", name="Tag")
        tag.fill("")
        tag.press_sequentially("2.0.0")
        preview = page.locator("#preview")
        expect(preview).to_contain_text("refreshes nothing")
        expect(preview).to_contain_text("does not satisfy ^1.0.0")
        tag.fill("1.2.3")
        expect(preview).to_contain_text("refreshes 2 Warehouses.")
        with page.expect_response(lambda response: response.request.method == "POST"):
            # Leaving the page during this request would be an error in the console.
            page.get_by_label("Type").select_option("chart")
        expect(preview).to_contain_text("refreshes 2 Warehouses.")
        page.get_by_role("button", name="Send test push").click()
        expect(page.locator("#main")).to_contain_text("warehouse-1")
    delivery = Delivery.objects.get(project=project.name, origin=Origin.TEST, tag="1.2.3")
    assert (delivery.status, delivery.warehouses) == (200, 2)


def test_a_test_push_is_sent_without_javascript(operator: Visitor, project: KargoProject):
    with operator.page(javascript=False) as monitored:
        page = monitored.open(path(project))
        page.locator("#repository").fill("example/tested")
        page.locator("#tag").fill("3.0.0")
        page.get_by_role("button", name="Preview").click()
        expect(page.locator("#preview")).to_contain_text("refreshes nothing")
        page.locator("#tag").fill("1.9.9")
        page.get_by_label("Dry run").check()
        page.get_by_role("button", name="Send test push").click()
        expect(page.locator("#main")).to_contain_text("2 Warehouses would have been refreshed")


@pytest.mark.parametrize("theme", THEMES)
def test_the_result_of_a_test_push_is_accessible(operator: Visitor, project: KargoProject, theme: Theme):
    with operator.page(theme=theme) as monitored:
        page = monitored.open(path(project))
        page.get_by_label("Internal").check()
        page.get_by_role("button", name="Send test push").click()
        expect(page.get_by_role("main")).to_contain_text("example/tested")
        assert_accessible(page)
        page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
        assert_fits(page)
        assert urlsplit(page.url).path.startswith(("/projects/", "/deliveries/"))
