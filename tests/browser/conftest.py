"""Fixtures of the browser tests: Chromium, a product with some history, and a visitor for every role."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User

# Playwright's API for threads runs an event loop in this one, in which Django would refuse to use the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from playwright.sync_api import Browser, sync_playwright

from tests.browser.pages import CHROMIUM_FLAGS, PASSWORD, Visitor
from tests.clusters import DemoCluster
from tests.components import require
from tests.delivery_rows import routed_project, wait_for_result
from tests.people import create_session, create_user
from tests.product import Product
from tests.worlds import KargoProject, World, image, push_body


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    path = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop(shared_product: Product, demo_cluster: DemoCluster) -> KargoProject:
    """A project with two Warehouses, a receiver with deliveries of several outcomes, and one that waits."""
    demo_cluster.faults()
    with World(demo_cluster.kubeconfig) as world:
        place = routed_project(
            shared_product, world, image("example/shop", constraint="^1.0.0"), warehouses=2
        )
        place.publish(place.receiver, "waiting")
    bodies = [push_body("example/shop", "1.2.3"), push_body("example/shop", "2.0.0"), b"{", push_body("a/b")]
    for body in bodies:
        wait_for_result(shared_product.post(place.path(), body).headers["X-Kargoweb-Delivery"])
    return place


@pytest.fixture(scope="session")
def make_person(database: None) -> Callable[..., str]:
    """Make somebody in these groups who may sign in with `PASSWORD`; return the user name."""

    def make_person(*groups: str) -> str:
        return create_user(f"someone-{secrets.token_hex(4)}", PASSWORD, *groups).username

    return make_person


@pytest.fixture(scope="session")
def visitor_in(
    chromium: Browser, shared_product: Product, make_person: Callable[..., str]
) -> Callable[..., Visitor]:
    """Make a visitor who is signed in and is in these groups: `visitor_in("viewer", "operator:shop")`."""

    def visitor_in(*groups: str) -> Visitor:
        user = User.objects.get(username=make_person(*groups))
        return Visitor(chromium, shared_product.url, [session_cookie(shared_product, user)])

    return visitor_in


def session_cookie(product: Product, user: User) -> dict[str, str]:
    """Sign a user in, without the form, and return the cookie."""
    return {"name": "sessionid", "value": create_session(user), "url": product.url}


@pytest.fixture(scope="session")
def stranger(chromium: Browser, shared_product: Product) -> Visitor:
    """Nobody is signed in."""
    return Visitor(chromium, shared_product.url, [])


@pytest.fixture(scope="session")
def viewer(visitor_in: Callable[..., Visitor]) -> Visitor:
    """Sees everything but receiver URLs."""
    return visitor_in("viewer")


@pytest.fixture(scope="session")
def operator(visitor_in: Callable[..., Visitor]) -> Visitor:
    """Reveals, fires, redelivers, mutes."""
    return visitor_in("operator")


@pytest.fixture(scope="session")
def admin(visitor_in: Callable[..., Visitor]) -> Visitor:
    """Also reads the audit list."""
    return visitor_in("admin")
