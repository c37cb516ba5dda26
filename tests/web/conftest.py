"""Browsers for the pages of the product, and a client for pages in the process of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from receivers.ops import runtime
from tests.clusters import PATIENCE, DemoCluster
from tests.databases import temporary_database
from tests.deliveries.rows import unique_name
from tests.product import Product
from tests.users import BACKEND, create_session, create_superuser, create_user
from tests.web.http_browser import HttpBrowser


@pytest.fixture
def browser(product: Product) -> HttpBrowser:
    """A browser without a session."""
    return HttpBrowser(product)


@pytest.fixture
def signed_in(product: Product) -> Callable[..., HttpBrowser]:
    """Return a browser with a new user in these groups signed in: `signed_in("viewer", "operator:shop")`."""

    def signed_in(*groups: str) -> HttpBrowser:
        browser = HttpBrowser(product)
        browser.resume_session(create_session(create_user(*groups)))
        return browser

    return signed_in


@pytest.fixture
def superuser(product: Product) -> HttpBrowser:
    """A browser with a new superuser signed in."""
    browser = HttpBrowser(product)
    browser.resume_session(create_session(create_superuser()))
    return browser


@pytest.fixture
def admin_client(
    database: None, demo_cluster: DemoCluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """Django's test client with an admin signed in, and a cluster cache but no background work in this process.

    Use it to count queries and to change constants; otherwise use a browser.
    """
    monkeypatch.setenv("KUBECONFIG", str(demo_cluster.kubeconfig))
    current = runtime.Runtime(settings.KARGOWEB)
    current.cache.start()
    assert current.cache.wait_ready(PATIENCE)
    monkeypatch.setattr(runtime, "_current", current)
    client = Client(HTTP_HOST="localhost")
    client.force_login(create_user("admin"), BACKEND)
    yield client
    current.cache.stop()


@pytest.fixture
def project_name(database: None) -> str:
    """The name of a project that only this test stores deliveries for."""
    return unique_name()


@contextmanager
def other_installation(kubeconfig: Path, *, ready: bool = True) -> Iterator[tuple[Product, HttpBrowser]]:
    """Start a product with another cluster and its own database; yield it and a browser with an admin signed in."""
    with temporary_database():
        session = create_session(create_user("admin"))
        product = Product(kubeconfig)
        product.start(ready=ready)
        try:
            browser = HttpBrowser(product)
            browser.resume_session(session)
            yield product, browser
        finally:
            product.stop()
