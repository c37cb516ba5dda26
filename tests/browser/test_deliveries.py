"""The list of deliveries and the page of one, as people use them."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from receivers.models import Audit, Delivery, Origin, Outcome
from tests.browser.pages import PHONE, Visitor, assert_accessible, assert_fits
from tests.clusters import until
from tests.deliveries.rows import delivery, store, unique_name
from tests.delivery_rows import deliveries_of, wait_for_result
from tests.product import Product
from tests.worlds import KargoProject, push_body

SOON = 15_000  # milliseconds until something live has happened; only a test that fails waits for it


def arrive(product: Product, shop: KargoProject, tag: str) -> Delivery:
    """Have a push arrive."""
    answer = product.post(shop.path(), push_body("example/shop", tag))
    return wait_for_result(answer.headers["X-Kargoweb-Delivery"])


def row(page: Page, one: Delivery):
    return page.locator(f"#delivery-{one.pk}")


@pytest.fixture
def history(database) -> str:
    """A project with more deliveries than a window has room for."""
    project = unique_name()
    store(*(delivery(project, n, outcome=Outcome.NO_MATCH, tag=f"1.0.{n}", status=200) for n in range(45)))
    return project


class TestLive:
    def test_a_push_appears_by_itself_in_everybodys_list(
        self, viewer: Visitor, operator: Visitor, shared_product: Product, shop: KargoProject
    ):
        with viewer.page() as one, operator.page(viewport=PHONE) as other:
            pages = [watched.open(f"/deliveries?project={shop.name}") for watched in (one, other)]
            new = arrive(shared_product, shop, "1.7.0")
            for page in pages:
                expect(row(page, new)).to_be_visible(timeout=SOON)
                expect(page.locator("tbody tr").first).to_have_id(f"delivery-{new.pk}")

    def test_paused_it_is_counted_and_shown_when_asked_for(
        self, viewer: Visitor, shared_product: Product, shop: KargoProject
    ):
        with viewer.page() as watched:
            page = watched.open(f"/deliveries?project={shop.name}")
            pause = page.get_by_role("button", name="Pause")
            pause.click()
            expect(pause).to_have_attribute("aria-pressed", "true")
            before = page.locator("tbody tr").first.get_attribute("id")
            news = [arrive(shared_product, shop, tag) for tag in ("1.7.1", "1.7.2")]
            show = page.get_by_role("link", name="Show 2 new")
            expect(show).to_be_visible(timeout=SOON)
            assert_accessible(page)
            assert page.locator("tbody tr").first.get_attribute("id") == before
            show.click()
            expect(row(page, news[1])).to_be_visible()
            expect(show).to_be_hidden()
            expect(pause).to_have_attribute("aria-pressed", "true")
            pause.click()
            expect(row(page, arrive(shared_product, shop, "1.7.3"))).to_be_visible(timeout=SOON)

    def test_what_somebody_reads_further_down_does_not_move(self, viewer: Visitor, history: str):
        with viewer.page() as watched:
            page = watched.open(f"/deliveries?project={history}")
            read = page.locator("tbody tr").nth(30)
            read.scroll_into_view_if_needed()
            page.evaluate("scrollBy(0, 100)")
            at = read.bounding_box()
            [new] = store(delivery(history, 3600, outcome=Outcome.FAILED))
            show = page.get_by_role("link", name="Show 1 new")
            expect(show).to_be_in_viewport(timeout=SOON)
            assert read.bounding_box() == at
            show.click()
            expect(row(page, new)).to_be_in_viewport()

    def test_rows_that_one_reads_change_in_their_places(self, viewer: Visitor, history: str):
        with viewer.page() as watched:
            page = watched.open(f"/deliveries?project={history}")
            page.get_by_role("button", name="Pause").click()
            shown = Delivery.objects.filter(project=history).order_by("-received_at")[3]
            store(delivery(history, 3600, outcome=Outcome.FAILED))
            Delivery.objects.filter(pk=shown.pk).update(outcome=Outcome.FREIGHT_CREATED)
            expect(row(page, shown)).to_contain_text("Freight", timeout=SOON)
            expect(page.locator("tbody tr")).to_have_count(45)

    def test_a_row_that_matches_no_more_stays_while_somebody_reads(self, viewer: Visitor, database):
        project = unique_name()
        first, second = store(*(delivery(project, n, outcome=Outcome.FAILED) for n in (2, 1)))
        with viewer.page() as watched:
            page = watched.open(f"/deliveries?project={project}&outcome=failed")
            page.keyboard.press("j")
            page.keyboard.press("j")
            focused = row(page, second).get_by_role("link").first
            expect(focused).to_be_focused()
            with page.expect_response(lambda answer: answer.status == 200 and "seen=" in answer.url):
                Delivery.objects.filter(pk=first.pk).update(outcome=Outcome.FREIGHT_CREATED)
            expect(row(page, first)).to_be_visible()
            expect(focused).to_be_focused()
            page.evaluate("document.activeElement.blur()")
            expect(row(page, first)).to_have_count(0, timeout=SOON)

    def test_older_pages_stand_still(self, viewer: Visitor, database):
        project = unique_name()
        store(*(delivery(project, n, outcome=Outcome.NO_MATCH) for n in range(60)))
        with viewer.page() as watched:
            page = watched.open(f"/deliveries?project={project}")
            page.get_by_role("link", name="Older").click()
            expect(page.locator("tbody tr")).to_have_count(10)
            expect(page.get_by_role("button", name="Pause")).to_have_count(0)
            page.get_by_role("link", name="Newest").first.click()
            expect(page.locator("tbody tr")).to_have_count(50)


class TestFinding:
    @pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
    def test_did_my_push_arrive_and_why_is_there_no_freight(
        self, viewer: Visitor, shop: KargoProject, javascript: bool
    ):
        with viewer.page(viewport=PHONE, javascript=javascript) as watched:
            page = watched.open("/")
            page.get_by_role("link", name="Deliveries").first.click()
            page.get_by_role("searchbox").fill("example/shop:2.0.0")
            page.get_by_role("searchbox").press("Enter")
            page.locator("tbody tr .row-link").first.click()
            answer = page.get_by_role("region", name="Result")
            expect(answer).to_be_in_viewport()
            expect(answer).to_contain_text('"2.0.0" does not satisfy ^1.0.0')
            expect(answer).to_contain_text("What to do")
            assert_fits(page)

    def test_filters_are_folded_away_and_told_as_chips(self, viewer: Visitor, shop: KargoProject):
        with viewer.page(viewport=PHONE) as watched:
            page = watched.open(f"/deliveries?project={shop.name}&outcome=bad")
            expect(page.get_by_label("Receiver", exact=True)).to_be_hidden()
            page.get_by_text("More filters").click()
            page.get_by_label("Code", exact=True).fill("400")
            page.get_by_role("button", name="Apply").click()
            page.wait_for_url(f"**/deliveries?outcome=bad&project={shop.name}&status=400")
            chips = page.get_by_role("list", name="Active filters")
            expect(chips).to_contain_text("Code: 400")
            chips.get_by_role("link", name="Remove filter outcome").click()
            page.wait_for_url(f"**/deliveries?project={shop.name}&status=400")

    def test_the_keyboard_does_it_all(self, viewer: Visitor, shop: KargoProject):
        with viewer.page() as watched:
            page = watched.open("/deliveries")
            page.keyboard.press("/")
            page.keyboard.type(shop.name)
            page.keyboard.press("Enter")
            page.wait_for_url("**/deliveries?text=*")
            page.keyboard.press("j")
            page.keyboard.press("j")
            page.keyboard.press("k")
            current = page.locator("tr.current")
            expect(current).to_have_id(page.locator("tbody tr").first.get_attribute("id") or "")
            page.keyboard.press("Enter")
            page.wait_for_url("**/deliveries/*-*-*")

    def test_names_that_are_hostile_or_long_break_nothing(self, viewer: Visitor, database):
        project = unique_name()
        hostile: dict[str, Any] = {
            "repository": "<img src=x onerror=alert(1)>" + "long/" * 45,
            "tag": "\u202e" + "9" * 120,
        }
        [one] = store(
            delivery(project, outcome=Outcome.FAILED, reason="x" * 255, pusher="p" * 255, **hostile)
        )
        with viewer.page(viewport=PHONE) as watched:
            for path in (f"/deliveries?project={project}", f"/deliveries/{one.pk}"):
                page = watched.open(path)
                assert_fits(page)
                assert_accessible(page)
                expect(page.locator("main img")).to_have_count(0)
                page.set_viewport_size({"width": 1280, "height": 800})
                assert_fits(page)
                page.set_viewport_size({"width": 390, "height": 844})

    def test_without_javascript_there_is_a_refresh(
        self, viewer: Visitor, shared_product: Product, shop: KargoProject
    ):
        with viewer.page(javascript=False) as watched:
            page = watched.open(f"/deliveries?project={shop.name}")
            expect(page.get_by_role("button", name="Pause")).to_be_hidden()
            new = arrive(shared_product, shop, "1.8.0")
            page.get_by_role("link", name="Refresh").click()
            expect(row(page, new)).to_be_visible()


class TestRedelivering:
    @pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
    def test_one_is_sent_again_by_a_click(
        self, operator: Visitor, shared_product: Product, shop: KargoProject, javascript: bool
    ):
        first = arrive(shared_product, shop, "1.9.0")
        with operator.page(javascript=javascript) as watched:
            page = watched.open(f"/deliveries/{first.pk}")
            page.get_by_role("button", name="Redeliver").click()
            expect(page.get_by_text("Redelivered to the current Warehouses")).to_be_visible()
            new = deliveries_of(shop).filter(origin=Origin.REDELIVERY, original=first).get()
            assert str(new.pk) in page.url
            if javascript:
                story = page.locator("#story")
                expect(story).to_contain_text("refresh requested", timeout=SOON)
            page.get_by_role("link", name="an earlier delivery").click()
            page.wait_for_url(f"**/deliveries/{first.pk}")
            expect(page.get_by_role("heading", name="Redeliveries")).to_be_visible()
        assert Audit.objects.filter(delivery=first.pk, action="redeliver").count() == 1

    @pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
    def test_a_selection_is_sent_again_and_its_progress_followed(
        self, operator: Visitor, shop: KargoProject, javascript: bool
    ):
        tag = unique_name()
        body = push_body("example/none", tag)
        fields = {"outcome": Outcome.NOT_HANDLED, "body": body, "tag": tag, "kind": "dockerhub"}
        store(*(delivery(shop.name, n, **fields) for n in range(3)))
        with operator.page(javascript=javascript) as watched:
            page = watched.open(f"/deliveries?tag={tag}")
            page.get_by_role("link", name="Redeliver these").click()
            expect(page.get_by_text("3 deliveries")).to_be_visible()
            page.get_by_label("Deliveries per second").fill("50")
            page.get_by_role("button", name="Redeliver 3").click()
            page.wait_for_url("**/deliveries/redelivered?at=*")
            if javascript:
                expect(page.locator("#progress strong")).to_have_text("3 of 3", timeout=SOON)
            else:
                until("they have ended", lambda: _reloaded(page, "3 of 3"))
            expect(page.get_by_text("No match")).to_be_visible()
            page.get_by_role("link", name="Show these deliveries").click()
            expect(page.locator("tbody tr")).to_have_count(3)


class TestStory:
    def test_it_goes_on_by_itself_until_it_ends_and_then_asks_no_more(self, viewer: Visitor, database):
        claimed = delivery(unique_name()).received_at.replace(year=2100)
        [one] = store(delivery(unique_name(), claimed_until=claimed))
        with viewer.page() as watched:
            page = watched.open(f"/deliveries/{one.pk}")
            expect(page.locator("#story")).to_contain_text("being processed")
            ended_now = {"outcome": Outcome.NO_MATCH, "reason": "so it is", "ended_at": one.received_at}
            with page.expect_response(lambda answer: answer.status == 286, timeout=SOON):
                Delivery.objects.filter(pk=one.pk).update(**ended_now)
            expect(page.locator("#story")).to_contain_text("So it is.")
            asked: list[str] = []
            page.on("request", lambda request: asked.append(request.url))
            page.wait_for_timeout(5_000)  # more than two rounds
            assert asked == []


def _reloaded(page: Page, text: str) -> bool:
    page.reload()
    return text in page.inner_text("main")
