"""Admission: set defaults and validate objects before they are stored, as kube-apiserver and Kargo's webhooks do.

Kargo's part: `pkg/webhook/kubernetes/*` (defaulting and validation of Project, ProjectConfig, ClusterConfig,
Warehouse, Freight), as far as it concerns kargoweb.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from demo.apiserver import kargo_types
from demo.apiserver.errors import bad_request, conflict, forbidden, invalid
from demo.apiserver.objects import now
from demo.apiserver.resource_types import DEFINITIONS, NAMESPACES, SECRETS, ResourceType, from_definition
from demo.apiserver.storage import Json, Store

_SECRET_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}\Z")
_SHARD_LABEL: Final = "kargo.akuity.io/shard"
_ALIAS_LABEL: Final = "kargo.akuity.io/alias"
_CLUSTER_CONFIG: Final = "cluster"

# Set by Kargo's admission webhook in every subscription without them (see "Defaults" in tests/vectors/README.md).
_SUBSCRIPTION_DEFAULTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "image": {"imageSelectionStrategy": "SemVer", "strictSemvers": True, "discoveryLimit": 20},
    "git": {"commitSelectionStrategy": "NewestFromBranch", "strictSemvers": True, "discoveryLimit": 20},
    "chart": {"discoveryLimit": 20},
}
_WAREHOUSE_DEFAULTS: Final[Mapping[str, Any]] = {"interval": "5m0s", "freightCreationPolicy": "Automatic"}


def _secret(kind: ResourceType, content: Json, old: Json | None) -> Json:
    name = content["metadata"].get("name", "")
    data = content.get("data") or {}
    string_data = content.get("stringData") or {}
    if not isinstance(data, dict) or not isinstance(string_data, dict):
        raise bad_request("data and stringData must be objects")
    for value in data.values():
        _check_base64(value)
    if not all(isinstance(value, str) for value in string_data.values()):
        raise bad_request("json: cannot unmarshal into Go struct field Secret.stringData of type string")
    merged = {
        **data,
        **{key: base64.b64encode(value.encode()).decode() for key, value in string_data.items()},
    }
    for key in merged:
        if not _SECRET_KEY.match(key):
            raise invalid(
                kind, name, f"data[{key}]", f'Invalid value: "{key}": a valid config key is expected'
            )
    secret = {key: value for key, value in content.items() if key not in ("data", "stringData")}
    secret |= {"data": merged} if merged else {}
    secret["type"] = content.get("type") or "Opaque"
    if old is not None:
        _check_secret_change(kind, old, secret)
    return secret


def _check_base64(value: Any) -> None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise bad_request("illegal base64 data at input byte 0") from None


def _check_secret_change(kind: ResourceType, old: Json, new: Json) -> None:
    name = old["metadata"]["name"]
    if new["type"] != old["type"]:
        raise invalid(kind, name, "type", f'Invalid value: "{new["type"]}": field is immutable')
    if old.get("immutable") is True and (
        new.get("data") != old.get("data") or new.get("immutable") is not True
    ):
        problem = "Forbidden: field is immutable when `immutable` is set"
        raise invalid(kind, name, "data", problem, "FieldValueForbidden")


def _namespace(_kind: ResourceType, content: Json, old: Json | None) -> Json:
    metadata = content["metadata"]
    labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata.get("name", "")}
    content = {**content, "metadata": {**metadata, "labels": labels}}
    if old is None:
        return {**content, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return {**content, "spec": old["spec"]}


def _definition(kind: ResourceType, content: Json, old: Json | None) -> Json:
    name = content["metadata"].get("name", "")
    try:
        defined = from_definition(content)
    except (KeyError, TypeError, StopIteration, AttributeError):
        raise invalid(kind, name, "spec", "Required value: group, names, scope, one stored version") from None
    if name != defined.qualified:
        raise invalid(
            kind, name, "metadata.name", f'Invalid value: "{name}": must be spec.names.plural+"."+spec.group'
        )
    if old is not None:
        return content
    names = {"listKind": defined.list_kind, "singular": defined.singular, **content["spec"]["names"]}
    conditions = [
        {
            "type": condition,
            "status": "True",
            "lastTransitionTime": now(),
            "reason": reason,
            "message": message,
        }
        for condition, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    status = {"acceptedNames": names, "conditions": conditions, "storedVersions": [defined.version]}
    spec = {"conversion": {"strategy": "None"}, **content["spec"], "names": names}
    return {**content, "spec": spec, "status": status}


def _is_unset(value: Any) -> bool:
    return value in (None, "", 0) and value is not False


def _subscription(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    completed = dict(entry)
    for key, defaults in _SUBSCRIPTION_DEFAULTS.items():
        if isinstance(subscription := entry.get(key), dict):
            missing = {name: value for name, value in defaults.items() if _is_unset(subscription.get(name))}
            completed[key] = {**subscription, **missing} if missing else subscription
    return completed


def _warehouse(kind: ResourceType, content: Json, old: Json | None) -> Json:
    spec = content.get("spec")
    if (
        old is not None
        and spec is old.get("spec")
        and content["metadata"].get("labels") == old["metadata"].get("labels")
    ):
        return content  # a refresh changes neither; skip the rest for speed
    name = content["metadata"].get("name", "")
    subscriptions = spec.get("subscriptions") if isinstance(spec, dict) else None
    if not isinstance(spec, dict) or not isinstance(subscriptions, list) or not subscriptions:
        problem = "Required value: should have at least 1 items"
        raise invalid(kind, name, "spec.subscriptions", problem, "FieldValueRequired")
    spec = {**_WAREHOUSE_DEFAULTS, **spec, "subscriptions": [_subscription(entry) for entry in subscriptions]}
    return _with_label({**content, "spec": spec}, _SHARD_LABEL, spec.get("shard") or "")


def _with_label(content: Json, key: str, value: str) -> Json:
    labels = dict(content["metadata"].get("labels") or {})
    if labels.get(key, "") == value:
        return content
    if value:
        labels[key] = value
    else:
        del labels[key]
    metadata = {name: entry for name, entry in content["metadata"].items() if name != "labels"}
    return {**content, "metadata": {**metadata, "labels": labels} if labels else metadata}


def _freight(_kind: ResourceType, content: Json, _old: Json | None) -> Json:
    label = (content["metadata"].get("labels") or {}).get(_ALIAS_LABEL, "")
    alias = content.get("alias") or ""
    if label and not alias:
        return {**content, "alias": label}
    return _with_label(content, _ALIAS_LABEL, alias)


def _cluster_config(kind: ResourceType, content: Json, _old: Json | None) -> Json:
    name = content["metadata"].get("name", "")
    if name != _CLUSTER_CONFIG:
        problem = f'Invalid value: "{name}": the name of a ClusterConfig must be "{_CLUSTER_CONFIG}"'
        raise invalid(kind, name, "metadata.name", problem)
    return content


_PLUGINS: Final[Mapping[str, Callable[[ResourceType, Json, Json | None], Json]]] = {
    SECRETS.qualified: _secret,
    NAMESPACES.qualified: _namespace,
    DEFINITIONS.qualified: _definition,
    f"warehouses.{kargo_types.GROUP}": _warehouse,
    f"freights.{kargo_types.GROUP}": _freight,
    f"clusterconfigs.{kargo_types.GROUP}": _cluster_config,
}


def admit(kind: ResourceType, content: Json, old: Json | None) -> Json:
    """Return the object with its defaults. `old` is None for a new object. Raises `ApiError` 400 or 422."""
    plugin = _PLUGINS.get(kind.qualified)
    return plugin(kind, content, old) if plugin is not None else content


def check_namespace(store: Store, kind: ResourceType, content: Json) -> None:
    """Check a new object against its namespace. Raises `ApiError` 403, 409 or 422."""
    name, namespace = content["metadata"].get("name", ""), content["metadata"].get("namespace", "")
    if kind.qualified == f"projectconfigs.{kargo_types.GROUP}":
        if name != namespace:
            problem = f'Invalid value: "{name}": name "{name}" must match project name "{namespace}"'
            raise invalid(kind, name, "metadata.name", problem)
        if not is_project_namespace(store, namespace):
            raise forbidden(kind, name, f'namespace "{namespace}" is not a project')
    if kind.qualified == f"projects.{kargo_types.GROUP}":
        exists = name in store.collection(NAMESPACES.qualified).objects
        if exists and not is_project_namespace(store, name):
            problem = (
                f'failed to initialize Project "{name}" with namespace "{name}" because the namespace already '
                "exists and is not labeled as a Project namespace"
            )
            raise conflict(kind, name, problem)


def is_project_namespace(store: Store, name: str) -> bool:
    """Return whether the namespace exists and has the label of a Kargo Project."""
    namespace = store.collection(NAMESPACES.qualified).objects.get(name)
    labels = namespace.content["metadata"].get("labels", {}) if namespace else {}
    return bool(labels.get(kargo_types.PROJECT_LABEL) == "true")
