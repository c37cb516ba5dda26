"""Deletion, finalizers and preconditions."""

from __future__ import annotations

import pytest

from tests.contract.api_objects import ok, rejected, version

FINALIZER = "example.com/held"


def test_a_deleted_object_is_not_found(warehouses):
    uid = warehouses.create("one")["metadata"]["uid"]

    status = ok(warehouses.api.delete(warehouses.at("one")))

    assert (status["kind"], status["status"]) == ("Status", "Success")
    assert status["details"] == {"name": "one", "group": "kargo.akuity.io", "kind": "warehouses", "uid": uid}
    rejected(warehouses.api.get(warehouses.at("one")), 404, "NotFound")
    rejected(warehouses.api.delete(warehouses.at("one")), 404, "NotFound")


def test_a_recreated_object_has_a_new_uid(warehouses):
    first = warehouses.create("one")
    warehouses.api.delete(warehouses.at("one"))

    second = warehouses.create("one")

    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert version(second) > version(first)


def test_finalizers_keep_an_object_until_they_are_removed(warehouses):
    created = warehouses.create("one", finalizers=[FINALIZER])

    deleting = ok(warehouses.api.delete(warehouses.at("one")))

    assert deleting["metadata"]["deletionTimestamp"]
    assert deleting["metadata"]["generation"] == created["metadata"]["generation"] + 1
    assert warehouses.get("one")["metadata"]["deletionTimestamp"]
    deleted_twice = ok(warehouses.api.delete(warehouses.at("one")))
    assert version(deleted_twice) == version(deleting)

    warehouses.patch("one", {"metadata": {"finalizers": None}})
    rejected(warehouses.api.get(warehouses.at("one")), 404, "NotFound")


def test_a_watch_shows_the_deletion_timestamp_and_the_deletion(warehouses):
    start = version(warehouses.create("one", finalizers=[FINALIZER]))
    warehouses.api.delete(warehouses.at("one"))
    warehouses.patch("one", {"metadata": {"finalizers": []}})

    with warehouses.api.watch(warehouses.path, resourceVersion=start) as events:
        marked = next(events)
        end = next(events)

    assert (marked["type"], FINALIZER in marked["object"]["metadata"]["finalizers"]) == ("MODIFIED", True)
    assert end["type"] == "DELETED"


def test_no_finalizer_can_be_added_during_deletion(warehouses):
    warehouses.create("one", finalizers=[FINALIZER])
    warehouses.api.delete(warehouses.at("one"))

    body = {"metadata": {"finalizers": [FINALIZER, "example.com/late"]}}

    rejected(warehouses.api.patch(warehouses.at("one"), body), 422, "Invalid")
    warehouses.patch("one", {"metadata": {"finalizers": None}})


@pytest.mark.parametrize("field", ["uid", "resourceVersion"])
def test_preconditions_must_hold(warehouses, field):
    created = warehouses.create("one")

    wrong = {"preconditions": {field: "1"}}
    rejected(warehouses.api.delete(warehouses.at("one"), wrong), 409, "Conflict")

    right = {"preconditions": {field: created["metadata"][field]}}
    ok(warehouses.api.delete(warehouses.at("one"), right))


def test_a_dry_run_deletes_nothing(warehouses):
    created = warehouses.create("one")

    ok(warehouses.api.delete(warehouses.at("one"), dryRun="All"))

    assert warehouses.get("one") == created
