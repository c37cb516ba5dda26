"""The fields of subscriptions with their types, read as Go's `encoding/json` reads them.

Names match in any case and the last one counts, null stands for nothing, and a wrong type makes the whole
subscription invalid.
Source: Kargo's `api/v1alpha1/zz_subscription_types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from receivers.kargo.golang.gojson import fold

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1  # Go's int64


class Type(Enum):
    """The type of a field, with its name for people."""

    TEXT = "text"
    TEXTS = "a list of texts"
    NUMBER = "a whole number"
    BOOLEAN = "true or false"
    OPTIONAL_BOOLEAN = "true, false or null"


_CLEARED_BY_NULL: Final = frozenset({Type.TEXTS, Type.OPTIONAL_BOOLEAN})  # slices and pointers in Go


class WrongType(ValueError):
    """A field has a type that Kargo cannot decode; the message names the field."""


Fields = Mapping[str, Type]

_TAG_FIELDS: Final = {
    "repoURL": Type.TEXT,
    "allowTags": Type.TEXT,
    "allowTagsRegexes": Type.TEXTS,
    "ignoreTags": Type.TEXTS,
    "ignoreTagsRegexes": Type.TEXTS,
    "strictSemvers": Type.OPTIONAL_BOOLEAN,
    "discoveryLimit": Type.NUMBER,
    "insecureSkipTLSVerify": Type.BOOLEAN,
}
IMAGE_FIELDS: Final[Fields] = _TAG_FIELDS | {
    "imageSelectionStrategy": Type.TEXT,
    "constraint": Type.TEXT,
    "platform": Type.TEXT,
    "cacheByTag": Type.BOOLEAN,
}
CHART_FIELDS: Final[Fields] = {
    "repoURL": Type.TEXT,
    "name": Type.TEXT,
    "semverConstraint": Type.TEXT,
    "discoveryLimit": Type.NUMBER,
    "insecureSkipTLSVerify": Type.BOOLEAN,
}
GIT_FIELDS: Final[Fields] = _TAG_FIELDS | {
    "commitSelectionStrategy": Type.TEXT,
    "branch": Type.TEXT,
    "semverConstraint": Type.TEXT,
    "expressionFilter": Type.TEXT,
    "includePaths": Type.TEXTS,
    "excludePaths": Type.TEXTS,
    "blobless": Type.OPTIONAL_BOOLEAN,
    "since": Type.TEXT,
}

_FOLDED: Final = {
    id(fields): {fold(name): name for name in fields} for fields in (IMAGE_FIELDS, CHART_FIELDS, GIT_FIELDS)
}


def read_fields(raw: Any, fields: Fields) -> dict[str, Any]:
    """Return the known fields that `raw` holds, lists as tuples. Raises `WrongType`."""
    if not isinstance(raw, Mapping):
        raise WrongType("the subscription is not an object")
    names = _FOLDED[id(fields)]
    found: dict[str, Any] = {}
    for key, value in raw.items():
        name = names.get(fold(str(key)))
        if name is None:
            continue
        if value is not None:
            found[name] = _checked(name, value, fields[name])
        elif fields[name] in _CLEARED_BY_NULL:
            found.pop(name, None)
    return found


def _checked(name: str, value: Any, wanted: Type) -> Any:
    match wanted:
        case Type.TEXT if isinstance(value, str):
            return value
        case Type.TEXTS if isinstance(value, list) and all(
            text is None or isinstance(text, str) for text in value
        ):
            return tuple(text or "" for text in value)
        case Type.BOOLEAN | Type.OPTIONAL_BOOLEAN if isinstance(value, bool):
            return value
        case Type.NUMBER if type(value) is int and _SMALLEST <= value <= _LARGEST:
            return value
    raise WrongType(f"{name} is not {wanted.value}")
