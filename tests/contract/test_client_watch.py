"""Watches of the Kubernetes client, against every API server."""

from __future__ import annotations

import contextlib
import threading

import pytest

from receivers.cluster.client import connect
from receivers.cluster.errors import Gone
from receivers.kargo.resources import WAREHOUSES
from tests.clusters import PATIENCE
from tests.contract.api_objects import warehouse


def version(client, namespace):
    return next(client.list_pages(WAREHOUSES, namespace)).resource_version


def churn(client, namespace):
    client.create(WAREHOUSES, warehouse({"name": "w"}), namespace)
    client.patch(WAREHOUSES, "w", namespace, {"metadata": {"annotations": {"a": "1"}}})
    client.patch_status(WAREHOUSES, "w", namespace, {"status": {"lastFreightID": "f"}})
    client.delete(WAREHOUSES, "w", namespace)


def read(watch, count):
    """Return the type and name of the next `count` events, without bookmarks."""
    events = []
    for kind, raw in watch:
        if kind != "BOOKMARK":
            events.append((kind, raw["metadata"]["name"]))
        if len(events) == count:
            break
    return events


EVENTS = [("ADDED", "w"), ("MODIFIED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]


def test_events_arrive_in_order(client, namespace):
    with client.watch(WAREHOUSES, namespace, resource_version=version(client, namespace)) as watch:
        writer = threading.Thread(target=churn, args=(client, namespace))
        writer.start()
        assert read(watch, 4) == EVENTS
        writer.join()


def test_a_watch_resumes_where_another_ended(client, namespace):
    start = version(client, namespace)
    churn(client, namespace)
    with client.watch(WAREHOUSES, namespace, resource_version=start) as watch:
        events = iter(watch)
        _, first = next(events)
    with client.watch(WAREHOUSES, namespace, resource_version=first["metadata"]["resourceVersion"]) as watch:
        assert read(watch, 3) == EVENTS[1:]


def test_a_watch_of_a_namespace_ignores_others(client, namespace):
    start = version(client, namespace)
    churn(client, namespace)
    with client.watch(WAREHOUSES, f"not-{namespace}", resource_version=start, duration=1) as watch:
        assert read(watch, 1) == []


def test_the_server_ends_a_watch_after_its_duration(client, namespace):
    with client.watch(
        WAREHOUSES, namespace, resource_version=version(client, namespace), duration=1
    ) as watch:
        assert {kind for kind, _ in watch} <= {"BOOKMARK"}


def test_closing_a_watch_wakes_its_reader(client, namespace):
    with client.watch(WAREHOUSES, namespace, resource_version=version(client, namespace)) as watch:
        events = []
        reader = threading.Thread(target=lambda: events.extend(watch))
        reader.start()
        watch.close()
        reader.join(PATIENCE)
        assert not reader.is_alive()
        assert events == []


def test_a_watch_from_an_expired_version_raises_gone(demo):
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        start = version(client, None)
        client.create(WAREHOUSES, warehouse({"name": "w"}), "default")
        demo.faults(compact=True)
        with pytest.raises(Gone), client.watch(WAREHOUSES, resource_version=start) as watch:
            list(watch)


def test_a_list_that_expires_between_two_pages_raises_gone(demo):
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        for name in ("w1", "w2"):
            client.create(WAREHOUSES, warehouse({"name": name}), "default")
        pages = client.list_pages(WAREHOUSES, limit=1)
        next(pages)
        client.delete(WAREHOUSES, "w1", "default")
        demo.faults(compact=True)
        with pytest.raises(Gone):
            next(pages)
