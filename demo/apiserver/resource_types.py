"""The resource types that the server has: built-in types, and those from CustomResourceDefinitions.

The `Catalog` has the types that are currently served. It changes when definitions are created or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`, as in `additionalPrinterColumns`. `type` is `string`, `integer` or `date`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


AGE: Final = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A resource type. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    singular: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    status_subresource: bool = False
    # From a CustomResourceDefinition: bodies need a kind, and there is no strategic merge patch.
    custom: bool = False
    conditional_put: bool = False  # PUT must name the resourceVersion
    generation: bool = False
    columns: tuple[Column, ...] = (AGE,)
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The OpenAPI schema of the objects, which is published but not enforced."""
    qualified: str = ""
    """The name of the type in messages, such as `warehouses.kargo.akuity.io` or `secrets`."""

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        """Return the kind of lists of this type."""
        return f"{self.kind}List"


def _built_in(group: str, plural: str, kind: str, namespaced: bool, **options: Any) -> ResourceType:
    qualified = f"{plural}.{group}" if group else plural
    singular = kind.lower()
    return ResourceType(group, "v1", plural, singular, kind, namespaced, qualified=qualified, **options)


SUBJECT_ACCESS_REVIEWS: Final = _built_in(
    "authorization.k8s.io", "subjectaccessreviews", "SubjectAccessReview", False
)
REVIEWS: Final = (
    _built_in("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False),
    SUBJECT_ACCESS_REVIEWS,
)
"""Types of which nothing is stored: the response to their creation has the result."""

NAMESPACES: Final = _built_in(
    "",
    "namespaces",
    "Namespace",
    False,
    short_names=("ns",),
    status_subresource=True,
    columns=(Column("Status", ".status.phase"), AGE),
)
SECRETS: Final = _built_in("", "secrets", "Secret", True, columns=(Column("Type", ".type"), AGE))
EVENTS: Final = _built_in(
    "",
    "events",
    "Event",
    True,
    short_names=("ev",),
    columns=(
        Column("Last Seen", ".lastTimestamp", "date"),
        Column("Type", ".type"),
        Column("Reason", ".reason"),
        Column("Object", ".involvedObject.name"),
        Column("Message", ".message"),
    ),
)
SERVICE_ACCOUNTS: Final = _built_in("", "serviceaccounts", "ServiceAccount", True, short_names=("sa",))
LEASES: Final = _built_in(
    "coordination.k8s.io",
    "leases",
    "Lease",
    True,
    conditional_put=True,
    columns=(Column("Holder", ".spec.holderIdentity"), AGE),
)
DEFINITIONS: Final = _built_in(
    "apiextensions.k8s.io",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    status_subresource=True,
    conditional_put=True,
    generation=True,
    columns=(Column("Created At", ".metadata.creationTimestamp"),),
)
DEPLOYMENTS: Final = _built_in(
    "apps", "deployments", "Deployment", True, short_names=("deploy",), generation=True
)
BUILT_IN: Final = (NAMESPACES, SECRETS, EVENTS, SERVICE_ACCOUNTS, LEASES, DEFINITIONS, DEPLOYMENTS)


def _columns(version: Mapping[str, Any]) -> tuple[Column, ...]:
    columns = tuple(
        Column(entry["name"], entry["jsonPath"], entry.get("type", "string"), entry.get("priority", 0))
        for entry in version.get("additionalPrinterColumns") or []
    )
    return columns or (AGE,)


def from_definition(definition: Mapping[str, Any]) -> ResourceType:
    """Return the type that a CustomResourceDefinition defines, in its storage version.

    Other versions are not served, so objects need no conversion. Raises KeyError, TypeError or StopIteration if the
    definition lacks a required field.
    """
    spec = definition["spec"]
    names = spec["names"]
    version = next(entry for entry in spec["versions"] if entry["storage"] and entry["served"])
    return ResourceType(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        singular=names.get("singular") or names["kind"].lower(),
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        short_names=tuple(names.get("shortNames") or ()),
        categories=tuple(names.get("categories") or ()),
        status_subresource="status" in (version.get("subresources") or {}),
        custom=True,
        conditional_put=True,
        generation=True,
        columns=_columns(version),
        schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
        qualified=f"{names['plural']}.{spec['group']}",
    )


class Catalog:
    """The types that are currently served."""

    def __init__(self) -> None:
        self._by_path = {(kind.group, kind.version, kind.plural): kind for kind in BUILT_IN}

    def get(self, group: str, version: str, plural: str) -> ResourceType | None:
        """Return a type, or None if it is not served."""
        return self._by_path.get((group, version, plural))

    def add(self, kind: ResourceType) -> None:
        """Start to serve a type."""
        self._by_path[(kind.group, kind.version, kind.plural)] = kind

    def remove(self, qualified: str) -> None:
        """Stop serving the type with this qualified name."""
        self._by_path = {path: kind for path, kind in self._by_path.items() if kind.qualified != qualified}

    def all(self) -> list[ResourceType]:
        """Return all types, built-in types first."""
        return list(self._by_path.values())
