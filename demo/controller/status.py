"""A Warehouse's status while the controller works on it: conditions as Kargo sets them, and the patch that results."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from receivers.kargo.resources import REFRESH_ANNOTATION


class Status:
    """The status of one Warehouse, changed in memory. `values` is what it is to become."""

    def __init__(self, warehouse: Mapping[str, Any]) -> None:
        self._stored: dict[str, Any] = dict(warehouse.get("status") or {})
        self.values: dict[str, Any] = copy.deepcopy(self._stored)
        self.generation: int = warehouse["metadata"].get("generation", 0)
        self._token = (warehouse["metadata"].get("annotations") or {}).get(REFRESH_ANNOTATION)

    @property
    def artifacts(self) -> Mapping[str, Any] | None:
        """Return what was discovered last, or None."""
        found = self.values.get("discoveredArtifacts")
        return found if isinstance(found, Mapping) else None

    def take_token(self) -> bool:
        """Record the refresh token as handled; say whether it is a new one."""
        if self._token is not None:
            self.values["lastHandledRefresh"] = self._token
        return bool(self.values.get("lastHandledRefresh", "") != self._stored.get("lastHandledRefresh", ""))

    def set(self, type_: str, status: str, reason: str, message: str, now: str) -> None:
        """Set a condition; `now` is RFC 3339."""
        conditions = self.values.setdefault("conditions", [])
        wanted = {
            "type": type_,
            "status": status,
            "reason": reason,
            "message": message,
            "observedGeneration": self.generation,
        }
        for number, present in enumerate(conditions):
            if present.get("type") == type_:
                # As in Kargo, whose `conditions.Set` keeps the time of the first transition for ever.
                conditions[number] = wanted | {"lastTransitionTime": present.get("lastTransitionTime", now)}
                return
        conditions.append(wanted | {"lastTransitionTime": now})

    def drop(self, *types: str) -> None:
        """Remove conditions."""
        kept = [one for one in self.values.get("conditions", ()) if one.get("type") not in types]
        self.values["conditions"] = kept

    def patch(self, *fields: str) -> dict[str, Any]:
        """Return the merge patch that stores these fields, or all; empty if nothing has changed."""
        names = fields or tuple(self._stored | self.values)
        changed = {
            name: _merging(self._stored.get(name), self.values.get(name))
            for name in names
            if self._stored.get(name) != self.values.get(name)
        }
        return {"status": changed} if changed else {}

    def stored(self, status: Mapping[str, Any]) -> None:
        """Note that the API server has this status now."""
        self._stored = dict(status)


def _merging(old: Any, new: Any) -> Any:
    """Return what turns `old` into `new` in a merge patch: members that are gone are named."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return {key: None for key in old if key not in new} | dict(new)
    return new
