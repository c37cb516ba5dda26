"""The filter form of the lists of pushes and deliveries, and the queries of addresses to share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from receivers.accounts.access import Access
from receivers.cluster.cache import ClusterCache
from receivers.deliveries.filters import (
    TONES,
    DeliveryFilter,
    DeliveryFilterForm,
    FilterField,
    named_artifact,
)
from receivers.deliveries.form_fields import OpenSelect
from receivers.deliveries.outcomes import Tone, label
from receivers.deliveries.time_range import read_time_range
from receivers.kargo.kinds import KINDS, kind_title
from receivers.kargo.scopes import CLUSTER_SCOPE, CLUSTER_SCOPE_NAME, parse_scope

NAMES_OFFERED: Final = 200
"""Options of a select; with more of them, it asks for a project first, and a page stays small."""

PRESETS: Final = ("1h", "today", "yesterday", "7d", "30d", "last monday to now")
"""Time ranges to choose from, which also show the grammar."""

ALWAYS_SHOWN: Final = ("text", "project", "receiver", "warehouse", "outcome", "time")
FURTHER: Final = ("since", "until", "repository", "tag", "kind", "origin", "status")
_LOCAL: Final = "%Y-%m-%dT%H:%M"  # what an input for date and time takes
_Group = tuple[str, list[tuple[str, str]]]
_Option = tuple[str, str] | _Group


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


class _TimePicker(forms.TextInput):
    """An input for a date and a time. It shows the time in the reader's zone, which its value doesn't say."""

    input_type = "datetime-local"

    def __init__(self, shown: str) -> None:
        super().__init__()
        self._shown = shown

    def format_value(self, value: Any) -> str:
        """Return the time as the input takes it."""
        return self._shown


class FilterForm(DeliveryFilterForm):
    """The form on pages. It also takes a time range in words, and a receiver as `project/receiver`.

    Days, and times without a zone, are in the reader's zone.
    """

    time = FilterField("Time", "2h, or yesterday")

    def __init__(self, data: Mapping[str, Any], zone: tzinfo = UTC) -> None:
        super().__init__(data, auto_id="f-%s")
        del self.fields[
            "every"
        ]  # the list of deliveries has all of them, and that of pushes has each push once
        self.zone = zone
        self.fields["text"].widget.attrs |= {
            "placeholder": "repository:tag, or words of an error",
        }
        titles = [(name, each.title) for name, each in KINDS.items()]
        self.fields["kind"].widget = OpenSelect(choices=[("", "All kinds"), *titles])
        outcome: Any = self.fields["outcome"].widget
        outcome.choices = [("", "All outcomes"), *outcome.choices[1:]]
        self.fields["time"].widget.attrs["list"] = "f-presets"
        for name in ("since", "until"):
            shown = _picked(self.data[name], zone)
            if shown is not None:
                self.fields[name].widget = _TimePicker(shown)

    def offer(self, cache: ClusterCache, access: Access) -> None:
        """Turn project, receiver and Warehouse into selects of what exists and the user may see."""
        projects = sorted(_visible_projects(cache, access))
        sees_cluster = access.projects is None
        chosen = self.data["project"]
        scope = parse_scope(chosen) if chosen else None
        within = projects if scope is None else [name for name in projects if name == scope]
        of_cluster = [CLUSTER_SCOPE] if sees_cluster and scope in {None, CLUSTER_SCOPE} else []
        cluster = [(CLUSTER_SCOPE_NAME, "Cluster receivers")] if sees_cluster else []
        self._select("project", "All projects", [*cluster, *((name, name) for name in projects)])
        receivers = {
            project: [receiver.name for receiver in config.receivers]
            for project in [*of_cluster, *within]
            if (config := cache.config(project))
        }
        self._select_within("receiver", "All receivers", receivers, scope)
        warehouses = {
            project: [warehouse.name for warehouse in cache.warehouses(project)]
            for project in within[: NAMES_OFFERED + 1]
        }
        self._select_within("warehouse", "All Warehouses", warehouses, scope)

    def _select(self, name: str, every: str, options: Sequence[_Option]) -> None:
        self.fields[name].widget = OpenSelect(choices=[("", every), *options[:NAMES_OFFERED]])

    def _select_within(
        self, field: str, every: str, names: Mapping[str, Sequence[str]], scope: str | None
    ) -> None:
        """Offer names of one project, or those of all projects in groups if they aren't too many."""
        if scope is not None:
            self._select(field, every, [(name, name) for name in names.get(scope, ())])
        elif sum(map(len, names.values())) > NAMES_OFFERED:
            self._select(field, f"{every}: choose a project first", ())
        else:
            groups: list[_Option] = [
                (
                    project or "Cluster receivers",
                    [(f"{project or CLUSTER_SCOPE_NAME}/{name}", name) for name in of_project],
                )
                for project, of_project in names.items()
                if of_project
            ]
            self._select(field, every, groups)

    @property
    def wanted(self) -> DeliveryFilter | None:
        """Return the filter, None if a value is invalid."""
        wanted = super().wanted
        if wanted is None or self.cleaned_data["time"] is None:
            return wanted
        since, until = self.cleaned_data["time"]
        return replace(
            wanted,
            since=max(filter(None, (wanted.since, since)), default=None),
            until=min(filter(None, (wanted.until, until)), default=None),
        )

    def clean_time(self) -> tuple[datetime | None, datetime | None] | None:
        """Return the start and the end of the time range, None for all times. Raises `ValidationError`."""
        text = self.cleaned_data["time"]
        if not text:
            return None
        try:
            time_range = read_time_range(text, timezone.now(), self.zone)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        return time_range.since, time_range.until

    @property
    def values(self) -> dict[str, str]:
        """Return the filters that are set, in a fixed order."""
        return {name: self.data[name] for name in self.fields if self.data[name]}

    @property
    def main_fields(self) -> list[forms.BoundField]:
        """Return the fields that are always shown."""
        return [self[name] for name in ALWAYS_SHOWN]

    @property
    def advanced(self) -> list[forms.BoundField]:
        """Return the further fields. The push id is hidden unless it is invalid."""
        return [self[name] for name in (*FURTHER, *(("push",) if "push" in self.errors else ()))]

    @property
    def count(self) -> int:
        """Return the number of active filters."""
        return len(self.values)

    @property
    def has_further(self) -> bool:
        """Return True if one of the further fields is set or invalid."""
        return bool({*FURTHER, "push"} & {*self.values, *self.errors})

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
        return bool(self.values.keys() - {"repository", "tag"})

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
        return self.without("since", "until", "time")

    def replaced(self, **changes: str) -> str:
        """Return the query with other values; an empty value removes the parameter."""
        values = {**dict.fromkeys(self.fields, ""), **self.values, **changes}
        return urlencode({name: value for name, value in values.items() if value})


def tidy(form: FilterForm, given: Mapping[str, str]) -> str | None:
    """Return the canonical query for the parameters of an address, or None if they are canonical already.

    A search for example/repo:1.2.3 becomes a filter by repository and tag, which is exact and indexed. A receiver with
    its project becomes a filter by both, and times of the pickers get the reader's zone.
    """
    artifact = named_artifact(form.data["text"])
    if artifact and not form.values.keys() & {"repository", "tag"}:
        return form.replaced(text="", repository=artifact[0], tag=artifact[1])
    changes = {name: at for name in ("since", "until") if (at := _zoned(form.data[name], form.zone))}
    project, slash, receiver = form.data["receiver"].rpartition("/")
    if slash and form.data["project"] in {"", project}:
        changes |= {"project": project, "receiver": receiver}
    if changes:
        return form.replaced(**changes)
    unchanged = form.values == {name: given[name] for name in given if name in form.fields}
    return None if unchanged else form.query


def _picked(text: str, zone: tzinfo) -> str | None:
    """Return a time as a picker shows it; None for an age, a time with seconds, or no time, which it can't show."""
    try:
        at = datetime.fromisoformat(text).astimezone(zone) if text else None
    except (ValueError, OverflowError):
        return None
    if at is None:
        return ""
    return None if at.second or at.microsecond else at.strftime(_LOCAL)


def _zoned(text: str, zone: tzinfo) -> str:
    """Return a picked time with the reader's zone; empty if the text isn't one."""
    try:
        return datetime.strptime(text, _LOCAL).replace(tzinfo=zone).isoformat(timespec="minutes")
    except ValueError:
        return ""


def _visible_projects(cache: ClusterCache, access: Access) -> Iterable[str]:
    if access.projects is not None:
        return access.projects
    return (project.name for project in cache.projects())


def _title(name: str, value: str) -> str:
    if name == "outcome":
        return str(Tone(value).label).lower() if value in Tone.values else label(value)
    if name == "kind":
        return kind_title(value)
    return "cluster receivers" if name == "project" and value == CLUSTER_SCOPE_NAME else value
