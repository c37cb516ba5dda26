"""From a push and Warehouses to verdicts, and from verdicts to the Warehouses to refresh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from receivers.kargo.near_misses import explain
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse
from receivers.kargo.subscriptions import Subscription


class Result(StrEnum):
    """What a verdict comes to, from what tells people most to what tells least. Only `MATCH` refreshes a Warehouse."""

    MATCH = "match"
    NOT_EVALUABLE = "cannot be evaluated"
    NO_MATCH = "no match"
    NEAR_MISS = "near miss"
    OUT_OF_SCOPE = "out of scope"
    """It would have matched, and is in a project that the receiver does not serve."""

    OTHER = "another repository"
    """The subscription names another repository, and is not asked. Told only to people who want to see everything."""


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


def other_verdicts(push: Push, warehouses: Iterable[Warehouse]) -> Iterator[Verdict]:
    """Yield a verdict for every subscription that `verdicts` passes over: those that name another repository."""
    names, near = frozenset(push.names), push.near_key
    for warehouse in warehouses:
        for position, subscription in enumerate(warehouse.subscriptions):
            if subscription.repository not in names and not (near and subscription.near_key == near):
                yield _verdict_of(warehouse, position, subscription, _other(push, subscription))


def out_of_scope(push: Push, warehouses: Iterable[Warehouse], project: str) -> Iterator[Verdict]:
    """Yield a hint for each of these Warehouses that would match, but that no receiver of `project` serves."""
    told: set[tuple[str, str]] = set()
    for verdict in verdicts(push, warehouses):
        key = verdict.project, verdict.warehouse
        if verdict.result is Result.MATCH and key not in told:
            told.add(key)
            reason = (
                f"Warehouse {quoted(verdict.warehouse)} of project {quoted(verdict.project)} subscribes to this "
                f"repository; this receiver serves only project {quoted(project)}"
            )
            yield replace(verdict, result=Result.OUT_OF_SCOPE, rule="out of scope", reason=reason)


def _verdict(
    push: Push, warehouse: Warehouse, position: int, subscription: Subscription, *, near_miss: bool
) -> Verdict:
    judgement = _near_miss(push, subscription) if near_miss else _judged(push, subscription)
    return _verdict_of(warehouse, position, subscription, judgement)


def _verdict_of(
    warehouse: Warehouse, position: int, subscription: Subscription, judgement: tuple[Result, str, str]
) -> Verdict:
    result, rule, reason = judgement
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


def _other(push: Push, subscription: Subscription) -> tuple[Result, str, str]:
    named = f"names {quoted(subscription.repo_url)}" if subscription.repo_url else "names no repository"
    return Result.OTHER, "another repository", f"it {named}, and the push was to {quoted(push.repository)}"


_RESULTS: Final = {True: Result.MATCH, False: Result.NO_MATCH, None: Result.NOT_EVALUABLE}


def to_refresh(judged: Iterable[Verdict]) -> tuple[tuple[str, str], ...]:
    """Return (project, Warehouse name) of every Warehouse with a match, sorted, each once."""
    return tuple(sorted({(v.project, v.warehouse) for v in judged if v.result is Result.MATCH}))
