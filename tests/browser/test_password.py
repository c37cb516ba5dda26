"""The page on which users change their own password, in a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import PHONE, THEMES, Theme, Visitor, assert_accessible, assert_fits
from tests.users import PASSWORD

NEW = "an entirely different staple"


def change(page: Page, old: str, new: str, again: str) -> None:
    """Fill the form and submit it."""
    page.get_by_label("Old password").fill(old)
    page.get_by_label("New password", exact=True).fill(new)
    page.get_by_label("New password confirmation").fill(again)
    page.get_by_role("button", name="Change password").click()


def test_the_password_can_be_changed_on_a_phone_without_javascript(signed_in: Callable[..., Visitor]):
    with signed_in("viewer").page(viewport=PHONE, javascript=False) as monitored:
        page = monitored.open("/")
        page.locator(".menu summary").click()
        page.get_by_role("link", name="Change password").click()
        change(page, PASSWORD, NEW, NEW)
        expect(page.locator("#messages")).to_contain_text("Password changed.")


@pytest.mark.parametrize("theme", THEMES)
def test_the_errors_are_accessible_and_fit_a_phone(signed_in: Callable[..., Visitor], theme: Theme):
    with signed_in("viewer").page(viewport=PHONE, theme=theme) as monitored:
        page = monitored.open("/password")
        change(page, "wrong", NEW, "something else entirely")
        expect(page.get_by_role("alert")).to_have_count(2)
        expect(page.get_by_label("Old password")).to_have_accessible_description(
            "Your old password was entered incorrectly. Please enter it again."
        )
        assert_fits(page)
        assert_accessible(page)
