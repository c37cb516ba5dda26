"""Lists: pages, versions, selectors."""

from __future__ import annotations

import pytest

from tests.contract.api_objects import names, rejected, version


@pytest.fixture
def five_warehouses(warehouses):
    for name in "abcde":
        warehouses.create(name, labels={"letter": name, "vowel": "yes" if name in "ae" else "no"})
    return warehouses


def test_a_list_has_its_kind_and_version(five_warehouses):
    listed = five_warehouses.list()

    assert (listed["kind"], listed["apiVersion"]) == ("WarehouseList", "kargo.akuity.io/v1alpha1")
    assert names(listed) == list("abcde")
    assert listed["items"][0]["kind"] == "Warehouse"


def test_a_list_of_all_namespaces_includes_every_namespace(five_warehouses, namespace):
    listed = five_warehouses.api.get("/apis/kargo.akuity.io/v1alpha1/warehouses").body

    assert [
        item["metadata"]["name"] for item in listed["items"] if item["metadata"]["namespace"] == namespace
    ] == list("abcde")


def test_pages_form_a_consistent_list(five_warehouses):
    first = five_warehouses.list(limit=2)
    five_warehouses.create("bb")
    five_warehouses.api.delete(five_warehouses.at("d"))
    five_warehouses.annotate("e", "changed")

    second = five_warehouses.list(limit=2, **{"continue": first["metadata"]["continue"]})
    third = five_warehouses.list(limit=2, **{"continue": second["metadata"]["continue"]})

    assert [names(page) for page in (first, second, third)] == [["a", "b"], ["c", "d"], ["e"]]
    assert version(first) == version(second) == version(third)
    assert first["metadata"]["remainingItemCount"] == 3
    assert "annotations" not in third["items"][0]["metadata"], "as it was when the list began"
    assert not third["metadata"].get("continue")


def test_a_page_with_all_objects_is_the_last(five_warehouses):
    assert not five_warehouses.list(limit=5)["metadata"].get("continue")


def test_pages_of_a_selection_contain_only_selected_objects(five_warehouses):
    first = five_warehouses.list(limit=1, labelSelector="vowel=yes")
    second = five_warehouses.list(
        limit=1, labelSelector="vowel=yes", **{"continue": first["metadata"]["continue"]}
    )

    assert [names(first), names(second)] == [["a"], ["e"]]
    assert "remainingItemCount" not in first["metadata"]


def test_an_invalid_continue_token_is_rejected(five_warehouses):
    rejected(
        five_warehouses.api.get(five_warehouses.path, limit=1, **{"continue": "nonsense"}), 400, "BadRequest"
    )


@pytest.mark.parametrize("resource_version", ["0", ""], ids=["any", "most recent"])
def test_a_list_accepts_version_zero_and_no_version(five_warehouses, resource_version):
    assert names(five_warehouses.list(resourceVersion=resource_version)) == list("abcde")


def test_a_list_at_an_exact_version_shows_that_version(five_warehouses):
    then = version(five_warehouses.list())
    five_warehouses.api.delete(five_warehouses.at("a"))

    assert names(five_warehouses.list(resourceVersion=then, resourceVersionMatch="Exact")) == list("abcde")
    assert names(five_warehouses.list()) == list("bcde")


def test_a_future_version_is_rejected(five_warehouses):
    status = rejected(
        five_warehouses.api.get(
            five_warehouses.path, resourceVersion=version(five_warehouses.list()) + 1_000_000
        ),
        504,
        "Timeout",
    )

    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


def test_a_version_that_is_not_a_number_is_rejected(five_warehouses):
    assert five_warehouses.api.get(five_warehouses.path, resourceVersion="abc").status in (400, 422)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("letter=a", "a"),
        ("letter==a", "a"),
        ("letter!=a", "bcde"),
        ("letter", "abcde"),
        ("!letter", ""),
        ("other!=a", "abcde"),
        ("letter in (a, b)", "ab"),
        ("letter notin (a,b)", "cde"),
        ("other notin (a)", "abcde"),
        ("vowel=yes,letter!=a", "e"),
        ("letter in (a,b),vowel in (no)", "b"),
        ("letter=", ""),
    ],
)
def test_label_selectors_filter_lists(five_warehouses, selector, selected):
    assert names(five_warehouses.list(labelSelector=selector)) == list(selected)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [("metadata.name=c", "c"), ("metadata.name!=c", "abde"), ("metadata.name=none", "")],
)
def test_field_selectors_filter_lists(five_warehouses, selector, selected):
    assert names(five_warehouses.list(fieldSelector=selector)) == list(selected)


def test_field_selectors_filter_by_namespace(five_warehouses, namespace):
    path = "/apis/kargo.akuity.io/v1alpha1/warehouses"

    assert names(
        five_warehouses.api.get(path, fieldSelector=f"metadata.namespace={namespace},metadata.name=b").body
    ) == ["b"]


@pytest.mark.parametrize(
    "query",
    [
        {"labelSelector": "a in b"},
        {"labelSelector": "=="},
        {"fieldSelector": "spec.interval=5m0s"},
        {"fieldSelector": "x"},
    ],
    ids=["bad set", "no key", "unknown field", "no operator"],
)
def test_invalid_selectors_are_rejected(five_warehouses, query):
    rejected(five_warehouses.api.get(five_warehouses.path, **query), 400, "BadRequest")


def test_secrets_are_selected_by_type(secrets_):
    secrets_.create("plain")
    body = {**secrets_.make({"name": "special"}), "type": "example.com/special"}
    secrets_.api.post(secrets_.path, body)

    assert names(secrets_.list(fieldSelector="type=Opaque")) == ["plain"]


def test_a_table_has_a_row_for_each_object(five_warehouses):
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
    table = five_warehouses.api.request("GET", five_warehouses.path, headers={"Accept": accept}, limit=2).body

    assert table["kind"] == "Table"
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Shard", "Age"]
    assert [row["cells"][0] for row in table["rows"]] == ["a", "b"]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table["metadata"]["continue"]


def test_deleting_a_collection_deletes_the_selected_objects(five_warehouses):
    five_warehouses.api.delete(five_warehouses.path, labelSelector="vowel=no")

    assert names(five_warehouses.list()) == ["a", "e"]
