"""resourceVersion and optimistic concurrency."""

from __future__ import annotations

import pytest

from tests.contract.api_objects import ok, rejected, version


def test_every_write_increases_the_version(warehouses):
    created = warehouses.create("one")
    changed = warehouses.annotate("one", "1")
    other = warehouses.create("two")

    assert version(created) < version(changed) < version(other)
    assert version(warehouses.get("one")) == version(changed)
    assert version(warehouses.list()) >= version(other)


def test_a_patch_that_changes_nothing_keeps_the_version(warehouses):
    warehouses.create("one")
    first = warehouses.annotate("one", "same")

    assert warehouses.annotate("one", "same") == first


def test_a_put_that_changes_nothing_keeps_the_version(warehouses):
    created = warehouses.create("one")

    assert ok(warehouses.api.put(warehouses.at("one"), created)) == created


def test_a_put_of_a_stale_version_is_a_conflict(warehouses):
    stale = warehouses.create("one")
    warehouses.annotate("one", "newer")

    status = rejected(warehouses.api.put(warehouses.at("one"), stale), 409, "Conflict")

    assert status["message"] == (
        'Operation cannot be fulfilled on warehouses.kargo.akuity.io "one": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert status["details"] == {"name": "one", "group": "kargo.akuity.io", "kind": "warehouses"}


def test_a_put_of_a_custom_resource_must_name_its_version(warehouses):
    body = warehouses.create("one")
    del body["metadata"]["resourceVersion"]

    rejected(warehouses.api.put(warehouses.at("one"), body), 422, "Invalid")


def test_a_put_of_a_secret_without_a_version_overwrites(secrets_):
    secrets_.create("one")
    body = secrets_.make({"name": "one", "labels": {"a": "b"}})

    assert ok(secrets_.api.put(secrets_.at("one"), body))["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize("fresh", [True, False], ids=["current version", "stale version"])
def test_a_patch_that_names_a_version_is_conditional(warehouses, fresh):
    stale = version(warehouses.create("one"))
    current = version(warehouses.annotate("one", "newer"))
    body = {
        "metadata": {"resourceVersion": str(current if fresh else stale), "annotations": {"note": "mine"}}
    }

    response = warehouses.api.patch(warehouses.at("one"), body)

    if fresh:
        assert ok(response)["metadata"]["annotations"] == {"note": "mine"}
    else:
        rejected(response, 409, "Conflict")


def test_a_put_for_another_uid_is_a_conflict(warehouses):
    body = warehouses.create("one")
    body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"

    rejected(warehouses.api.put(warehouses.at("one"), body), 409, "Conflict")
