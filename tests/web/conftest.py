"""People who open pages, and a view of the pages from inside the process that counts queries."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client

from receivers.ops import runtime
from tests.clusters import DemoCluster
from tests.people import create_session, create_user
from tests.product import Product
from tests.web.visiting import PASSWORD, Browser

MakeUser = Callable[..., str]


@pytest.fixture(scope="session")
def make_user(database: None) -> MakeUser:
    """Make somebody in these groups who may sign in with `PASSWORD`; return the user name."""

    def make_user(*groups: str, superuser: bool = False) -> str:
        name = f"person-{uuid.uuid4().hex}"
        return create_user(name, PASSWORD, *groups, superuser=superuser).username

    return make_user


@pytest.fixture
def browser(product: Product) -> Browser:
    """A browser with nobody signed in."""
    return Browser(product)


@pytest.fixture
def signed_in(product: Product, make_user: MakeUser) -> Callable[..., Browser]:
    """Give a browser with somebody signed in who is in these groups."""

    def signed_in(*groups: str) -> Browser:
        browser = Browser(product)
        browser.resume_session(create_session(User.objects.get(username=make_user(*groups))))
        return browser

    return signed_in


@pytest.fixture
def inside(
    database: None, demo_cluster: DemoCluster, make_user: MakeUser, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """An admin's requests to pages in this process, with a cache of the cluster and no background work."""
    monkeypatch.setenv("KUBECONFIG", str(demo_cluster.kubeconfig))
    here = runtime.Runtime(settings.KARGOWEB)
    here.cache.start()
    assert here.cache.wait_ready(20)
    monkeypatch.setattr(runtime, "_current", here)
    client = Client(HTTP_HOST="localhost")
    client.force_login(
        User.objects.get(username=make_user("admin")), "django.contrib.auth.backends.ModelBackend"
    )
    yield client
    here.cache.stop()


@contextmanager
def apart(kubeconfig: Path, directory: Path, *, ready: bool = True) -> Iterator[tuple[Product, Browser]]:
    """Give a product in front of another cluster, with a database of its own, and an admin who is signed in there."""
    product = Product(kubeconfig, DATABASE_URL=f"sqlite:///{directory}/apart.sqlite3")
    product.migrate()
    product.manage(
        "createsuperuser",
        "--noinput",
        "-v0",
        DJANGO_SUPERUSER_USERNAME="admin",
        DJANGO_SUPERUSER_EMAIL="admin@example.com",
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )
    product.start(ready=ready)
    try:
        browser = Browser(product)
        browser.sign_in("admin")
        yield product, browser
    finally:
        product.stop()
