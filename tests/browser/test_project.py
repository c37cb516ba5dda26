"""The page of a project in a real browser."""

from __future__ import annotations

from playwright.sync_api import expect

from receivers.models import Audit
from tests.browser.pages import Visitor
from tests.clusters import DemoCluster
from tests.delivery_rows import deliveries_of, routed_project
from tests.product import Product
from tests.worlds import KargoProject, World, image, push_body


def test_an_operator_reveals_and_copies_a_url_and_a_viewer_cannot(
    operator: Visitor, viewer: Visitor, shop: KargoProject
):
    with operator.page() as monitored:
        page = monitored.open(f"/projects/{shop.name}")
        card = page.get_by_role("article", name="Receiver hook")
        card.get_by_role("button", name="Reveal").click()
        expect(card.locator("code.revealed")).to_have_text(f"http://hooks{shop.path()}")
        card.get_by_role("button", name="Copy").click()
        expect(card.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == f"http://hooks{shop.path()}"
        storage = page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")
        assert shop.path() not in storage
        card.get_by_role("link", name="Hide").click()
        expect(card.locator("code.revealed")).to_have_count(0)
    assert Audit.objects.filter(project=shop.name, receiver="hook", action="reveal_url").exists()
    with viewer.page() as monitored:
        page = monitored.open(f"/projects/{shop.name}")
        expect(page.get_by_role("button", name="Reveal")).to_have_count(0)
        assert shop.path() not in page.content()


def test_a_url_is_revealed_without_javascript(operator: Visitor, shop: KargoProject):
    with operator.page(javascript=False) as monitored:
        page = monitored.open(f"/projects/{shop.name}")
        page.get_by_role("article", name="Receiver hook").get_by_role("button", name="Reveal").click()
        expect(page.locator("code.revealed")).to_have_text(f"http://hooks{shop.path()}")


def test_the_first_push_appears_on_the_open_page(
    viewer: Visitor, shared_product: Product, demo_cluster: DemoCluster, shop: KargoProject
):
    with World(demo_cluster.kubeconfig) as world:
        project = world.project()
    with viewer.page() as monitored:
        page = monitored.open("/projects")
        page.get_by_label("Search projects").fill(project.name)
        page.get_by_role("link", name=project.name).click()
        card = page.get_by_role("article", name="Receiver hook")
        expect(card).to_contain_text("waiting for the first push")
        shared_product.post(project.path(), push_body("example/first", "1.0.0"))
        expect(card).to_contain_text("last push")
        expect(page.locator("#recent")).to_contain_text("example/first")


def test_a_push_changes_all_parts_of_the_open_page_and_what_is_being_read_stays(
    viewer: Visitor, shared_product: Product, demo_cluster: DemoCluster
):
    with World(demo_cluster.kubeconfig) as world, viewer.page() as monitored:
        project = routed_project(shared_product, world, image("example/live"))
        deliveries_of(project).delete()
        page = monitored.open(f"/projects/{project.name}")
        card = page.get_by_role("article", name="Receiver hook")
        warehouse = page.locator("#warehouse-warehouse-0")
        expect(card).to_contain_text("waiting for the first push")
        expect(card).to_contain_text("Registered for 0 of 1 repository")
        expect(warehouse).to_contain_text("never")
        card.locator("summary").first.click()
        page.get_by_role("link", name="All deliveries").focus()
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#warehouse-warehouse-0 b'))")
        shared_product.post(project.path(), push_body("example/live", "1.0.0"))
        expect(card).to_contain_text("last push")
        expect(card).to_contain_text("Registered for 1 of 1 repository")
        expect(warehouse).to_contain_text("example/live:1.0.0")
        expect(page.locator("#recent")).to_contain_text("example/live:1.0.0")
        expect(page.get_by_role("link", name="All deliveries")).to_be_focused()
        assert page.evaluate("getSelection().toString()") == "warehouse-0"
        assert card.locator("details").first.get_attribute("open") is None
        card.locator("summary").first.click()
        shared_product.post(project.path(), push_body("example/live", "1.1.0"))
        expect(warehouse).to_contain_text("example/live:1.1.0")
        expect(card.get_by_text("first push")).to_be_visible()


def test_an_unchanged_list_is_not_replaced(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        page = monitored.open(f"/projects/{shop.name}")
        page.evaluate("document.querySelector('#recent tbody tr').marked = true")
        with page.expect_response(lambda response: response.status == 204):
            pass
        assert page.evaluate("document.querySelector('#recent tbody tr').marked")
