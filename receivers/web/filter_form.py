"""The filter form of the delivery list: values, errors, and the queries of addresses to share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from receivers.deliveries.filters import DeliveryFilter, InvalidFilter, named_artifact
from receivers.deliveries.outcomes import Tone, label
from receivers.kargo.scopes import CLUSTER_SCOPE_NAME
from receivers.models import Origin, Outcome

EVERY: Final = "every"
"""The parameter that shows duplicates; without it, the list shows each push once."""

TONES: Final = {
    Tone.BAD: "Needs action",
    Tone.OPEN: "In progress",
    Tone.GOOD: "Succeeded",
    Tone.PLAIN: "Skipped by configuration",
}
_OUTCOMES: Final = tuple(Outcome.choices)
_ORIGINS: Final = tuple((origin, origin) for origin in Origin.values)


@dataclass(frozen=True, slots=True)
class FormField:
    """The definition of a field: its parameter, label, example and choices (none for a text field)."""

    name: str
    label: str
    example: str = ""
    choices: tuple[tuple[str, str], ...] = ()


FORM_FIELDS: Final = (
    FormField("text", "Search", "example/repo:1.2.3, or any text"),
    FormField(
        "outcome", "Outcome", choices=(*((key.value, title) for key, title in TONES.items()), *_OUTCOMES)
    ),
    FormField("project", "Project", "a name, or cluster"),
    FormField("receiver", "Receiver"),
    FormField("repository", "Repository", "example/repo"),
    FormField("tag", "Tag", "1.2.3"),
    FormField("warehouse", "Warehouse", "name, or project/name"),
    FormField("origin", "Origin", choices=_ORIGINS),
    FormField("status", "Code", "404, or 4xx"),
    FormField("since", "Since", "2h, or 2026-03-01T09:30"),
    FormField("until", "Until", "30m, or 2026-03-01T12:00"),
    FormField("push", "Same push as"),
)
NAMES: Final = (*(field.name for field in FORM_FIELDS), EVERY)


@dataclass(frozen=True, slots=True)
class BoundField:
    """A field with its value and, if that is invalid, an error that completes "<label> ..."."""

    definition: FormField
    value: str
    error: str = ""

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """Return the choices, with the current value added if it is not one of them, such as a list of outcomes."""
        choices = self.definition.choices
        if not self.value or self.value in dict(choices):
            return choices
        return (*choices, (self.value, self.value))


@dataclass(frozen=True, slots=True)
class FilterChip:
    """An active filter, and the query of the address without it."""

    label: str
    value: str
    without: str

    @property
    def text(self) -> str:
        """Return the label and the value, if there is one."""
        return f"{self.label}: {self.value}" if self.value else self.label


@dataclass(frozen=True, slots=True)
class FilterForm:
    """The form. `wanted` is None if a value is invalid; `query` is the query of an address with the same filter."""

    fields: tuple[BoundField, ...]
    wanted: DeliveryFilter | None
    values: Mapping[str, str]

    @property
    def text(self) -> BoundField:
        """Return the search field."""
        return self.fields[0]

    @property
    def advanced(self) -> list[BoundField]:
        """Return the other visible fields. The push id is hidden unless it is invalid."""
        return [field for field in self.fields[1:] if field.definition.name != "push" or field.error]

    @property
    def hidden_push(self) -> str:
        """Return the push id for a hidden field, empty if there is none or it is invalid."""
        return (
            ""
            if any(field.error for field in self.fields[1:] if field.definition.name == "push")
            else self.values.get("push", "")
        )

    @property
    def query(self) -> str:
        """Return the query of the address: only the filters that are set, in a fixed order."""
        return urlencode(self.values)

    @property
    def every(self) -> bool:
        """Return True if duplicates are shown."""
        return EVERY in self.values or bool(self.wanted and self.wanted.push)

    @property
    def chips(self) -> list[FilterChip]:
        """Return the active filters."""
        labels = {field.name: field.label for field in FORM_FIELDS} | {EVERY: "Duplicates shown"}
        return [
            FilterChip(labels[name], "" if name == EVERY else _title(name, value), self.without(name))
            for name, value in self.values.items()
        ]

    @property
    def tones(self) -> list[tuple[str, str, bool]]:
        """Return the quick filters by tone: title, query, and whether it is active."""
        current = self.values.get("outcome", "")
        quick = [("", "All"), *((key.value, title) for key, title in TONES.items())]
        return [(title, self.replaced(outcome=key), key == current) for key, title in quick]

    @property
    def is_narrowed(self) -> bool:
        """Return True if there is a filter other than repository and tag."""
        return bool(self.values.keys() - {"repository", "tag", EVERY})

    @property
    def of_push(self) -> str:
        """Return the query for the repository and the tag alone."""
        return urlencode({name: self.values[name] for name in ("repository", "tag") if name in self.values})

    def without(self, *names: str) -> str:
        """Return the query without some parameters."""
        return urlencode({name: value for name, value in self.values.items() if name not in names})

    @property
    def without_tag(self) -> str:
        """Return the query for all tags."""
        return self.without("tag", "push")

    @property
    def at_any_time(self) -> str:
        """Return the query without a time range."""
        return self.without("since", "until")

    def replaced(self, **changes: str) -> str:
        """Return the query with other values; an empty value removes the parameter."""
        return urlencode(_ordered({**self.values, **changes}))


def read_form(given: Mapping[str, str]) -> FilterForm:
    """Parse the parameters of an address. Invalid fields get an error and keep their value."""
    values = _ordered({name: given.get(name, "").strip() for name in NAMES})
    fields = tuple(_bind(field, values.get(field.name, "")) for field in FORM_FIELDS)
    wanted = None if any(field.error for field in fields) else DeliveryFilter.parse(values)
    return FilterForm(fields, wanted, values)


def tidy(given: Mapping[str, str]) -> str | None:
    """Return the canonical query for the same filter, or None if the query is canonical already.

    A search for example/repo:1.2.3 becomes a filter by repository and tag, which is exact and indexed.
    """
    values = {name: given[name] for name in given if name in NAMES}
    changed = {name: value.strip() for name, value in values.items()}
    artifact = named_artifact(changed.get("text", ""))
    if artifact and not changed.get("repository") and not changed.get("tag"):
        changed |= {"text": "", "repository": artifact[0], "tag": artifact[1]}
    changed = _ordered(changed)
    return None if changed == values else urlencode(changed)


def _bind(field: FormField, value: str) -> BoundField:
    try:
        DeliveryFilter.parse({field.name: value})
    except InvalidFilter as error:
        return BoundField(field, value, str(error).removeprefix(f"{error.field} "))
    return BoundField(field, value)


def _ordered(values: Mapping[str, str]) -> dict[str, str]:
    return {name: values[name] for name in _order(values) if values[name]}


def _order(values: Iterable[str]) -> list[str]:
    return sorted(values, key=NAMES.index)


def _title(name: str, value: str) -> str:
    if name == "outcome" and value in {tone.value for tone in TONES}:
        return TONES[Tone(value)].lower()
    if name == "outcome":
        return label(value)
    return "cluster receivers" if name == "project" and value == CLUSTER_SCOPE_NAME else value
