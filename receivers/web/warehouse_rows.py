"""Warehouses as project pages show them: their subscriptions, last push and last Freight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final
from uuid import UUID

from receivers.deliveries import statistics
from receivers.health.finding import Subject
from receivers.kargo.artifacts import Freight
from receivers.kargo.coverage import is_on_docker_hub, possible_receivers
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import ReceiverConfig, Warehouse, WarehouseKey
from receivers.kargo.subscriptions import Subscription
from receivers.models import Delivery, Refresh
from receivers.web.finding_rows import FindingRow, SubjectKey
from receivers.web.subscription_words import criteria

SHORT_NAME: Final = 12  # hexadecimal digits of a name of Freight: as many as Docker shows of a digest


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription, what it selects, and the (project, name) of the receivers that get pushes to its repository.

    `kinds` are those of all receivers of its project and the cluster.
    """

    subscription: Subscription
    criteria: list[tuple[str, str]]
    on_docker_hub: bool
    covered_by: tuple[tuple[str, str], ...]
    kinds: Mapping[tuple[str, str], str]

    @property
    def receivers(self) -> list[tuple[str, str, str]]:
        """Return project, name and kind of the receivers in `covered_by`."""
        return [(project, name, self.kinds.get((project, name), "")) for project, name in self.covered_by]


@dataclass(frozen=True, slots=True)
class LastFreight:
    """The newest Freight of a Warehouse. `alias` may be empty and `at`, when it was created, None if unknown."""

    name: str
    alias: str = ""
    at: datetime | None = None

    @property
    def short(self) -> str:
        """Return the start of the name, which is a hash."""
        return self.name[:SHORT_NAME]


@dataclass(frozen=True, slots=True)
class UnmatchedPushes:
    """The pushes since the last one that refreshed a Warehouse, the last of them, and the repository to search for."""

    count: int
    last_at: datetime
    repository: str

    @property
    def at_least(self) -> str:
        """Return the count, with a plus sign if there may be more than were read."""
        return f"{self.count}{'+' if self.count >= statistics.PUSHES_READ else ''}"


@dataclass(frozen=True, slots=True)
class WarehouseRow:
    """A Warehouse; `key` is `project/name`.

    `push` is the last delivery that refreshed it, and `refresh` that refresh. `freight` is its newest Freight, None if
    it has none. `median` is the median seconds from push to Freight of the last `statistics.REFRESHES_READ` refreshes,
    None if none of those created Freight. `unmatched` are the pushes since then, None if there are none.
    """

    name: str
    key: str
    manual: bool
    subscriptions: tuple[SubscriptionRow, ...]
    push: Delivery | None
    refresh: Refresh | None
    freight: LastFreight | None
    median: float | None
    unmatched: UnmatchedPushes | None
    findings: tuple[FindingRow, ...] = ()


def warehouse_rows(
    project: str,
    warehouses: Sequence[Warehouse],
    configs: Sequence[ReceiverConfig],
    findings: Mapping[SubjectKey, Sequence[FindingRow]],
    newest: Callable[[WarehouseKey], Freight | None],
) -> list[WarehouseRow]:
    """Return the rows of Warehouses of one project, with three queries. `newest` returns the newest known Freight."""
    refreshes = statistics.last_refreshes(project, [warehouse.name for warehouse in warehouses])
    pushes = statistics.deliveries_by_id({latest_first[0].delivery_id for latest_first in refreshes.values()})
    subscribed = [(warehouse.name, name) for warehouse in warehouses for name in _docker_hub_names(warehouse)]
    unmatched = statistics.unmatched_pushes(project, subscribed)
    kinds = {(config.project, each.name): each.kind for config in configs for each in config.receivers}
    rows = []
    for warehouse in warehouses:
        own = refreshes.get(warehouse.name, [])
        push = pushes.get(own[0].delivery_id) if own else None
        rows.append(
            WarehouseRow(
                name=warehouse.name,
                key=f"{warehouse.project}/{warehouse.name}",
                manual=warehouse.creation_policy == "Manual",
                subscriptions=_subscriptions(warehouse, configs, kinds),
                push=push,
                refresh=own[0] if own else None,
                freight=_last_freight(warehouse, newest(warehouse.key), own),
                median=_median(own),
                unmatched=_unmatched(warehouse, unmatched.get(warehouse.name, {}), push),
                findings=tuple(findings.get((Subject.WAREHOUSE, warehouse.name), ())),
            )
        )
    return rows


def _docker_hub_names(warehouse: Warehouse) -> list[str]:
    names = (each.repository for each in warehouse.subscriptions if is_on_docker_hub(each))
    return list(dict.fromkeys(names))


def _last_freight(
    warehouse: Warehouse, newest: Freight | None, refreshes: Sequence[Refresh]
) -> LastFreight | None:
    """Return the newest Freight. Until it is known, the last one from a push, or else the last that Kargo created."""
    if newest is not None:
        return LastFreight(newest.name, newest.alias, newest.created_at)
    created = (refresh for refresh in refreshes if refresh.outcome == RefreshOutcome.FREIGHT_CREATED)
    if (refresh := next(created, None)) is not None:
        return LastFreight(refresh.freight, refresh.freight_alias, refresh.ended_at)
    return LastFreight(warehouse.last_freight_id) if warehouse.last_freight_id else None


def _unmatched(
    warehouse: Warehouse, pushes: Mapping[UUID, datetime], last: Delivery | None
) -> UnmatchedPushes | None:
    since = [at for at in pushes.values() if last is None or at > last.received_at]
    return UnmatchedPushes(len(since), max(since), _docker_hub_names(warehouse)[0]) if since else None


def _subscriptions(
    warehouse: Warehouse, configs: Sequence[ReceiverConfig], kinds: Mapping[tuple[str, str], str]
) -> tuple[SubscriptionRow, ...]:
    return tuple(
        SubscriptionRow(
            each, criteria(each), is_on_docker_hub(each), possible_receivers(each, configs), kinds
        )
        for each in warehouse.subscriptions
    )


def _median(refreshes: Sequence[Refresh]) -> float | None:
    created = (refresh for refresh in refreshes if refresh.outcome == RefreshOutcome.FREIGHT_CREATED)
    durations = [
        seconds for refresh in created if (seconds := statistics.freight_seconds(refresh)) is not None
    ]
    return median(durations) if durations else None
