"""What people filter deliveries by, from the plain strings of an address or a command line to checked values."""

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
from receivers.models import TEXT_LENGTH, Origin, Outcome

CLUSTER_WORDS: Final = frozenset({"cluster", "-"})
"""What stands for the cluster receivers where a project is asked for; `-` can be no project's name."""

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PARAMETERS: Final = {"outcomes": "outcome"}
_ARTIFACT: Final = re.compile(r"(?:([^/\s]*[.:][^/\s]*)/)?([^/\s:]+/[^/\s:]+):([\w.-]{1,128})", re.ASCII)
_STATUS: Final = re.compile(r"([1-5])(\d\d|xx)")


class InvalidFilter(ValueError):
    """A value that a field of a filter does not take: `field` is its name, the text is a sentence for people."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to show. A field that is None (or empty, for `outcomes`, and texts) filters nothing.

    `project` is "" for the cluster receivers. `outcomes` are any of these. `status` is the lowest and the highest
    response code. `repository` and `tag` are exact, as Docker Hub sends them. `warehouse` is a project (None: any) and
    the name of a Warehouse that was asked to refresh. `since` and `until` bound `received_at`, both included.
    `text` occurs, in any case of letters, in one of `conditions.SEARCHED`, or is the end of a repository's name, a
    colon, and the beginning of a tag. `push` is the id that the deliveries of one push share.

    `seen` is no wish but a limit: the projects that whoever asks may see; None stands for all, and for the cluster.
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
    def parse(cls, values: Mapping[str, str], now: datetime | None = None) -> DeliveryFilter:
        """Read a filter from strings by field name, such as `request.GET`. What is blank or unknown filters nothing.

        `outcome` (not `outcomes`) takes outcomes and tones ("bad") separated by commas; `status` takes 404 or 4xx;
        `since` and `until` take a time (UTC if it names no zone) or how long before `now`: 30m, 2h, 7d.
        Raises `InvalidFilter`.
        """
        moment = now or timezone.now()
        parsers: dict[str, Callable[[str], Any]] = {
            "project": _project,
            "origin": _origin,
            "outcome": _outcomes,
            "status": _status,
            "warehouse": _warehouse,
            "since": lambda text: read_moment(text, moment),
            "until": lambda text: read_moment(text, moment),
            "push": _push,
        }
        names = {_PARAMETERS.get(field.name, field.name) for field in fields(cls)} - {"seen"}
        given = {name: values.get(name, "").strip() for name in names}
        read = {name: _read(name, text, parsers.get(name, str)) for name, text in given.items() if text}
        if "outcome" in read:
            read["outcomes"] = read.pop("outcome")
        return cls(**read)


def read_moment(text: str, now: datetime) -> datetime:
    """Read a time: ISO 8601 (UTC if it names no zone), or how long before `now`, such as 90s, 30m, 2h, 7d, 1w.

    Raises ValueError with a sentence that says what it takes.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        # A database counts from the year 1 in UTC, and so does Python: a zone may lead beyond.
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "takes a time such as 2026-03-01T09:30 (UTC) or 2026-03-01T09:30+02:00, or how long ago: 30m, 2h, 7d"
        ) from None


def named_artifact(text: str) -> tuple[str, str] | None:
    """Return the repository and the tag that people mean by `example/repo:1.2.3`, as Docker Hub sends them.

    None for what names less than that, or something elsewhere.
    """
    found = _ARTIFACT.fullmatch(text.strip())
    if found is None or (found[1] and not is_docker_hub(found[1])):
        return None
    return found[2], found[3]


def _read(name: str, text: str, parse: Callable[[str], Any]) -> Any:
    if len(text) > TEXT_LENGTH or "\x00" in text:
        raise InvalidFilter(name, f"takes at most {TEXT_LENGTH} characters, and no NUL")
    try:
        return parse(text)
    except ValueError as error:
        raise InvalidFilter(name, str(error)) from None


def _project(text: str) -> str:
    return "" if text in CLUSTER_WORDS else text


def _origin(text: str) -> Origin:
    try:
        return Origin(text)
    except ValueError:
        raise ValueError(f"takes one of {', '.join(Origin.values)}") from None


def _push(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("takes the id that the deliveries of one push share") from None


def _outcomes(text: str) -> frozenset[Outcome]:
    found: set[Outcome] = set()
    for word in (part.strip().lower() for part in text.split(",")):
        named = [one for one in Outcome if word in {one.value.lower(), tone(one).value}]
        if not named:
            words = ", ".join([*(one.value for one in Tone), *(one.value for one in Outcome)])
            raise ValueError(f"takes any of these, separated by commas: {words}")
        found.update(named)
    return frozenset(found)


def _status(text: str) -> tuple[int, int]:
    code = _STATUS.fullmatch(text.lower())
    if code is None:
        raise ValueError("takes a response code such as 404, or all of a class such as 4xx")
    if code[2] == "xx":
        return int(code[1]) * 100, int(code[1]) * 100 + 99
    return int(text), int(text)


def _warehouse(text: str) -> tuple[str | None, str]:
    project, slash, name = text.rpartition("/")
    if not name or (slash and not project):
        raise ValueError("takes the name of a Warehouse, or project/name")
    return project or None, name
