"""Fixtures of the browser tests: Chromium, a project with deliveries, and a visitor for each role."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import User

# Playwright's API for threads runs an event loop in this one, in which Django would refuse to use the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from playwright.sync_api import Browser, sync_playwright

from tests.browser.pages import CHROMIUM_FLAGS, Visitor
from tests.clusters import DemoCluster
from tests.components import require
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.users import create_session, create_superuser, create_user
from tests.web.deliveries import send_push
from tests.worlds import KargoProject, World, image, push_body


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window.

    The headless shell is the same engine without the browser around it, and takes a sixth of the CPU time.
    """
    path = require("chromium-headless-shell", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def shop(shared_product: Product, demo_cluster: DemoCluster) -> KargoProject:
    """A project with two Warehouses, a receiver with deliveries of several outcomes, and one without deliveries."""
    demo_cluster.faults()
    with World(demo_cluster.kubeconfig) as world:
        project = routed_project(
            shared_product, world, image("example/shop", constraint="^1.0.0"), warehouses=2
        )
        project.publish(project.receiver, "waiting")
    bodies = [push_body("example/shop", "1.2.3"), push_body("example/shop", "2.0.0"), b"{", push_body("a/b")]
    for body in bodies:
        send_push(shared_product, project, body)
    return project


@pytest.fixture(scope="session")
def signed_in(chromium: Browser, shared_product: Product) -> Callable[..., Visitor]:
    """Return a visitor, signed in as a new user in these groups: `signed_in("viewer", "operator:shop")`."""

    def signed_in(*groups: str) -> Visitor:
        cookie = session_cookie(shared_product, create_user(*groups))
        return Visitor(chromium, shared_product.url, [cookie])

    return signed_in


def session_cookie(product: Product, user: User) -> dict[str, str]:
    """Sign a user in without the form; return the session cookie in Playwright's format."""
    return {"name": "sessionid", "value": create_session(user), "url": product.url}


@pytest.fixture(scope="session")
def superuser(chromium: Browser, shared_product: Product) -> Visitor:
    """A visitor who can also use the Django admin."""
    cookie = session_cookie(shared_product, create_superuser())
    return Visitor(chromium, shared_product.url, [cookie])


@pytest.fixture(scope="session")
def anonymous(chromium: Browser, shared_product: Product) -> Visitor:
    """A visitor who is not signed in."""
    return Visitor(chromium, shared_product.url, [])


@pytest.fixture(scope="session")
def viewer(signed_in: Callable[..., Visitor]) -> Visitor:
    """A visitor who can see everything except receiver URLs."""
    return signed_in("viewer")


@pytest.fixture(scope="session")
def operator(signed_in: Callable[..., Visitor]) -> Visitor:
    """A visitor who can also reveal URLs, send test pushes, redeliver and mute."""
    return signed_in("operator")


@pytest.fixture(scope="session")
def admin(signed_in: Callable[..., Visitor]) -> Visitor:
    """A visitor who can also read the audit log and the configuration."""
    return signed_in("admin")
