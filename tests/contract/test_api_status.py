"""The status subresource and the generation."""

from __future__ import annotations

from tests.contract.api_objects import ok, version


def test_the_main_path_ignores_the_status(warehouses):
    body = {**warehouses.make({"name": "one"}), "status": {"lastFreightID": "x"}}
    assert "status" not in ok(warehouses.api.post(warehouses.path, body), 201)

    assert "status" not in warehouses.patch("one", {"status": {"lastFreightID": "x"}})


def test_the_status_path_changes_only_the_status(warehouses):
    created = warehouses.create("one")

    body = {
        "status": {"lastFreightID": "x"},
        "spec": {"interval": "1m0s"},
        "metadata": {"labels": {"a": "b"}},
    }
    patched = warehouses.patch("one", body, subresource="status")

    assert patched["status"] == {"lastFreightID": "x"}
    assert patched["spec"] == created["spec"]
    assert "labels" not in patched["metadata"]
    assert version(patched) > version(created)
    assert ok(warehouses.api.get(warehouses.at("one", "status"))) == patched


def test_a_put_of_the_status_checks_the_version(warehouses):
    stale = warehouses.create("one")
    warehouses.annotate("one", "newer")

    response = warehouses.api.put(warehouses.at("one", "status"), {**stale, "status": {"lastFreightID": "x"}})

    assert response.status == 409


def test_the_status_survives_a_put_on_the_main_path(warehouses):
    warehouses.create("one")
    current = warehouses.patch("one", {"status": {"lastFreightID": "x"}}, subresource="status")
    del current["status"]

    assert ok(warehouses.api.put(warehouses.at("one"), current))["status"] == {"lastFreightID": "x"}


def test_the_generation_counts_changes_of_the_spec_only(warehouses):
    warehouses.create("one")

    assert warehouses.annotate("one", "1")["metadata"]["generation"] == 1
    assert (
        warehouses.patch("one", {"status": {"a": "b"}}, subresource="status")["metadata"]["generation"] == 1
    )
    assert warehouses.patch("one", {"spec": {"interval": "1m0s"}})["metadata"]["generation"] == 2
    assert warehouses.patch("one", {"spec": {"interval": "1m0s"}})["metadata"]["generation"] == 2


def test_an_unchanged_status_keeps_the_version(warehouses):
    warehouses.create("one")
    first = warehouses.patch("one", {"status": {"lastFreightID": "x"}}, subresource="status")

    assert warehouses.patch("one", {"status": {"lastFreightID": "x"}}, subresource="status") == first
