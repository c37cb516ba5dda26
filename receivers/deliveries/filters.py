"""The filter of delivery lists, and the form that reads it from a query or a command line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from receivers.deliveries.form_fields import AS_TYPED, OpenSelect, ShortTextField
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.time_range import AGE_UNITS
from receivers.kargo.repository_names import is_docker_hub
from receivers.kargo.scopes import parse_scope
from receivers.models import Origin, Outcome

TONES: Final = (Tone.BAD, Tone.OPEN, Tone.GOOD, Tone.PLAIN)
"""The tones to choose from, as most people look for them."""

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_ARTIFACT: Final = re.compile(r"(?:([^/\s]*[.:][^/\s]*)/)?([^/\s:]+/[^/\s:]+):([\w.-]{1,128})", re.ASCII)
_WITH_HOST: Final = re.compile(r"((?:[a-z]+://)?[^/\s]*[.:][^/\s]*/[^/\s:][^\s:]*):([\w.][^\s:]*)", re.ASCII)
_STATUS: Final = re.compile(r"[1-5](\d\d|xx)", re.ASCII)
_WAREHOUSE: Final = re.compile(r"[^/\s]+(/[^/\s]+)?")
_ANY: Final = ("", "any")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Selects deliveries. A field that is None, or empty for texts and `outcomes`, selects all.

    `project` is `CLUSTER_SCOPE` for the cluster receivers, and `kind` that of the receiver. `outcomes` selects any of
    them. `status` is an inclusive range of response codes. `repository` and `tag` match as the provider sends them, or
    as pages show them (`push_names`). `warehouse` is the project (None: any) and the name of a Warehouse that the
    delivery refreshed. `since` and `until` limit `received_at`, both inclusive. `text` is a case-insensitive search in
    `predicates.SEARCHED`; `repo:1.2` matches the end of a repository and the start of a tag. `push` is the id that the
    deliveries of one push share.

    `seen` limits the result to the projects that the reader may see; None means every project and the cluster scope.
    """

    project: str | None = None
    receiver: str = ""
    kind: str = ""
    origin: Origin | None = None
    outcomes: frozenset[Outcome] = frozenset()
    status: tuple[int, int] | None = None
    repository: str = ""
    tag: str = ""
    warehouse: tuple[str | None, str] | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""
    push: UUID | None = None
    seen: frozenset[str] | None = None


class FilterField(ShortTextField):
    """A text, empty by default. A text input shows `example` while it is empty."""

    def __init__(self, label: str, example: str = "", widget: forms.Widget | None = None) -> None:
        text = forms.TextInput({"placeholder": example, **AS_TYPED})
        super().__init__(label=label, required=False, widget=widget or text)


class MomentField(FilterField):
    """A time or an age, as `read_moment` takes it."""

    def clean(self, value: Any) -> datetime | None:
        """Return the time, None if the text is blank. Raises `ValidationError`."""
        text = super().clean(value)
        try:
            return read_moment(text) if text else None
        except ValueError as error:
            raise ValidationError(str(error)) from None


class DeliveryFilterForm(forms.Form):
    """The filter as people write it: in the address of a page, in the API and in commands. Blank fields select all.

    `project` is a project or `cluster`. `outcome` takes outcomes and tones (`bad`), separated by commas; `status`
    takes 404 or 4xx. With `every`, lists show duplicates.
    """

    text = FilterField(
        "Search",
        widget=forms.SearchInput({"placeholder": "example/repo:1.2.3, or any text", "autocomplete": "off"}),
    )
    outcome = FilterField(
        "Outcome",
        widget=OpenSelect(choices=[_ANY, *((tone, tone.label) for tone in TONES), *Outcome.choices]),
    )
    kind = FilterField("Kind", "github")
    project = FilterField("Project", "a name, or cluster")
    receiver = FilterField("Receiver")
    repository = FilterField("Repository", "example/repo")
    tag = FilterField("Tag", "1.2.3")
    warehouse = FilterField("Warehouse", "name, or project/name")
    origin = forms.TypedChoiceField(
        label="Origin",
        choices=[_ANY, *((origin, origin) for origin in Origin.values)],
        coerce=Origin,
        empty_value=None,
        required=False,
        widget=OpenSelect,
        error_messages={"invalid_choice": f"must be one of {', '.join(Origin.values)}"},
    )
    status = FilterField("Code", "404, or 4xx")
    since = MomentField("Since", "2h, or 2026-03-01")
    until = MomentField("Until", "30m, or 2026-03-01")
    push = forms.UUIDField(
        label="Same push as",
        required=False,
        widget=forms.TextInput(AS_TYPED),
        error_messages={"invalid": "must be the push_id of a delivery"},
    )
    every = forms.BooleanField(label="Show duplicates", required=False)

    def __init__(self, data: Mapping[str, Any], **options: Any) -> None:
        super().__init__({name: str(data.get(name) or "").strip() for name in self.base_fields}, **options)

    @property
    def wanted(self) -> DeliveryFilter | None:
        """Return the filter, None if a value is invalid."""
        if not self.is_valid():
            return None
        names = {field.name for field in fields(DeliveryFilter)} & self.fields.keys()
        values = {name: self.cleaned_data[name] for name in names}
        return DeliveryFilter(outcomes=self.cleaned_data["outcome"], **values)

    @property
    def each_push_once(self) -> bool:
        """Return True if lists show only the newest delivery of a push: not with `every`, and not of a given push."""
        return not {"every", "push"} & set(self.changed_data)

    def clean_project(self) -> str | None:
        """Return the project or `CLUSTER_SCOPE`, None for all."""
        name = self.cleaned_data["project"]
        return parse_scope(name) if name else None

    def clean_outcome(self) -> frozenset[Outcome]:
        """Return the outcomes, none for all. Raises `ValidationError` for an unknown one."""
        text = self.cleaned_data["outcome"].lower()
        outcomes: set[Outcome] = set()
        for word in text.split(",") if text else ():
            selected = {
                outcome for outcome in Outcome if word.strip() in {outcome.value, tone(outcome).value}
            }
            if not selected:
                words = ", ".join([*Tone.values, *Outcome.values])
                raise ValidationError(f"must be one or more of these, separated by commas: {words}")
            outcomes |= selected
        return frozenset(outcomes)

    def clean_status(self) -> tuple[int, int] | None:
        """Return the range of response codes, None for all. Raises `ValidationError`."""
        text = self.cleaned_data["status"].lower()
        if text and not _STATUS.fullmatch(text):
            raise ValidationError("must be a response code such as 404, or a class such as 4xx")
        return (int(text.replace("xx", "00")), int(text.replace("xx", "99"))) if text else None

    def clean_warehouse(self) -> tuple[str | None, str] | None:
        """Return the project (None for any) and the name of a Warehouse, None for all. Raises `ValidationError`."""
        text = self.cleaned_data["warehouse"]
        project, _, name = text.rpartition("/")
        if text and not _WAREHOUSE.fullmatch(text):
            raise ValidationError("must be the name of a Warehouse, or project/name")
        return (project or None, name) if text else None


def read_moment(text: str) -> datetime:
    """Parse a time: ISO 8601 (UTC without a zone), or an age such as 90s, 30m, 2h, 7d or 1w.

    Raises ValueError with a message that says what is accepted.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return timezone.now() - timedelta(**{AGE_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        # Databases and Python start with the year 1 in UTC; an earlier time overflows.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "must be a time such as 2026-03-01T09:30 (UTC) or 2026-03-01T09:30+02:00, or an age: 30m, 2h, 7d"
        ) from None


def named_artifact(text: str) -> tuple[str, str] | None:
    """Return repository and tag of a push from its name: `example/repo:1.2.3`, `github.com/acme/shop:main`.

    The host of Docker Hub is left out, as in its webhooks. Return None if either is missing.
    """
    text = text.strip()
    match = _ARTIFACT.fullmatch(text)
    if match and (not match[1] or is_docker_hub(match[1])):
        return match[2], match[3]
    match = _WITH_HOST.fullmatch(text)
    return (match[1], match[2]) if match else None
