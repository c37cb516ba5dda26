"""The refreshes that are tracked, by Warehouse, and the queue of Warehouses to assess. Safe to use from any thread."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from receivers.kargo.conditions import discovery_failure
from receivers.kargo.progress import is_handled
from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.refreshes.history import TrackedRefresh

# Refreshes that one process tracks, in some 50 MB. The others stay in the database until there is room.
CAPACITY: Final = 20_000
# Seconds from a change to the assessment: Kargo writes a status in two steps, and Freight arrives by another watch.
SETTLE_SECONDS: Final = 0.1
NEVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class WarehouseQueue:
    """The tracked refreshes of one Warehouse, its changes since the last assessment, and when the next one is due."""

    refreshes: dict[UUID, TrackedRefresh] = field(default_factory=dict)
    changes: list[tuple[Warehouse, Warehouse]] = field(default_factory=list)
    due: float = NEVER

    def apply_changes(self) -> None:
        """Record in every refresh what the changes show about it."""
        changes, self.changes = self.changes, []
        for old, new in changes:
            discovered = old.discovered_at != new.discovered_at
            failure = discovery_failure(new)
            for tracked in self.refreshes.values():
                if is_handled(tracked.request, new):
                    _witness(tracked, old, discovered=discovered, failure=failure)


def _witness(tracked: TrackedRefresh, old: Warehouse, *, discovered: bool, failure: str) -> None:
    # Kargo's next reconciliation removes the failure from the conditions, so this may be the only chance to see it.
    if failure:
        tracked.failure = failure
    if discovered:
        tracked.witnessed = True  # together with the handling or after it; in both cases since the request
    elif tracked.witnessed is None and not is_handled(tracked.request, old):
        tracked.witnessed = False


class WorkQueue:
    """All Warehouses with tracked refreshes, by the time when they are due, in seconds of `time.monotonic`.

    A Warehouse that becomes due earlier is pushed again; the outdated entry in the heap is skipped when it is popped.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._warehouses: dict[WarehouseKey, WarehouseQueue] = {}
        self._heap: list[tuple[float, WarehouseKey]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def room(self) -> int:
        """Return how many more refreshes can be tracked."""
        return max(0, CAPACITY - self._count)

    def add(self, key: WarehouseKey, refreshes: Iterable[TrackedRefresh], seconds: float) -> None:
        """Track refreshes of a Warehouse, unless they are tracked already; it is due in `seconds` at the latest."""
        with self._changed:
            queue = self._warehouses.setdefault(key, WarehouseQueue())
            for tracked in refreshes:
                self._count += tracked.refresh.pk not in queue.refreshes
                queue.refreshes.setdefault(tracked.refresh.pk, tracked)
            self._schedule(key, queue, seconds)

    def add_change(self, key: WarehouseKey, old: Warehouse | None, new: Warehouse | None) -> None:
        """Remember a change of a Warehouse for its next assessment, which is due soon. Ignores other Warehouses."""
        # Without the lock: this is called for every change in the cluster, and most Warehouses have no refresh.
        if key not in self._warehouses:
            return
        with self._changed:
            queue = self._warehouses.get(key)
            if queue is None:
                return
            if old is not None and new is not None:
                queue.changes.append((old, new))
            self._schedule(key, queue, SETTLE_SECONDS)

    def schedule(self, key: WarehouseKey, seconds: float) -> None:
        """Make a Warehouse due in `seconds` at the latest. Ignores those without tracked refreshes."""
        with self._changed:
            if (queue := self._warehouses.get(key)) is not None:
                self._schedule(key, queue, seconds)

    def take_due(self, limit: int, timeout: float) -> list[tuple[WarehouseKey, WarehouseQueue]]:
        """Return at most `limit` Warehouses that are due; wait for the first one, `timeout` seconds at most.

        A Warehouse is returned again only after it was scheduled again.
        """
        with self._changed:
            if not self._heap or self._heap[0][0] > time.monotonic():
                next_due = self._heap[0][0] - time.monotonic() if self._heap else timeout
                self._changed.wait(min(timeout, max(0.0, next_due)))
            now = time.monotonic()
            due: list[tuple[WarehouseKey, WarehouseQueue]] = []
            while self._heap and self._heap[0][0] <= now and len(due) < limit:
                at, key = heapq.heappop(self._heap)
                queue = self._warehouses.get(key)
                if queue is not None and queue.due == at:  # else the entry is outdated
                    queue.due = NEVER
                    due.append((key, queue))
            return due

    def refreshes_to_assess(self, queue: WarehouseQueue) -> list[TrackedRefresh]:
        """Return the refreshes of a Warehouse after applying its changes to them."""
        with self._changed:
            queue.apply_changes()
            return list(queue.refreshes.values())

    def of(self, key: WarehouseKey) -> list[TrackedRefresh]:
        """Return the tracked refreshes of a Warehouse."""
        with self._changed:
            queue = self._warehouses.get(key)
            return list(queue.refreshes.values()) if queue else []

    def remove(self, key: WarehouseKey, refreshes: Iterable[TrackedRefresh]) -> None:
        """Stop tracking these refreshes of a Warehouse."""
        with self._changed:
            queue = self._warehouses.get(key)
            if queue is None:
                return
            for tracked in refreshes:
                self._count -= queue.refreshes.pop(tracked.refresh.pk, None) is not None
            if not queue.refreshes:
                del self._warehouses[key]

    def ids(self) -> list[UUID]:
        """Return the ids of all tracked refreshes."""
        with self._changed:
            return [pk for queue in self._warehouses.values() for pk in queue.refreshes]

    def remove_ids(self, ids: Collection[UUID]) -> None:
        """Stop tracking these refreshes, whichever Warehouse they belong to."""
        unwanted = set(ids)
        with self._changed:
            for key, queue in list(self._warehouses.items()):
                removed = queue.refreshes.keys() & unwanted
                for pk in removed:
                    del queue.refreshes[pk]
                self._count -= len(removed)
                if not queue.refreshes:
                    del self._warehouses[key]

    def _schedule(self, key: WarehouseKey, queue: WarehouseQueue, seconds: float) -> None:
        due = time.monotonic() + seconds
        if due < queue.due:
            queue.due = due
            heapq.heappush(self._heap, (due, key))
            if self._heap[0][0] == due:
                self._changed.notify()
