"""A Kubernetes API server takes the Events of Warehouses, and kubectl shows them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from receivers.kargo.resources import EVENTS
from receivers.models import WarehouseEvent, new_id
from receivers.ops.alerts.event_sender import EventSender
from tests.clusters import Cluster, until
from tests.components import require
from tests.contract.caches import running_cache


@pytest.fixture
def sender(cluster: Cluster, namespace: str, warehouses: Any, database: None) -> Iterator[EventSender]:
    warehouses.create("app")
    with running_cache(cluster.kubeconfig, namespaces=[namespace]) as cache:
        until("the Warehouse is known", lambda: cache.warehouse(namespace, "app"))
        yield EventSender(cache, lambda: True, "https://hooks.example.com")


def failed_push(namespace: str, number: int) -> None:
    WarehouseEvent.objects.create(
        push_id=new_id(),
        project=namespace,
        warehouse="app",
        reason="discovery_failed",
        text=f"Push {number} failed.",
        due_at=timezone.now(),
    )


def test_an_event_is_created_continued_and_created_again(client, sender, namespace):
    def stored() -> list[dict[str, Any]]:
        events = [item for page in client.list_pages(EVENTS, namespace) for item in page.items]
        return [item for item in events if item.get("source", {}).get("component") == "kargoweb"]

    for number in range(1, 4):
        failed_push(namespace, number)
        sender.work()
        (event,) = stored()
        assert event["count"] == number
        assert f"Push {number} failed." in event["message"]
    WarehouseEvent.objects.filter(project=namespace).update(name="", due_at=timezone.now())
    sender.work()
    (event,) = stored()
    assert event["count"] == 3, "sent again after a crash"
    client.delete(EVENTS, event["metadata"]["name"], namespace)
    failed_push(namespace, 4)
    sender.work()
    assert [event["count"] for event in stored()] == [4]
    assert not WarehouseEvent.objects.filter(project=namespace, due_at__isnull=False).exists()


def test_kubectl_describe_shows_it(cluster, sender, namespace):
    if cluster.name == "demo":
        pytest.skip(
            "kubectl sends no token over HTTP; tests/contract/test_kubectl.py describes a Warehouse of the demo"
        )
    failed_push(namespace, 1)
    sender.work()
    command = [
        require("kubectl"),
        "--kubeconfig",
        cluster.kubeconfig,
        "-n",
        namespace,
        "describe",
        "warehouse",
        "app",
    ]
    described = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "DiscoveryFailed" in described.partition("Events:")[2]
    assert "Push 1 failed." in described
    assert "kargoweb" in described
