"""What is around every page, with a script at work: keyboard, theme, times, menus."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.pages import PASSWORD, PHONE, Visitor
from tests.clusters import until
from tests.worlds import KargoProject


def test_the_theme_is_switched_at_once_and_kept_without_a_flash(viewer: Visitor):
    with viewer.page(theme="light") as watched:
        page = watched.open("/")
        page.locator(".menu summary").click()
        page.get_by_role("button", name="Dark").click()
        dark = "getComputedStyle(document.body).backgroundColor"
        assert page.evaluate(dark) == "rgb(20, 23, 28)"
        page.reload()
        assert page.locator("html").get_attribute("data-theme") == "dark"
        assert page.evaluate(dark) == "rgb(20, 23, 28)"


def test_the_keyboard_searches_moves_opens_and_helps(viewer: Visitor, shop: KargoProject):
    with viewer.page() as watched:
        page = watched.open("/")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        page.keyboard.press("/")
        expect(page.get_by_role("searchbox")).to_be_focused()
        page.keyboard.type(shop.name)
        page.keyboard.press("Tab")
        expect(page.locator("tbody tr")).to_have_count(1)
        page.keyboard.press("Tab")
        page.keyboard.press("j")
        expect(page.locator("tr.current")).to_have_count(1)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/projects/{shop.name}")


def test_a_letter_that_somebody_types_into_a_field_moves_nothing(viewer: Visitor, shop: KargoProject):
    with viewer.page() as watched:
        page = watched.open("/")
        page.get_by_role("searchbox").press_sequentially("j?k/")
        expect(page.get_by_role("searchbox")).to_have_value("j?k/")
        expect(page.locator("tr.current")).to_have_count(0)


def test_times_go_on_by_themselves_in_the_words_of_the_server(viewer: Visitor, shop: KargoProject):
    with viewer.page() as watched:
        time = watched.open(f"/projects/{shop.name}").locator("time").first
        before = time.inner_text()
        assert re.fullmatch(r"now|\d+ (s|min|h|d) ago", before)
        if before.endswith("s ago"):
            until("it goes on", lambda: time.inner_text() != before)
        assert re.fullmatch(r"[\d-]{10} [\d:]{8} UTC", time.get_attribute("title") or "")


def test_the_first_key_leads_past_the_navigation(viewer: Visitor):
    with viewer.page() as watched:
        page = watched.open("/")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("main")).to_be_focused()


def test_somebody_signs_in_and_out_on_a_phone(stranger: Visitor, make_person):
    with stranger.page(viewport=PHONE) as watched:
        page = watched.open("/")
        page.get_by_label("Username").fill(make_person("viewer"))
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("Incorrect username or password")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Projects")).to_be_visible()
        page.locator(".menu summary").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
