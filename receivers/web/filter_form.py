"""The filter form of the delivery list, and the queries of addresses to share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms

from receivers.deliveries.filters import TONES, DeliveryFilterForm, named_artifact
from receivers.deliveries.outcomes import Tone, label
from receivers.kargo.scopes import CLUSTER_SCOPE_NAME


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


class FilterForm(DeliveryFilterForm):
    """The form on pages."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data, auto_id="f-%s")
        self.fields["text"].widget.attrs["data-search"] = True
        self.fields["project"].widget.attrs["list"] = "f-projects"

    @property
    def values(self) -> dict[str, str]:
        """Return the filters that are set, in a fixed order."""
        return {name: self.data[name] for name in self.changed_data}

    @property
    def advanced(self) -> list[forms.BoundField]:
        """Return the fields below the search. The push id is hidden unless it is invalid."""
        hidden = {"text", "every"} if "push" in self.errors else {"text", "every", "push"}
        return [self[name] for name in self.fields if name not in hidden]

    @property
    def query(self) -> str:
        """Return the query of an address with the same filter, in a fixed order."""
        return self.replaced()

    @property
    def chips(self) -> list[FilterChip]:
        """Return the active filters."""
        return [
            FilterChip(str(self[name].label), _title(name, value), self.without(name))
            for name, value in self.values.items()
        ]

    @property
    def tones(self) -> list[tuple[str, str, bool]]:
        """Return the quick filters by tone: title, query, and whether it is active."""
        quick = [("", "All"), *((tone.value, str(tone.label)) for tone in TONES)]
        return [(title, self.replaced(outcome=key), key == self.data["outcome"]) for key, title in quick]

    @property
    def is_narrowed(self) -> bool:
        """Return True if there is a filter other than repository and tag."""
        return bool(self.values.keys() - {"repository", "tag", "every"})

    @property
    def of_push(self) -> str:
        """Return the query for the repository and the tag alone."""
        return self.without(*self.values.keys() - {"repository", "tag"})

    def without(self, *names: str) -> str:
        """Return the query without some parameters."""
        return self.replaced(**dict.fromkeys(names, ""))

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
        values = {**dict.fromkeys(self.fields, ""), **self.values, **changes}
        return urlencode({name: value for name, value in values.items() if value})


def tidy(form: FilterForm, given: Mapping[str, str]) -> str | None:
    """Return the canonical query for the parameters of an address, or None if they are canonical already.

    A search for example/repo:1.2.3 becomes a filter by repository and tag, which is exact and indexed.
    """
    artifact = named_artifact(form.data["text"])
    if artifact and not form.values.keys() & {"repository", "tag"}:
        return form.replaced(text="", repository=artifact[0], tag=artifact[1])
    unchanged = form.values == {name: given[name] for name in given if name in form.fields}
    return None if unchanged else form.query


def _title(name: str, value: str) -> str:
    if name == "outcome":
        return str(Tone(value).label).lower() if value in Tone.values else label(value)
    if name == "every":
        return ""
    return "cluster receivers" if name == "project" and value == CLUSTER_SCOPE_NAME else value
