"""Watches: their events, where they start, and how they end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.api_objects import names, ok, rejected, version, warehouse

EVERYWHERE = "/apis/kargo.akuity.io/v1alpha1/warehouses"


def summary(event: dict[str, Any]) -> tuple[str, str]:
    """Return the type of an event and the name of its object."""
    return event["type"], event["object"]["metadata"]["name"]


def test_a_watch_from_a_version_shows_later_events_in_order(warehouses):
    warehouses.create("before")
    start = version(warehouses.list())
    warehouses.create("one")
    changed = warehouses.annotate("one", "x")
    warehouses.api.delete(warehouses.at("one"))

    with warehouses.api.watch(warehouses.path, resourceVersion=start) as events:
        seen = [next(events) for _ in range(3)]
        warehouses.create("later")
        later = next(events)

    assert [summary(event) for event in seen] == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
    assert seen[1]["object"] == changed
    versions = [version(event["object"]) for event in seen]
    assert versions == sorted(set(versions)), "a deletion has a version of its own"
    assert summary(later) == ("ADDED", "later")


@pytest.mark.parametrize("start", [{}, {"resourceVersion": "0"}], ids=["no version", "version 0"])
def test_a_watch_without_a_version_starts_with_existing_objects(warehouses, start):
    warehouses.create("one")
    warehouses.create("two")

    with warehouses.api.watch(warehouses.path, **start) as events:
        assert sorted(summary(next(events)) for _ in range(2)) == [("ADDED", "one"), ("ADDED", "two")]
        warehouses.annotate("one", "x")
        assert summary(next(events)) == ("MODIFIED", "one")


def test_a_patch_that_changes_nothing_causes_no_event(warehouses):
    warehouses.create("one")
    start = version(warehouses.annotate("one", "same"))

    with warehouses.api.watch(warehouses.path, resourceVersion=start) as events:
        warehouses.annotate("one", "same")
        warehouses.annotate("one", "other")
        assert next(events)["object"]["metadata"]["annotations"] == {"note": "other"}


def test_a_watch_shows_its_namespace_and_a_cluster_wide_watch_all(warehouses, cluster, namespace):
    start = version(warehouses.list())
    other = warehouses.path.replace(namespace, "default")
    ok(cluster.api.post(other, warehouses.make({"name": f"in-default-{namespace}"})), 201)
    warehouses.create("one")

    with warehouses.api.watch(warehouses.path, resourceVersion=start) as events:
        assert summary(next(events)) == ("ADDED", "one")
    with warehouses.api.watch(EVERYWHERE, resourceVersion=start) as events:
        assert [summary(next(events))[1] for _ in range(2)] == [f"in-default-{namespace}", "one"]

    cluster.api.delete(f"{other}/in-default-{namespace}")


def test_an_object_enters_and_leaves_a_selection(warehouses):
    warehouses.create("one")
    start = version(warehouses.create("unseen"))

    with warehouses.api.watch(warehouses.path, resourceVersion=start, labelSelector="pick=yes") as events:
        warehouses.patch("one", {"metadata": {"labels": {"pick": "yes"}}})
        warehouses.annotate("one", "x")
        warehouses.annotate("unseen", "x")
        deselected = warehouses.patch("one", {"metadata": {"labels": {"pick": "no"}}})
        seen = [next(events) for _ in range(3)]

    assert [summary(event) for event in seen] == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]
    assert seen[2]["object"]["metadata"]["labels"] == {"pick": "yes"}, "the last state that was selected"
    assert version(seen[2]["object"]) == version(deselected), "with the version of the change that ended it"


def test_a_field_selector_limits_a_watch_to_an_object(warehouses):
    start = version(warehouses.create("one"))
    warehouses.create("two")
    warehouses.annotate("one", "x")

    with warehouses.api.watch(
        warehouses.path, resourceVersion=start, fieldSelector="metadata.name=one"
    ) as events:
        assert summary(next(events)) == ("MODIFIED", "one")


def test_a_watch_ends_after_its_timeout(warehouses):
    with warehouses.api.watch(
        warehouses.path, seconds=1, resourceVersion=version(warehouses.list())
    ) as events:
        assert list(events) == []


def test_bookmarks_report_the_progress_of_a_watch(demo):
    """Demo only: a real API server sends them every minute or so, and promises nothing."""
    start = version(demo.api.get(EVERYWHERE).body)
    path = EVERYWHERE.replace("warehouses", "namespaces/default/warehouses")
    ok(demo.api.post(path, warehouse({"name": "one"})), 201)

    with demo.api.watch(EVERYWHERE, seconds=1, resourceVersion=start, allowWatchBookmarks="true") as events:
        added, bookmark = list(events)

    assert bookmark["type"] == "BOOKMARK"
    assert version(bookmark["object"]) >= version(added["object"])
    assert (bookmark["object"]["kind"], bookmark["object"]["apiVersion"]) == (
        "Warehouse",
        "kargo.akuity.io/v1alpha1",
    )


def test_a_streaming_list_ends_with_a_bookmark(warehouses):
    warehouses.create("one")
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }

    with warehouses.api.watch(warehouses.path, **query) as events:
        assert summary(next(events)) == ("ADDED", "one")
        end = next(events)
        warehouses.create("two")
        after = next(events)

    assert end["type"] == "BOOKMARK"
    assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert summary(after) == ("ADDED", "two")


def test_a_watch_from_an_expired_version_reports_it(cluster, warehouses):
    warehouses.create("one")
    if cluster.name == "demo":
        cluster.faults(compact=True)

    with warehouses.api.watch(EVERYWHERE, resourceVersion=1) as events:
        event = next(events)

    assert event["type"] == "ERROR"
    assert (event["object"]["kind"], event["object"]["code"], event["object"]["reason"]) == (
        "Status",
        410,
        "Expired",
    )


def test_a_list_and_the_watch_that_follows_miss_and_repeat_nothing(warehouses):
    warehouses.create("one")
    listed = warehouses.list()
    warehouses.create("two")

    with warehouses.api.watch(warehouses.path, resourceVersion=version(listed)) as events:
        assert names(listed) == ["one"]
        assert summary(next(events)) == ("ADDED", "two")


def test_a_watch_requires_the_watch_permission(cluster, warehouses):
    rejected(cluster.client("nobody").get(warehouses.path, watch="true"), 403, "Forbidden")
