"""Pages are compressed for browsers that accept it; responses with secrets and to machines are not."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from http.client import HTTPResponse
from urllib.request import Request, urlopen

import pytest

from tests.delivery_rows import routed_project
from tests.product import Product
from tests.users import create_session, create_user
from tests.web.html import csrf_token
from tests.worlds import push_body

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def opened(
    product: Product, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    """Send a request of a browser that accepts gzip; return the response and its body as it was sent."""
    with urlopen(Request(product.url + path, data, {**GZIP, **(headers or {})}), timeout=30) as response:
        return response, response.read()


@pytest.fixture
def session(product: Product) -> dict[str, str]:
    """The cookie of a viewer's session."""
    return {"Cookie": f"sessionid={create_session(create_user('viewer'))}"}


@pytest.mark.parametrize("path", ["/", "/projects", "/pushes", "/status"])
def test_a_page_is_compressed(product, session, path):
    response, body = opened(product, path, headers=session)
    assert response.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response.headers["Vary"]
    assert len(body) < 30_000
    assert b"</html>" in gzip.decompress(body)


def test_the_length_of_a_compressed_page_varies(product):
    lengths = {len(opened(product, "/sign-in")[1]) for _ in range(12)}
    assert len(lengths) > 3


def test_a_browser_without_gzip_gets_the_page_as_it_is(product):
    response, body = opened(product, "/sign-in", headers={"Accept-Encoding": "identity"})
    assert response.headers["Content-Encoding"] is None
    assert b"</html>" in body


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_responses_to_machines_are_not_compressed(product, path):
    assert opened(product, path)[0].headers["Content-Encoding"] is None


def test_the_response_to_a_webhook_is_not_compressed(product, world):
    project = routed_project(product, world)
    response, _ = opened(product, project.path(), push_body("example/compressed"))
    assert response.headers["Content-Encoding"] is None


def test_a_revealed_url_is_not_compressed(signed_in, product, world):
    project = routed_project(product, world)
    browser = signed_in(f"operator:{project.name}")
    token = csrf_token(browser.open(f"/projects/{project.name}"))
    form = {"csrfmiddlewaretoken": token}
    page = browser.open(f"/projects/{project.name}/receivers/hook", form, GZIP)
    assert project.path() in page
    assert "Content-Encoding" not in browser.headers
