"""From a push and Warehouses to verdicts, and from verdicts to the Warehouses to refresh."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from receivers.rules.near_misses import explain
from receivers.rules.push import Push
from receivers.rules.resources import Warehouse
from receivers.rules.subscriptions import Subscription


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
        return {name: getattr(self, name) for name in self.__slots__} | {"result": self.result.value}


def verdicts(push: Push, warehouses: Iterable[Warehouse]) -> tuple[Verdict, ...]:
    """Judge every subscription of these Warehouses that names the pushed repository, or nearly does.

    The verdicts come in the order of the Warehouses and their subscriptions; other subscriptions give none.
    Source: `shouldRefresh` in Kargo's `pkg/webhook/external/refresh.go`, where the first subscription that cannot be
    evaluated ends everything. Here it gives a verdict of its own.
    """
    names, near = frozenset(push.names), push.near_key
    return tuple(
        _verdict(push, warehouse, position, subscription, near_miss=subscription.repository not in names)
        for warehouse in warehouses
        for position, subscription in enumerate(warehouse.subscriptions)
        if subscription.repository in names or (near and subscription.near_key == near)
    )


def _verdict(
    push: Push, warehouse: Warehouse, position: int, subscription: Subscription, *, near_miss: bool
) -> Verdict:
    result, rule, reason = _near_miss(push, subscription) if near_miss else _judged(push, subscription)
    return Verdict(
        project=warehouse.project,
        warehouse=warehouse.name,
        position=position,
        subscription=subscription.name,
        kind=subscription.kind,
        repo_url=subscription.repo_url,
        result=result,
        rule=rule,
        reason=reason,
    )


def _judged(push: Push, subscription: Subscription) -> tuple[Result, str, str]:
    if not push.tag:
        return (
            Result.MATCH,
            "no tag",
            "the push names no tag, so every subscriber of the repository is refreshed",
        )
    judgement = subscription.selector.judge(push.tag)
    return _RESULTS[judgement.matches], judgement.rule, judgement.reason


def _near_miss(push: Push, subscription: Subscription) -> tuple[Result, str, str]:
    return Result.NEAR_MISS, "near miss", explain(push.repository, subscription.kind, subscription.repo_url)


_RESULTS: Final = {True: Result.MATCH, False: Result.NO_MATCH, None: Result.NOT_EVALUABLE}


def to_refresh(judged: Iterable[Verdict]) -> tuple[tuple[str, str], ...]:
    """Return (project, Warehouse name) of every Warehouse with a match, sorted, each once."""
    return tuple(sorted({(v.project, v.warehouse) for v in judged if v.result is Result.MATCH}))
