"""Kargo's resource types as CustomResourceDefinitions that accept any content in `spec` and `status`.

Names, scopes, status subresources and printer columns are those of Kargo's own definitions
(charts/kargo/resources/crds), and so are the few fields in the schemas that show the version: 1.11 or later.
"""

from __future__ import annotations

from typing import Any, Final

GROUP: Final = "kargo.akuity.io"
VERSION: Final = "v1alpha1"
PROJECT_LABEL: Final = "kargo.akuity.io/project"

_OPEN: Final = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_AGE: Final = ("Age", ".metadata.creationTimestamp", "date")
_CONDITIONS: Final = (
    ("Ready", '.status.conditions[?(@.type=="Ready")].status', "string"),
    ("Status", '.status.conditions[?(@.type=="Ready")].message', "string"),
    _AGE,
)
_FREIGHT: Final = (
    ("Alias", r".metadata.labels.kargo\.akuity\.io/alias", "string"),
    ("Origin (Kind)", ".origin.kind", "string"),
    ("Origin (Name)", ".origin.name", "string"),
    _AGE,
)
_STAGE: Final = (
    ("Shard", ".spec.shard", "string"),
    ("Current Freight", ".status.freightSummary", "string"),
    ("Health", ".status.health.status", "string"),
    *_CONDITIONS,
)
_PROMOTION: Final = (
    ("Shard", r".metadata.labels.kargo\.akuity\.io/shard", "string"),
    ("Stage", ".spec.stage", "string"),
    ("Freight", ".spec.freight", "string"),
    ("Phase", ".status.phase", "string"),
    _AGE,
)
_SHORT_NAMES: Final = {"Promotion": ["promo", "promos"]}
_TYPES: Final = (
    # kind, namespaced, columns
    ("Project", False, _CONDITIONS),
    ("ProjectConfig", True, _CONDITIONS),
    ("ClusterConfig", False, _CONDITIONS),
    ("Warehouse", True, (("Shard", ".spec.shard", "string"), _AGE)),
    ("Freight", True, _FREIGHT),
    ("Stage", True, _STAGE),
    ("Promotion", True, _PROMOTION),
)


_FIELDS: Final = {"Warehouse": ("subscriptions",), "ClusterConfig": ("stageLinks",)}
"""Fields of `spec` by kind."""


def _spec(kind: str) -> dict[str, Any]:
    fields = {name: {"x-kubernetes-preserve-unknown-fields": True} for name in _FIELDS.get(kind, ())}
    return {**_OPEN, "properties": fields} if fields else _OPEN


def _definition(kind: str, namespaced: bool, columns: tuple[tuple[str, str, str], ...]) -> dict[str, Any]:
    plural = f"{kind.lower()}s"
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {**_OPEN, "properties": {"spec": _spec(kind), "status": _OPEN}}},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            {"name": name, "jsonPath": path, "type": column} for name, path, column in columns
        ],
    }
    names: dict[str, Any] = {
        "plural": plural,
        "singular": kind.lower(),
        "kind": kind,
        "listKind": f"{kind}List",
    }
    if kind in _SHORT_NAMES:
        names["shortNames"] = _SHORT_NAMES[kind]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": names,
            "versions": [version],
        },
    }


def kargo_definitions() -> list[dict[str, Any]]:
    """Return the CustomResourceDefinitions of the Kargo types that kargoweb uses."""
    return [_definition(*entry) for entry in _TYPES]
