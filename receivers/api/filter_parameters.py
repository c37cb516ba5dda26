"""The filters of pushes and deliveries as the API takes them: stricter than on pages, and with a schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from django import forms
from rest_framework.exceptions import ValidationError

from receivers.api.strict_fields import NO_TEXT, NOT_BLANK
from receivers.deliveries.filters import DeliveryFilterForm
from receivers.deliveries.outcomes import Tone
from receivers.models import TEXT_LENGTH, Origin, Outcome

_DATE: Final = (
    "20[0-9]{2}-("
    "(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)"
    "|20([02468][048]|[13579][26])-02-29"
)
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_ZONE: Final = "Z|[+-](0[0-9]|1[0-4]):[0-5][0-9]"
MOMENT: Final = f"^([0-9]{{1,5}}[smhdw]|({_DATE})(T{_TIME}({_ZONE})?)?)$"
"""The form of times and ages. `read_moment` takes more, such as weeks and times before 2000."""

NO_MOMENT: Final = (
    "It must be a time such as 2026-03-01T09:30 (UTC) or 2026-03-01T09:30+02:00, or an age: 30m, 2h, 7d."
)
_FLAGS: Final = ["0", "1", "false", "true"]
_UUID: Final = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
_NAME: Final = r"[^/\s\ufeff\x00-\x1f\x7f-\x9f]+"
_PATTERNS: Final = {
    "outcome": "^({0})(,({0}))*$".format("|".join([*Tone.values, *Outcome.values])),
    "status": "^[1-5]([0-9][0-9]|xx)$",
    "warehouse": f"^{_NAME}(/{_NAME})?$",
    "since": MOMENT,
    "until": MOMENT,
}
_MESSAGES: Final = {
    "every": f"It must be one of {', '.join(_FLAGS)}.",
    "origin": f"It must be one of {', '.join(Origin.values)}.",
    "outcome": "It must be outcomes or groups of them in lower case, separated by commas without spaces.",
    "status": "It must be a response code such as 404, or a class such as 4xx.",
    "warehouse": "It must be the name of a Warehouse, or project/name.",
    "since": NO_MOMENT,
    "until": NO_MOMENT,
    "push": "It must be the push_id of a delivery, with its hyphens.",
}
_DESCRIPTIONS: Final = {
    "text": "Words, in any case, or an artifact such as `example/repo:1.2.3`.",
    "outcome": "Outcomes, or groups of them such as `bad`, separated by commas.",
    "project": "A project, or `cluster` for the cluster receivers.",
    "repository": "As the provider sends it, or as pages show it: `example/repo`, `github.com/acme/shop`.",
    "status": "A response code, or a class of them such as `4xx`.",
    "warehouse": "A name, or `project/name`.",
    "since": "A time in ISO 8601, or an age such as `2h`.",
    "until": "A time in ISO 8601, or an age such as `30m`.",
    "push": "The `push_id` of a delivery.",
    "every": "Show duplicates: each delivery of a push.",
}


def _schema(name: str, field: forms.Field) -> dict[str, Any]:
    """Return the OpenAPI schema of a filter."""
    schema: dict[str, Any] = {"type": "string", "maxLength": TEXT_LENGTH, "pattern": NOT_BLANK}
    if isinstance(field, forms.BooleanField):
        schema = {"type": "string", "enum": _FLAGS}
    elif isinstance(field, forms.UUIDField):
        schema = {"type": "string", "format": "uuid", "pattern": _UUID}
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
    form = DeliveryFilterForm(parameters)
    if not problems and form.is_valid():
        problems = {
            name: [_MESSAGES.get(name, NO_TEXT)]
            for name, schema in FILTER_SCHEMAS.items()
            if name in parameters and not _matches(parameters[name], schema)
        }
    if problems:
        raise ValidationError(problems)
    return form


def _matches(value: str, schema: dict[str, Any]) -> bool:
    """Return whether a value is as its schema says: forms take more, such as other cases and spaces."""
    if "enum" in schema:
        return value in schema["enum"]
    return len(value) <= TEXT_LENGTH and re.fullmatch(schema["pattern"], value) is not None
