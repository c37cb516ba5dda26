"""Match a push, real or hypothetical, against every Warehouse in scope and explain the result.

Intake stores the verdicts; the test-push preview, the API and `manage.py explain` show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from receivers.cluster.cache import ClusterCache
from receivers.kargo.matching import (
    MatchResult,
    Verdict,
    other_verdicts,
    out_of_scope_verdicts,
    similar_verdicts,
    to_refresh,
    verdicts,
)
from receivers.kargo.push import Push
from receivers.kargo.quoting import quoted
from receivers.kargo.resources import Warehouse, WarehouseKey

VERDICTS_SHOWN: Final = 200
"""Default number of verdicts in a report: more than a person reads."""

HINTS: Final = 20
"""Most hints at Warehouses of other projects: enough to show that the push went to the wrong receiver."""

HINT_CANDIDATES: Final = 3 * HINTS
"""Warehouses of other projects that are evaluated for a push that nothing in scope matches; takes 1 ms at most."""

ELSEWHERE: Final = "no Warehouse in scope subscribes to this repository; one of another project does"

_OF_REPOSITORY: Final = frozenset({MatchResult.MATCH, MatchResult.NOT_EVALUABLE, MatchResult.NO_MATCH})
_ORDER: Final = {result: number for number, result in enumerate(MatchResult)}


@dataclass(frozen=True, slots=True)
class MatchReport:
    """What a push refreshes, and why.

    `to_refresh` has the key of every Warehouse that the push refreshes, sorted, and is always complete. `verdicts`
    are ordered by relevance (the order of `MatchResult`), then by Warehouse and position. `left_out` is how many more
    verdicts there are.
    """

    to_refresh: tuple[WarehouseKey, ...]
    verdicts: tuple[Verdict, ...]
    left_out: int = 0

    @property
    def why_no_match(self) -> str:
        """Return the most relevant reason why the push refreshes nothing; empty if it refreshes something.

        It names no Warehouse outside the scope, because readers may not see other projects.
        """
        hinted = bool(self.verdicts) and self.verdicts[0].result is MatchResult.OUT_OF_SCOPE
        return ELSEWHERE if hinted and not self.to_refresh else self.why_no_match_anywhere

    @property
    def why_no_match_anywhere(self) -> str:
        """Return `why_no_match` for readers who may see every Warehouse in `verdicts`: it may name one."""
        if self.to_refresh:
            return ""
        first = self.verdicts[0] if self.verdicts else None
        if first is None or first.result is MatchResult.OTHER_REPOSITORY:
            return "no Warehouse in scope subscribes to this repository"
        if first.result is MatchResult.NOT_EVALUABLE:
            return (
                f"subscription {first.position + 1} of Warehouse {quoted(first.warehouse)} can't be evaluated: "
                f"{first.reason}"
            )
        return first.reason

    @property
    def is_not_evaluable(self) -> bool:
        """Say whether the push refreshes nothing and a subscription to its repository can't be evaluated."""
        return not self.to_refresh and any(
            verdict.result is MatchResult.NOT_EVALUABLE for verdict in self.verdicts
        )


def explain(
    cache: ClusterCache, push: Push, project: str, *, everything: bool = False, most: int = VERDICTS_SHOWN
) -> MatchReport:
    """Match a push to a receiver of `project`, or of every project if that is `CLUSTER_SCOPE`.

    The report has the verdicts of the subscriptions that name the repository or a similar one. If none matches, it
    also hints at Warehouses of other projects that would have matched. If there are no verdicts and no hints, it has
    those of the project's subscriptions with a name that differs by a typing error. With `everything`, subscriptions of
    other repositories get a verdict, too; without it, the cost of a push that matches doesn't depend on the number of
    Warehouses. The report has at most `most` verdicts.
    """
    in_scope = verdicts(push, _candidates(cache, push, project))
    keys = to_refresh(in_scope)
    hints = () if keys or not project else _hints(cache, push, project)
    if project and not in_scope and not hints:
        in_scope = similar_verdicts(push, cache.warehouses(project))
    shown = sorted((*in_scope, *hints), key=_order)
    if not everything:
        return MatchReport(keys, tuple(shown[:most]), max(0, len(shown) - most))
    scope = cache.warehouses(project or None)
    others = sum(len(warehouse.subscriptions) for warehouse in scope) - len(in_scope)
    explained = {_subscription(verdict) for verdict in in_scope}
    rest = (verdict for verdict in other_verdicts(push, scope) if _subscription(verdict) not in explained)
    shown += islice(rest, max(0, most - len(shown)))
    return MatchReport(keys, tuple(shown[:most]), max(0, len(in_scope) + len(hints) + others - most))


def concerned_projects(verdicts: Iterable[Verdict]) -> frozenset[str]:
    """Return the projects of the subscriptions that use the pushed repository."""
    return frozenset(verdict.project for verdict in verdicts if verdict.result in _OF_REPOSITORY)


def _candidates(cache: ClusterCache, push: Push, project: str) -> list[Warehouse]:
    """Return the Warehouses with a subscription that names the repository or a similar one, sorted by key."""
    named = cache.warehouses_for(push.names, project)
    near = cache.near_misses(push.near_key, project)
    candidates = {warehouse.key: warehouse for warehouse in (*near, *named)}
    return [candidates[key] for key in sorted(candidates)]


def _hints(cache: ClusterCache, push: Push, project: str) -> Sequence[Verdict]:
    elsewhere = cache.subscribers_elsewhere(push.names, project, HINT_CANDIDATES)
    return tuple(islice(out_of_scope_verdicts(push, elsewhere, project), HINTS))


def _subscription(verdict: Verdict) -> tuple[str, str, int]:
    return verdict.project, verdict.warehouse, verdict.position


def _order(verdict: Verdict) -> int:
    return _ORDER[verdict.result]
