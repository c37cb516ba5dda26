"""The refreshes that are tracked, by Warehouse, and the queue of Warehouses to assess. Safe to use from any thread.

What a change of a Warehouse costs does not depend on how many refreshes wait for Kargo to handle them, or for their
next attempt: a change is compared with the attempts, and the refreshes that it concerns are found by attempt or tag.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final
from uuid import UUID

from django.utils import timezone

from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.refreshes.attempts import NEVER, Attempt, TrackedRefresh, WarehouseAttempts

# Refreshes that one process tracks, in some 50 MB. The others stay in the database until there is room.
CAPACITY: Final = 20_000
# Seconds from a change to the assessment: Kargo writes a status in two steps, and Freight arrives by another watch.
SETTLE_SECONDS: Final = 0.1
# Seconds for which a Warehouse without refreshes is kept after a patch: the refreshes that share it come afterwards.
LINGER_SECONDS: Final = 60.0

_Place = dict[UUID, TrackedRefresh]


@dataclass(slots=True)
class DueWarehouse:
    """A Warehouse to assess: the refreshes that have to be looked at, and whether the others may have got their tag."""

    key: WarehouseKey
    attempts: WarehouseAttempts
    refreshes: list[TrackedRefresh]
    tags_changed: bool


@dataclass(slots=True, eq=False)
class _TrackedWarehouse:
    """The tracked refreshes of one Warehouse.

    Each is in one place: with its attempt until Kargo handles that, then in `waiting`, where any change may concern it,
    or, while an attempt is planned, in `planned` under its tag. `fresh` are those to assess next.
    """

    attempts: WarehouseAttempts = field(default_factory=WarehouseAttempts)
    refreshes: _Place = field(default_factory=dict)
    waiting: _Place = field(default_factory=dict)
    planned: dict[str, _Place] = field(default_factory=dict)
    fresh: _Place = field(default_factory=dict)
    tags_changed: bool = False
    timers: list[tuple[float, int, UUID]] = field(default_factory=list)
    due: float = NEVER
    lingers_until: float = 0.0

    def put(self, tracked: TrackedRefresh, place: _Place) -> None:
        """Move a refresh to a place, unless it is there."""
        if tracked.place is not place:
            self.take(tracked)
            tracked.place = place
            place[tracked.refresh.pk] = tracked

    def take(self, tracked: TrackedRefresh) -> None:
        """Take a refresh from its place, and drop the place if nothing needs it any more."""
        if tracked.place is None:
            return
        tracked.place.pop(tracked.refresh.pk, None)
        if not tracked.place:
            attempt = tracked.attempt
            if attempt is not None and tracked.place is attempt.refreshes:
                self.attempts.discard(attempt)
            tag = tag_key(tracked.push.tag)
            if tracked.place is self.planned.get(tag):
                del self.planned[tag]
        tracked.place = None

    def apply(self, old: Warehouse | None, new: Warehouse | None) -> None:
        """Note a change, and which refreshes it concerns."""
        if new is None or old is None or old.generation != new.generation:
            self.fresh.update(self.refreshes)  # it was deleted or created, or its subscriptions may differ
        if new is None:
            return
        for attempt in self.attempts.apply(old, new, timezone.now()):
            # Before they move to `waiting`, which empties `attempt.refreshes`.
            self.fresh.update(attempt.refreshes)
            if attempt.handled_at is not None:
                for tracked in list(attempt.refreshes.values()):
                    self.put(tracked, self.waiting)
        self.fresh.update(self.waiting)
        if self.planned and (old is None or _may_show_tags(old, new)):
            self.tags_changed = True

    def take_fresh(self, now: float) -> list[TrackedRefresh]:
        """Return the refreshes to assess, with those whose time has come."""
        while self.timers and self.timers[0][0] <= now:
            due, _, pk = heapq.heappop(self.timers)
            tracked = self.refreshes.get(pk)
            if tracked is not None and tracked.due == due:  # else the entry is outdated
                tracked.due = NEVER
                self.fresh[pk] = tracked
        fresh, self.fresh = self.fresh, {}
        return list(fresh.values())


class WorkQueue:
    """All Warehouses with tracked refreshes, by the time when they are due, in seconds of `time.monotonic`.

    A Warehouse that becomes due earlier is pushed again; the outdated entry in the heap is skipped when it is popped.
    `known` returns a Warehouse from the cache.
    """

    def __init__(self, known: Callable[[WarehouseKey], Warehouse | None]) -> None:
        self._known = known
        self._changed = threading.Condition()
        self._warehouses: dict[WarehouseKey, _TrackedWarehouse] = {}
        self._heap: list[tuple[float, WarehouseKey]] = []
        self._serial = count()
        self._count = 0

    def __len__(self) -> int:
        """Return the number of tracked refreshes."""
        return self._count

    @property
    def room(self) -> int:
        """Return how many more refreshes can be tracked."""
        return max(0, CAPACITY - self._count)

    def begin(self, attempt: Attempt) -> None:
        """Follow an attempt that is about to be sent."""
        with self._changed:
            warehouse = self._warehouses.setdefault(attempt.key, _TrackedWarehouse())
            warehouse.attempts.add(attempt)
            # Nothing is tracked yet. Without this, a change that comes before the refreshes would be missed.
            warehouse.lingers_until = time.monotonic() + LINGER_SECONDS
            self._schedule(attempt.key, warehouse, LINGER_SECONDS)

    def discard(self, attempt: Attempt) -> None:
        """Forget an attempt that was not accepted."""
        with self._changed:
            if (warehouse := self._warehouses.get(attempt.key)) is not None:
                warehouse.attempts.discard(attempt)

    def add(self, tracked: TrackedRefresh, seconds: float) -> None:
        """Track a refresh, unless it is tracked already. It is assessed in `seconds` at the latest.

        Its attempt, if it has one, is new to the queue or was begun here.
        """
        with self._changed:
            warehouse = self._warehouses.setdefault(tracked.key, _TrackedWarehouse())
            if tracked.refresh.pk in warehouse.refreshes:
                return
            warehouse.refreshes[tracked.refresh.pk] = tracked
            self._count += 1
            self._settle(warehouse, tracked, seconds)

    def restore(self, attempt: Attempt) -> None:
        """Follow an attempt that was sent by a process before this one, or by this one before a restart."""
        with self._changed:
            warehouse = self._warehouses.setdefault(attempt.key, _TrackedWarehouse())
            warehouse.attempts.restore(attempt, self._known(attempt.key), timezone.now())

    def settle(self, tracked: TrackedRefresh, seconds: float) -> None:
        """Put a refresh back after an assessment or an attempt. It is assessed again in `seconds` at the latest."""
        with self._changed:
            warehouse = self._warehouses.get(tracked.key)
            if warehouse is not None and tracked.refresh.pk in warehouse.refreshes:
                self._settle(warehouse, tracked, seconds)

    def add_change(self, key: WarehouseKey, old: Warehouse | None, new: Warehouse | None) -> None:
        """Note a change of a Warehouse for its next assessment, which is due soon. Ignores other Warehouses."""
        # Without the lock: this is called for every change in the cluster, and most Warehouses have no refresh.
        if key not in self._warehouses:
            return
        with self._changed:
            warehouse = self._warehouses.get(key)
            if warehouse is None:
                return
            warehouse.apply(old, new)
            if warehouse.fresh or warehouse.tags_changed:
                self._schedule(key, warehouse, SETTLE_SECONDS)

    def add_annotation(self, key: WarehouseKey, token: str) -> None:
        """Note that the refresh annotation of a Warehouse has a new token. Ignores other Warehouses."""
        if key not in self._warehouses:
            return
        with self._changed:
            if (warehouse := self._warehouses.get(key)) is not None:
                warehouse.attempts.note_annotation(token)

    def add_freight(self, key: WarehouseKey, tags: Iterable[str]) -> None:
        """Note that a Warehouse has new Freight with these tags."""
        with self._changed:
            warehouse = self._warehouses.get(key)
            if warehouse is None:
                return
            warehouse.fresh.update(warehouse.waiting)
            for tag in ("", *tags):
                warehouse.fresh.update(warehouse.planned.get(tag_key(tag), {}))
            if warehouse.fresh:
                self._schedule(key, warehouse, SETTLE_SECONDS)

    def postpone(self, due: DueWarehouse, seconds: float) -> None:
        """Assess the rest of a Warehouse again in `seconds`."""
        with self._changed:
            warehouse = self._warehouses.get(due.key)
            if warehouse is None:
                return
            for tracked in due.refreshes:
                if tracked.refresh.pk in warehouse.refreshes:
                    warehouse.fresh[tracked.refresh.pk] = tracked
            warehouse.tags_changed |= due.tags_changed
            self._schedule(due.key, warehouse, seconds)

    def take_due(self, limit: int, timeout: float) -> list[DueWarehouse]:
        """Return at most `limit` Warehouses that are due; wait for the first one, `timeout` seconds at most."""
        with self._changed:
            # It may wake up early or for an outdated entry; then nothing is taken, and the caller comes again.
            if not self._heap or self._heap[0][0] > time.monotonic():
                next_due = self._heap[0][0] - time.monotonic() if self._heap else timeout
                self._changed.wait(min(timeout, max(0.0, next_due)))
            now = time.monotonic()
            taken: list[DueWarehouse] = []
            while self._heap and self._heap[0][0] <= now and len(taken) < limit:
                at, key = heapq.heappop(self._heap)
                warehouse = self._warehouses.get(key)
                if warehouse is None or warehouse.due != at:
                    continue  # the entry is outdated
                warehouse.due = NEVER
                fresh = warehouse.take_fresh(now)
                if fresh or warehouse.tags_changed:
                    taken.append(DueWarehouse(key, warehouse.attempts, fresh, warehouse.tags_changed))
                    warehouse.tags_changed = False
                self._reschedule(key, warehouse, now)
            return taken

    def planned(self, key: WarehouseKey, tags: Collection[str]) -> list[TrackedRefresh]:
        """Return the refreshes of a Warehouse with a planned attempt whose pushed tag is one of `tags`, or unknown."""
        with self._changed:
            if (warehouse := self._warehouses.get(key)) is None:
                return []
            wanted = {tag_key(tag) for tag in ("", *tags)}
            return [
                tracked
                for tag in wanted & warehouse.planned.keys()
                for tracked in warehouse.planned[tag].values()
            ]

    def planned_until(self, key: WarehouseKey, at: datetime) -> list[TrackedRefresh]:
        """Return the refreshes of a Warehouse with an attempt that is planned for `at` or earlier."""
        with self._changed:
            if (warehouse := self._warehouses.get(key)) is None:
                return []
            return [
                tracked
                for place in warehouse.planned.values()
                for tracked in place.values()
                if tracked.refresh.next_attempt_at is not None and tracked.refresh.next_attempt_at <= at
            ]

    def with_failed_requests(self) -> dict[WarehouseKey, list[TrackedRefresh]]:
        """Return the refreshes that wait because the API server did not accept their last request, by Warehouse."""
        with self._changed:
            failed = {
                key: [
                    tracked
                    for place in warehouse.planned.values()
                    for tracked in place.values()
                    if tracked.refresh.failed_requests
                ]
                for key, warehouse in self._warehouses.items()
            }
        return {key: refreshes for key, refreshes in failed.items() if refreshes}

    def remove(self, refreshes: Iterable[TrackedRefresh]) -> None:
        """Stop tracking these refreshes."""
        with self._changed:
            for tracked in refreshes:
                self._remove(tracked)

    def ids(self) -> list[UUID]:
        """Return the ids of all tracked refreshes."""
        with self._changed:
            return [pk for warehouse in self._warehouses.values() for pk in warehouse.refreshes]

    def remove_ids(self, ids: Collection[UUID]) -> None:
        """Stop tracking these refreshes, whichever Warehouse they belong to."""
        with self._changed:
            for warehouse in list(self._warehouses.values()):
                for pk in warehouse.refreshes.keys() & ids:
                    self._remove(warehouse.refreshes[pk])

    def _remove(self, tracked: TrackedRefresh) -> None:
        warehouse = self._warehouses.get(tracked.key)
        if warehouse is None or warehouse.refreshes.pop(tracked.refresh.pk, None) is None:
            return
        self._count -= 1
        warehouse.take(tracked)
        warehouse.fresh.pop(tracked.refresh.pk, None)
        self._drop_if_unused(tracked.key, warehouse, time.monotonic())

    def _settle(self, warehouse: _TrackedWarehouse, tracked: TrackedRefresh, seconds: float) -> None:
        attempt = tracked.attempt
        if tracked.refresh.next_attempt_at is not None:
            place = warehouse.planned.setdefault(tag_key(tracked.push.tag), {})
        elif attempt is None or attempt.handled_at is not None:
            place = warehouse.waiting
        else:
            place = attempt.refreshes
        warehouse.put(tracked, place)
        if attempt is not None and attempt.handled_at is not None and tracked.refresh.handled_at is None:
            # Kargo was faster than this process, so no further change may trigger an assessment.
            warehouse.fresh[tracked.refresh.pk] = tracked
            seconds = SETTLE_SECONDS
        tracked.due = NEVER
        if seconds < NEVER:
            tracked.due = time.monotonic() + seconds
            heapq.heappush(warehouse.timers, (tracked.due, next(self._serial), tracked.refresh.pk))
        self._schedule(tracked.key, warehouse, seconds)

    def _schedule(self, key: WarehouseKey, warehouse: _TrackedWarehouse, seconds: float) -> None:
        self._schedule_at(key, warehouse, time.monotonic() + seconds)

    def _schedule_at(self, key: WarehouseKey, warehouse: _TrackedWarehouse, due: float) -> None:
        if due < warehouse.due:
            warehouse.due = due
            heapq.heappush(self._heap, (due, key))
            if self._heap[0][0] == due:  # otherwise the thread that waits wakes up earlier anyway
                self._changed.notify()

    def _reschedule(self, key: WarehouseKey, warehouse: _TrackedWarehouse, now: float) -> None:
        """Schedule what is left after an assessment: the next timer, or the end of an unused Warehouse."""
        if self._drop_if_unused(key, warehouse, now):
            return
        next_timer = warehouse.timers[0][0] if warehouse.timers else NEVER
        linger = warehouse.lingers_until if warehouse.lingers_until > now else NEVER
        self._schedule_at(key, warehouse, min(next_timer, linger))

    def _drop_if_unused(self, key: WarehouseKey, warehouse: _TrackedWarehouse, now: float) -> bool:
        if warehouse.refreshes or warehouse.lingers_until > now:
            return False
        # Attempts that nobody waits for may be left: their senders had given up before the API server accepted them.
        del self._warehouses[key]
        return True


def _may_show_tags(old: Warehouse, new: Warehouse) -> bool:
    """Say whether Kargo may have discovered other tags. `discoveredAt` has whole seconds, so it may be the same."""
    return (old.discovered_at, old.last_handled_refresh) != (new.discovered_at, new.last_handled_refresh)


def tag_key(tag: str) -> str:
    """Return a tag in the spelling that a chart version and its tag in an OCI registry share: 1.0.0+x is 1.0.0_x."""
    return tag.replace("+", "_")
