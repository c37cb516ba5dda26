"""Decode objects in Kubernetes' protobuf encoding, in which recent versions of kubectl send Secrets and others.

Field numbers: the `generated.proto` files of k8s.io/api and k8s.io/apimachinery, for the fields that clients set.
Responses are always JSON, which every client accepts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

MEDIA_TYPE: Final = "application/vnd.kubernetes.protobuf"
_MAGIC: Final = b"k8s\0"


class ProtobufError(Exception):
    """The bytes are not an object of a supported type."""


@dataclass(frozen=True, slots=True)
class _Field:
    """A field. `type` is `text`, `flag`, `message` or `map`. `binary` maps have values in bytes, others in text."""

    name: str
    type: str = "text"
    message: Mapping[int, _Field] | None = None
    repeated: bool = False
    binary: bool = False


_METADATA: Final = {
    1: _Field("name"),
    2: _Field("generateName"),
    3: _Field("namespace"),
    5: _Field("uid"),
    6: _Field("resourceVersion"),
    11: _Field("labels", "map"),
    12: _Field("annotations", "map"),
    14: _Field("finalizers", repeated=True),
}
_ATTRIBUTES: Final = {
    number: _Field(name)
    for number, name in enumerate(
        ("namespace", "verb", "group", "version", "resource", "subresource", "name"), 1
    )
}
_REVIEW_SPEC: Final = {1: _Field("resourceAttributes", "message", _ATTRIBUTES)}
_SUBJECT_REVIEW_SPEC: Final = {
    **_REVIEW_SPEC,
    3: _Field("user"),
    4: _Field("groups", repeated=True),
}
_KINDS: Final[Mapping[tuple[str, str], Mapping[int, _Field]]] = {
    ("v1", "Namespace"): {1: _Field("metadata", "message", _METADATA)},
    ("v1", "ServiceAccount"): {1: _Field("metadata", "message", _METADATA)},
    ("v1", "Secret"): {
        1: _Field("metadata", "message", _METADATA),
        2: _Field("data", "map", binary=True),
        3: _Field("type"),
        4: _Field("stringData", "map"),
        5: _Field("immutable", "flag"),
    },
    ("authorization.k8s.io/v1", "SubjectAccessReview"): {2: _Field("spec", "message", _SUBJECT_REVIEW_SPEC)},
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): {2: _Field("spec", "message", _REVIEW_SPEC)},
}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ProtobufError("truncated")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield field numbers and raw values. The supported types have only numbers and length-delimited values."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire_type = tag >> 3, tag & 7
        value, at = _varint(data, at)
        if wire_type == 0:
            yield number, value
        elif wire_type == 2 and at + value <= len(data):
            yield number, data[at : at + value]
            at += value
        else:
            raise ProtobufError("truncated, or not a Kubernetes object")


def _text(raw: int | bytes) -> str:
    if isinstance(raw, int):
        raise ProtobufError("a number where text is expected")
    return raw.decode("utf-8", "replace")


def _entry(raw: bytes, *, binary: bool) -> dict[str, str]:
    parts = dict(_fields(raw))
    value = parts.get(2, b"")
    if binary and isinstance(value, bytes):
        return {_text(parts.get(1, b"")): base64.b64encode(value).decode()}
    return {_text(parts.get(1, b"")): _text(value)}


def _value(field: _Field, raw: int | bytes) -> Any:
    if field.type == "flag":
        return bool(raw)
    if field.type == "text" or isinstance(raw, int):
        return _text(raw)
    if field.type == "map":
        return _entry(raw, binary=field.binary)
    return _message(field.message or {}, raw)


def _message(fields: Mapping[int, _Field], data: bytes) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for number, raw in _fields(data):
        field = fields.get(number)
        if field is None:
            continue
        value = _value(field, raw)
        if field.type == "map":
            result.setdefault(field.name, {}).update(value)
        elif field.repeated:
            result.setdefault(field.name, []).append(value)
        elif value != "":  # Go also sends empty strings
            result[field.name] = value
    return result


def decode(body: bytes) -> dict[str, Any]:
    """Decode an object in its JSON form. Raises `ProtobufError`."""
    if not body.startswith(_MAGIC):
        raise ProtobufError("it does not have the prefix of a Kubernetes object")
    envelope = dict(_fields(body[len(_MAGIC) :]))
    type_bytes, raw = envelope.get(1, b""), envelope.get(2, b"")
    if isinstance(type_bytes, int) or isinstance(raw, int):
        raise ProtobufError("the envelope is not a Kubernetes object")
    type_meta = dict(_fields(type_bytes))
    api_version, kind = _text(type_meta.get(1, b"")), _text(type_meta.get(2, b""))
    fields = _KINDS.get((api_version, kind))
    if fields is None:
        raise ProtobufError(f"{kind} is supported as JSON only")
    return {"apiVersion": api_version, "kind": kind, **_message(fields, raw)}
