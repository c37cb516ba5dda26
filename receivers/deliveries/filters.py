"""The filter of delivery lists, and how to parse it from the strings of a query or a command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.utils import timezone

from receivers.deliveries.outcomes import Tone, tone
from receivers.kargo.repository_names import is_docker_hub
from receivers.kargo.scopes import parse_scope
from receivers.models import TEXT_LENGTH, Origin, Outcome

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PARAMETERS: Final = {"outcomes": "outcome"}
_ARTIFACT: Final = re.compile(r"(?:([^/\s]*[.:][^/\s]*)/)?([^/\s:]+/[^/\s:]+):([\w.-]{1,128})", re.ASCII)
_STATUS: Final = re.compile(r"([1-5])(\d\d|xx)")


class InvalidFilter(ValueError):
    """A value that a field of the filter doesn't accept: the name of the field, and a message that follows it."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Selects deliveries. A field that is None, or empty for texts and `outcomes`, selects all.

    `project` is `CLUSTER_SCOPE` for the cluster receivers. `outcomes` selects any of them. `status` is an inclusive
    range of response codes. `repository` and `tag` match exactly, as Docker Hub sends them. `warehouse` is the project
    (None: any) and the name of a Warehouse that the delivery refreshed. `since` and `until` limit `received_at`, both
    inclusive. `text` is a case-insensitive search in `predicates.SEARCHED`; `repo:1.2` matches the end of a
    repository and the start of a tag. `push` is the id that the deliveries of one push share.

    `seen` limits the result to the projects that the reader may see; None means every project and the cluster scope.
    """

    project: str | None = None
    receiver: str = ""
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

    @classmethod
    def parse(cls, strings: Mapping[str, str], now: datetime | None = None) -> DeliveryFilter:
        """Parse a filter from strings by field name, such as `request.GET`. Ignores blank and unknown fields.

        `project` is a project or `cluster`. `outcome` (not `outcomes`) takes outcomes and tones (`bad`), separated by
        commas; `status` takes 404 or 4xx; `since` and `until` take a time (UTC without a zone) or an age relative to
        `now`: 30m, 2h, 7d. Raises `InvalidFilter`.
        """
        moment = now or timezone.now()
        parsers: dict[str, Callable[[str], Any]] = {
            "project": parse_scope,
            "origin": _origin,
            "outcome": _outcomes,
            "status": _status,
            "warehouse": _warehouse,
            "since": lambda text: read_moment(text, moment),
            "until": lambda text: read_moment(text, moment),
            "push": _push,
        }
        names = {_PARAMETERS.get(field.name, field.name) for field in fields(cls)} - {"seen"}
        given = {name: strings.get(name, "").strip() for name in names}
        values = {name: _parse(name, text, parsers.get(name, str)) for name, text in given.items() if text}
        if "outcome" in values:
            values["outcomes"] = values.pop("outcome")
        return cls(**values)


def read_moment(text: str, now: datetime) -> datetime:
    """Parse a time: ISO 8601 (UTC without a zone), or an age relative to `now`, such as 90s, 30m, 2h, 7d or 1w.

    Raises ValueError with a message that says what is accepted.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        # Databases and Python start with the year 1 in UTC; an earlier time overflows.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "must be a time such as 2026-03-01T09:30 (UTC) or 2026-03-01T09:30+02:00, or an age: 30m, 2h, 7d"
        ) from None


def named_artifact(text: str) -> tuple[str, str] | None:
    """Return repository and tag, as Docker Hub sends them, from a reference such as `example/repo:1.2.3`.

    Return None if either is missing, or if the image is on another registry.
    """
    found = _ARTIFACT.fullmatch(text.strip())
    if found is None or (found[1] and not is_docker_hub(found[1])):
        return None
    return found[2], found[3]


def _parse(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    if len(text) > TEXT_LENGTH or "\x00" in text:
        raise InvalidFilter(name, f"must have at most {TEXT_LENGTH} characters, and no NUL")
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidFilter(name, str(error)) from None


def _origin(text: str) -> Origin:
    try:
        return Origin(text)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Origin.values)}") from None


def _push(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("must be the push_id of a delivery") from None


def _outcomes(text: str) -> frozenset[Outcome]:
    outcomes: set[Outcome] = set()
    for word in (part.strip().lower() for part in text.split(",")):
        selected = [outcome for outcome in Outcome if word in {outcome.value, tone(outcome).value}]
        if not selected:
            words = ", ".join([*(each.value for each in Tone), *Outcome.values])
            raise ValueError(f"must be one or more of these, separated by commas: {words}")
        outcomes.update(selected)
    return frozenset(outcomes)


def _status(text: str) -> tuple[int, int]:
    code = _STATUS.fullmatch(text.lower())
    if code is None:
        raise ValueError("must be a response code such as 404, or a class such as 4xx")
    if code[2] == "xx":
        return int(code[1]) * 100, int(code[1]) * 100 + 99
    return int(text), int(text)


def _warehouse(text: str) -> tuple[str | None, str]:
    project, slash, name = text.rpartition("/")
    if not name or (slash and not project):
        raise ValueError("must be the name of a Warehouse, or project/name")
    return project or None, name
