"""Decode the objects of each cached resource type, and identify them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo.artifacts import decode_freight
from receivers.kargo.kargo_rules import LATEST, KargoRules
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
from receivers.kargo.stages import PROMOTIONS, STAGES, decode_promotion, decode_stage

Key = tuple[str, str]


def key_of(raw: Mapping[str, Any]) -> Key:
    """Return the namespace (empty if cluster-scoped) and name of a raw object."""
    metadata = raw.get("metadata") or {}
    return metadata.get("namespace") or "", metadata.get("name") or ""


def version_of(raw: Mapping[str, Any]) -> str:
    """Return the resourceVersion of a raw object, or an empty string."""
    return (raw.get("metadata") or {}).get("resourceVersion") or ""


@dataclass(frozen=True, slots=True)
class Codec:
    """The decoder of one resource type.

    `decode` takes the raw object and the cached one (or None), and may return the cached one if nothing has changed.
    """

    resource: Resource
    decode: Callable[[Mapping[str, Any], Any], Any]

    def prepare(self) -> bool:
        """Say, before a list or watch, whether objects must be decoded again: never."""
        return False


def _warehouse(raw: Mapping[str, Any], cached: Warehouse | None, rules: KargoRules = LATEST) -> Warehouse:
    if cached is not None and cached.rules is rules:
        metadata = raw.get("metadata") or {}
        # Compare the uid, too: after a restore from a backup, another object may have the same resourceVersion.
        if (cached.resource_version, cached.uid) == (metadata.get("resourceVersion"), metadata.get("uid")):
            return cached
        if (cached.generation, cached.uid) == (metadata.get("generation"), metadata.get("uid")):
            # The same generation means the same spec, so the compiled subscriptions can be reused.
            return decode_warehouse(raw, cached.subscriptions, rules)
    return decode_warehouse(raw, rules=rules)


class WarehouseCodec:
    """The decoder of Warehouses by the rules of Kargo's version, for one thread."""

    resource = WAREHOUSES

    def __init__(self, current_rules: Callable[[], KargoRules]) -> None:
        self._current_rules = current_rules
        self._rules = LATEST

    def prepare(self) -> bool:
        """Get the current rules, and say whether they have changed. Raises `ClusterError` if they are unknown."""
        before, self._rules = self._rules, self._current_rules()
        return self._rules is not before

    def decode(self, raw: Mapping[str, Any], cached: Warehouse | None) -> Warehouse:
        """Decode a Warehouse, or return the cached one if it is unchanged and was decoded by the same rules."""
        return _warehouse(raw, cached, self._rules)


CODECS: Final[Mapping[Resource, Codec]] = {
    codec.resource: codec
    for codec in (
        Codec(PROJECTS, lambda raw, _: decode_project(raw)),
        Codec(PROJECT_CONFIGS, lambda raw, _: decode_config(raw)),
        Codec(CLUSTER_CONFIGS, lambda raw, _: decode_config(raw)),
        Codec(WAREHOUSES, _warehouse),
        Codec(FREIGHTS, lambda raw, _: decode_freight(raw)),
        Codec(STAGES, lambda raw, _: decode_stage(raw)),
        Codec(PROMOTIONS, lambda raw, _: decode_promotion(raw)),
    )
}
