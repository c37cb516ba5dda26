"""Signing in and out, and being held up."""

from __future__ import annotations

import pytest

from receivers.models import Audit
from tests.product import Product
from tests.web.visiting import PASSWORD, Browser


def test_who_is_not_signed_in_is_sent_to_the_sign_in_page_and_back(browser):
    page = browser.open("/projects/a?page=2")
    assert browser.url.endswith("/sign-in?next=/projects/a%3Fpage%3D2")
    assert '<input type="hidden" name="next" value="/projects/a?page=2">' in page


def test_a_part_that_refreshes_itself_makes_the_browser_load_the_sign_in_page(browser):
    assert browser.part("/", "projects") == ""
    assert browser.headers["HX-Refresh"] == "true"


def test_the_right_password_leads_to_the_page_and_nothing_keeps_a_copy(browser, make_user):
    name = make_user("viewer")
    assert name in browser.sign_in(name)
    assert browser.status == 200
    assert "no-store" in browser.headers["Cache-Control"]


def test_a_wrong_password_is_called_wrong_and_is_on_record(browser, make_user):
    name = make_user("viewer")
    assert "Incorrect username or password" in browser.sign_in(name, "wrong")
    browser.open("/")
    assert "/sign-in" in browser.url
    assert Audit.objects.filter(user=name, action="sign_in_failed").count() == 1


def test_a_name_that_nobody_has_is_not_recorded_for_it_may_be_a_password(browser):
    browser.sign_in("my-secret-password", "x")
    assert not Audit.objects.filter(user__contains="my-secret").exists()


def test_somebody_who_guesses_is_held_up_and_told_how_long(browser, make_user):
    name = make_user("viewer")
    for _ in range(5):
        page = browser.sign_in(name, "wrong")
    assert (browser.status, "Too many failed sign-ins" in page) == (429, True)
    assert 0 < int(browser.headers["Retry-After"]) <= 600
    assert "in 9 min" in page
    browser.sign_in(name, PASSWORD)
    assert browser.status == 429


def test_others_are_not_held_up_with_him(product, make_user):
    guessed, other = make_user("viewer"), make_user("viewer")
    for _ in range(5):
        Browser(product).sign_in(guessed, "wrong")
    browser = Browser(product)
    browser.sign_in(other)
    assert browser.status == 200


def test_signing_in_and_out_is_on_record(browser, make_user):
    name = make_user("viewer")
    browser.sign_in(name)
    browser.submit("/sign-out")
    assert browser.url.endswith("/sign-in")
    recorded = Audit.objects.filter(user=name).order_by("at").values_list("action", "address")
    assert list(recorded) == [("sign_in", "127.0.0.1"), ("sign_out", "127.0.0.1")]


def test_a_form_without_its_token_is_refused_in_our_own_look(browser):
    page = browser.open("/sign-in", {"username": "x", "password": "y"})
    assert (browser.status, "Form expired" in page) == (403, True)


def test_the_sign_in_page_tells_no_credentials_unless_it_is_told_to(browser):
    assert "password " not in browser.open("/sign-in").lower().replace("</label>", "").replace(
        ">password", ""
    )


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_a_theme_is_kept_without_javascript(browser, make_user, theme):
    browser.sign_in(make_user("viewer"))
    page = browser.submit("/theme", {"theme": theme, "next": "/cluster"})
    assert browser.url.endswith("/cluster")
    assert f'<html lang="en" data-theme="{theme}">' in page


def test_choosing_a_theme_leads_nowhere_else(browser, make_user, product: Product):
    browser.sign_in(make_user("viewer"))
    browser.submit("/theme", {"theme": "pink", "next": "//evil.example.com/"})
    assert browser.url == f"{product.url}/"
