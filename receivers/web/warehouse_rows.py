"""Warehouses as project pages show them: their subscriptions, last push and last Freight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from uuid import UUID

from receivers.deliveries import statistics
from receivers.health.finding import Subject
from receivers.kargo.coverage import covering_receivers, is_on_docker_hub
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import ReceiverConfig, Warehouse
from receivers.kargo.subscriptions import Subscription
from receivers.models import Delivery, Refresh
from receivers.web.finding_rows import FindingRow, SubjectKey


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """A subscription, and the (project, name) of the receivers that get pushes to its repository."""

    subscription: Subscription
    on_docker_hub: bool
    covered_by: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WarehouseRow:
    """A Warehouse; `key` is `project/name`.

    `push` is the last delivery that refreshed it, and `refresh` that refresh. `freight` is the last refresh that
    created Freight, and `median` the median seconds from push to Freight. Both come from the last
    `statistics.REFRESHES_READ` refreshes and are None if none of those created Freight.
    """

    name: str
    key: str
    manual: bool
    subscriptions: tuple[SubscriptionRow, ...]
    push: Delivery | None
    refresh: Refresh | None
    freight: Refresh | None
    median: float | None
    findings: tuple[FindingRow, ...] = ()


def warehouse_rows(
    project: str,
    warehouses: Sequence[Warehouse],
    configs: Sequence[ReceiverConfig],
    findings: Mapping[SubjectKey, Sequence[FindingRow]],
) -> list[WarehouseRow]:
    """Return the rows of Warehouses of one project, with two queries."""
    refreshes = statistics.last_refreshes(project, [warehouse.name for warehouse in warehouses])
    pushes = statistics.deliveries_by_id({latest_first[0].delivery_id for latest_first in refreshes.values()})
    return [
        _row(
            warehouse,
            refreshes.get(warehouse.name, []),
            pushes,
            configs,
            findings.get((Subject.WAREHOUSE, warehouse.name), ()),
        )
        for warehouse in warehouses
    ]


def _row(
    warehouse: Warehouse,
    refreshes: Sequence[Refresh],
    pushes: Mapping[UUID, Delivery],
    configs: Sequence[ReceiverConfig],
    findings: Sequence[FindingRow],
) -> WarehouseRow:
    freight = [refresh for refresh in refreshes if refresh.outcome == RefreshOutcome.FREIGHT_CREATED]
    durations = [
        seconds for refresh in freight if (seconds := statistics.freight_seconds(refresh)) is not None
    ]
    return WarehouseRow(
        name=warehouse.name,
        key=f"{warehouse.project}/{warehouse.name}",
        manual=warehouse.creation_policy == "Manual",
        subscriptions=tuple(
            SubscriptionRow(
                subscription, is_on_docker_hub(subscription), covering_receivers(subscription, configs)
            )
            for subscription in warehouse.subscriptions
        ),
        push=pushes.get(refreshes[0].delivery_id) if refreshes else None,
        refresh=refreshes[0] if refreshes else None,
        freight=freight[0] if freight else None,
        median=median(durations) if durations else None,
        findings=tuple(findings),
    )
