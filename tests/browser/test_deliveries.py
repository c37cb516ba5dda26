"""The delivery list and the page of a delivery in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from receivers.models import Audit, Delivery, Origin, Outcome
from tests.browser.pages import PHONE, Visitor, assert_accessible, assert_fits
from tests.clusters import until
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import deliveries_of
from tests.product import Product
from tests.web.deliveries import send_push
from tests.worlds import KargoProject, push_body


def push_tag(product: Product, shop: KargoProject, tag: str) -> Delivery:
    """Send a push of this tag; return its delivery."""
    return send_push(product, shop, push_body("example/shop", tag))


def row(page: Page, delivery: Delivery):
    """Return the row of a delivery."""
    return page.locator(f"#delivery-{delivery.pk}")


@pytest.fixture
def history(database) -> str:
    """The name of a project with more deliveries than fit a window."""
    project = unique_name()
    store(*(delivery(project, n, outcome=Outcome.NO_MATCH, tag=f"1.0.{n}", status=200) for n in range(45)))
    return project


class TestLive:
    def test_a_push_appears_in_all_open_lists(
        self, viewer: Visitor, operator: Visitor, shared_product: Product, shop: KargoProject
    ):
        with viewer.page() as first, operator.page(viewport=PHONE) as second:
            pages = [monitored.open(f"/deliveries?project={shop.name}") for monitored in (first, second)]
            new = push_tag(shared_product, shop, "1.7.0")
            for page in pages:
                expect(row(page, new)).to_be_visible()
                expect(page.locator("tbody tr[id]").first).to_have_id(f"delivery-{new.pk}")

    def test_while_paused_new_deliveries_are_counted_and_shown_on_request(
        self, viewer: Visitor, shared_product: Product, shop: KargoProject
    ):
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries?project={shop.name}")
            pause = page.get_by_role("button", name="Pause")
            pause.click()
            expect(pause).to_have_attribute("aria-pressed", "true")
            before = page.locator("tbody tr[id]").first.get_attribute("id")
            new = [push_tag(shared_product, shop, tag) for tag in ("1.7.1", "1.7.2")]
            show = page.get_by_role("link", name="Show 2 new")
            expect(show).to_be_visible()
            assert_accessible(page)
            assert page.locator("tbody tr[id]").first.get_attribute("id") == before
            show.click()
            expect(row(page, new[1])).to_be_visible()
            expect(show).to_be_hidden()
            expect(pause).to_have_attribute("aria-pressed", "true")
            pause.click()
            expect(row(page, push_tag(shared_product, shop, "1.7.3"))).to_be_visible()

    def test_new_deliveries_do_not_move_rows_of_a_scrolled_list(self, viewer: Visitor, history: str):
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries?project={history}")
            visible_row = page.locator("tbody tr[id]").nth(30)
            visible_row.scroll_into_view_if_needed()
            page.evaluate("scrollBy(0, 100)")
            position = visible_row.bounding_box()
            [new] = store(delivery(history, 3600, outcome=Outcome.FAILED))
            show = page.get_by_role("link", name="Show 1 new")
            expect(show).to_be_in_viewport()
            assert visible_row.bounding_box() == position
            show.click()
            expect(row(page, new)).to_be_in_viewport()

    def test_rows_of_a_paused_list_are_updated_in_place(self, viewer: Visitor, history: str):
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries?project={history}")
            page.get_by_role("button", name="Pause").click()
            shown = Delivery.objects.filter(project=history).order_by("-received_at")[3]
            store(delivery(history, 3600, outcome=Outcome.FAILED))
            Delivery.objects.filter(pk=shown.pk).update(outcome=Outcome.FREIGHT_CREATED)
            expect(row(page, shown)).to_contain_text("Freight")
            expect(page.locator("tbody tr[id]")).to_have_count(45)

    def test_a_row_that_no_longer_matches_stays_while_the_list_has_the_focus(self, viewer: Visitor, database):
        project = unique_name()
        first, second = store(*(delivery(project, n, outcome=Outcome.FAILED) for n in (2, 1)))
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries?project={project}&outcome=failed")
            page.keyboard.press("j")
            page.keyboard.press("j")
            focused = row(page, second).get_by_role("link").first
            expect(focused).to_be_focused()
            with page.expect_response(lambda response: response.status == 200 and "seen=" in response.url):
                Delivery.objects.filter(pk=first.pk).update(outcome=Outcome.FREIGHT_CREATED)
            expect(row(page, first)).to_be_visible()
            expect(focused).to_be_focused()
            page.evaluate("document.activeElement.blur()")
            expect(row(page, first)).to_have_count(0)

    def test_older_pages_are_not_live(self, viewer: Visitor, database):
        project = unique_name()
        store(*(delivery(project, n, outcome=Outcome.NO_MATCH) for n in range(60)))
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries?project={project}")
            page.get_by_role("link", name="Older").click()
            expect(page.locator("tbody tr[id]")).to_have_count(10)
            expect(page.get_by_role("button", name="Pause")).to_have_count(0)
            page.get_by_role("link", name="Newest").first.click()
            expect(page.locator("tbody tr[id]")).to_have_count(50)


class TestSearch:
    @pytest.mark.parametrize("javascript", [True, False], ids=["JavaScript", "no JavaScript"])
    def test_a_search_for_a_push_leads_to_the_reason_for_missing_freight(
        self, viewer: Visitor, shop: KargoProject, javascript: bool
    ):
        with viewer.page(viewport=PHONE, javascript=javascript) as monitored:
            page = monitored.open("/deliveries")
            page.get_by_text("Filters", exact=True).click()
            search = page.get_by_role("searchbox", name="Search", exact=True).last
            search.fill("example/shop:2.0.0")
            search.press("Enter")
            page.locator("tbody tr .row-link").first.click()
            result = page.get_by_role("region", name="Result")
            expect(result).to_be_in_viewport()
            expect(result).to_contain_text('"2.0.0" does not satisfy ^1.0.0')
            expect(result).to_contain_text("Compare the subscription's repository")
            assert_fits(page)

    def test_filters_are_collapsed_and_shown_as_chips(self, viewer: Visitor, shop: KargoProject):
        with viewer.page(viewport=PHONE) as monitored:
            page = monitored.open(f"/deliveries?project={shop.name}&outcome=bad")
            expect(page.get_by_label("Receiver", exact=True)).to_be_hidden()
            page.get_by_text("Filters (2)").click()
            expect(page.get_by_label("Receiver", exact=True)).to_be_visible()
            page.get_by_text("More filters").click()
            page.get_by_label("Code", exact=True).fill("400")
            page.get_by_role("button", name="Apply").click()
            page.wait_for_url(f"**/deliveries?outcome=bad&project={shop.name}&status=400")
            chips = page.get_by_role("list", name="Active filters")
            expect(chips).to_contain_text("Code: 400")
            chips.get_by_role("link", name="Remove filter outcome").click()
            page.wait_for_url(f"**/deliveries?project={shop.name}&status=400")

    def test_the_list_can_be_used_with_the_keyboard(self, viewer: Visitor, shop: KargoProject):
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries?text={shop.name}")
            page.keyboard.press("j")
            page.keyboard.press("j")
            page.keyboard.press("k")
            current = page.locator("tr.current")
            expect(current).to_have_id(page.locator("tbody tr[id]").first.get_attribute("id") or "")
            page.keyboard.press("Enter")
            page.wait_for_url("**/deliveries/*-*-*")

    def test_hostile_and_long_names_keep_the_layout(self, viewer: Visitor, database):
        project = unique_name()
        hostile: dict[str, Any] = {
            "repository": "<img src=x onerror=alert(1)>" + "long/" * 45,
            "tag": "\u202e" + "9" * 120,
        }
        [hostile_delivery] = store(
            delivery(project, outcome=Outcome.FAILED, reason="x" * 255, pusher="p" * 255, **hostile)
        )
        with viewer.page(viewport=PHONE) as monitored:
            for path in (f"/deliveries?project={project}", f"/deliveries/{hostile_delivery.pk}"):
                page = monitored.open(path)
                assert_fits(page)
                assert_accessible(page)
                expect(page.locator("main img")).to_have_count(0)
                page.set_viewport_size({"width": 1280, "height": 800})
                assert_fits(page)
                page.set_viewport_size({"width": 390, "height": 844})

    def test_without_javascript_there_is_a_refresh_link(
        self, viewer: Visitor, shared_product: Product, shop: KargoProject
    ):
        with viewer.page(javascript=False) as monitored:
            page = monitored.open(f"/deliveries?project={shop.name}")
            expect(page.get_by_role("button", name="Pause")).to_be_hidden()
            new = push_tag(shared_product, shop, "1.8.0")
            page.get_by_role("link", name="Refresh").click()
            expect(row(page, new)).to_be_visible()


class TestRedeliver:
    @pytest.mark.parametrize("javascript", [True, False], ids=["JavaScript", "no JavaScript"])
    def test_a_delivery_is_redelivered_with_one_click(
        self, operator: Visitor, shared_product: Product, shop: KargoProject, javascript: bool
    ):
        first = push_tag(shared_product, shop, "1.9.0")
        with operator.page(javascript=javascript) as monitored:
            page = monitored.open(f"/deliveries/{first.pk}")
            page.get_by_role("button", name="Redeliver").click()
            expect(page.get_by_text("Redelivered to the current Warehouses")).to_be_visible()
            new = deliveries_of(shop).filter(origin=Origin.REDELIVERY, original=first).get()
            assert str(new.pk) in page.url
            if javascript:
                expect(page.locator("#story")).to_contain_text("Refresh requested")
            page.get_by_role("link", name="an earlier delivery").click()
            page.wait_for_url(f"**/deliveries/{first.pk}")
            expect(page.get_by_role("link", name="Redelivery by")).to_be_visible()
        assert Audit.objects.filter(delivery=first.pk, action="redeliver").count() == 1

    @pytest.mark.parametrize("javascript", [True, False], ids=["JavaScript", "no JavaScript"])
    def test_a_selection_is_redelivered_and_shows_its_progress(
        self, operator: Visitor, shop: KargoProject, javascript: bool
    ):
        tag = unique_name()
        body = push_body("example/none", tag)
        fields = {"outcome": Outcome.NOT_HANDLED, "body": body, "tag": tag, "kind": "dockerhub"}
        store(*(delivery(shop.name, n, **fields) for n in range(3)))
        with operator.page(javascript=javascript) as monitored:
            page = monitored.open(f"/deliveries?tag={tag}")
            page.get_by_role("link", name="Redeliver these").click()
            expect(page.get_by_text("3 deliveries")).to_be_visible()
            page.get_by_label("Deliveries per second").fill("50")
            page.get_by_role("button", name="Redeliver 3").click()
            page.wait_for_url("**/deliveries/redelivered?at=*")
            if javascript:
                expect(page.locator("#progress strong")).to_have_text("3 of 3")
            else:
                until("all redeliveries have ended", lambda: _reloaded(page, "3 of 3"))
            expect(page.get_by_text("No match")).to_be_visible()
            page.get_by_role("link", name="Show these deliveries").click()
            expect(page.locator("tbody tr[id]")).to_have_count(3)


class TestTimeline:
    def test_the_page_polls_until_the_delivery_has_ended(self, viewer: Visitor, database):
        claimed = delivery(unique_name()).received_at.replace(year=2100)
        [pending] = store(delivery(unique_name(), due_at=claimed))
        with viewer.page() as monitored:
            page = monitored.open(f"/deliveries/{pending.pk}")
            expect(page.locator("#story")).to_contain_text("being processed")
            result = {"outcome": Outcome.NO_MATCH, "reason": "no match", "ended_at": pending.received_at}
            with page.expect_response(lambda response: response.status == 286):
                Delivery.objects.filter(pk=pending.pk).update(**result)
            expect(page.locator("#story")).to_contain_text("No match.")
            requests: list[str] = []
            page.on("request", lambda request: requests.append(request.url))
            page.wait_for_timeout(5_000)  # more than two polling intervals
            assert requests == []


def _reloaded(page: Page, text: str) -> bool:
    page.reload()
    return text in page.inner_text("main")
