"""The layout of every page with JavaScript: shortcuts, theme, times and menus."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.pages import PHONE, Visitor
from tests.clusters import until
from tests.users import PASSWORD, create_user
from tests.worlds import KargoProject


def test_the_theme_changes_at_once_and_is_saved(viewer: Visitor):
    with viewer.page(theme="light") as monitored:
        page = monitored.open("/")
        page.locator(".menu summary").click()
        page.get_by_role("button", name="Dark").click()
        dark = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(dark) == "rgb(17, 17, 19)"
        page.reload()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        assert page.evaluate(dark) == "rgb(17, 17, 19)"


def test_a_page_that_cannot_be_updated_says_so_until_it_can(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        page = monitored.open("/pushes")
        notice, live = page.locator("#stale"), page.locator(".live").first
        expect(notice).to_be_hidden()
        expect(live).to_be_visible()
        page.route("**/pushes?*", lambda route: route.fulfill(status=503))
        expect(notice).to_be_visible()
        expect(notice).to_contain_text("may be out of date")
        expect(live).to_be_hidden()
        page.unroute("**/pushes?*")
        expect(notice).to_be_hidden()
        expect(live).to_be_visible()
        monitored.errors.clear()  # the browser's report of the 503


def test_keyboard_shortcuts_search_select_open_and_show_help(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        page = monitored.open("/")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox")).to_be_focused()
        monitored.open(f"/projects?q={shop.name}")
        page.keyboard.press("j")
        expect(page.locator("tr.current")).to_have_count(1)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/projects/{shop.name}")


def test_a_list_that_is_replaced_keeps_its_current_row(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        page = monitored.open(f"/projects?q={shop.name}")
        page.keyboard.press("j")
        expect(page.locator("tr.current a").first).to_be_focused()
        page.evaluate("document.querySelector('tr.current').dataset.old = 'yes'")
        page.evaluate("document.querySelector('[name=seen]').value = 'another state'")
        expect(page.locator("[data-old]")).to_have_count(0)
        expect(page.locator("tr.current a").first).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/projects/{shop.name}")


def test_shortcuts_are_inactive_in_input_fields(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        page = monitored.open("/")
        page.get_by_role("searchbox").press_sequentially("j?k/")
        expect(page.get_by_role("searchbox")).to_have_value("j?k/")
        expect(page.locator("tr.current")).to_have_count(0)


def test_relative_times_are_updated_in_the_format_of_the_server(viewer: Visitor, shop: KargoProject):
    with viewer.page() as monitored:
        time = monitored.open(f"/projects/{shop.name}").locator("time").first
        before = time.inner_text()
        assert re.fullmatch(r"now|\d+ (s|min|h|d) ago", before)
        if before.endswith("s ago"):
            until("the time is updated", lambda: time.inner_text() != before)
        full = r"[A-Z][a-z]+day, [A-Z][a-z]+ \d+, \d{4}, [\d:]{8} UTC([+-][\d:]+)?"
        assert re.fullmatch(full, time.get_attribute("title") or "")


def test_the_first_tab_stop_skips_the_navigation(viewer: Visitor):
    with viewer.page() as monitored:
        page = monitored.open("/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


def test_a_user_signs_in_and_out_on_a_phone(anonymous: Visitor):
    with anonymous.page(viewport=PHONE) as monitored:
        page = monitored.open("/")
        page.get_by_label("Username").fill(create_user("viewer").username)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("Incorrect username or password")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
        page.locator(".menu summary").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
