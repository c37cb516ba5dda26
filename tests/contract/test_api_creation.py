"""Creating objects: defaults that the server adds, and rejections."""

from __future__ import annotations

import re

import pytest

from tests.contract.api_objects import ok, rejected


def test_a_new_object_gets_server_side_metadata(warehouses):
    metadata = warehouses.create("one", uid="mine", generation=7, creationTimestamp="2001-01-01T00:00:00Z")[
        "metadata"
    ]

    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert metadata["generation"] == 1


def test_secrets_and_leases_have_no_generation(secrets_, leases):
    assert "generation" not in secrets_.create("one")["metadata"]
    assert "generation" not in leases.create("one")["metadata"]


def test_generate_name_makes_unique_names(warehouses):
    body = warehouses.make({"generateName": "some-"})
    generated = {ok(warehouses.api.post(warehouses.path, body), 201)["metadata"]["name"] for _ in range(5)}

    assert len(generated) == 5
    assert all(re.fullmatch(r"some-[a-z0-9]{5}", name) for name in generated)


def test_a_name_in_use_is_rejected(warehouses):
    warehouses.create("one")

    status = rejected(
        warehouses.api.post(warehouses.path, warehouses.make({"name": "one"})), 409, "AlreadyExists"
    )

    assert status["message"] == 'warehouses.kargo.akuity.io "one" already exists'


@pytest.mark.parametrize("name", ["Upper", "under_score", "-dash", "dot.", "x" * 254, "a b"])
def test_names_must_be_dns_subdomains(warehouses, name):
    status = rejected(warehouses.api.post(warehouses.path, warehouses.make({"name": name})), 422, "Invalid")

    assert status["details"]["causes"][0]["field"] == "metadata.name"


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"a": "not a label"}},
        {"labels": {"a": "x" * 64}},
        {"labels": {"not a key": "a"}},
        {"annotations": {"not a key": "a"}},
        {"annotations": {"big": "x" * 256 * 1024}},
        {},
    ],
    ids=["label value", "long label value", "label key", "annotation key", "big annotations", "no name"],
)
def test_invalid_metadata_is_rejected(warehouses, metadata):
    name = {"name": "one"} if metadata else {}
    rejected(warehouses.api.post(warehouses.path, warehouses.make({**name, **metadata})), 422, "Invalid")


@pytest.mark.parametrize("field", ["labels", "annotations"])
def test_labels_and_annotations_must_be_strings(warehouses, field):
    body = warehouses.make({"name": "one", field: {"a": 1}})

    rejected(warehouses.api.post(warehouses.path, body), 400, "BadRequest")


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ({"kind": "Freight"}, 422, "Invalid"),
        ({"apiVersion": "kargo.akuity.io/v2"}, 400, "BadRequest"),
        ({"kind": None}, 400, "BadRequest"),
        ({"apiVersion": None}, 400, "BadRequest"),
    ],
    ids=["other kind", "other version", "no kind", "no version"],
)
def test_a_custom_resource_requires_its_api_version_and_kind(warehouses, change, code, reason):
    body = {key: value for key, value in {**warehouses.make({"name": "one"}), **change}.items() if value}

    rejected(warehouses.api.post(warehouses.path, body), code, reason)


def test_a_secret_does_not_require_its_api_version_and_kind(secrets_):
    assert ok(secrets_.api.post(secrets_.path, {"metadata": {"name": "one"}}), 201)["kind"] == "Secret"


def test_the_namespace_in_the_body_must_match_the_path(warehouses):
    body = warehouses.make({"name": "one", "namespace": "elsewhere"})

    rejected(warehouses.api.post(warehouses.path, body), 400, "BadRequest")


def test_a_namespace_that_does_not_exist_is_not_found(warehouses):
    path = warehouses.path.replace("/warehouses", "-no/warehouses")

    status = rejected(warehouses.api.post(path, warehouses.make({"name": "one"})), 404, "NotFound")

    assert status["message"].startswith("namespaces ")


def test_a_new_object_must_not_have_a_version(warehouses):
    response = warehouses.api.post(warehouses.path, warehouses.make({"name": "one", "resourceVersion": "5"}))

    assert response.status in (400, 500)
    assert "resourceVersion should not be set on objects to be created" in response.body["message"]


def test_a_dry_run_returns_the_object_but_does_not_store_it(warehouses):
    created = ok(warehouses.api.post(warehouses.path, warehouses.make({"name": "one"}), dryRun="All"), 201)

    assert created["metadata"]["uid"]
    rejected(warehouses.api.get(warehouses.at("one")), 404, "NotFound")
