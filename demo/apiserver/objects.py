"""Validate objects before they are stored, and set the metadata that only the server writes.

Sources: the Kubernetes API conventions, apiserver's `registry/rest` (create.go, update.go, meta.go).
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from demo.apiserver.errors import bad_request, conflict, invalid
from demo.apiserver.resource_types import NAMESPACES, ResourceType
from demo.apiserver.storage import Json

_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
_KEY: Final = re.compile(r"(?:(?P<prefix>[^/]*)/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z")
# Without vowels, so that a suffix is never a word, as in apimachinery's rand.String.
_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_MAX_PREFIX: Final = 58  # characters of generateName; with the suffix they fit in a label of 63
_MAX_SUBDOMAIN: Final = 253
_MAX_LABEL: Final = 63
_MAX_ANNOTATIONS: Final = 256 * 1024  # bytes of all annotations of an object

# Metadata that only the server writes. Values from clients are silently overwritten.
_OWNED: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")

_DROPPED: Final = ("managedFields", "selfLink")  # this server does not track the owners of fields
_OMITTED_EMPTY: Final = ("labels", "annotations", "finalizers", "ownerReferences")


def now() -> str:
    """Return the current time as Kubernetes writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _check_strings(metadata: Json, field: str) -> None:
    values = metadata.get(field)
    if values is None:
        metadata.pop(field, None)
    elif not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise bad_request(
            f"json: cannot unmarshal into Go struct field ObjectMeta.metadata.{field} of type string"
        )


def check_shape(kind: ResourceType, content: Any, name: str, namespace: str) -> Json:
    """Check that a body is an object of this type, name and namespace. Return a copy with its own metadata.

    `name` is empty if the path has no name. Raises `ApiError` 400.
    """
    if not isinstance(content, dict) or not isinstance(content.get("metadata", {}), dict):
        raise bad_request("the object provided is not a JSON object with metadata")
    type_meta = (content.get("apiVersion") or kind.api_version, content.get("kind") or kind.kind)
    if kind.custom and not (content.get("apiVersion") and content.get("kind")):
        raise bad_request("Object 'Kind' or 'apiVersion' is missing")
    if kind.custom and type_meta[0] == kind.api_version and type_meta[1] != kind.kind:
        raise invalid(kind, name, "kind", f'Invalid value: "{type_meta[1]}": must be {kind.kind}')
    if type_meta != (kind.api_version, kind.kind):
        expected = f"{kind.kind} in version {kind.api_version}"
        raise bad_request(f"{type_meta[1]} in version {type_meta[0]} cannot be handled as a {expected}")
    metadata = dict(content.get("metadata") or {})
    if name and metadata.get("name", name) != name:
        raise bad_request(
            f"the name of the object ({metadata.get('name')}) does not match the name on the URL ({name})"
        )
    if (metadata.get("namespace") or namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    for field in ("labels", "annotations"):
        _check_strings(metadata, field)
    if name:
        metadata["name"] = name
    if namespace:
        metadata["namespace"] = namespace
    for field in _DROPPED:
        metadata.pop(field, None)
    for field in _OMITTED_EMPTY:
        if field in metadata and not metadata[field]:
            del metadata[field]
    return {**content, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata}


def _check_name(kind: ResourceType, name: Any) -> None:
    if not isinstance(name, str) or not name:
        raise invalid(
            kind,
            "",
            "metadata.name",
            "Required value: name or generateName is required",
            "FieldValueRequired",
        )
    pattern, limit = (_LABEL, _MAX_LABEL) if kind == NAMESPACES else (_SUBDOMAIN, _MAX_SUBDOMAIN)
    if len(name) > limit or not pattern.match(name):
        format_name = "RFC 1123 label" if kind == NAMESPACES else "RFC 1123 subdomain"
        problem = (
            f'Invalid value: "{name}": a lowercase {format_name} must consist of lower case alphanumeric characters '
            "or '-', and must start and end with an alphanumeric character"
        )
        raise invalid(kind, name, "metadata.name", problem)


def check_metadata(kind: ResourceType, content: Json) -> None:
    """Check labels and annotations. Raises `ApiError` 422."""
    metadata = content["metadata"]
    name = metadata.get("name", "")
    for key, value in (metadata.get("labels") or {}).items():
        if not _is_qualified(key):
            raise invalid(
                kind, name, "metadata.labels", f'Invalid value: "{key}": name part must be a qualified name'
            )
        if not _LABEL_VALUE.match(value):
            raise invalid(
                kind, name, "metadata.labels", f'Invalid value: "{value}": a valid label is expected'
            )
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        if not _is_qualified(key.lower()):
            raise invalid(
                kind, name, "metadata.annotations", f'Invalid value: "{key}": must be a qualified name'
            )
    if sum(len(key) + len(value.encode()) for key, value in annotations.items()) > _MAX_ANNOTATIONS:
        raise invalid(
            kind, name, "metadata.annotations", f"Too long: must have at most {_MAX_ANNOTATIONS} bytes"
        )


def _is_qualified(key: str) -> bool:
    match = _KEY.match(key)
    return match is not None and (match["prefix"] is None or _SUBDOMAIN.match(match["prefix"]) is not None)


def new_object(kind: ResourceType, content: Json, in_use: Callable[[str], bool]) -> Json:
    """Set the metadata of a new object in a checked body. `in_use` returns whether a name is in use.

    Raises `ApiError` 400 or 422.
    """
    metadata = content["metadata"]
    if metadata.pop("resourceVersion", None):
        raise bad_request("resourceVersion should not be set on objects to be created")
    if not metadata.get("name") and (prefix := metadata.get("generateName")):
        metadata["name"] = _generated(prefix, in_use)
    _check_name(kind, metadata.get("name"))
    check_metadata(kind, content)
    for field in _OWNED:
        metadata.pop(field, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = now()
    if kind.generation:
        metadata["generation"] = 1
    if kind.status_subresource:
        content.pop("status", None)
    return content


def _generated(prefix: str, in_use: Callable[[str], bool]) -> str:
    while True:
        suffix = "".join(random.choices(_SUFFIX, k=5))  # noqa: S311 - a name, not a secret
        name = prefix[:_MAX_PREFIX] + suffix
        if not in_use(name):
            return name


def _check_preconditions(kind: ResourceType, old: Json, metadata: Json) -> None:
    name, current = old["metadata"]["name"], old["metadata"]
    uid = metadata.get("uid") or current["uid"]
    if uid != current["uid"]:
        problem = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current['uid']}"
        raise conflict(kind, name, problem)
    version = metadata.get("resourceVersion") or current["resourceVersion"]
    if version != current["resourceVersion"]:
        if not (isinstance(version, str) and version.isascii() and version.isdigit()):
            raise invalid(
                kind, name, "metadata.resourceVersion", f'Invalid value: "{version}": must be an integer'
            )
        raise conflict(kind, name)


def changed_object(kind: ResourceType, old: Json, new: Json, subresource: str) -> Json:
    """Return the stored object with the changes of a checked body, or `old` itself if nothing changes.

    Checks preconditions, keeps the server's metadata, separates spec and status, and increases the generation. Raises
    `ApiError` 409 or 422.
    """
    metadata = new["metadata"]
    _check_preconditions(kind, old, metadata)
    if subresource == "status":
        # A status update changes nothing but the status, not even labels.
        new = {**old, "status": new["status"]} if "status" in new else _without(old, "status")
        return old if new == old else new
    for field in (*_OWNED, "resourceVersion"):
        if field in old["metadata"]:
            metadata[field] = old["metadata"][field]
        else:
            metadata.pop(field, None)
    _check_finalizers(kind, old["metadata"], metadata)
    if kind.status_subresource:
        new = {**new, "status": old["status"]} if "status" in old else _without(new, "status")
    if new == old:
        return old
    _check_changed_metadata(kind, old["metadata"], new)
    if kind.generation and _spec(kind, new) != _spec(kind, old):
        metadata["generation"] = old["metadata"].get("generation", 0) + 1
    return new


def _check_changed_metadata(kind: ResourceType, old: Json, new: Json) -> None:
    fields = ("labels", "annotations")
    if any(new["metadata"].get(field) != old.get(field) for field in fields):
        check_metadata(kind, new)


def _check_finalizers(kind: ResourceType, old: Json, new: Json) -> None:
    if "deletionTimestamp" in old and set(new.get("finalizers") or ()) - set(old.get("finalizers") or ()):
        problem = "Forbidden: no new finalizers can be added if the object is being deleted"
        raise invalid(kind, old["name"], "metadata.finalizers", problem, "FieldValueForbidden")


def _without(content: Json, *fields: str) -> Json:
    return {key: value for key, value in content.items() if key not in fields}


def _spec(kind: ResourceType, content: Json) -> Json:
    """Return the content whose changes increase the generation: all but metadata and the status subresource."""
    return _without(content, "metadata", *(("status",) if kind.status_subresource else ()))
