"""What every Warehouse in scope says about a push, real or imagined, and why.

One function for all who ask: intake stores what it says, the preview of a test, the API and the command show it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from receivers.cluster.cache import Mirror
from receivers.kargo.matching import MatchResult, Verdict, other_verdicts, out_of_scope, to_refresh, verdicts
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse

VERDICTS_SHOWN: Final = 200
"""Verdicts that people are shown; more is more than anybody reads."""

HINTS: Final = 20
"""Warehouses of other projects that are hinted at: enough to see that the receiver is the wrong one."""

LOOKED_AT_ELSEWHERE: Final = 3 * HINTS
"""Warehouses of other projects that are judged for a push that nobody in scope takes: a millisecond at most."""

ELSEWHERE: Final = "no Warehouse in scope subscribes to this repository; one of another project does"

_ORDER: Final = {result: number for number, result in enumerate(MatchResult)}


@dataclass(frozen=True, slots=True)
class MatchReport:
    """What a push does, and why.

    `to_refresh` has project and name of every Warehouse that it refreshes, sorted; it is always complete. `verdicts`
    come with what tells most first (the order of `MatchResult`), then by Warehouse and position. `left_out` verdicts are
    not among them because there were too many.
    """

    to_refresh: tuple[tuple[str, str], ...]
    verdicts: tuple[Verdict, ...]
    left_out: int = 0

    @property
    def why_no_match(self) -> str:
        """Return the one sentence that tells most about a push which refreshes nothing; empty if it does."""
        if self.to_refresh:
            return ""
        told = [verdict.reason for verdict in self.verdicts if verdict.result is not MatchResult.OTHER]
        return told[0] if told else "no Warehouse in scope subscribes to this repository"

    @property
    def why_no_match_for_all(self) -> str:
        """Return the same without the names of other projects, for what people read who may not see those."""
        hinted = bool(self.verdicts) and self.verdicts[0].result is MatchResult.OUT_OF_SCOPE
        return ELSEWHERE if hinted and not self.to_refresh else self.why_no_match


def explain(
    mirror: Mirror, push: Push, project: str, *, everything: bool = False, most: int = VERDICTS_SHOWN
) -> MatchReport:
    """Judge a push to a receiver of `project`, which is empty for a cluster receiver: its scope is every project.

    Told are the verdicts of the subscriptions that name the repository, or nearly do. Where none matches, Warehouses of
    other projects that would have matched are hinted at. With `everything`, subscriptions of other repositories get a
    verdict, too; without, the cost does not depend on how many Warehouses there are. At most `most` verdicts are told.
    """
    judged = verdicts(push, _candidates(mirror, push, project))
    keys = to_refresh(judged)
    hints = () if keys or not project else _hints(mirror, push, project)
    told = sorted((*judged, *hints), key=_order)
    if not everything:
        return MatchReport(keys, tuple(told[:most]), max(0, len(told) - most))
    scope = mirror.warehouses(project or None)
    others = sum(len(warehouse.subscriptions) for warehouse in scope) - len(judged)
    told += islice(other_verdicts(push, scope), max(0, most - len(told)))
    return MatchReport(keys, tuple(told[:most]), max(0, len(judged) + len(hints) + others - most))


def _candidates(mirror: Mirror, push: Push, project: str) -> list[Warehouse]:
    """Return the Warehouses with a subscription that names the repository, or nearly does, sorted by key."""
    named = mirror.warehouses_for(push.names, project)
    near = mirror.near_misses(push.near_key, project)
    candidates = {warehouse.key: warehouse for warehouse in (*near, *named)}
    return [candidates[key] for key in sorted(candidates)]


def _hints(mirror: Mirror, push: Push, project: str) -> Sequence[Verdict]:
    elsewhere = mirror.subscribers_elsewhere(push.names, project, LOOKED_AT_ELSEWHERE)
    found: Iterator[Verdict] = out_of_scope(push, elsewhere, project)
    return tuple(islice(found, HINTS))


def _order(verdict: Verdict) -> int:
    return _ORDER[verdict.result]
