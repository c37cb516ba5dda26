"""Objects in protobuf, byte for byte as kubectl 1.35 sends them from `kubectl create` and `kubectl auth can-i`."""

from __future__ import annotations

import pytest

from demo.apiserver.protobuf import MEDIA_TYPE, ProtobufError, decode
from tests.contract.api_objects import ok, rejected

SECRET = bytes.fromhex(
    "6b3873000a0c0a027631120653656372657412480a260a0c64682d77682d73656372657412001a0a6b6172676f2d64656d6f22002a0032"
    "0038004200121c0a0673656372657412126d797375706572736563726574746f6b656e1a001a002200"
)
NAMESPACE = bytes.fromhex(
    "6b3873000a0f0a02763112094e616d65737061636512220a1a0a0a6b6172676f2d64656d6f12001a0022002a00320038004200"
    "12001a020a001a002200"
)
REVIEW = bytes.fromhex(
    "6b3873000a320a17617574686f72697a6174696f6e2e6b38732e696f2f7631121753656c665375626a656374416363657373526576696577"
    "12590a100a0012001a0022002a00320038004200123b0a390a0764656661756c7412046c6973741a0022002a1a77617265686f757365732e"
    "6b6172676f2e616b756974792e696f32067374617475733a001a08080012001a0020001a002200"
)


def test_a_secret_is_decoded():
    assert decode(SECRET) == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "dh-wh-secret", "namespace": "kargo-demo"},
        "data": {"secret": "bXlzdXBlcnNlY3JldHRva2Vu"},
    }


def test_a_namespace_is_decoded():
    assert decode(NAMESPACE) == {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kargo-demo"}}


def test_an_access_review_is_decoded():
    assert decode(REVIEW)["spec"]["resourceAttributes"] == {
        "namespace": "default",
        "verb": "list",
        "resource": "warehouses.kargo.akuity.io",
        "subresource": "status",
    }


@pytest.mark.parametrize("cut", [0, 3, 5, 20, 60])
def test_truncated_input_is_an_error(cut):
    with pytest.raises(ProtobufError):
        decode(SECRET[:cut])


def test_other_types_require_json():
    with pytest.raises(ProtobufError, match="Pod is supported as JSON only"):
        decode(b"k8s\0" + bytes.fromhex("0a090a02763112") + b"\x03Pod")


def test_a_secret_can_be_created_with_protobuf(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/secrets"
    body = SECRET.replace(b"\x1a\x0akargo-demo", b"").replace(b"\x12\x48\x0a\x26", b"\x12\x3c\x0a\x1a")

    created = ok(cluster.api.request("POST", path, body, content_type=MEDIA_TYPE), 201)

    assert created["data"] == {"secret": "bXlzdXBlcnNlY3JldHRva2Vu"}


def test_invalid_protobuf_is_rejected(cluster, namespace):
    path = f"/api/v1/namespaces/{namespace}/secrets"

    rejected(cluster.api.request("POST", path, b"k8s\0\xff\xff", content_type=MEDIA_TYPE), 400, "BadRequest")
