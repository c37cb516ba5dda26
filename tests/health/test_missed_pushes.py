"""Missed pushes: tags that Kargo finds by polling, without a webhook from Docker Hub."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from receivers.cluster.freight_watch import FreightWatch
from receivers.health.missed_pushes import MissedPushDetector
from receivers.kargo.artifacts import Freight
from receivers.kargo.resources import FREIGHTS, WAREHOUSES
from receivers.models import Delivery, MissedPush, Origin, Outcome, new_id
from tests.clusters import DemoCluster, until
from tests.contract.caches import FAST_BACKOFF, running_cache
from tests.demo.kargo import Kargo, Warehouse, image
from tests.worlds import KargoProject, World

HOUR = timedelta(hours=1)
NOW = timedelta()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[DemoCluster]:
    """A cluster with a controller, and no webhooks."""
    with DemoCluster(tmp_path_factory.mktemp("polled")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kargo(cluster, tmp_path_factory) -> Iterator[Kargo]:
    kargo = Kargo(cluster, tmp_path_factory.mktemp("registry") / "registry.sqlite3")
    yield kargo
    kargo.close()


class Detection:
    """A missed push detector, as in a process that started an hour ago."""

    def __init__(self, cache: Any, cluster: DemoCluster) -> None:
        self.ahead = -HOUR
        self.cache = cache
        self.cluster = cluster
        self.created: set[str] = set()
        self.freight = FreightWatch(cache.cluster, backoff=FAST_BACKOFF)
        self.missed = MissedPushDetector(cache, self.freight, self.clock)
        cache.add_listener(self.missed.on_change)
        cache.add_listener(self._add_freight_id)
        self.freight.add_listener(self.missed.on_freight)
        self.freight.start()
        until(
            "Freight is watched", lambda: all(reflector.is_watching for reflector in self.freight.reflectors)
        )

    def _add_freight_id(self, _: Any, __: Any, new: Any) -> None:
        self.created.add(getattr(new, "last_freight_id", ""))

    def clock(self) -> datetime:
        return timezone.now() + self.ahead

    def settle(self, warehouse: Warehouse, *, covered: bool = True) -> Warehouse:
        """Pretend that a Warehouse has been in its state for an hour."""
        warehouse.settled()
        if covered:
            with World(self.cluster.kubeconfig) as world:
                KargoProject(world, warehouse.project).publish("hook")
            until("the cache has its receiver", lambda: self._covers(warehouse))
        until("the cache has its status", lambda: self._knows(warehouse))
        return warehouse

    def _covers(self, warehouse: Warehouse) -> bool:
        config = self.cache.config(warehouse.project)
        return bool(config and config.published)

    def _knows(self, warehouse: Warehouse) -> bool:
        cached = self.cache.warehouse(warehouse.project, "main")
        generation: int = warehouse.raw["metadata"]["generation"]
        freight: str = warehouse.status.get("lastFreightID", "")
        return bool(cached) and (cached.generation, cached.last_freight_id) == (generation, freight)

    def find_by_polling(self, warehouse: Warehouse, tag: str) -> Freight:
        """Push a tag and refresh the Warehouse; return the Freight that Kargo creates."""
        self.ahead = NOW
        before = self.freight.of((warehouse.project, "main"))
        warehouse.push(tag)
        warehouse.refresh()
        freight = self.wait_for(warehouse, tag, before)
        until("the Warehouse names it as its last Freight", lambda: freight.name in self.created)
        return freight

    def wait_for(self, warehouse: Warehouse, tag: str, before: Sequence[Freight] = ()) -> Freight:
        """Wait for Freight with a tag that isn't in `before`; return it."""

        def matching() -> list[Freight]:
            new = [item for item in self.freight.of((warehouse.project, "main")) if item not in before]
            return [item for item in new if tag in {artifact.tag for artifact in item.artifacts}]

        return until("Freight is observed", matching)[0]

    def after_grace_period(self, warehouse: Warehouse) -> list[MissedPush]:
        """Return the missed pushes of a Warehouse after the grace period."""
        self.ahead = timedelta(minutes=3)
        self.missed.work()
        return list(MissedPush.objects.filter(project=warehouse.project).order_by("repository"))


@pytest.fixture
def detection(database, cluster, kargo) -> Iterator[Detection]:
    # Invalid deliveries of other tests to a cluster receiver would count as deliveries of any tag.
    Delivery.objects.filter(project="").delete()
    with running_cache(cluster.kubeconfig_for("kargoweb")) as cache:
        detection = Detection(cache, cluster)
        yield detection
        detection.freight.stop()


@pytest.fixture
def warehouse(detection, kargo) -> Warehouse:
    """A Warehouse with Freight of 1.0.0, whose project has a receiver."""
    return warehouse_with_freight(detection, kargo)


def warehouse_with_freight(
    detection: Detection,
    kargo: Kargo,
    *other_subscriptions: dict[str, Any],
    covered: bool = True,
    **fields: Any,
) -> Warehouse:
    """Return a Warehouse on `<project>/app` with Freight of the tags 1.0.0 and latest, which exist before it."""
    warehouse = kargo.warehouse(image("example/missing"), interval="1h0m0s")
    for tag in ("latest", "1.0.0"):
        warehouse.push(tag)
    subscriptions = [
        image(warehouse.repository, strictSemvers=True, discoveryLimit=20, **fields),
        *other_subscriptions,
    ]
    kargo.cluster.patch(WAREHOUSES, "main", warehouse.project, {"spec": {"subscriptions": subscriptions}})
    until("its first Freight exists", lambda: warehouse.freight)
    detection.wait_for(warehouse, "latest" if fields.get("constraint") == "latest" else "1.0.0")
    return detection.settle(warehouse, covered=covered)


def delivery(warehouse: Warehouse, tag: str, *, ago: timedelta = NOW, **fields: Any) -> Delivery:
    """Store a delivery."""
    defaults: dict[str, Any] = {
        "project": warehouse.project,
        "receiver": "hook",
        "kind": "dockerhub",
        "outcome": Outcome.FREIGHT_CREATED,
        "repository": warehouse.repository,
        "tag": tag,
        "received_at": timezone.now() - ago,
        "push_id": new_id(),
    }
    return Delivery.objects.create(**(defaults | fields))


def test_a_tag_without_a_webhook_is_recorded(detection, warehouse):
    freight = detection.find_by_polling(warehouse, "1.1.0")
    (row,) = detection.after_grace_period(warehouse)
    assert (row.warehouse, row.repository, row.tag, row.count) == ("main", warehouse.repository, "1.1.0", 1)
    assert (row.freight, row.first_at, row.last_at) == (freight.name, freight.created_at, freight.created_at)


def test_missed_tags_of_a_repository_are_counted(detection, warehouse):
    for tag in ("1.1.0", "1.2.0"):
        detection.find_by_polling(warehouse, tag)
    (row,) = detection.after_grace_period(warehouse)
    assert (row.tag, row.count) == ("1.2.0", 2)


def test_two_processes_count_the_same_freight_once(detection, warehouse):
    freight = detection.find_by_polling(warehouse, "1.1.0")
    detection.after_grace_period(warehouse)
    detection.ahead = NOW
    detection.missed.on_freight(freight)
    (row,) = detection.after_grace_period(warehouse)
    assert row.count == 1


def test_a_delivery_resets_the_count(detection, warehouse):
    detection.find_by_polling(warehouse, "1.1.0")
    detection.after_grace_period(warehouse)
    delivery(warehouse, "1.2.0", ago=-timedelta(seconds=1))
    detection.find_by_polling(warehouse, "1.3.0")
    MissedPush.objects.filter(project=warehouse.project).update(last_at=timezone.now() - HOUR)
    (row,) = detection.after_grace_period(warehouse)
    assert (row.tag, row.count) == ("1.3.0", 1)


def test_freight_from_before_the_start_is_compared(detection, warehouse, cluster):
    with running_cache(cluster.kubeconfig_for("kargoweb")) as cache:
        later = Detection(cache, cluster)
        until("the cache has the Warehouse", lambda: cache.warehouse(warehouse.project, "main"))
        time.sleep(1)  # Freight is distinguished by the second in which it was created
        freight = later.find_by_polling(warehouse, "1.1.0")
        assert [freight.name for freight in later.freight.of((warehouse.project, "main"))] == [freight.name]
        assert len(later.after_grace_period(warehouse)) == 1
        later.freight.stop()


def test_nothing_is_recorded_within_the_grace_period(detection, warehouse):
    detection.find_by_polling(warehouse, "1.1.0")
    detection.missed.work()
    assert not MissedPush.objects.filter(project=warehouse.project).exists()


DELIVERED = {
    "just before": {"ago": timedelta(seconds=10)},
    "days before, because the tag is immutable": {"ago": timedelta(days=3)},
    "within the grace period": {"ago": timedelta(seconds=-30)},
    "to a receiver of the cluster": {"project": ""},
    "and matched nothing": {"outcome": Outcome.NO_MATCH},
    "and was redelivered": {"origin": Origin.REDELIVERY},
}


@pytest.mark.parametrize("fields", DELIVERED.values(), ids=DELIVERED)
def test_a_delivered_push_is_not_recorded(detection, warehouse, fields):
    delivery(warehouse, "1.1.0", **fields)
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


@pytest.mark.parametrize("before", ["docker.io/", "index.docker.io/"])
def test_a_push_is_delivered_under_any_spelling_of_the_repository(detection, warehouse, before):
    delivery(warehouse, "1.1.0", repository=before + warehouse.repository)
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


UNRELATED = {
    "another tag": {"tag": "1.0.9"},
    "another repository": {"repository": "acme/web"},
    "another project's receiver": {"project": "another"},
    "a test": {"origin": Origin.TEST},
    "a test that was refused": {"outcome": Outcome.TEST_REFUSED},
    "another repository, to an old URL": {"repository": "acme/web", "outcome": Outcome.RETIRED_URL},
    "another repository, to a shared URL": {"repository": "acme/web", "outcome": Outcome.COLLISION},
    "another repository, in progress": {"repository": "acme/web", "outcome": Outcome.PENDING},
    "another tag, to an old URL": {"tag": "1.0.9", "outcome": Outcome.RETIRED_URL},
}


@pytest.mark.parametrize("fields", UNRELATED.values(), ids=UNRELATED)
def test_unrelated_deliveries_do_not_count(detection, warehouse, fields):
    delivery(warehouse, **({"tag": "1.1.0"} | fields))
    detection.find_by_polling(warehouse, "1.1.0")
    assert len(detection.after_grace_period(warehouse)) == 1


@pytest.mark.parametrize(("ago", "recorded"), [(2 * HOUR, 1), (HOUR / 2, 0)], ids=["too early", "in time"])
def test_a_mutable_tag_needs_a_recent_delivery(detection, kargo, ago, recorded):
    warehouse = warehouse_with_freight(detection, kargo, imageSelectionStrategy="Digest", constraint="latest")
    delivery(warehouse, "latest", ago=ago)
    detection.find_by_polling(warehouse, "latest")
    assert len(detection.after_grace_period(warehouse)) == recorded


@pytest.mark.parametrize("outcome", [Outcome.RETIRED_URL, Outcome.COLLISION, Outcome.INVALID_BODY])
def test_a_delivery_whose_body_was_not_parsed_counts_for_any_tag(detection, warehouse, outcome):
    delivery(warehouse, "", repository="", outcome=outcome)
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


def test_a_delivery_to_an_old_url_counts_for_its_tag(detection, warehouse):
    delivery(warehouse, "1.1.0", outcome=Outcome.RETIRED_URL)
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


def test_the_first_freight_of_a_warehouse_is_not_recorded(detection, kargo):
    warehouse = detection.settle(kargo.warehouse(interval="1h0m0s"))
    detection.find_by_polling(warehouse, "1.0.0")
    assert detection.after_grace_period(warehouse) == []


def test_manually_created_freight_is_not_recorded(detection, warehouse, kargo):
    warehouse.push("0.9.0")
    existing = warehouse.freight[0]
    old = [existing["images"][0] | {"tag": "0.9.0", "digest": "sha256:" + "0" * 64}]
    body = {"metadata": {"name": "created-manually"}, "origin": existing["origin"], "images": old}
    detection.ahead = NOW
    kargo.create(FREIGHTS, body, warehouse.project)
    detection.wait_for(warehouse, "0.9.0")
    assert detection.after_grace_period(warehouse) == []


def test_only_the_new_artifacts_of_freight_are_recorded(detection, kargo):
    kargo.registry.put("acme/sidecar", "2.0.0")
    warehouse = warehouse_with_freight(
        detection, kargo, image("acme/sidecar", strictSemvers=True, discoveryLimit=20)
    )
    detection.find_by_polling(warehouse, "1.1.0")
    assert [row.repository for row in detection.after_grace_period(warehouse)] == [warehouse.repository]


def test_freight_of_a_recently_changed_warehouse_is_not_recorded(detection, warehouse, kargo):
    detection.ahead = NOW
    changed = [image(warehouse.repository, strictSemvers=True, discoveryLimit=20, constraint=">=1.0.0")]
    kargo.cluster.patch(WAREHOUSES, "main", warehouse.project, {"spec": {"subscriptions": changed}})
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


def test_nothing_is_recorded_if_the_webhook_may_have_arrived_before_the_start(detection, warehouse):
    detection.missed._started = timezone.now() - timedelta(minutes=10)
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


def test_nothing_is_recorded_without_a_receiver(detection, kargo):
    warehouse = warehouse_with_freight(detection, kargo, covered=False)
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []


@pytest.mark.parametrize("repository", ["official", "ghcr.io/acme/other"])
def test_official_images_and_other_registries_send_no_webhooks(detection, kargo, repository):
    kargo.registry.put(repository, "1.0.0")
    warehouse = warehouse_with_freight(
        detection, kargo, image(repository, strictSemvers=True, discoveryLimit=20)
    )
    kargo.registry.put(repository, "1.1.0")
    delivery(warehouse, "1.1.0")
    detection.find_by_polling(warehouse, "1.1.0")
    assert detection.after_grace_period(warehouse) == []
