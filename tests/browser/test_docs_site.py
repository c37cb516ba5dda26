"""The documentation site, in a browser."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser

from tests.tools.test_site import QuietHandler, site  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:  # noqa: F811 - the fixture
    """The address at which a server has the site."""
    handler = functools.partial(QuietHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_browser_asks_no_other_host_and_finds_words(address: str, chromium: Browser):
    hosts: set[str] = set()
    page = chromium.new_page()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    for name in ("index", "concepts", "guides/beside", "configuration"):
        assert page.goto(f"{address}/{name}.html", wait_until="networkidle")
    page.keyboard.press("/")
    page.keyboard.type("catch-ups")
    page.get_by_role("link", name="Catch-ups").first.wait_for()
    page.close()
    assert hosts == {urlsplit(address).netloc}
