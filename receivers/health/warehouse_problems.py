"""Remembers why Kargo could not discover artifacts or create Freight, while the conditions of a Warehouse don't say.

Kargo removes a problem from the conditions when it starts the next discovery, and after a failed discovery even when
it reconciles without a discovery. Source: `syncWarehouse` in Kargo's `pkg/controller/warehouses/warehouses.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from receivers.kargo.conditions import CREATION_FAILED, MISSING_ARTIFACTS, is_discovering
from receivers.kargo.resources import Condition, Resource, Warehouse, WarehouseKey

CRITERIA_FAILED: Final = "CriteriaEvaluationFailed"
_DISCOVERY_FAILED: Final = {("Healthy", "DiscoveryFailed"), ("Ready", "DiscoveryFailure")}
_NO_FREIGHT: Final = MISSING_ARTIFACTS | CREATION_FAILED | {CRITERIA_FAILED}


@dataclass(frozen=True, slots=True)
class WarehouseProblem:
    """A problem that a condition of the Warehouse `uid` reported while its `discoveredAt` was this."""

    condition: Condition
    is_discovery: bool
    uid: str
    discovered_at: str


def current_problem(warehouse: Warehouse, earlier: WarehouseProblem | None = None) -> WarehouseProblem | None:
    """Return the problem of a Warehouse, given the `earlier` one; None if there is none, or it is resolved.

    A failed discovery lasts until `discoveredAt` changes, any other problem until the result of the next discovery.
    """
    reported = _reported(warehouse)
    if earlier is None or earlier.uid != warehouse.uid or (reported is not None and reported.is_discovery):
        return reported
    if earlier.is_discovery and earlier.discovered_at == warehouse.discovered_at:
        return earlier
    return reported or (earlier if is_discovering(warehouse) else None)


def _reported(warehouse: Warehouse) -> WarehouseProblem | None:
    for condition in warehouse.conditions:
        is_discovery = (condition.type, condition.reason) in _DISCOVERY_FAILED
        no_freight = condition.type == "Ready" and condition.reason in _NO_FREIGHT
        if condition.status == "False" and (is_discovery or no_freight):
            return WarehouseProblem(condition, is_discovery, warehouse.uid, warehouse.discovered_at)
    return None


class WarehouseProblems:
    """The last problem of each Warehouse that has one. Thread-safe if each Warehouse changes in one thread."""

    def __init__(self) -> None:
        self._problems: dict[WarehouseKey, WarehouseProblem] = {}

    def on_change(self, resource: Resource, old: Any, new: Any) -> None:
        """Note a change in the cluster cache."""
        if isinstance(new, Warehouse):
            problem = self.of(new)
            if problem is not None:
                self._problems[new.key] = problem
            else:
                self._problems.pop(new.key, None)
        elif isinstance(old, Warehouse):
            self._problems.pop(old.key, None)

    def of(self, warehouse: Warehouse) -> WarehouseProblem | None:
        """Return the problem of a Warehouse, None if it has none."""
        return current_problem(warehouse, self._problems.get(warehouse.key))
