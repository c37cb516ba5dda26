"""Render objects as tables, which `kubectl get` prints.

The Table type: "Receiving resources as Tables" on the API concepts page of the Kubernetes documentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from demo.apiserver.resource_types import Column, ResourceType
from demo.apiserver.storage import Json, Stored

_STEP: Final = re.compile(
    r"""\.(?P<field>(?:[^.\[\\]|\\.)+)      # .field, with \. for a dot
      | \[\?\(@\.(?P<key>\w+)=="(?P<value>[^"]*)"\)\]   # [?(@.key=="value")]
      | \[(?P<index>\d+)\]""",
    re.VERBOSE,
)
# Seconds per unit of an age. Thresholds are those of apimachinery's duration.HumanDuration.
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86_400, 365 * 86_400


def wants_table(accept: str) -> bool:
    """Return whether the first format that the client accepts is a table."""
    return "as=Table" in accept.partition(",")[0]


def evaluate(path: str, content: Any) -> Any:
    """Return the first match of a column's JSONPath, or None. Supports fields, indexes and equality filters."""
    for step in _STEP.finditer(path):
        if step["field"] is not None:
            content = content.get(step["field"].replace("\\.", ".")) if isinstance(content, dict) else None
        elif not isinstance(content, list):
            return None
        elif step["index"] is not None:
            content = content[int(step["index"])] if int(step["index"]) < len(content) else None
        else:
            matching = (e for e in content if isinstance(e, dict) and e.get(step["key"]) == step["value"])
            content = next(matching, None)
    return content


def human_duration(seconds: int) -> str:
    """Return an age as kubectl prints it, for example `3d4h`."""
    if seconds < 2 * _MINUTE:
        return f"{max(seconds, 0)}s"
    for limit, unit, letter, smaller, small_letter in (
        (10 * _MINUTE, _MINUTE, "m", 1, "s"),
        (3 * _HOUR, _MINUTE, "m", 0, ""),
        (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
        (2 * _DAY, _HOUR, "h", 0, ""),
        (8 * _DAY, _DAY, "d", _HOUR, "h"),
        (2 * _YEAR, _DAY, "d", 0, ""),
        (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    ):
        if seconds < limit:
            rest = seconds % unit // smaller if smaller else 0
            return f"{seconds // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{seconds // _YEAR}y"


def _age(value: Any) -> str:
    try:
        since = datetime.now(UTC) - datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return "<unknown>"
    return human_duration(int(since.total_seconds()))


def _cell(column: Column, content: Json) -> Any:
    value = evaluate(column.path, content)
    if column.type == "date":
        return _age(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _definition(column: Column) -> Json:
    return {
        "name": column.name,
        "type": "string" if column.type == "date" else column.type,
        "format": "",
        "description": column.name,
        "priority": column.priority,
    }


def table(
    kind: ResourceType, objects: Iterable[Stored], metadata: Json, *, include: str = "Metadata"
) -> Json:
    """Return a Table of the objects. `include` selects the object in each row: `None`, `Metadata` or `Object`."""
    columns = (Column("Name", ".metadata.name"), *kind.columns)
    definitions = [_definition(column) for column in columns]
    definitions[0]["format"] = "name"
    rows = [
        {
            "cells": [_cell(column, stored.content) for column in columns],
            "object": _row_object(stored.content, include),
        }
        for stored in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _row_object(content: Json, include: str) -> Json | None:
    if include == "Object":
        return content
    if include == "None":
        return None
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": content["metadata"],
    }
