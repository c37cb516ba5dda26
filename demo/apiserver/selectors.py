"""Parse label selectors and field selectors into predicates.

Grammar: "Labels and Selectors" and "Field Selectors" in the Kubernetes documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from demo.apiserver.errors import bad_request
from demo.apiserver.resource_types import EVENTS, NAMESPACES, SECRETS, ResourceType

Predicate = Callable[[dict[str, Any]], bool]
_LabelPredicate = Callable[[dict[str, Any]], bool]

_SET: Final = re.compile(r"^(\S+)\s+(in|notin)\s*\(([^()]*)\)$")
_EQUAL: Final = re.compile(r"^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$")
_EXISTS: Final = re.compile(r"^(!?)\s*([^\s=!()]+)$")
_COMMA: Final = re.compile(r",(?![^()]*\))")  # a comma that is not inside parentheses

# Fields besides metadata.name and metadata.namespace, from the types' strategies in kube-apiserver.
_FIELDS: Final[dict[str, frozenset[str]]] = {
    NAMESPACES.qualified: frozenset({"status.phase"}),
    SECRETS.qualified: frozenset({"type"}),
    EVENTS.qualified: frozenset(
        {"reason", "reportingComponent", "source", "type"}
        | {
            f"involvedObject.{name}"
            for name in ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
        }
    ),
}


def _label_requirement(text: str) -> _LabelPredicate:
    if match := _SET.match(text):
        key, operator, options = match.groups()
        values = frozenset(value.strip() for value in options.split(","))
        if operator == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if match := _EQUAL.match(text):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    if match := _EXISTS.match(text):
        absent, key = match.groups()
        return (lambda labels: key not in labels) if absent else (lambda labels: key in labels)
    raise bad_request(f"unable to parse requirement: {text!r}")


def label_selector(text: str) -> Predicate | None:
    """Return the predicate of a `labelSelector`, or None if it is empty. Raises `ApiError` 400."""
    if not text.strip():
        return None
    requirements = [_label_requirement(part.strip()) for part in _COMMA.split(text)]

    def matches(content: dict[str, Any]) -> bool:
        labels = content["metadata"].get("labels") or {}
        return all(requirement(labels) for requirement in requirements)

    return matches


def _field(content: dict[str, Any], path: list[str]) -> str:
    value: Any = content
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _field_requirement(kind: ResourceType, text: str) -> Predicate:
    match = _EQUAL.match(text)
    if not match:
        raise bad_request(f"invalid field selector: {text!r}")
    name, operator, value = match.groups()
    if name not in ("metadata.name", "metadata.namespace") and name not in _FIELDS.get(kind.qualified, ()):
        raise bad_request(f"field label not supported: {name}")
    path = name.split(".")
    if operator == "!=":
        return lambda content: _field(content, path) != value
    return lambda content: _field(content, path) == value


def field_selector(kind: ResourceType, text: str) -> Predicate | None:
    """Return the predicate of a `fieldSelector`, or None if it is empty. Raises `ApiError` 400."""
    if not text.strip():
        return None
    requirements = [_field_requirement(kind, part.strip()) for part in text.split(",")]
    return lambda content: all(requirement(content) for requirement in requirements)


def selection(kind: ResourceType, labels: str, fields: str) -> Predicate | None:
    """Return a predicate for both selectors, or None if both are empty. Raises `ApiError` 400."""
    by_label, by_field = label_selector(labels), field_selector(kind, fields)
    if by_label is None or by_field is None:
        return by_label or by_field
    return lambda content: by_label(content) and by_field(content)
