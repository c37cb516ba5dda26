"""A browser without a screen for the pages: keeps cookies, follows redirects, fills in forms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookiejar import Cookie, CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from tests.product import Product

PASSWORD = "correct horse battery staple"
CSRF_FIELD = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
SEEN_FIELD = re.compile(r'name="seen" value="(\w+)"')


class Browser:
    """Keeps cookies and follows redirects. `url` is where it is, `status` and `headers` are of the last answer."""

    def __init__(self, product: Product) -> None:
        self._root = product.url
        self._cookies = CookieJar()
        self._opener: OpenerDirector = build_opener(HTTPCookieProcessor(self._cookies))

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

    def part(self, path: str, target: str) -> str:
        """GET a part of a page as HTMX does, without having seen it before."""
        return self.open(path, headers={"HX-Request": "true", "HX-Target": target})

    def submit(self, path: str, form: Mapping[str, str] | None = None, *, on: str = "/") -> str:
        """POST a form with the token that the page `on` has; return what comes then."""
        field = CSRF_FIELD.search(self.open(on))
        assert field, f"{on} has no form"
        return self.open(path, {**(form or {}), "csrfmiddlewaretoken": field[1]})

    def resume_session(self, session_key: str) -> None:
        """Set the session cookie."""
        self._cookies.set_cookie(
            Cookie(
                version=0,
                name="sessionid",
                value=session_key,
                port=None,
                port_specified=False,
                domain="127.0.0.1",
                domain_specified=False,
                domain_initial_dot=False,
                path="/",
                path_specified=True,
                secure=False,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={},
            )
        )

    def sign_in(self, name: str, password: str = PASSWORD) -> str:
        """Fill in the form of the sign-in page; return what comes then."""
        return self.submit("/sign-in", {"username": name, "password": password}, on="/sign-in")
