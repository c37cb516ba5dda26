"""The result of a push in each Warehouse, whatever the number of its deliveries."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from receivers.cluster.stage_watch import StageWatch
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.push_record import PushRecord
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.stage_states import StageJourney
from receivers.models import Refresh

MOST_SHOWN: Final = 24  # Warehouses; those that need action first, if there are more
STAGES_SECONDS: Final = 2.0
"""How long a page waits for Stages, of which the first look may wait for a list of Promotions. The rest follows when
the page updates itself."""

_RANK: Final = {Tone.BAD: 0, Tone.OPEN: 1, Tone.PLAIN: 2, Tone.GOOD: 3}


@dataclass(frozen=True, slots=True)
class WarehouseResult:
    """The result of a push in a Warehouse.

    `refresh` is the one that counts: the newest with Freight, or else the newest. `attempts` has all of them, the
    oldest first. `journey` is None if Stages are not followed, or if there is no Freight. `looked` is False while
    the Stages are yet to be looked at. `deleted`: the Freight no longer exists.
    """

    project: str
    warehouse: str
    refresh: Refresh
    attempts: tuple[Refresh, ...]
    journey: StageJourney | None = None
    looked: bool = True
    deleted: bool = False

    @property
    def freight(self) -> str:
        """Return the alias of the Freight, or else the start of its name; empty without Freight."""
        return self.refresh.freight_alias or self.refresh.freight[:7]

    @property
    def is_open(self) -> bool:
        """Return whether the refresh has not ended."""
        return not self.refresh.outcome

    @property
    def has_stages(self) -> bool:
        """Return whether there are Stages that take Freight of the Warehouse."""
        return self.journey is not None and bool(self.journey.nodes)


@dataclass(frozen=True, slots=True)
class PushResults:
    """The results of a push, sorted by project and Warehouse; `left_out` is how many more Warehouses there are.

    `follows_stages`: whether Stages can be read.
    """

    shown: tuple[WarehouseResult, ...]
    left_out: int
    follows_stages: bool

    @property
    def with_freight(self) -> tuple[WarehouseResult, ...]:
        """Return those with Freight that holds the push."""
        return tuple(result for result in self.shown if result.refresh.freight)

    @property
    def total(self) -> int:
        """Return the number of Warehouses that were refreshed."""
        return len(self.shown) + self.left_out

    @property
    def several_projects(self) -> bool:
        """Return whether the Warehouses are in more than one project."""
        return len({result.project for result in self.shown}) > 1


def push_results(record: PushRecord, stages: StageWatch | None) -> PushResults:
    """Return the result of a push in each Warehouse. Looks at Stages for `STAGES_SECONDS` at most."""
    by_warehouse: dict[tuple[str, str], list[Refresh]] = {}
    for refresh in record.refreshes:
        by_warehouse.setdefault((refresh.project, refresh.warehouse), []).append(refresh)
    results = [
        WarehouseResult(project, name, _counting(refreshes), tuple(refreshes))
        for (project, name), refreshes in by_warehouse.items()
    ]
    results.sort(key=_urgency)
    shown = sorted(results[:MOST_SHOWN], key=lambda result: (result.project, result.warehouse))
    follows = stages is not None and stages.is_permitted
    if stages is not None and follows:
        shown = _followed(shown, stages)
    return PushResults(tuple(shown), max(0, len(results) - MOST_SHOWN), follows)


def _counting(refreshes: Sequence[Refresh]) -> Refresh:
    """Return the refresh that counts. One that found the Freight of an earlier refresh doesn't."""
    created = [refresh for refresh in refreshes if refresh.outcome == RefreshOutcome.FREIGHT_CREATED]
    with_freight = [refresh for refresh in refreshes if refresh.freight and refresh.outcome]
    return next(reversed(created or with_freight or refreshes))


def _urgency(result: WarehouseResult) -> tuple[int, str, str]:
    rank = _RANK[tone(result.refresh.outcome)] if result.refresh.outcome else _RANK[Tone.OPEN]
    return rank, result.project, result.warehouse


def _followed(results: Sequence[WarehouseResult], stages: StageWatch) -> list[WarehouseResult]:
    """Return the results with their journeys, as far as these are known in time."""
    until = time.monotonic() + STAGES_SECONDS
    followed = []
    for result in results:
        if not result.refresh.freight:
            followed.append(result)
        elif time.monotonic() > until:
            followed.append(replace(result, looked=False))
        else:
            journey = stages.journey(result.project, result.warehouse, result.refresh.freight)
            deleted = journey is None and stages.is_gone(result.project, result.refresh.freight)
            followed.append(replace(result, journey=journey, deleted=deleted))
    return followed
