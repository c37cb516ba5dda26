"""The search in the header of every page."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from receivers.models import Delivery, Origin
from tests.browser.pages import PHONE, THEMES, Theme, Visitor, assert_accessible, assert_fits
from tests.delivery_rows import deliveries_of
from tests.worlds import KargoProject


@pytest.fixture
def pushed(shop: KargoProject) -> Delivery:
    """The newest push of 1.2.3."""
    return deliveries_of(shop).filter(origin=Origin.PUSH, tag="1.2.3").order_by("-id")[0]


def test_a_tag_typed_anywhere_leads_to_its_push(viewer: Visitor, pushed: Delivery):
    with viewer.page() as monitored:
        page = monitored.open("/attention")
        page.keyboard.press("/")
        page.keyboard.type(f"{pushed.repository}:{pushed.tag}")
        panel = page.get_by_role("region", name="Results")
        expect(panel.get_by_role("link").first).to_contain_text(f"{pushed.repository}:{pushed.tag}")
        page.keyboard.press("Enter")
        page.wait_for_url("**/pushes/*")
        expect(page.get_by_role("heading", level=1)).to_contain_text(f"{pushed.repository}:{pushed.tag}")


def test_enter_finds_a_tag_before_the_results_have_arrived(viewer: Visitor, pushed: Delivery):
    with viewer.page() as monitored:
        page = monitored.open("/")
        page.get_by_role("searchbox").fill(f"{pushed.repository}:{pushed.tag}")
        page.keyboard.press("Enter")
        page.wait_for_url("**/pushes/*")


def test_arrow_keys_move_through_the_results_and_escape_closes_them(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        page = monitored.open("/")
        page.get_by_role("searchbox").press_sequentially(shop.name)
        panel = page.get_by_role("region", name="Results")
        expect(panel.get_by_role("link").first).to_be_visible()
        page.keyboard.press("ArrowDown")
        expect(panel.get_by_role("link").first).to_be_focused()
        page.keyboard.press("ArrowUp")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.press("Escape")
        expect(panel).to_be_hidden()
        expect(page.get_by_role("searchbox")).to_be_focused()


@pytest.mark.parametrize("theme", THEMES)
def test_the_results_are_accessible_and_fit_on_a_phone(viewer: Visitor, shop: KargoProject, theme: Theme):
    with viewer.page(theme=theme, viewport=PHONE) as monitored:
        page = monitored.open("/")
        page.get_by_role("searchbox").press_sequentially(shop.name)
        expect(page.get_by_role("region", name="Results").get_by_role("link").first).to_be_visible()
        assert_accessible(page)
        assert_fits(page)


def test_without_javascript_the_search_is_a_page(viewer: Visitor, shop: KargoProject):
    with viewer.page(javascript=False) as monitored:
        page = monitored.open("/")
        # Not the whole name, which would open the project, and not its start, which other projects have, too.
        page.get_by_role("searchbox").fill(shop.name[1:])
        page.keyboard.press("Enter")
        page.wait_for_url("**/search?*")
        expect(page.get_by_role("main").get_by_role("link", name=shop.name).first).to_be_visible()
