"""The rules of Kargo's versions, as far as they decide which tags a subscription selects.

Source: `pkg/image/*_selector.go` and `api/v1alpha1` at Kargo's tags v1.7.10 to v1.11.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any, Final

from receivers.kargo.json_values import as_map

_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.\d+.*)?", re.ASCII)


class KargoRules(IntEnum):
    """The rules of a range of versions, in their order; the value is the first minor version of Kargo 1."""

    UP_TO_1_8 = 0
    """`allowTags` (an expression) and `ignoreTags` (a list) apply, and images have `semverConstraint`, too."""

    FROM_1_9 = 9
    """`allowTags` and `ignoreTags` apply in addition to `allowTagsRegexes` and `ignoreTagsRegexes`."""

    FROM_1_11 = 11
    """Kargo cannot evaluate a subscription with `allowTags` or `ignoreTags`."""

    @property
    def versions(self) -> str:
        """Return the versions, for people."""
        return {0: "1.8 or earlier", 9: "1.9 or 1.10", 11: "1.11 or later"}[self]


LATEST: Final = KargoRules.FROM_1_11


def rules_of_version(version: str) -> KargoRules | None:
    """Return the rules of a version such as `v1.10.10` or `1.11`; None if the text is not a version."""
    match = _VERSION.fullmatch(version)
    if match is None:
        return None
    major, minor = int(match[1]), int(match[2])
    if major != 1:
        return LATEST if major else KargoRules.UP_TO_1_8
    return max(rules for rules in KargoRules if rules <= minor)


def rules_of_schema(openapi: Mapping[str, Any]) -> KargoRules | None:
    """Return the rules for the schemas of Kargo's resources; None if they show no known version.

    `openapi` is the OpenAPI 3 document of the API group version. Up to 1.8, the schema has the fields of subscriptions.
    1.11 added observed references to Warehouses and links to Stages to the configurations.
    """
    schemas = as_map(as_map(openapi.get("components")).get("schemas"))
    warehouse = _properties(_kind(schemas, "Warehouse"), "spec")
    if "subscriptions" not in warehouse:
        return None
    items = as_map(as_map(warehouse["subscriptions"]).get("items"))
    if "image" in as_map(items.get("properties")):
        return KargoRules.UP_TO_1_8
    is_new = "stageLinks" in _properties(_kind(schemas, "ClusterConfig"), "spec") or "observedRefs" in _names(
        _kind(schemas, "Warehouse")
    )
    return KargoRules.FROM_1_11 if is_new else KargoRules.FROM_1_9


def _kind(schemas: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the schema of a kind; its key begins with the reversed API group."""
    return next((as_map(schema) for key, schema in schemas.items() if key.endswith(f".{kind}")), {})


def _properties(schema: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return as_map(as_map(as_map(schema.get("properties")).get(name)).get("properties"))


def _names(schema: Any) -> Iterator[str]:
    """Yield the names of all properties in a schema, at any depth."""
    fields = as_map(schema)
    for name, part in as_map(fields.get("properties")).items():
        yield name
        yield from _names(part)
    yield from _names(fields["items"]) if "items" in fields else ()
