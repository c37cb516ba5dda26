"""The page on which users change their own password."""

from __future__ import annotations

import pytest

from receivers.models import Audit
from tests.users import PASSWORD, create_user
from tests.web.http_browser import HttpBrowser

NEW = "an entirely different staple"


def change(browser: HttpBrowser, old: str = PASSWORD, new: str = NEW, again: str = NEW) -> str:
    """Submit the form; return the resulting page."""
    form = {"old_password": old, "new_password1": new, "new_password2": again}
    return browser.submit("/password", form, on="/password")


def test_the_user_stays_signed_in_and_the_other_sessions_end(browser, product):
    name = create_user("viewer").username
    other = HttpBrowser(product)
    for each in (browser, other):
        each.sign_in(name)
    assert "Password changed." in change(browser)
    assert browser.url == f"{product.url}/"
    assert name in browser.open("/")
    other.open("/")
    assert other.url.endswith("/sign-in?next=/")


def test_only_the_new_password_signs_in(browser, product):
    name = create_user("viewer").username
    browser.sign_in(name)
    change(browser)
    assert "Incorrect username or password" in HttpBrowser(product).sign_in(name)
    assert name in HttpBrowser(product).sign_in(name, NEW)


def test_a_change_is_audited_without_the_password(browser):
    name = create_user("viewer").username
    browser.sign_in(name)
    change(browser)
    entry = Audit.objects.get(user=name, action="change_password")
    assert (entry.address, entry.detail) == ("127.0.0.1", "")


@pytest.mark.parametrize(
    ("passwords", "problem"),
    [
        ({"old": "wrong"}, "Your old password was entered incorrectly"),
        ({"again": "something else entirely"}, "The two password fields didn’t match"),
        ({"new": "short1x", "again": "short1x"}, "This password is too short"),
        ({"new": "password1", "again": "password1"}, "This password is too common"),
    ],
    ids=["wrong old password", "different new ones", "too short", "too common"],
)
def test_an_invalid_form_changes_nothing_and_names_the_problem(browser, product, passwords, problem):
    name = create_user("viewer").username
    browser.sign_in(name)
    assert problem in change(browser, **passwords)
    assert not Audit.objects.filter(user=name, action="change_password").exists()
    assert name in HttpBrowser(product).sign_in(name)


def test_a_user_without_a_role_can_change_the_password(browser):
    browser.sign_in(create_user().username)
    page = change(browser)
    assert "No role yet" in page
    assert "Password changed." in page


def test_an_anonymous_user_is_redirected_to_the_sign_in_page(browser):
    browser.open("/password")
    assert browser.url.endswith("/sign-in?next=/password")


def test_the_page_is_not_cached_and_the_menu_links_to_it(signed_in):
    browser = signed_in("viewer")
    browser.open("/password")
    assert "no-store" in browser.headers["Cache-Control"]
    assert 'href="/password"' in browser.open("/")
