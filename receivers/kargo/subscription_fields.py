"""The fields of subscriptions with their types, decoded as Go's `encoding/json` does.

Names match in any case, the last duplicate wins, null means unset, and a wrong type makes the whole subscription
invalid.

Source: Kargo's `api/v1alpha1/zz_subscription_types.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from receivers.kargo.golang.gojson import fold
from receivers.kargo.kargo_rules import KargoRules

_MIN_INT64, _MAX_INT64 = -(2**63), 2**63 - 1


class FieldType(Enum):
    """The type of a field; the value follows "must be" in a sentence."""

    TEXT = "a string"
    TEXTS = "a list of strings"
    NUMBER = "an integer"
    BOOLEAN = "true or false"
    OPTIONAL_BOOLEAN = "true, false or null"


_CLEARED_BY_NULL: Final = frozenset(
    {FieldType.TEXTS, FieldType.OPTIONAL_BOOLEAN}
)  # slices and pointers in Go


class WrongType(ValueError):
    """A field has a type that Kargo cannot decode; the message names the field and the expected type."""


Fields = Mapping[str, FieldType]

_TAG_FIELDS: Final = {
    "repoURL": FieldType.TEXT,
    "allowTags": FieldType.TEXT,
    "allowTagsRegexes": FieldType.TEXTS,
    "ignoreTags": FieldType.TEXTS,
    "ignoreTagsRegexes": FieldType.TEXTS,
    "strictSemvers": FieldType.OPTIONAL_BOOLEAN,
    "discoveryLimit": FieldType.NUMBER,
    "insecureSkipTLSVerify": FieldType.BOOLEAN,
}
IMAGE_FIELDS: Final[Fields] = _TAG_FIELDS | {
    "imageSelectionStrategy": FieldType.TEXT,
    "constraint": FieldType.TEXT,
    "platform": FieldType.TEXT,
    "cacheByTag": FieldType.BOOLEAN,
}
CHART_FIELDS: Final[Fields] = {
    "repoURL": FieldType.TEXT,
    "name": FieldType.TEXT,
    "semverConstraint": FieldType.TEXT,
    "discoveryLimit": FieldType.NUMBER,
    "insecureSkipTLSVerify": FieldType.BOOLEAN,
}
GIT_FIELDS: Final[Fields] = _TAG_FIELDS | {
    "commitSelectionStrategy": FieldType.TEXT,
    "branch": FieldType.TEXT,
    "semverConstraint": FieldType.TEXT,
    "expressionFilter": FieldType.TEXT,
    "includePaths": FieldType.TEXTS,
    "excludePaths": FieldType.TEXTS,
    "blobless": FieldType.OPTIONAL_BOOLEAN,
    "since": FieldType.TEXT,
}

_ADDED_IN_1_9: Final = frozenset({"allowTagsRegexes", "ignoreTagsRegexes", "cacheByTag"})
_UP_TO_1_8: Final[Mapping[str, Fields]] = {
    "image": {name: each for name, each in IMAGE_FIELDS.items() if name not in _ADDED_IN_1_9}
    | {"semverConstraint": FieldType.TEXT},
    "chart": CHART_FIELDS,
    "git": {name: each for name, each in GIT_FIELDS.items() if name not in _ADDED_IN_1_9},
}
_CURRENT: Final[Mapping[str, Fields]] = {"image": IMAGE_FIELDS, "chart": CHART_FIELDS, "git": GIT_FIELDS}

_FOLDED: Final = {
    id(fields): {fold(name): name for name in fields} for fields in (*_CURRENT.values(), *_UP_TO_1_8.values())
}


def fields_of(kind: str, rules: KargoRules) -> Fields:
    """Return the fields of a kind of subscription (`image`, `chart` or `git`) in the versions with these rules."""
    return (_UP_TO_1_8 if rules < KargoRules.FROM_1_9 else _CURRENT)[kind]


def read_fields(raw: Any, fields: Fields) -> dict[str, Any]:
    """Return the known fields of `raw`, lists as tuples. Raise `WrongType` if a field has the wrong type."""
    if not isinstance(raw, Mapping):
        raise WrongType("the subscription must be an object")
    names = _FOLDED[id(fields)]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        name = names.get(fold(str(key)))
        if name is None:
            continue
        if value is not None:
            values[name] = _checked(name, value, fields[name])
        elif fields[name] in _CLEARED_BY_NULL:
            values.pop(name, None)
    return values


def _checked(name: str, value: Any, expected: FieldType) -> Any:
    match expected:
        case FieldType.TEXT if isinstance(value, str):
            return value
        case FieldType.TEXTS if isinstance(value, list) and all(
            text is None or isinstance(text, str) for text in value
        ):
            return tuple(text or "" for text in value)
        case FieldType.BOOLEAN | FieldType.OPTIONAL_BOOLEAN if isinstance(value, bool):
            return value
        case FieldType.NUMBER if type(value) is int and _MIN_INT64 <= value <= _MAX_INT64:
            return value
    raise WrongType(f"{name} must be {expected.value}")
