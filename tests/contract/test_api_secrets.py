"""Secrets: stringData, base64, types."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.api_client import ApiResponse
from tests.contract.api_objects import ObjectCollection, ok, rejected


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def created(secrets_: ObjectCollection, **content: Any) -> ApiResponse:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}, **content}
    return secrets_.api.post(secrets_.path, body)


def test_string_data_becomes_data_and_is_never_returned(secrets_):
    secret = ok(created(secrets_, stringData={"secret": "my token\n"}), 201)

    assert secret["data"] == {"secret": encoded("my token\n")}
    assert "stringData" not in secret
    assert "stringData" not in secrets_.get("one")


def test_string_data_overrides_data(secrets_):
    secret = ok(
        created(secrets_, data={"a": encoded("old"), "b": encoded("kept")}, stringData={"a": "new"}), 201
    )

    assert secret["data"] == {"a": encoded("new"), "b": encoded("kept")}


def test_a_patch_with_string_data_adds_to_data(secrets_):
    secrets_.create("one")

    assert secrets_.patch("one", {"stringData": {"c": "d"}})["data"] == {"a": encoded("b"), "c": encoded("d")}


def test_a_secret_is_opaque_by_default(secrets_):
    assert ok(created(secrets_), 201)["type"] == "Opaque"


def test_the_type_cannot_change(secrets_):
    secrets_.create("one")

    rejected(secrets_.api.patch(secrets_.at("one"), {"type": "example.com/other"}), 422, "Invalid")


@pytest.mark.parametrize(
    "data", [{"a": "!"}, {"a": "YQ"}, {"a": 1}], ids=["no base64", "no padding", "number"]
)
def test_data_must_be_base64(secrets_, data):
    rejected(created(secrets_, data=data), 400, "BadRequest")


def test_keys_must_be_valid_file_names(secrets_):
    rejected(created(secrets_, data={"a/b": ""}), 422, "Invalid")


def test_an_immutable_secret_keeps_its_data(secrets_):
    ok(created(secrets_, immutable=True, stringData={"a": "b"}), 201)

    rejected(secrets_.api.patch(secrets_.at("one"), {"stringData": {"a": "c"}}), 422, "Invalid")
    assert secrets_.patch("one", {"metadata": {"labels": {"a": "b"}}})["metadata"]["labels"] == {"a": "b"}
