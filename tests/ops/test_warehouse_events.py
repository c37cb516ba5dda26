"""Events of Warehouses: what they tell, how they are counted, and that nothing is lost or told twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.kargo.resources import EVENTS, WAREHOUSES
from receivers.models import Delivery, Origin, PushFailure, Refresh, WarehouseEvent
from receivers.ops.alerts import push_alerts, warehouse_events
from receivers.ops.alerts.event_sender import SERIES, EventSender
from tests.clusters import PATIENCE, DemoCluster, until
from tests.databases import temporary_database
from tests.deliveries.rows import delivery, store
from tests.delivery_rows import routed_project, verdict_count
from tests.product import Product
from tests.worlds import KargoProject, World, image, push_body

pytestmark = pytest.mark.e2e

BASE_URL = "https://hooks.example.com"
AT_ONCE = timedelta()
FAST = {"KARGOWEB_EVENTS": "true", "KARGOWEB_ALERT_AFTER": "0.2", "KARGOWEB_ALERT_GROUP": "0"}


@pytest.fixture
def project(database: None, world: World) -> Iterator[KargoProject]:
    """A project with two Warehouses. No note or event is left of other tests, or for them."""
    _clean()
    project = world.bare_project()
    for name in ("api", "web"):
        project.warehouse(name, image("example/app"))
    yield project
    _clean()


def _clean() -> None:
    for model in (PushFailure, WarehouseEvent):
        model.objects.all().delete()


@pytest.fixture
def sender(demo_cluster: DemoCluster, project: KargoProject) -> Iterator[EventSender]:
    with closing(Cache(demo_cluster)) as cache:
        yield EventSender(cache.cache, lambda: True, BASE_URL)


class Cache:
    """A cluster cache of the Warehouses that exist now."""

    def __init__(self, cluster: DemoCluster) -> None:
        self.cache = ClusterCache(lambda: connect(str(cluster.kubeconfig)))
        self.cache.start()
        assert self.cache.wait_ready(PATIENCE)

    def close(self) -> None:
        self.cache.stop()


def failed(
    project: KargoProject, *warehouses: str, outcome: str = "discovery_failed", **fields: Any
) -> Delivery:
    """Store a delivery whose refreshes of these Warehouses failed, and note the failure."""
    values: dict[str, Any] = {"outcome": outcome, "warehouses": len(warehouses)} | fields
    (row,) = store(delivery(project.name, **values))
    for name in warehouses:
        refresh(row, name, outcome, reason="denied")
    PushFailure.objects.create(delivery=row.pk)
    return row


def refresh(row: Delivery, warehouse: str, outcome: str, **fields: Any) -> None:
    Refresh.objects.create(
        delivery=row, project=row.project, warehouse=warehouse, state="ended", outcome=outcome,
        ended_at=timezone.now(), **fields,
    )  # fmt: skip


def note() -> None:
    push_alerts.note_failures([], AT_ONCE)


def events(project: KargoProject) -> list[dict[str, Any]]:
    """Return the Events in the project's namespace, the oldest first."""
    pages = project.world.cluster.list_pages(EVENTS, project.name)
    return sorted((item for page in pages for item in page.items), key=lambda item: item["firstTimestamp"])


class TestWhatIsTold:
    def test_a_failed_push_is_reported_to_each_warehouse_where_it_failed(self, project, sender):
        row = failed(project, "api", "web")
        refresh(row, "other", "freight_created")
        note()
        sender.work()
        assert {event["involvedObject"]["name"] for event in events(project)} == {"api", "web"}
        event = events(project)[0]
        assert (event["type"], event["reason"], event["count"]) == ("Warning", "DiscoveryFailed", 1)
        assert event["message"] == (
            f"Push of example/app:1.0.0 failed: discovery failed. Denied. {BASE_URL}/pushes/{row.push_id}"
        )
        assert event["source"] == {"component": "kargoweb"}
        about = event["involvedObject"]
        stored = project.world.cluster.get(WAREHOUSES, about["name"], project.name)
        assert about["uid"] == stored["metadata"]["uid"]

    @pytest.mark.parametrize("origin", [Origin.TEST, Origin.CATCH_UP])
    def test_tests_and_catch_ups_are_not_told(self, project, origin):
        failed(project, "api", origin=origin)
        note()
        assert not WarehouseEvent.objects.exists()
        assert not PushFailure.objects.exists()

    def test_a_subscription_that_cannot_be_evaluated_is_reported_to_its_warehouse(self, project):
        verdicts = [
            {
                "project": project.name,
                "warehouse": "api",
                "result": "not_evaluable",
                "reason": "bad constraint",
            },
            {"project": project.name, "warehouse": "web", "result": "no_match", "reason": "another tag"},
        ]
        failed(project, outcome="invalid_subscription", verdicts=verdicts)
        note()
        event = WarehouseEvent.objects.get()
        assert (event.warehouse, event.reason) == ("api", "invalid_subscription")
        assert event.text.endswith("Bad constraint.")

    def test_a_push_to_two_receivers_is_reported_once(self, project):
        first = failed(project, "api")
        failed(project, "api", receiver="other", push_id=first.push_id)
        note()
        assert WarehouseEvent.objects.count() == 1

    def test_a_failure_that_was_redelivered_meanwhile_is_no_news(self, project):
        row = failed(project, "api")
        (again,) = store(
            delivery(project.name, 5, outcome="freight_created", original=row, origin=Origin.REDELIVERY)
        )
        refresh(again, "api", "freight_created", freight_alias="fancy-fox")
        note()
        assert not WarehouseEvent.objects.exists()

    def test_freight_after_a_failure_is_reported_once_to_its_warehouse_only(self, project, sender):
        row = failed(project, "api", "web")
        note()
        (again,) = store(
            delivery(project.name, 5, outcome="freight_created", original=row, origin=Origin.REDELIVERY)
        )
        refresh(again, "api", "freight_created", freight_alias="fancy-fox")
        for _ in range(2):
            warehouse_events.note_recoveries(AT_ONCE)
        sender.work()
        normal = [event for event in events(project) if event["type"] == "Normal"]
        assert [(event["involvedObject"]["name"], event["reason"]) for event in normal] == [
            ("api", "FreightCreated")
        ]
        assert normal[0]["message"] == (
            f"Push of example/app:1.0.0 became Freight fancy-fox after it had failed. {BASE_URL}/pushes/{row.push_id}"
        )

    def test_a_failed_redelivery_is_reported_as_its_push_and_once(self, project):
        row = failed(project, "api")
        note()
        failed(project, "api", original=row, origin=Origin.REDELIVERY)
        note()
        assert WarehouseEvent.objects.get().push_id == row.push_id


class TestSending:
    def test_failures_with_one_reason_share_an_event(self, project, sender):
        for number in range(3):
            failed(project, "api", tag=f"1.0.{number}")
        failed(project, "api", outcome="tag_not_visible")
        note()
        sender.work()
        assert {event["reason"]: event["count"] for event in events(project)} == {
            "DiscoveryFailed": 3,
            "TagNotVisible": 1,
        }
        failed(project, "api", tag="1.0.9")
        note()
        sender.work()
        event = next(event for event in events(project) if event["reason"] == "DiscoveryFailed")
        assert event["count"] == 4
        assert event["message"].startswith("4 pushes; the newest: Push of example/app:1.0.9 failed")

    def test_nothing_is_sent_before_it_is_grouped(self, project, sender):
        failed(project, "api")
        push_alerts.note_failures([], timedelta(hours=1))
        sender.work()
        assert events(project) == []

    def test_what_was_sent_before_a_crash_is_not_counted_twice(self, project, sender):
        failed(project, "api")
        note()
        sender.work()
        # The process ended before it stored that the Event was sent.
        WarehouseEvent.objects.update(name="", due_at=timezone.now())
        sender.work()
        assert [event["count"] for event in events(project)] == [1]

    def test_an_event_that_kubernetes_deleted_is_created_again(self, project, sender):
        failed(project, "api")
        note()
        sender.work()
        (event,) = events(project)
        project.world.cluster.delete(EVENTS, event["metadata"]["name"], project.name)
        failed(project, "api", tag="1.0.1")
        note()
        sender.work()
        assert [event["count"] for event in events(project)] == [2]

    def test_after_an_hour_without_news_there_is_a_new_event(self, project, sender):
        failed(project, "api")
        note()
        sender.work()
        WarehouseEvent.objects.update(at=timezone.now() - SERIES - timedelta(minutes=1))
        failed(project, "api", tag="1.0.1")
        note()
        sender.work()
        assert [event["count"] for event in events(project)] == [1, 1]

    def test_a_replica_that_is_not_on_duty_sends_nothing(self, project, demo_cluster):
        failed(project, "api")
        note()
        with closing(Cache(demo_cluster)) as cache:
            EventSender(cache.cache, lambda: False, BASE_URL).work()
        assert events(project) == []

    def test_a_missing_permission_is_retried_and_a_deleted_warehouse_is_not(self, project, demo_cluster):
        failed(project, "api", "deleted")
        note()
        cache = ClusterCache(lambda: connect(str(demo_cluster.kubeconfig_for("kargoweb"))))
        cache.start()
        try:
            assert cache.wait_ready(PATIENCE)
            EventSender(cache, lambda: True, BASE_URL).work()
        finally:
            cache.stop()
        pending = WarehouseEvent.objects.get(due_at__isnull=False)
        assert (pending.warehouse, pending.attempts, pending.name) == ("api", 1, "")
        assert not WarehouseEvent.objects.get(warehouse="deleted").due_at

    def test_what_could_not_be_sent_for_a_day_is_given_up(self, project, sender):
        failed(project, "api")
        note()
        WarehouseEvent.objects.update(at=timezone.now() - timedelta(days=2))
        sender.work()
        assert events(project) == []
        assert not WarehouseEvent.objects.filter(due_at__isnull=False).exists()

    def test_a_long_reason_is_clipped_and_the_link_is_not(self, project, sender):
        row = failed(project, "api", tag="ü" * 200)
        Refresh.objects.filter(delivery=row).update(reason="ä" * 1000)
        note()
        sender.work()
        (event,) = events(project)
        assert len(event["message"].encode()) <= 1024
        assert event["message"].endswith(f"… {BASE_URL}/pushes/{row.push_id}")


def test_old_events_are_deleted(project):
    failed(project, "api")
    note()
    WarehouseEvent.objects.update(at=timezone.now() - timedelta(days=31))
    warehouse_events.forget_events(timezone.now())
    assert not WarehouseEvent.objects.exists()


@pytest.fixture
def own_database(database: None) -> Iterator[None]:
    with temporary_database():
        yield


def test_two_serving_replicas_report_each_failure_once_and_its_end(own_database, demo_cluster, world):
    with (
        Product(demo_cluster.kubeconfig, **FAST) as first,
        Product(demo_cluster.kubeconfig, **FAST) as second,
    ):
        project = routed_project(first, world, image("example/evented", constraint="no constraint"))
        until("both know the Warehouse", lambda: second.post(project.path(), b"[]").status == 400)
        until("it is evaluated", lambda: verdict_count(second, project, "example/evented"))
        until("all events are sent", lambda: not WarehouseEvent.objects.exclude(due_at=None).exists())
        for number in range(6):
            (first, second)[number % 2].post(project.path(), push_body("example/evented", f"4.0.{number}"))
        rows = WarehouseEvent.objects.filter(text__contains=":4.0.").exclude(name="")
        until("all have events", lambda: rows.count() == 6)
        until("all events are sent", lambda: not WarehouseEvent.objects.exclude(due_at=None).exists())
    (event,) = events(project)
    assert event["count"] == WarehouseEvent.objects.filter(project=project.name).count()
    assert event["reason"] == "InvalidSubscription"
    assert not PushFailure.objects.exists()
