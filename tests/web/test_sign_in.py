"""Signing in and out, throttling and themes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from receivers.accounts.password_slots import PasswordSlots
from receivers.models import Audit
from tests.product import Product
from tests.users import PASSWORD, create_user
from tests.web.html import csrf_token
from tests.web.http_browser import HttpBrowser


def test_an_anonymous_user_is_redirected_to_the_sign_in_page_with_the_target(browser):
    page = browser.open("/projects/a?page=2")
    assert browser.url.endswith("/sign-in?next=/projects/a%3Fpage%3D2")
    assert '<input type="hidden" name="next" value="/projects/a?page=2">' in page


def test_a_live_fragment_without_a_session_reloads_the_page(browser):
    assert browser.fragment("/projects", "projects") == ""
    assert browser.headers["HX-Refresh"] == "true"


def test_the_correct_password_signs_in_and_pages_are_not_cached(browser):
    name = create_user("viewer").username
    assert name in browser.sign_in(name)
    assert browser.status == 200
    assert "no-store" in browser.headers["Cache-Control"]


def test_a_wrong_password_is_rejected_and_audited(browser):
    name = create_user("viewer").username
    assert "Incorrect username or password" in browser.sign_in(name, "wrong")
    browser.open("/")
    assert "/sign-in" in browser.url
    assert Audit.objects.filter(user=name, action="sign_in_failed").count() == 1


def test_an_unknown_username_is_not_recorded(browser):
    # Users sometimes type the password into the wrong field.
    browser.sign_in("my-secret-password", "x")
    assert not Audit.objects.filter(user__contains="my-secret").exists()


def test_failed_sign_ins_are_throttled_with_the_time_to_wait(browser):
    name = create_user("viewer").username
    for _ in range(5):
        page = browser.sign_in(name, "wrong")
    assert (browser.status, "Too many failed sign-ins" in page) == (429, True)
    assert 0 < int(browser.headers["Retry-After"]) <= 600
    assert "in 9 min" in page
    browser.sign_in(name, PASSWORD)
    assert browser.status == 429


def test_throttling_does_not_affect_other_users(product):
    attacked, other = create_user("viewer").username, create_user("viewer").username
    for _ in range(5):
        HttpBrowser(product).sign_in(attacked, "wrong")
    browser = HttpBrowser(product)
    browser.sign_in(other)
    assert browser.status == 200


def test_signing_in_and_out_is_audited(browser):
    name = create_user("viewer").username
    browser.sign_in(name)
    browser.submit("/sign-out")
    assert browser.url.endswith("/sign-in")
    entries = Audit.objects.filter(user=name).order_by("at").values_list("action", "address")
    assert list(entries) == [("sign_in", "127.0.0.1"), ("sign_out", "127.0.0.1")]


def test_a_form_without_a_csrf_token_shows_the_403_page(browser):
    page = browser.open("/sign-in", {"username": "x", "password": "y"})
    assert (browser.status, "Form expired" in page) == (403, True)


def test_the_sign_in_page_shows_no_credentials_by_default(browser):
    page = browser.open("/sign-in").lower()
    assert "password " not in page.replace("</label>", "").replace(">password", "")


@pytest.mark.parametrize("theme", ["light", "dark", "system"])
def test_a_theme_is_saved_without_javascript(browser, theme):
    browser.sign_in(create_user("viewer").username)
    page = browser.submit("/theme", {"theme": theme, "next": "/cluster"})
    assert browser.url.endswith("/cluster")
    assert f'<html lang="en" data-theme="{theme}" ' in page


def test_choosing_a_theme_does_not_redirect_to_other_sites(browser, product: Product):
    browser.sign_in(create_user("viewer").username)
    browser.submit("/theme", {"theme": "pink", "next": "//evil.example.com/"})
    assert browser.url == f"{product.url}/"


def test_simultaneous_guesses_are_limited_as_consecutive_ones(product):
    name = create_user("viewer").username
    browsers = [HttpBrowser(product) for _ in range(28)]
    tokens = [csrf_token(browser.open("/sign-in")) for browser in browsers]

    def guess(number: int) -> str:
        form = {"username": name, "password": f"guess {number}", "csrfmiddlewaretoken": tokens[number]}
        return browsers[number].open("/sign-in", form)

    with ThreadPoolExecutor(28) as pool:
        pages = list(pool.map(guess, range(28)))
    assert sum("Incorrect username or password" in page for page in pages) < 5
    refused = [browser for browser in browsers if browser.status == 429]
    assert len(refused) > 20
    assert all(int(browser.headers["Retry-After"]) > 0 for browser in refused)


def test_simultaneous_sign_ins_are_few_by_address_by_username_and_in_total():
    slots = PasswordSlots()
    with slots.take("1.1.1.1", "ann") as first, slots.take("2.2.2.2", "ann") as same_name:
        assert (first, same_name) == (True, False)
        with slots.take("1.1.1.1", "ben") as second, slots.take("1.1.1.1", "cem") as same_address:
            assert (second, same_address) == (True, False)
            with (
                slots.take("2.2.2.2", "dan"),
                slots.take("3.3.3.3", "eve"),
                slots.take("4.4.4.4", "f") as fifth,
            ):
                assert not fifth
    with slots.take("1.1.1.1", "ann") as free:
        assert free
