"""From a push and Warehouses to verdicts, and from verdicts to the Warehouses to refresh."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from receivers.rules.push import Push
from receivers.rules.resources import Warehouse


class Result(StrEnum):
    """What a verdict comes to. Only `MATCH` refreshes a Warehouse."""

    MATCH = "match"
    NO_MATCH = "no match"
    NOT_EVALUABLE = "cannot be evaluated"
    NEAR_MISS = "near miss"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one subscription says about one push.

    `position` counts the Warehouse's subscriptions from 0; `subscription` is its name, often empty; `kind` and
    `repo_url` are as written in the Warehouse; `rule` is a stable short name; `reason` is a sentence for people.
    """

    project: str
    warehouse: str
    position: int
    subscription: str
    kind: str
    repo_url: str
    result: Result
    rule: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, for the delivery log and the API."""
        return asdict(self) | {"result": self.result.value}


def verdicts(push: Push, warehouses: Iterable[Warehouse]) -> tuple[Verdict, ...]:
    """Judge every subscription of these Warehouses that names the pushed repository, or nearly does."""
    raise NotImplementedError


def to_refresh(judged: Iterable[Verdict]) -> tuple[tuple[str, str], ...]:
    """Return (project, Warehouse name) of every Warehouse with a match, sorted, each once."""
    return tuple(sorted({(v.project, v.warehouse) for v in judged if v.result is Result.MATCH}))
