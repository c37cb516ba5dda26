"""kargoweb with short timeouts, in front of a Kargo whose misbehavior the tests control."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.clusters import DemoCluster
from tests.demo.kargo import Kargo
from tests.product import Product
from tests.refreshes.shop import Shop
from tests.worlds import World

# Delays are short, so that retries are fast. Timeouts are long: on a busy machine a controller needs its time, and a
# timeout that fires too early would be a retry or an outcome that no test expects.
SHORT_DELAYS = {
    "KARGOWEB_HANDLED_WITHIN": "15",
    "KARGOWEB_DISCOVERED_WITHIN": "20",
    "KARGOWEB_FREIGHT_WITHIN": "15",
    "KARGOWEB_DISCOVERY_DELAYS": "0.1,0.2,0.4",
    "KARGOWEB_RATE_LIMIT_DELAYS": "0.2,0.4",
    "KARGOWEB_LAG_DELAYS": "0.2,0.5,1",
}


# For the tests in which no controller responds at all.
SHORT_TIMEOUTS = SHORT_DELAYS | {"KARGOWEB_HANDLED_WITHIN": "0.5"}


@pytest.fixture(scope="session")
def kargo_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoCluster]:
    """A separate cluster, because those of other tests have no controller."""
    with DemoCluster(tmp_path_factory.mktemp("kargo-cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kargo(kargo_cluster: DemoCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kargo]:
    """A controller and a registry."""
    kargo = Kargo(kargo_cluster, tmp_path_factory.mktemp("registry") / "registry.sqlite3")
    yield kargo
    kargo.close()


@pytest.fixture(scope="module")
def tracking_product(database: None, kargo: Kargo, kargo_cluster: DemoCluster) -> Iterator[Product]:
    """A serving process with long timeouts for the controller."""
    with Product(kargo_cluster.kubeconfig_for("kargoweb"), **SHORT_DELAYS) as product:
        yield product


@pytest.fixture(scope="module")
def short_timeout_product(database: None, kargo: Kargo, kargo_cluster: DemoCluster) -> Iterator[Product]:
    """A serving process with short timeouts for the controller."""
    with Product(kargo_cluster.kubeconfig_for("kargoweb"), **SHORT_TIMEOUTS) as product:
        yield product


@pytest.fixture
def short_timeout_shop(
    short_timeout_product: Product, kargo: Kargo, kargo_cluster: DemoCluster
) -> Iterator[Callable[..., Shop]]:
    """Creates a project as `shop` does, for tests in which no controller responds."""
    with World(kargo_cluster.kubeconfig) as world:
        yield partial(Shop, short_timeout_product, world, kargo)


@pytest.fixture
def shop(
    tracking_product: Product, kargo: Kargo, kargo_cluster: DemoCluster
) -> Iterator[Callable[..., Shop]]:
    """Creates a project with a receiver and a Warehouse on the image `<project>/app`."""
    with World(kargo_cluster.kubeconfig) as world:
        yield partial(Shop, tracking_product, world, kargo)
    kargo_cluster.faults()
