"""Fixtures that every test may use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from tests.clusters import DemoCluster
from tests.components import pytest_terminal_summary  # noqa: F401 - a hook
from tests.product import Product
from tests.settings import SERVER_URL
from tests.worlds import World


@pytest.fixture(scope="session")
def database(django_db_blocker) -> Iterator[None]:
    """The session's database, migrated. Tests and the servers they start use the same one."""
    if connection.vendor == "postgresql":
        with psycopg.connect(SERVER_URL, autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{connection.settings_dict["NAME"]}"')
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0)
        yield
        connection.close()
    if connection.vendor == "postgresql":
        with psycopg.connect(SERVER_URL, autocommit=True) as server:
            server.execute(f'DROP DATABASE "{connection.settings_dict["NAME"]}" WITH (FORCE)')
    shutil.rmtree(settings.KARGOWEB.data_dir, ignore_errors=True)


@pytest.fixture(scope="session")
def demo_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    """A Kubernetes API with Kargo's types and nothing in it, which can be told to fail."""
    with DemoCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


_running: list[Product] = []


@pytest.fixture(scope="session")
def shared_product(database: None, demo_cluster: DemoCluster) -> Iterator[Product]:
    """kargoweb, serving, in front of `demo_cluster`."""
    with Product(demo_cluster.kubeconfig) as product:
        _running.append(product)
        yield product
        _running.clear()


@pytest.fixture(scope="module")
def no_other_product() -> Iterator[None]:
    """The session's product rests meanwhile: it would work on what is meant for another cluster."""
    resting = list(_running)
    for product in resting:
        product.stop()
    yield
    for product in resting:
        product.start()


@pytest.fixture
def product(shared_product: Product, demo_cluster: DemoCluster) -> Iterator[Product]:
    """kargoweb, serving, with a cluster that does not fail, before and after the test."""
    yield shared_product
    demo_cluster.faults()


@pytest.fixture
def world(demo_cluster: DemoCluster) -> Iterator[World]:
    """A place in the cluster where the test makes its own projects, receivers and Warehouses."""
    with World(demo_cluster.kubeconfig) as world:
        yield world
