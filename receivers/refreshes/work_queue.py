"""What is followed, by Warehouse, and which Warehouse is to be looked at when. Safe to use from any thread."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from receivers.cluster.snapshot import WarehouseKey
from receivers.kargo.conditions import discovery_failure
from receivers.kargo.progress import is_handled
from receivers.kargo.resources import Warehouse
from receivers.refreshes.history import Followed

MOST: Final = (
    20_000  # refreshes followed by one process, in some 50 MB; others wait in the database for their turn
)
# Seconds from a change to the look at it: Kargo writes a status in two steps, and Freight comes beside them.
MOMENT: Final = 0.1
NEVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class Lane:
    """The refreshes of one Warehouse that have not ended, and the changes of it that nobody has looked at yet."""

    rows: dict[UUID, Followed] = field(default_factory=dict)
    changes: list[tuple[Warehouse, Warehouse]] = field(default_factory=list)
    due: float = NEVER

    def witness(self) -> None:
        """Tell every refresh what the changes say about it."""
        changes, self.changes = self.changes, []
        for old, new in changes:
            discovered = old.discovered_at != new.discovered_at
            failure = discovery_failure(new)
            for followed in self.rows.values():
                if is_handled(followed.request, new):
                    _witness(followed, old, discovered=discovered, failure=failure)


def _witness(followed: Followed, old: Warehouse, *, discovered: bool, failure: str) -> None:
    if failure:
        followed.failure = failure
    if discovered:
        followed.witnessed = True  # with the handling or after it: since we asked, in any case
    elif followed.witnessed is None and not is_handled(followed.request, old):
        followed.witnessed = False


class Lanes:
    """All lanes, and a queue of those that are due. Times are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lanes: dict[WarehouseKey, Lane] = {}
        self._queue: list[tuple[float, WarehouseKey]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def room(self) -> int:
        """Return how many more refreshes may be followed."""
        return max(0, MOST - self._count)

    def add(self, key: WarehouseKey, followed: Iterable[Followed], seconds: float) -> None:
        """Follow refreshes that are not followed yet, and look at the Warehouse in so many seconds at the latest."""
        with self._changed:
            lane = self._lanes.setdefault(key, Lane())
            for one in followed:
                self._count += one.refresh.pk not in lane.rows
                lane.rows.setdefault(one.refresh.pk, one)
            self._wake(key, lane, seconds)

    def note(self, key: WarehouseKey, old: Warehouse | None, new: Warehouse | None) -> None:
        """Take note of a change of a Warehouse, if it is followed."""
        if key not in self._lanes:
            return
        with self._changed:
            lane = self._lanes.get(key)
            if lane is None:
                return
            if old is not None and new is not None:
                lane.changes.append((old, new))
            self._wake(key, lane, MOMENT)

    def wake(self, key: WarehouseKey, seconds: float) -> None:
        """Look at a Warehouse, if it is followed, in so many seconds at the latest."""
        with self._changed:
            if (lane := self._lanes.get(key)) is not None:
                self._wake(key, lane, seconds)

    def take_due(self, most: int, patience: float) -> list[tuple[WarehouseKey, Lane]]:
        """Return at most so many lanes that are due; wait for one, `patience` seconds at most.

        They come again when they are woken again.
        """
        with self._changed:
            if not self._queue or self._queue[0][0] > time.monotonic():
                next_one = self._queue[0][0] - time.monotonic() if self._queue else patience
                self._changed.wait(min(patience, max(0.0, next_one)))
            now = time.monotonic()
            due: list[tuple[WarehouseKey, Lane]] = []
            while self._queue and self._queue[0][0] <= now and len(due) < most:
                at, key = heapq.heappop(self._queue)
                lane = self._lanes.get(key)
                if lane is not None and lane.due == at:  # else it was woken earlier, or has ended
                    lane.due = NEVER
                    due.append((key, lane))
            return due

    def rows(self, lane: Lane) -> list[Followed]:
        """Return the refreshes of a lane, each told what was witnessed."""
        with self._changed:
            lane.witness()
            return list(lane.rows.values())

    def of(self, key: WarehouseKey) -> list[Followed]:
        """Return the refreshes of a Warehouse that are followed."""
        with self._changed:
            lane = self._lanes.get(key)
            return list(lane.rows.values()) if lane else []

    def drop(self, key: WarehouseKey, ended: Iterable[Followed]) -> None:
        """Follow these refreshes of a Warehouse no more."""
        with self._changed:
            lane = self._lanes.get(key)
            if lane is None:
                return
            for one in ended:
                self._count -= lane.rows.pop(one.refresh.pk, None) is not None
            if not lane.rows:
                del self._lanes[key]

    def ids(self) -> list[UUID]:
        """Return the ids of all refreshes that are followed."""
        with self._changed:
            return [pk for lane in self._lanes.values() for pk in lane.rows]

    def leave(self, ids: Collection[UUID]) -> None:
        """Follow these refreshes no more, wherever they are."""
        unwanted = set(ids)
        with self._changed:
            for key, lane in list(self._lanes.items()):
                gone = lane.rows.keys() & unwanted
                for pk in gone:
                    del lane.rows[pk]
                self._count -= len(gone)
                if not lane.rows:
                    del self._lanes[key]

    def _wake(self, key: WarehouseKey, lane: Lane, seconds: float) -> None:
        due = time.monotonic() + seconds
        if due < lane.due:
            lane.due = due
            heapq.heappush(self._queue, (due, key))
            if self._queue[0][0] == due:
                self._changed.notify()
