"""What Prometheus is told."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receivers.kargo.resources import WAREHOUSES
from tests.clusters import until
from tests.delivery_rows import routed
from tests.product import Product
from tests.worlds import image, push_body


@pytest.fixture(scope="module")
def telling(database, demo_cluster):
    """A serving process that tells."""
    with Product(demo_cluster.kubeconfig, KARGOWEB_METRICS="true") as product:
        yield product


def told(product: Product) -> dict[tuple[str, str], float]:
    """Return every sample by its name and the value of its label."""
    families = text_string_to_metric_families(product.get("/metrics").data.decode())
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_it_is_off_unless_it_is_asked_for(product):
    assert product.status("/metrics") == 404


def test_answers_are_counted_by_code(telling, world):
    place = routed(telling, world, image("example/counted"))
    before = told(telling)
    telling.post(place.path(), push_body("example/counted", "1.0.0"))
    telling.post(place.path(), b"[]")
    telling.post("/dockerhub/" + "0" * 64, b"{}")
    after = told(telling)
    for code in ("200", "400", "404"):
        name = ("kargoweb_answer_seconds_count", code)
        assert after[name] == before.get(name, 0) + 1


def test_refreshes_are_counted_by_how_they_end(telling, world):
    place = routed(telling, world, image("example/ends"))
    name = ("kargoweb_refreshes_ended_total", "warehouse_deleted")
    before = told(telling)[name]
    telling.post(place.path(), push_body("example/ends", "1.0.0"))
    until("it is followed", lambda: told(telling)["kargoweb_refreshes_followed", ""] > 0)
    world.cluster.delete(WAREHOUSES, "warehouse-0", place.name)
    until("its end is counted", lambda: told(telling)[name] == before + 1)


def test_it_says_how_well_the_cluster_is_known_and_names_nobody(telling, world):
    place = routed(telling, world, image("example/nameless"))
    telling.post(place.path(), push_body("example/nameless", "1.0.0"))
    samples = told(telling)
    assert samples["kargoweb_ready", ""] == 1
    assert samples["kargoweb_cache_synced", "Warehouse"] == 1
    assert samples["kargoweb_cache_age_seconds", "Freight"] >= 0
    assert samples["kargoweb_spool_deliveries", ""] == 0
    text = telling.get("/metrics").data.decode()
    assert place.name not in text
    assert "nameless" not in text
