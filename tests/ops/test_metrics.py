"""The metrics endpoint."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from receivers.kargo.resources import WAREHOUSES
from tests.clusters import until
from tests.databases import temporary_database
from tests.delivery_rows import routed_project
from tests.product import Product
from tests.worlds import image, push_body

pytestmark = pytest.mark.e2e


@pytest.fixture
def metered(database, demo_cluster):
    """A serving process with metrics, and a database of its own: it would count what other tests left unfinished."""
    with temporary_database(), Product(demo_cluster.kubeconfig, KARGOWEB_METRICS="true") as product:
        yield product


def samples(product: Product) -> dict[tuple[str, str], float]:
    """Return the samples by name and label value."""
    families = text_string_to_metric_families(product.get("/metrics").data.decode())
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_are_off_by_default(product):
    assert product.status("/metrics") == 404


def test_responses_are_counted_by_code(metered, world):
    project = routed_project(metered, world, image("example/counted"))
    before = samples(metered)
    metered.post(project.path(), push_body("example/counted", "1.0.0"))
    metered.post(project.path(), b"[]")
    metered.post("/dockerhub/" + "0" * 64, b"{}")
    after = samples(metered)
    for code in ("200", "400", "404"):
        name = ("kargoweb_answer_seconds_count", code)
        assert after[name] == before.get(name, 0) + 1


def test_refreshes_are_counted_by_outcome(metered, world):
    project = routed_project(metered, world, image("example/ends"))
    name = ("kargoweb_refreshes_ended_total", "warehouse_deleted")
    before = samples(metered)[name]
    metered.post(project.path(), push_body("example/ends", "1.0.0"))
    until("the refresh is tracked", lambda: samples(metered)["kargoweb_refreshes_followed", ""] > 0)
    world.cluster.delete(WAREHOUSES, "warehouse-0", project.name)
    until("the outcome is counted", lambda: samples(metered)[name] == before + 1)


def test_metrics_contain_no_names_of_objects(metered, world):
    project = routed_project(metered, world, image("example/nameless"))
    metered.post(project.path(), push_body("example/nameless", "1.0.0"))
    gauges = samples(metered)
    assert gauges["kargoweb_ready", ""] == 1
    assert gauges["kargoweb_cache_synced", "Warehouse"] == 1
    assert gauges["kargoweb_cache_age_seconds", "Freight"] >= 0
    assert gauges["kargoweb_spool_deliveries", ""] == 0
    text = metered.get("/metrics").data.decode()
    assert project.name not in text
    assert "nameless" not in text
