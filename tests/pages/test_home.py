"""The page for people, as a browser gets it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.template.loader import render_to_string
from django.test.utils import CaptureQueriesContext

from receivers.pages import DELIVERIES_SHOWN, delivery_rows
from tests.clusters import until
from tests.deliveries import ended, routed
from tests.product import DIGEST, Product
from tests.worlds import Place, image, push_body

PASSWORD = "correct horse battery staple"
CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
SEEN_FIELD = re.compile(r'name="seen" value="(\w+)"')
HTMX = {"HX-Request": "true", "HX-Target": "deliveries"}


class Browser:
    """Keeps cookies and follows redirects. `url` is where it is, `status` and `headers` are of the last answer."""

    def __init__(self, product: Product) -> None:
        self._root = product.url
        self._opener: OpenerDirector = build_opener(HTTPCookieProcessor(CookieJar()))

    def open(
        self, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> str:
        """GET `path`, or POST `form` to it; return the text."""
        data = urlencode(form).encode() if form else None
        try:
            answer = self._opener.open(Request(self._root + path, data, dict(headers or {})), timeout=30)
        except HTTPError as error:
            answer = error
        with answer:
            self.url, self.status, self.headers = answer.url, answer.status, answer.headers
            return str(answer.read().decode())

    def sign_in(self, name: str, password: str) -> str:
        """Fill in the form of the sign-in page; return what comes then."""
        field = CSRF_FIELD.search(self.open("/sign-in"))
        assert field
        form = {"username": name, "password": password, "csrfmiddlewaretoken": field[1]}
        return self.open("/sign-in", form)


@pytest.fixture(scope="module")
def user(database: None) -> Iterator[str]:
    """The name of somebody who may sign in with `PASSWORD`."""
    person = User.objects.create_user(f"person-{uuid.uuid4().hex}", password=PASSWORD)
    yield person.username
    person.delete()


@pytest.fixture
def browser(product: Product) -> Browser:
    """A browser with nobody signed in."""
    return Browser(product)


@pytest.fixture(scope="module")
def signed_in(shared_product: Product, user: str) -> Browser:
    """A browser with `user` signed in."""
    browser = Browser(shared_product)
    browser.sign_in(user, PASSWORD)
    return browser


def section(page: str, place: Place) -> str:
    """Return the part of the page about one project."""
    return page.partition(f'id="project-{place.name}"')[2].partition("</section>")[0]


def seen_twice(browser: Browser) -> str:
    """Return what names the state of the list, once HTMX is told that the list is still in that state."""
    field = SEEN_FIELD.search(browser.open("/", headers=HTMX))
    assert field
    again = browser.open(f"/?seen={field[1]}", headers=HTMX)
    return field[1] if (browser.status, again) == (204, "") else ""


def test_who_is_not_signed_in_is_sent_to_the_sign_in_page_and_back(browser):
    page = browser.open("/?show=a/b")
    assert browser.url.endswith("/sign-in?next=/%3Fshow%3Da/b")
    assert '<input type="hidden" name="next" value="/?show=a/b">' in page


def test_a_list_that_refreshes_itself_makes_the_browser_load_the_sign_in_page(browser):
    assert browser.open("/", headers=HTMX) == ""
    assert browser.headers["HX-Refresh"] == "true"


def test_the_right_password_leads_to_the_page_and_nothing_keeps_a_copy(signed_in, user):
    page = signed_in.open("/")
    assert signed_in.status == 200
    assert user in page
    assert "no-store" in signed_in.headers["Cache-Control"]


def test_a_wrong_password_is_called_wrong(browser, user):
    page = browser.sign_in(user, "wrong")
    assert "do not belong together" in page
    browser.open("/")
    assert "/sign-in" in browser.url


def test_a_form_without_its_token_is_refused_in_our_own_look(browser, user):
    page = browser.open("/sign-in", {"username": user, "password": PASSWORD})
    assert (browser.status, "Form expired" in page) == (403, True)


def test_a_project_its_receiver_and_its_last_delivery_are_listed(signed_in, product, world):
    place = routed(product, world, image("example/listed"))
    ended(product.post(place.path(), push_body("example/listed", "1.2.3")).headers["X-Kargoweb-Delivery"])
    page = signed_in.open("/")
    assert "<td>hook</td>" in section(page, place)
    assert "<code>warehouse-0</code>" in section(page, place)
    row = page.partition("<tbody>")[2].partition("example/listed:<wbr>1.2.3")[2].partition("</tr>")[0]
    assert ">200</td>" in row
    assert 'data-outcome="refreshed"' in row


def test_a_receiver_url_is_in_the_page_only_when_asked_for(signed_in, product, world):
    place, other = routed(product, world), routed(product, world)
    assert not DIGEST.search(signed_in.open("/"))
    page = signed_in.open(f"/?show={place.name}/hook")
    assert f"<code>http://hooks{place.path()}</code>" in section(page, place)
    assert len(DIGEST.findall(page)) == 1
    assert other.path() not in page


def test_htmx_gets_the_deliveries_alone_and_nothing_while_they_are_the_same(signed_in, product, world):
    place = routed(product, world)
    ended(product.post(place.path(), push_body("example/part")).headers["X-Kargoweb-Delivery"])
    part = signed_in.open("/", headers=HTMX)
    assert "example/part" in part
    assert not re.search(r"<(html|h\d|section|form)\b", part)
    seen = until("what other tests have sent has ended", lambda: seen_twice(signed_in))
    ended(product.post(place.path(), push_body("example/next")).headers["X-Kargoweb-Delivery"])
    assert "example/next" in signed_in.open(f"/?seen={seen}", headers=HTMX)


def test_what_a_sender_writes_stays_text(signed_in, product, world):
    place = routed(product, world)
    hostile = 'x/"><script>alert(1)</script>'
    product.post(place.path(), push_body(hostile, "'><b>"))
    page = until("it is listed", lambda: "alert(1)" in (page := signed_in.open("/")) and page)
    assert "<script>alert" not in page
    assert "'><b>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_project_with_nothing_in_it_says_so(signed_in, world):
    place = world.bare_project()
    page = until("it is listed", lambda: section(signed_in.open("/"), place))
    assert "No receivers" in page
    assert "Warehouses: none" in page


def test_an_empty_log_says_what_to_do():
    assert "Nothing yet. Push a tag" in render_to_string("_deliveries.html", {"deliveries": [], "seen": ""})


def test_the_list_is_one_query_for_the_columns_it_shows(database):
    with CaptureQueriesContext(connection) as queries:
        delivery_rows()
    [query] = [one["sql"] for one in queries]
    assert f"LIMIT {DELIVERIES_SHOWN}" in query
    assert not re.search(r"\b(body|headers|verdicts|path)\b", query)


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_an_error_page_needs_nothing_to_be_shown(name):
    assert re.search(r"<h1>\w[^<]+</h1>\s+<p>\w[^<]+</p>", render_to_string(f"{name}.html"))


def test_an_address_that_is_not_there_is_404_in_our_own_look(browser):
    page = browser.open("/nothing-here")
    assert (browser.status, "There is no page at this address" in page) == (404, True)
    assert "nothing-here" not in page
