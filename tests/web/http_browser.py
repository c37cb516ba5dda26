"""A browser without JavaScript and without rendering: keeps cookies, follows redirects, submits forms."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookiejar import Cookie, CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, OpenerDirector, Request, build_opener

from tests.clusters import until
from tests.product import Product
from tests.users import PASSWORD
from tests.web.html import csrf_token


class HttpBrowser:
    """Opens pages of a product. `url`, `status` and `headers` are those of the last response."""

    def __init__(self, product: Product) -> None:
        self._root = product.url
        self._cookies = CookieJar()
        self._opener: OpenerDirector = build_opener(HTTPCookieProcessor(self._cookies))

    def open(
        self,
        path: str,
        form: Mapping[str, str | list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """GET `path`, or POST `form` to it; return the body as text. The path may be an address elsewhere, too."""
        data = urlencode(form, doseq=True).encode() if form else None
        url = path if path.startswith("http") else self._root + path
        try:
            response = self._opener.open(Request(url, data, dict(headers or {})), timeout=30)
        except HTTPError as error:
            response = error
        with response:
            self.url, self.status, self.headers = response.url, response.status, response.headers
            return str(response.read().decode())

    def open_until(self, path: str, text: str) -> str:
        """GET `path` until the page contains `text`; return the page."""
        return until(f"{path} contains {text!r}", lambda: page if text in (page := self.open(path)) else None)

    def fragment(self, path: str, target: str) -> str:
        """GET a fragment of a page as HTMX does; `target` is the id of the element."""
        return self.open(path, headers={"HX-Request": "true", "HX-Target": target})

    def submit(self, path: str, form: Mapping[str, str | list[str]] | None = None, *, on: str = "/") -> str:
        """POST a form with the CSRF token of the page `on`; return the resulting page."""
        token = csrf_token(self.open(on))
        return self.open(path, {**(form or {}), "csrfmiddlewaretoken": token})

    def cookie(self, name: str) -> str:
        """Return the value of a cookie."""
        return next(cookie.value or "" for cookie in self._cookies if cookie.name == name)

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
        """Submit the sign-in form; return the resulting page."""
        return self.submit("/sign-in", {"username": name, "password": password}, on="/sign-in")
