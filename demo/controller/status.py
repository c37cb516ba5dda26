"""The status of a Warehouse during a reconciliation: set conditions as Kargo does, and compute the merge patch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from receivers.kargo.resources import REFRESH_ANNOTATION


class Status:
    """The status of a Warehouse. Changes go to `values`; `patch` returns what the cluster does not have yet."""

    def __init__(self, warehouse: Mapping[str, Any]) -> None:
        self._stored: dict[str, Any] = dict(warehouse.get("status") or {})
        self.values: dict[str, Any] = copy.deepcopy(self._stored)
        self.generation: int = warehouse["metadata"].get("generation", 0)
        self._token = (warehouse["metadata"].get("annotations") or {}).get(REFRESH_ANNOTATION)

    @property
    def artifacts(self) -> Mapping[str, Any] | None:
        """Return the result of the last discovery, or None."""
        artifacts = self.values.get("discoveredArtifacts")
        return artifacts if isinstance(artifacts, Mapping) else None

    def acknowledge_refresh(self) -> bool:
        """Set `lastHandledRefresh` to the refresh token. Return whether the token is new."""
        if self._token is not None:
            self.values["lastHandledRefresh"] = self._token
        return bool(self.values.get("lastHandledRefresh", "") != self._stored.get("lastHandledRefresh", ""))

    def set(self, type_: str, status: str, reason: str, message: str, now: str) -> None:
        """Set a condition. `now` is in RFC 3339."""
        conditions = self.values.setdefault("conditions", [])
        condition = {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": self.generation,
        }
        for number, previous in enumerate(conditions):
            if previous.get("type") == type_:
                # As Kargo's `conditions.Set`, which never updates the time of the first transition.
                conditions[number] = condition | {
                    "lastTransitionTime": previous.get("lastTransitionTime", now)
                }
                return
        conditions.append(condition | {"lastTransitionTime": now})

    def remove(self, *types: str) -> None:
        """Remove conditions."""
        conditions = self.values.get("conditions", ())
        self.values["conditions"] = [
            condition for condition in conditions if condition.get("type") not in types
        ]

    def patch(self, *fields: str) -> dict[str, Any]:
        """Return the merge patch that stores these fields, or all of them. It is empty if nothing has changed."""
        names = fields or tuple(self._stored | self.values)
        changed = {
            name: _merge_value(self._stored.get(name), self.values.get(name))
            for name in names
            if self._stored.get(name) != self.values.get(name)
        }
        return {"status": changed} if changed else {}

    def mark_stored(self, status: Mapping[str, Any]) -> None:
        """Set the status that the API server has."""
        self._stored = dict(status)


def _merge_value(old: Any, new: Any) -> Any:
    """Return the merge patch that turns `old` into `new`. Removed keys are null."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {key: None for key in old if key not in new} | dict(new)
    return new
