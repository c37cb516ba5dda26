"""Matches a push against the subscriptions of Warehouses, and decides which Warehouses to refresh."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from receivers.kargo.near_misses import explain_near_miss
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.kargo.selectors import GitSelector, Selector, TagDecision
from receivers.kargo.similar_names import similar_names
from receivers.kargo.subscriptions import Subscription


class MatchResult(StrEnum):
    """The result of matching a push against one subscription, the most informative first.

    Only `MATCH` refreshes the Warehouse.
    """

    MATCH = "match"
    NOT_EVALUABLE = "not_evaluable"
    NO_MATCH = "no_match"
    NEAR_MISS = "near_miss"
    OUT_OF_SCOPE = "out_of_scope"
    """The subscription would match, but it is in a project that the receiver does not serve."""

    OTHER_REPOSITORY = "other_repository"
    """The subscription uses another repository, so its selector is not evaluated. Shown only on request."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of matching one push against one subscription.

    `position` counts the Warehouse's subscriptions from 0. `subscription` is its name, often empty. `kind` and
    `repo_url` are as written in the Warehouse. `rule` is the code of the rule that decided, such as
    `semver.satisfied`; `reason` is a sentence for people.
    """

    project: str
    warehouse: str
    position: int
    subscription: str
    kind: str
    repo_url: str
    result: MatchResult
    rule: str
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, for the delivery log and the API."""
        return {name: getattr(self, name) for name in self.__slots__} | {"result": self.result.value}


def verdicts(push: Push, warehouses: Iterable[Warehouse]) -> tuple[Verdict, ...]:
    """Return a verdict for every subscription that uses the pushed repository or a similar name.

    The verdicts are in the order of the Warehouses and their subscriptions.

    Source: `shouldRefresh` in Kargo's `pkg/webhook/external/refresh.go`. There the first subscription that cannot be
    evaluated fails the whole request; here it gets a verdict of its own.
    """
    names, near = frozenset(push.names), push.near_key
    return tuple(
        _verdict(push, warehouse, position, subscription, near_miss=subscription.repository not in names)
        for warehouse in warehouses
        for position, subscription in enumerate(warehouse.subscriptions)
        if subscription.repository in names or (near and subscription.near_key == near)
    )


def other_verdicts(push: Push, warehouses: Iterable[Warehouse]) -> Iterator[Verdict]:
    """Yield a verdict for every subscription that `verdicts` skips because it uses another repository."""
    names, near = frozenset(push.names), push.near_key
    for warehouse in warehouses:
        for position, subscription in enumerate(warehouse.subscriptions):
            if subscription.repository not in names and not (near and subscription.near_key == near):
                yield _verdict_of(warehouse, position, subscription, _other_repository(push, subscription))


def out_of_scope_verdicts(push: Push, warehouses: Iterable[Warehouse], project: str) -> Iterator[Verdict]:
    """Yield one verdict for each of these Warehouses that would match but is not in `project`."""
    hinted: set[WarehouseKey] = set()
    for verdict in verdicts(push, warehouses):
        key = verdict.project, verdict.warehouse
        if verdict.result is MatchResult.MATCH and key not in hinted:
            hinted.add(key)
            reason = (
                f"Warehouse {quoted(verdict.warehouse)} in project {quoted(verdict.project)} subscribes to this "
                f"repository, but this receiver serves only project {quoted(project)}"
            )
            yield replace(verdict, result=MatchResult.OUT_OF_SCOPE, rule="out_of_scope", reason=reason)


def similar_verdicts(push: Push, warehouses: Iterable[Warehouse]) -> tuple[Verdict, ...]:
    """Return a near miss for every subscription whose repository is the pushed one but for a typing error.

    It looks at every Warehouse, so it is for pushes that `verdicts` has nothing for.
    """
    subscribed: dict[str, list[tuple[Warehouse, int, Subscription]]] = defaultdict(list)
    for warehouse in warehouses:
        for position, subscription in enumerate(warehouse.subscriptions):
            if subscription.near_key and (subscription.kind == "git") is push.is_git:
                subscribed[subscription.repository].append((warehouse, position, subscription))
    known = tuple(subscribed)
    similar = {name for pushed in push.names for name in similar_names(pushed, known)}
    return tuple(
        _verdict_of(warehouse, position, subscription, _similar(push, subscription))
        for name in sorted(similar)
        for warehouse, position, subscription in subscribed[name]
    )


def _similar(push: Push, subscription: Subscription) -> tuple[MatchResult, str, str]:
    reason = (
        f"no subscription uses {quoted(push.repository)}; did you mean {quoted(subscription.repository)}?"
    )
    return MatchResult.NEAR_MISS, "similar_name", reason


def _verdict(
    push: Push, warehouse: Warehouse, position: int, subscription: Subscription, *, near_miss: bool
) -> Verdict:
    decision = _near_miss(push, subscription) if near_miss else _selected(push, subscription)
    return _verdict_of(warehouse, position, subscription, decision)


def _verdict_of(
    warehouse: Warehouse, position: int, subscription: Subscription, decision: tuple[MatchResult, str, str]
) -> Verdict:
    result, rule, reason = decision
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


def _selected(push: Push, subscription: Subscription) -> tuple[MatchResult, str, str]:
    if not push.tags:
        return (
            MatchResult.MATCH,
            "no_tag",
            f"the push has no {'reference' if push.is_git else 'tag'}, so every subscription to the repository matches",
        )
    decision = _decision(push.tags, subscription.selector)
    if decision.matches and push.files and isinstance(subscription.selector, GitSelector):
        files = subscription.selector.evaluate_files(push.files)
        if not files.matches:
            decision = files
    return _RESULTS[decision.matches], decision.rule, decision.reason


def _decision(tags: Sequence[str], selector: Selector) -> TagDecision:
    """Return the decision about the first tag that is selected; if there is none, that about the first one."""
    first = selector.evaluate(tags[0])
    if first.matches is not False or len(tags) == 1:
        return first
    others = (selector.evaluate(tag) for tag in tags[1:])
    reason = f"{first.reason}, and its other {len(tags) - 1} tags don't match either"
    return next((decision for decision in others if decision.matches), replace(first, reason=reason))


def _near_miss(push: Push, subscription: Subscription) -> tuple[MatchResult, str, str]:
    reason = explain_near_miss(push.repository, subscription.kind, subscription.repo_url)
    return MatchResult.NEAR_MISS, "near_miss", reason


def _other_repository(push: Push, subscription: Subscription) -> tuple[MatchResult, str, str]:
    used = quoted(subscription.repo_url) if subscription.repo_url else "no repository"
    reason = f"the subscription uses {used}, but the push went to {quoted(push.repository)}"
    return MatchResult.OTHER_REPOSITORY, "other_repository", reason


_RESULTS: Final = {True: MatchResult.MATCH, False: MatchResult.NO_MATCH, None: MatchResult.NOT_EVALUABLE}


def to_refresh(matched: Iterable[Verdict]) -> tuple[WarehouseKey, ...]:
    """Return the keys of the Warehouses with a match, sorted, each once."""
    return tuple(sorted({(v.project, v.warehouse) for v in matched if v.result is MatchResult.MATCH}))
