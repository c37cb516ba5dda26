"""kargoweb in front of a Kargo that misbehaves as it is told, with little patience."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.clusters import DemoCluster
from tests.demo.kargo import Kargo
from tests.product import Product
from tests.refreshes.shop import Shop
from tests.worlds import World

LITTLE_PATIENCE = {
    "KARGOWEB_HANDLED_WITHIN": "1",
    "KARGOWEB_DISCOVERED_WITHIN": "20",
    "KARGOWEB_FREIGHT_WITHIN": "1",
    "KARGOWEB_DISCOVERY_DELAYS": "0.1,0.2,0.4",
    "KARGOWEB_RATE_LIMIT_DELAYS": "0.2,0.4",
    "KARGOWEB_LAG_DELAYS": "0.2,0.5,1",
}


@pytest.fixture(scope="session")
def kargo_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    """A cluster of its own: other tests' clusters have no controller."""
    with DemoCluster(tmp_path_factory.mktemp("kargo-cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kargo(kargo_cluster: DemoCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kargo]:
    """A controller and a registry."""
    kargo = Kargo(kargo_cluster, tmp_path_factory.mktemp("registry") / "registry.sqlite3")
    yield kargo
    kargo.close()


@pytest.fixture(scope="module", autouse=True)
def alone(no_other_product: None) -> None:
    """Nobody else works on the database."""


@pytest.fixture(scope="module")
def following_product(
    database: None, alone: None, kargo: Kargo, kargo_cluster: DemoCluster
) -> Iterator[Product]:
    """kargoweb, serving."""
    with Product(kargo_cluster.kubeconfig_for("kargoweb"), **LITTLE_PATIENCE) as product:
        yield product


@pytest.fixture
def shop(
    following_product: Product, kargo: Kargo, kargo_cluster: DemoCluster
) -> Iterator[Callable[..., Shop]]:
    """Makes a project with a receiver and a Warehouse on the image `<project>/app`."""
    with World(kargo_cluster.kubeconfig) as world:
        yield lambda *subscriptions, **options: Shop(
            following_product, world, kargo, *subscriptions, **options
        )
    kargo_cluster.faults()
