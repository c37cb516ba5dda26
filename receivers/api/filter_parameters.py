"""The filters of pushes and deliveries as the API takes them: stricter than on pages, and with a schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from rest_framework.exceptions import ValidationError

from receivers.deliveries.filters import DeliveryFilterForm
from receivers.deliveries.outcomes import Tone
from receivers.models import TEXT_LENGTH, Origin, Outcome

_DATE: Final = r"20\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])"
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?"
MOMENT: Final = rf"^(\d{{1,4}}[smhdw]|{_DATE}(T{_TIME}(Z|[+-]0\d:00)?)?)$"
"""The form of times and ages in the schema. `read_moment` takes more: the last days of a month, and any offset."""

_NOT_BLANK: Final = r"^[^\x00]*[^\x00\s][^\x00]*$"
_FLAGS: Final = ["0", "1", "false", "true"]
_PATTERNS: Final = {
    "outcome": "^({0})(,({0}))*$".format("|".join([*Tone.values, *Outcome.values])),
    "status": r"^[1-5](\d\d|xx)$",
    "warehouse": r"^\s*[^/\s]+(/[^/\s]+)?\s*$",
    "since": MOMENT,
    "until": MOMENT,
}
_DESCRIPTIONS: Final = {
    "text": "Words, in any case, or an artifact such as `example/repo:1.2.3`.",
    "outcome": "Outcomes, or groups of them such as `bad`, separated by commas.",
    "project": "A project, or `cluster` for the cluster receivers.",
    "status": "A response code, or a class of them such as `4xx`.",
    "warehouse": "A name, or `project/name`.",
    "since": "A time in ISO 8601, or an age such as `2h`.",
    "until": "A time in ISO 8601, or an age such as `30m`.",
    "push": "The `push_id` of a delivery.",
    "every": "Show duplicates: each delivery of a push.",
}


def _schema(name: str, field: forms.Field) -> dict[str, Any]:
    """Return the OpenAPI schema of a filter."""
    schema: dict[str, Any] = {"type": "string", "maxLength": TEXT_LENGTH, "pattern": _NOT_BLANK}
    if isinstance(field, forms.BooleanField):
        schema = {"type": "string", "enum": _FLAGS}
    elif isinstance(field, forms.UUIDField):
        schema = {"type": "string", "format": "uuid"}
    elif isinstance(field, forms.ChoiceField):
        schema = {"type": "string", "enum": Origin.values}
    elif name in _PATTERNS:
        schema["pattern"] = _PATTERNS[name]
    return schema | ({"description": _DESCRIPTIONS[name]} if name in _DESCRIPTIONS else {})


FILTER_SCHEMAS: Final = {name: _schema(name, field) for name, field in DeliveryFilterForm.base_fields.items()}
"""The OpenAPI schemas of the filters, by name."""


def filter_form(parameters: Mapping[str, str]) -> DeliveryFilterForm:
    """Return the form with the filters of an address, whose values are not empty. Raise `ValidationError`.

    A script whose variable is not set must not get, or redeliver, everything.
    """
    problems = {
        name: ["It must not be empty."]
        for name in DeliveryFilterForm.base_fields
        if name in parameters and not parameters[name].strip()
    }
    if parameters.get("every", "1") not in _FLAGS:
        problems["every"] = [f"It must be one of {', '.join(_FLAGS)}."]
    if problems:
        raise ValidationError(problems)
    return DeliveryFilterForm(parameters)
