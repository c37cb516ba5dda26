"""Kargo's and Kubernetes' objects, reduced to what kargoweb needs: small, frozen, decoded once.

Decoding drops everything else and never raises on what an API server can hold: a missing or wrongly typed field
becomes its empty value.

Field names and meanings: Kargo's `api/v1alpha1` types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from sys import intern
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from receivers.kargo.json_values import as_list, as_map, as_number, as_text
from receivers.kargo.kargo_rules import LATEST, KargoRules
from receivers.kargo.promotion_policies import PromotionPolicy, decode_policies
from receivers.kargo.subscriptions import Subscription, decode_subscription

KARGO_GROUP: Final = "kargo.akuity.io"
REFRESH_ANNOTATION: Final = "kargo.akuity.io/refresh"
CLUSTER_CONFIG_NAME: Final = "cluster"

WarehouseKey: TypeAlias = tuple[str, str]
"""Project and name of a Warehouse."""

_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})
_DIGEST: Final = re.compile(r"/([0-9a-f]{64})/?$")


@dataclass(frozen=True, slots=True)
class Resource:
    """The coordinates of a resource type in the Kubernetes API. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of the objects."""
        return f"{self.group}/{self.version}" if self.group else self.version


PROJECTS: Final = Resource(KARGO_GROUP, "v1alpha1", "projects", "Project", namespaced=False)
PROJECT_CONFIGS: Final = Resource(KARGO_GROUP, "v1alpha1", "projectconfigs", "ProjectConfig", namespaced=True)
CLUSTER_CONFIGS: Final = Resource(
    KARGO_GROUP, "v1alpha1", "clusterconfigs", "ClusterConfig", namespaced=False
)
WAREHOUSES: Final = Resource(KARGO_GROUP, "v1alpha1", "warehouses", "Warehouse", namespaced=True)
FREIGHTS: Final = Resource(KARGO_GROUP, "v1alpha1", "freights", "Freight", namespaced=True)
SECRETS: Final = Resource("", "v1", "secrets", "Secret", namespaced=True)
NAMESPACES: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments", "Deployment", namespaced=True)
EVENTS: Final = Resource("", "v1", "events", "Event", namespaced=True)
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease", namespaced=True)
SUBJECT_ACCESS_REVIEWS: Final = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)


@dataclass(frozen=True, slots=True)
class Project:
    """A Kargo Project; its namespace has the same name."""

    name: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class Receiver:
    """One entry of `spec.webhookReceivers`. `kind` is the type key as written (`dockerhub`, `github`, ...).

    `options` has the other fields of the kind's object, as canonical JSON: `virtualRepoName`, `actions`.
    """

    name: str
    kind: str
    secret_name: str
    options: str = ""


@dataclass(frozen=True, slots=True)
class PublishedUrl:
    """One entry of `status.webhookReceivers`. `path` and `url` end in the digest: credentials, never logged."""

    name: str
    path: str
    url: str

    @property
    def digest(self) -> str:
        """Return the 64 hex characters at the end of the path, or of the URL; empty if there are none."""
        match = _DIGEST.search(self.path) or _DIGEST.search(self.url)
        return match[1] if match else ""

    def __repr__(self) -> str:
        return f"PublishedUrl(name={self.name!r})"


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of `status.conditions`; `status` is `True`, `False` or `Unknown`."""

    type: str
    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """A ProjectConfig (`project` is its namespace) or the ClusterConfig (`project` is empty)."""

    project: str
    name: str
    resource_version: str
    generation: int
    receivers: tuple[Receiver, ...]
    published: tuple[PublishedUrl, ...]
    conditions: tuple[Condition, ...]
    refresh_token: str
    last_handled_refresh: str
    promotion_policies: tuple[PromotionPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class Warehouse:
    """A Warehouse: its subscriptions and its status.

    `discovered_at` is RFC 3339 text as Kargo wrote it, or empty. `creation_policy` is `Automatic` or `Manual`. The
    subscriptions are compiled by `rules`.
    """

    project: str
    name: str
    uid: str
    resource_version: str
    generation: int
    shard: str
    interval: str
    creation_policy: str
    criteria: str
    subscriptions: tuple[Subscription, ...]
    refresh_token: str
    last_handled_refresh: str
    discovered_at: str
    last_freight_id: str
    conditions: tuple[Condition, ...]
    rules: KargoRules
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS)

    @property
    def key(self) -> WarehouseKey:
        """Return project and name, which identify the Warehouse."""
        return self.project, self.name


def decode_project(raw: Mapping[str, Any]) -> Project:
    """Decode a Project as the API server sent it."""
    metadata = as_map(raw.get("metadata"))
    return Project(
        name=as_text(metadata.get("name")), resource_version=as_text(metadata.get("resourceVersion"))
    )


def decode_receiver(raw: Any) -> Receiver:
    """Decode one entry of `spec.webhookReceivers`: `name` besides exactly one key that names the kind."""
    entry = as_map(raw)
    kind = next((key for key in sorted(entry) if key != "name" and entry[key] is not None), "")
    fields = as_map(entry.get(kind))
    options = {key: value for key, value in fields.items() if key != "secretRef"}
    return Receiver(
        name=as_text(entry.get("name")),
        kind=kind,
        secret_name=as_text(as_map(fields.get("secretRef")).get("name")),
        options=json.dumps(options, sort_keys=True) if options else "",
    )


def _published(raw: Any) -> PublishedUrl:
    entry = as_map(raw)
    return PublishedUrl(as_text(entry.get("name")), as_text(entry.get("path")), as_text(entry.get("url")))


def decode_conditions(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Decode the conditions in the status of an object. Never raises."""
    entries = (as_map(entry) for entry in as_list(status.get("conditions")))
    return tuple(
        _condition(*(as_text(entry.get(key)) for key in ("type", "status", "reason", "message")))
        for entry in entries
    )


@lru_cache(maxsize=1024)
def _condition(type_: str, status: str, reason: str, message: str) -> Condition:
    """Return a shared Condition: thousands of objects have the same ones."""
    return Condition(type_, status, reason, message)


def decode_config(raw: Mapping[str, Any]) -> ReceiverConfig:
    """Decode a ProjectConfig or a ClusterConfig; one without a namespace is the ClusterConfig."""
    metadata, spec, status = (as_map(raw.get(key)) for key in ("metadata", "spec", "status"))
    return ReceiverConfig(
        project=as_text(metadata.get("namespace")),
        name=as_text(metadata.get("name")),
        resource_version=as_text(metadata.get("resourceVersion")),
        generation=as_number(metadata.get("generation")),
        receivers=tuple(map(decode_receiver, as_list(spec.get("webhookReceivers")))),
        published=tuple(map(_published, as_list(status.get("webhookReceivers")))),
        conditions=decode_conditions(status),
        refresh_token=as_text(as_map(metadata.get("annotations")).get(REFRESH_ANNOTATION)),
        last_handled_refresh=as_text(status.get("lastHandledRefresh")),
        promotion_policies=decode_policies(spec.get("promotionPolicies")),
    )


def decode_warehouse(
    raw: Mapping[str, Any],
    subscriptions: tuple[Subscription, ...] | None = None,
    rules: KargoRules = LATEST,
) -> Warehouse:
    """Decode a Warehouse by the rules of Kargo's version.

    Compile its subscriptions unless the caller passes the unchanged ones, compiled by the same rules.
    """
    metadata, spec, status = (as_map(raw.get(key)) for key in ("metadata", "spec", "status"))
    if subscriptions is None:
        subscriptions = tuple(
            decode_subscription(entry, rules) for entry in as_list(spec.get("subscriptions"))
        )
    return Warehouse(
        project=intern(as_text(metadata.get("namespace"))),
        name=as_text(metadata.get("name")),
        uid=as_text(metadata.get("uid")),
        resource_version=as_text(metadata.get("resourceVersion")),
        generation=as_number(metadata.get("generation")),
        shard=as_text(spec.get("shard")),
        interval=intern(as_text(spec.get("interval"))),
        creation_policy=intern(as_text(spec.get("freightCreationPolicy")) or "Automatic"),
        criteria=as_text(as_map(spec.get("freightCreationCriteria")).get("expression")),
        subscriptions=subscriptions,
        refresh_token=as_text(as_map(metadata.get("annotations")).get(REFRESH_ANNOTATION)),
        last_handled_refresh=as_text(status.get("lastHandledRefresh")),
        discovered_at=as_text(as_map(status.get("discoveredArtifacts")).get("discoveredAt")),
        last_freight_id=as_text(status.get("lastFreightID")),
        conditions=decode_conditions(status),
        rules=rules,
        labels=_labels(metadata.get("labels")),
    )


def _labels(raw: Any) -> Mapping[str, str]:
    """Return labels; most Warehouses have none, and share one empty mapping."""
    labels = {intern(str(key)): intern(as_text(value)) for key, value in as_map(raw).items()}
    return MappingProxyType(labels) if labels else _NO_LABELS
