"""Merge patch, JSON patch, strategic merge patch."""

from __future__ import annotations

import pytest

from tests.contract.api_objects import rejected


def test_a_merge_patch_sets_replaces_and_removes(warehouses):
    warehouses.create("one", annotations={"keep": "1", "change": "1", "drop": "1"}, labels={"a": "b"})

    body = {
        "metadata": {"annotations": {"change": "2", "drop": None, "new": "1"}},
        "spec": {"subscriptions": [{"git": {}}]},
    }
    patched = warehouses.patch("one", body)

    assert patched["metadata"]["annotations"] == {"keep": "1", "change": "2", "new": "1"}
    assert patched["metadata"]["labels"] == {"a": "b"}
    assert [list(entry) for entry in patched["spec"]["subscriptions"]] == [["git"]], "lists are replaced"
    assert patched["spec"]["interval"] == "5m0s"
    assert warehouses.get("one") == patched


def test_a_merge_patch_creates_missing_maps(warehouses):
    warehouses.create("one")

    assert warehouses.annotate("one", "x")["metadata"]["annotations"] == {"note": "x"}


def test_a_json_patch_applies_its_operations_in_order(warehouses):
    warehouses.create("one", annotations={"a/b": "1", "c": "2"})

    patched = warehouses.patch(
        "one",
        [
            {"op": "test", "path": "/metadata/annotations/a~1b", "value": "1"},
            {"op": "replace", "path": "/metadata/annotations/a~1b", "value": "3"},
            {"op": "remove", "path": "/metadata/annotations/c"},
            {"op": "add", "path": "/spec/x~0y", "value": True},
            {"op": "copy", "from": "/metadata/annotations/a~1b", "path": "/metadata/annotations/copy"},
            {"op": "move", "from": "/metadata/annotations/a~1b", "path": "/metadata/annotations/moved"},
            {"op": "add", "path": "/spec/subscriptions/0", "value": {"git": {"repoURL": "x"}}},
            {"op": "add", "path": "/spec/subscriptions/-", "value": {"chart": {"repoURL": "y"}}},
        ],
        "json",
    )

    assert patched["metadata"]["annotations"] == {"copy": "3", "moved": "3"}
    assert patched["spec"]["x~y"] is True
    assert [list(entry) for entry in patched["spec"]["subscriptions"]] == [["git"], ["image"], ["chart"]]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/metadata/name", "value": "other"},
        {"op": "replace", "path": "/metadata/annotations/none", "value": "1"},
        {"op": "remove", "path": "/spec/nothing"},
        {"op": "add", "path": "/spec/subscriptions/9", "value": {}},
    ],
    ids=["test fails", "replace nothing", "remove nothing", "index too large"],
)
def test_a_json_patch_that_does_not_apply_changes_nothing(warehouses, operation):
    created = warehouses.create("one")
    first = {"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}

    rejected(warehouses.api.patch(warehouses.at("one"), [first, operation], "json"), 422, "Invalid")

    assert warehouses.get("one") == created


def test_a_strategic_merge_patch_merges_maps_and_finalizers(secrets_):
    secrets_.create("one", finalizers=["example.com/a"], labels={"keep": "1", "drop": "1"})

    body = {"metadata": {"finalizers": ["example.com/b"], "labels": {"drop": None, "new": "1"}}}
    metadata = secrets_.patch("one", body, "strategic-merge")["metadata"]

    assert sorted(metadata["finalizers"]) == ["example.com/a", "example.com/b"]
    assert metadata["labels"] == {"keep": "1", "new": "1"}

    body = {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a", "example.com/b"]}}
    assert "finalizers" not in secrets_.patch("one", body, "strategic-merge")["metadata"]


def test_a_strategic_merge_patch_can_replace_a_map(secrets_):
    secrets_.create("one", labels={"old": "1"})

    body = {"metadata": {"labels": {"$patch": "replace", "new": "1"}}}

    assert secrets_.patch("one", body, "strategic-merge")["metadata"]["labels"] == {"new": "1"}


def test_custom_resources_do_not_support_strategic_merge_patch(warehouses):
    warehouses.create("one")

    rejected(warehouses.api.patch(warehouses.at("one"), {}, "strategic-merge"), 415, "UnsupportedMediaType")


def test_a_patch_requires_the_media_type_of_a_patch(warehouses):
    warehouses.create("one")
    response = warehouses.api.request("PATCH", warehouses.at("one"), {}, content_type="application/json")

    rejected(response, 415, "UnsupportedMediaType")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"'], ids=["not JSON", "a list", "a string"])
def test_a_malformed_merge_patch_is_rejected(warehouses, body):
    warehouses.create("one")

    assert warehouses.api.patch(warehouses.at("one"), body).status in (400, 422)


def test_a_patch_cannot_change_server_side_metadata(warehouses):
    before = warehouses.create("one")["metadata"]

    patched = warehouses.patch(
        "one", {"metadata": {"creationTimestamp": "2001-01-01T00:00:00Z", "generation": 9}}
    )

    assert patched["metadata"] == before


@pytest.mark.parametrize("value", [1, True, {"a": "b"}], ids=["number", "boolean", "map"])
def test_annotations_must_remain_strings(warehouses, value):
    created = warehouses.create("one")

    assert warehouses.api.patch(warehouses.at("one"), {"metadata": {"annotations": {"a": value}}}).status in (
        400,
        422,
    )

    assert warehouses.get("one") == created


def test_a_patch_of_a_missing_object_is_not_found(warehouses):
    status = rejected(warehouses.api.patch(warehouses.at("none"), {}), 404, "NotFound")

    assert status["message"] == 'warehouses.kargo.akuity.io "none" not found'
    assert status["details"] == {"name": "none", "group": "kargo.akuity.io", "kind": "warehouses"}
