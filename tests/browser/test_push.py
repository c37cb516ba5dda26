"""The page of a push in a real browser: from Docker Hub to production in the demo, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from receivers.models import Delivery, Outcome, Refresh
from tests.browser.pages import PHONE, MonitoredPage, Visitor, assert_accessible, assert_fits
from tests.deliveries.rows import START, delivery, store, unique_name
from tests.demo.running import Demo
from tests.product import Product
from tests.web.deliveries import send_push
from tests.worlds import KargoProject, push_body


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A running demo: Kargo promotes to test and uat, and a person promotes to prod."""
    with Demo(tmp_path_factory.mktemp("demo") / "var") as running:
        yield running


@pytest.fixture
def demo_page(demo: Demo, chromium: Browser) -> Iterator[MonitoredPage]:
    """A page of the demo with its admin signed in."""
    with Visitor(chromium, f"http://localhost:{demo.port}", []).page() as monitored:
        page = monitored.open("/sign-in")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill((demo.directory / "demo" / "password").read_text().strip())
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(lambda url: "sign-in" not in url)
        yield monitored


def stop(page: Page, kind: str, name: str = "") -> Locator:
    """Return a stop of the journey."""
    of_kind = page.locator(".journey .stop", has=page.get_by_text(kind, exact=True))
    return of_kind.filter(has=page.locator(".who", has_text=name)) if name else of_kind


def run(demo: Demo, *arguments: str) -> None:
    """Run a command of the demo."""
    code, output = demo.run(*arguments)
    assert code == 0, output


def test_a_push_is_followed_live_from_docker_hub_to_prod(demo: Demo, demo_page: MonitoredPage):
    run(demo, "push", "example/repo:1.50.0", "--lag", "2")
    page = demo_page.open("/r/example/repo/1.50.0")
    page.evaluate("window.sameDocument = true")
    sentence = page.locator(".sentence")
    expect(stop(page, "Docker Hub", "example/repo")).to_contain_text("Pushed")
    expect(stop(page, "Receiver", "kargo-demo/dockerhub-receiver")).to_contain_text("Received")
    expect(stop(page, "Cluster receiver", "dockerhub-org")).to_contain_text("Received")
    expect(stop(page, "Warehouse", "example")).to_contain_text("Refreshed")
    expect(stop(page, "Freight")).to_contain_text("Created")
    for stage in ("test", "uat"):
        expect(stop(page, "Stage", stage)).to_contain_text("Live since")
    expect(sentence).to_contain_text("is Freight")
    expect(sentence).to_contain_text("live in test and uat")
    expect(stop(page, "Stage", "prod")).to_contain_text("Ready")
    expect(page.locator("#issues-title")).to_have_text("Not in production yet")
    assert_accessible(page)
    run(demo, "promote", "kargo-demo", "prod")
    expect(stop(page, "Stage", "prod")).to_contain_text("Promoting")
    expect(stop(page, "Stage", "prod")).to_contain_text("Live since")
    expect(sentence).to_contain_text("live in test, uat, and prod")
    expect(page.locator("#issues-title")).to_have_count(0)
    assert page.evaluate("window.sameDocument"), "the page was reloaded"


def test_the_stages_of_a_push_are_accessible_on_a_phone(demo: Demo, demo_page: MonitoredPage):
    run(demo, "push", "acme/storefront-api:2.50.0")
    page = demo_page.open("/r/acme/storefront-api/2.50.0")
    expect(stop(page, "Stage", "prod-canary").first).to_be_visible()
    page.set_viewport_size(PHONE)
    assert_fits(page)
    assert_accessible(page)


def test_a_delivery_leads_to_its_push(viewer: Visitor, shared_product: Product, shop: KargoProject):
    row = send_push(shared_product, shop, push_body("example/shop", "2.1.0"))
    with viewer.page() as monitored:
        page = monitored.open(f"/deliveries/{row.pk}")
        page.locator(f"main a[href='/pushes/{row.push_id}']").first.click()
        expect(page.locator(".sentence")).to_contain_text("No subscription matches 2.1.0")
        copied = page.locator("button.copy", has_text="warehouse-0")
        copied.click()
        expect(copied).to_contain_text("Copied")
        assert page.evaluate("navigator.clipboard.readText()").startswith(
            "kubectl patch warehouse warehouse-0"
        )


def test_a_change_does_not_move_the_page_or_the_focus(viewer: Visitor, database: None):
    project = unique_name()
    [row] = store(delivery(project, repository=f"a/{project}", outcome=Outcome.REFRESHED, warehouses=1))
    # Planned for later, so that no serving process requests it.
    later = datetime(2100, 1, 1, tzinfo=UTC)
    refresh = Refresh(
        delivery=row, project=project, warehouse="api", requested_at=START, next_attempt_at=later
    )
    refresh.save()
    with viewer.page() as monitored:
        page = monitored.open(f"/pushes/{row.push_id}")
        expect(page.locator(".sentence")).to_contain_text("No Freight from 1.0.0 yet")
        link = page.get_by_role("link", name="Docker Hub", exact=True)
        link.focus()
        freight = {"freight": "f00d" * 10, "freight_alias": "calm-lemur", "outcome": "freight_created"}
        Refresh.objects.filter(pk=refresh.pk).update(**freight, ended_at=START)
        Delivery.objects.filter(pk=row.pk).update(
            outcome=Outcome.FREIGHT_CREATED, ended_at=START, with_freight=1
        )
        expect(page.locator(".sentence")).to_contain_text("calm-lemur")
        expect(page.locator("#provider")).to_be_focused()
        assert page.evaluate("scrollY") == 0
