"""What the conditions of a Warehouse say. Source: Kargo's `api/v1alpha1/conditions.go` and its Warehouse controller."""

from __future__ import annotations

from receivers.kargo.resources import Condition, Warehouse


def condition(warehouse: Warehouse, type_: str) -> Condition | None:
    """Return the condition of that type."""
    return next((one for one in warehouse.conditions if one.type == type_), None)


def says(warehouse: Warehouse, type_: str, status: str, *reasons: str) -> bool:
    """Say whether it has the condition of that type, with that status and one of these reasons."""
    found = condition(warehouse, type_)
    return found is not None and found.status == status and found.reason in reasons


def discovery_failure(warehouse: Warehouse) -> str:
    """Return Kargo's message if its last discovery of the Warehouse failed and it still says so; else nothing."""
    healthy = condition(warehouse, "Healthy")
    if healthy is None or healthy.status != "False" or healthy.reason != "DiscoveryFailed":
        return ""
    return healthy.message.removeprefix("Unable to discover artifacts: ")
