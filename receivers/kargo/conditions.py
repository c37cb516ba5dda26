"""Reads the conditions of a Warehouse.

Source: Kargo's `api/v1alpha1/conditions.go` and its Warehouse controller.
"""

from __future__ import annotations

from typing import Final

from receivers.kargo.resources import Condition, Warehouse

MISSING_ARTIFACTS: Final = frozenset(
    {"MissingCommits", "MissingImageReferences", "MissingChartVersions", "MissingArtifacts"}
)
"""Reasons of a false Ready condition: a subscription has no artifact."""

CREATION_FAILED: Final = frozenset({"FreightBuildFailure", "FreightCreationFailure"})
"""Reasons of a false Ready condition: Kargo could not create Freight."""


def find_condition(warehouse: Warehouse, type_: str) -> Condition | None:
    """Return the condition of this type, or None."""
    return next((condition for condition in warehouse.conditions if condition.type == type_), None)


def has_condition(warehouse: Warehouse, type_: str, status: str, *reasons: str) -> bool:
    """Say whether the Warehouse has a condition of this type with this status and one of these reasons."""
    condition = find_condition(warehouse, type_)
    return condition is not None and condition.status == status and condition.reason in reasons


def discovery_failure(warehouse: Warehouse) -> str:
    """Return Kargo's message if the last discovery failed and the Warehouse still says so; otherwise empty."""
    healthy = find_condition(warehouse, "Healthy")
    if healthy is None or healthy.status != "False" or healthy.reason != "DiscoveryFailed":
        return ""
    return healthy.message.removeprefix("Unable to discover artifacts: ")


def is_discovering(warehouse: Warehouse) -> bool:
    """Say whether Kargo is discovering artifacts for the Warehouse now."""
    return has_condition(warehouse, "Reconciling", "True", "ScheduledDiscovery")
