"""How each running_cache type is decoded, and what identifies its objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo.artifacts import decode_freight
from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    FREIGHTS,
    PROJECT_CONFIGS,
    PROJECTS,
    WAREHOUSES,
    Resource,
    Warehouse,
    decode_config,
    decode_project,
    decode_warehouse,
)

Key = tuple[str, str]


def key_of(raw: Mapping[str, Any]) -> Key:
    """Return namespace (or empty) and name of an object as the API server sent it."""
    metadata = raw.get("metadata") or {}
    return metadata.get("namespace") or "", metadata.get("name") or ""


def version_of(raw: Mapping[str, Any]) -> str:
    """Return the resourceVersion of an object as the API server sent it."""
    return (raw.get("metadata") or {}).get("resourceVersion") or ""


@dataclass(frozen=True, slots=True)
class Codec:
    """How objects of one type are decoded.

    `decode` also gets the object as we know it (or None), and returns that if it is the same.
    """

    resource: Resource
    decode: Callable[[Mapping[str, Any], Any], Any]


def _warehouse(raw: Mapping[str, Any], known: Warehouse | None) -> Warehouse:
    if known is not None:
        metadata = raw.get("metadata") or {}
        # Both: after a restore from a backup the same number may stand for another object.
        if (known.resource_version, known.uid) == (metadata.get("resourceVersion"), metadata.get("uid")):
            return known
        if (known.generation, known.uid) == (metadata.get("generation"), metadata.get("uid")):
            return decode_warehouse(raw, known.subscriptions)  # the specification is the same
    return decode_warehouse(raw)


CODECS: Final[Mapping[Resource, Codec]] = {
    codec.resource: codec
    for codec in (
        Codec(PROJECTS, lambda raw, _: decode_project(raw)),
        Codec(PROJECT_CONFIGS, lambda raw, _: decode_config(raw)),
        Codec(CLUSTER_CONFIGS, lambda raw, _: decode_config(raw)),
        Codec(WAREHOUSES, _warehouse),
        Codec(FREIGHTS, lambda raw, _: decode_freight(raw)),
    )
}
