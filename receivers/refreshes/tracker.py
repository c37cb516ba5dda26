"""Tracks refreshes: assesses a Warehouse when the watch reports a change of it, or when a phase times out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.freight_watch import FreightWatch
from receivers.deliveries.log_writer import LogWriter, NotStored, Write, is_unavailable
from receivers.kargo.artifacts import Freight
from receivers.kargo.progress import assess, is_handled
from receivers.kargo.progress_states import Ended, Lookup, LookupNeeded, Progress, RetryNeeded, Waiting
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.resources import WAREHOUSES, Resource, Warehouse, WarehouseKey
from receivers.models import Delivery, Refresh
from receivers.refreshes.history import (
    TrackedRefresh,
    record_end,
    record_progress,
    record_retry,
    record_retry_needed,
    record_waiting,
)
from receivers.refreshes.lookups import ClusterLookups, LookupResult
from receivers.refreshes.retry_policy import RetryPolicy
from receivers.refreshes.rollup import update_deliveries
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.work_queue import NEVER, SETTLE_SECONDS, WarehouseQueue, WorkQueue

log = logging.getLogger(__name__)

BATCH: Final = 200  # Warehouses in one round
MAX_ASSESSMENTS: Final = 4  # of one Warehouse in one round; each may need one more lookup
IDLE_SECONDS: Final = 0.25  # to wait for due work; short, so that the process can stop
RETRY_SECONDS: Final = (
    10.0  # for the patches of one round; the next assessment sees the result of slower ones
)
POSTPONE_SECONDS: Final = 5.0  # until the next assessment if the cluster does not respond
ROWS_PER_WRITE: Final = 500
SHARED_WITHIN: Final = timedelta(seconds=30)  # a retry also serves refreshes that are due this soon


@dataclass(slots=True)
class _Round:
    """The results of one round: rows to store, and Warehouses to refresh again."""

    now: datetime
    changed: dict[UUID, TrackedRefresh] = field(default_factory=dict)
    retries: set[WarehouseKey] = field(default_factory=set)


class Tracker:
    """Tracks refreshes until they end. Only one thread may call `work`; all else is safe to call from any thread."""

    def __init__(
        self,
        *,
        cache: ClusterCache,
        freight: FreightWatch,
        sender: RefreshSender,
        writer: LogWriter,
        policy: RetryPolicy,
        owner: UUID,
    ) -> None:
        self._cache = cache
        self._sender = sender
        self._writer = writer
        self._policy = policy
        self._owner = owner
        self._queue = WorkQueue()
        self._lookups = ClusterLookups(cache.cluster, freight)
        self._end_listeners: list[Callable[[Refresh], None]] = []
        self._not_stored: dict[UUID, Refresh] = {}
        self._lock = threading.Lock()  # of `_not_stored`, which the writer's thread fills

    @property
    def room(self) -> int:
        """Return how many more refreshes this process can track."""
        return self._queue.room

    def __len__(self) -> int:
        """Return the number of tracked refreshes."""
        return len(self._queue)

    def track_new(self, delivery: Delivery, refreshes: Iterable[Refresh]) -> None:
        """Track the refreshes that were just requested for a delivery, as far as there is room, and own them.

        The others have no owner, and a process that has room takes them over.
        """
        for refresh in refreshes:
            if refresh.state == RefreshState.REQUESTED and self._queue.room:
                refresh.owner = self._owner
                self.track([TrackedRefresh.from_row(refresh, delivery)])

    def track(self, refreshes: Iterable[TrackedRefresh]) -> None:
        """Track refreshes. Those that are tracked already stay as they are."""
        for tracked in refreshes:
            key = (tracked.refresh.project, tracked.refresh.warehouse)
            self._queue.add(key, [tracked], self._policy.handled_within)
            # If Kargo was faster than this process, no further change will trigger an assessment. The check has to come
            # after `add`: every change from then on does trigger one, so none falls into a gap.
            warehouse = self._cache.warehouse(*key)
            if warehouse is None or is_handled(tracked.request, warehouse):
                self._queue.schedule(key, SETTLE_SECONDS)

    def on_change(self, resource: Resource, old: Warehouse | None, new: Warehouse | None) -> None:
        """Schedule an assessment after a change in the cluster cache that matters to a refresh."""
        if resource is WAREHOUSES and _is_relevant(old, new):
            warehouse = new or old
            if warehouse is not None:
                self._queue.add_change(warehouse.key, old, new)

    def on_freight(self, freight: Freight) -> None:
        """Schedule an assessment of the Warehouse of new Freight."""
        self._queue.schedule((freight.project, freight.warehouse), SETTLE_SECONDS)

    def tracked_ids(self) -> list[UUID]:
        """Return the ids of all tracked refreshes."""
        return self._queue.ids()

    def release(self, ids: Collection[UUID]) -> None:
        """Stop tracking these refreshes and do not store them: another process owns them."""
        self._queue.remove_ids(ids)
        with self._lock:
            for pk in ids:
                self._not_stored.pop(pk, None)

    def add_end_listener(self, listener: Callable[[Refresh], None]) -> None:
        """Call `listener` for every refresh that ends while this process tracks it. Add listeners before the start."""
        self._end_listeners.append(listener)

    def stop(self) -> None:
        """Start no more lookups."""
        self._lookups.stop()

    def work(self) -> bool:
        """Assess the Warehouses that are due; wait for them briefly. Always returns True: there may be more."""
        due = self._queue.take_due(BATCH, IDLE_SECONDS)
        if due:
            self._run_round(due)
        if self._not_stored and not self._writer.stuck:
            with self._lock:
                rows, self._not_stored = list(self._not_stored.values()), {}
            self._store(rows)
        return True

    def _run_round(self, due: Sequence[tuple[WarehouseKey, WarehouseQueue]]) -> None:
        if not self._cache.ready:
            self._postpone(key for key, _ in due)
            return
        round_ = _Round(timezone.now())
        try:
            self._assess_all(round_, due)
            self._retry(round_)
        finally:
            # What was recorded before an error is true and must not be lost.
            self._store([tracked.refresh for tracked in round_.changed.values()])

    def _assess_all(self, round_: _Round, due: Sequence[tuple[WarehouseKey, WarehouseQueue]]) -> None:
        """Assess these Warehouses, and again those that needed a lookup."""
        queues = dict(due)
        results = {key: LookupResult() for key, _ in due}
        for _ in range(MAX_ASSESSMENTS):
            lookups = {
                key: self._assess_safely(round_, key, queues[key], result) for key, result in results.items()
            }
            needed = {key: (results[key], lookup) for key, lookup in lookups.items() if lookup is not None}
            if not needed:
                return
            failed = self._lookups.look_up(needed)
            self._postpone(failed)
            results = {key: result for key, (result, _) in needed.items() if key not in failed}
        self._postpone(results)  # these Warehouses change faster than they can be assessed

    def _assess_safely(
        self, round_: _Round, key: WarehouseKey, queue: WarehouseQueue, result: LookupResult
    ) -> Lookup | None:
        """Assess one Warehouse; an unexpected error must not affect the others."""
        try:
            return self._assess(round_, key, queue, result)
        except Exception:
            log.exception("failed to assess the refreshes of Warehouse %s/%s", *key)
            self._postpone([key])
            return None

    def _assess(
        self, round_: _Round, key: WarehouseKey, queue: WarehouseQueue, result: LookupResult
    ) -> Lookup | None:
        """Bring all refreshes of a Warehouse up to date; return the lookup that is needed first, None if none is."""
        refreshes = self._queue.refreshes_to_assess(queue)
        warehouse = result.warehouse or (None if result.gone else self._cache.warehouse(*key))
        lookups: set[Lookup] = set()
        next_due = NEVER
        for tracked in refreshes:
            if warehouse is None:
                progress = Progress(Ended(RefreshOutcome.WAREHOUSE_DELETED, "the Warehouse was deleted"))
            else:
                observed = self._lookups.observe(warehouse, result, tracked.request)
                progress = assess(tracked.request, observed)
            if isinstance(progress.state, LookupNeeded):
                lookups.add(progress.state.lookup)
                continue
            next_due = min(next_due, self._record(round_, tracked, progress, result))
        self._remove_ended(key, refreshes)
        if next_due < NEVER:
            self._queue.schedule(key, next_due)
        # One lookup at a time, the cheapest first: its result may make the others unnecessary.
        return min(lookups, key=list(Lookup).index, default=None)

    def _record(
        self, round_: _Round, tracked: TrackedRefresh, progress: Progress, result: LookupResult
    ) -> float:
        """Write the progress into the row; return the seconds until this refresh must be assessed again."""
        now, state = round_.now, progress.state
        changed = record_progress(tracked, progress, now)
        if isinstance(state, Waiting):
            seconds = self._seconds_to_timeout(tracked, state, now)
            if seconds > 0:
                changed = record_waiting(tracked, state.reason) or changed
                self._mark(round_, tracked, changed=changed)
                return seconds
            state = state.on_timeout
        if isinstance(state, Ended):
            record_end(tracked, state, now)
            changed = True
        elif isinstance(state, RetryNeeded):
            freight = self._lookups.freight_of(tracked.refresh, result)
            changed = record_retry_needed(tracked, state, freight, self._policy, now) or changed
        self._mark(round_, tracked, changed=changed)
        return self._seconds_to_retry(round_, tracked.refresh)

    def _remove_ended(self, key: WarehouseKey, refreshes: Iterable[TrackedRefresh]) -> None:
        """Stop tracking the refreshes that have ended, and notify the listeners."""
        ended = [tracked for tracked in refreshes if tracked.refresh.state == RefreshState.ENDED]
        self._queue.remove(key, ended)
        for tracked in ended:
            for listener in self._end_listeners:
                listener(tracked.refresh)

    def _seconds_to_retry(self, round_: _Round, refresh: Refresh) -> float:
        """Return the seconds until the next retry, `NEVER` if there is none; add one that is due to the round."""
        if refresh.next_attempt_at is None:
            return NEVER
        seconds = (refresh.next_attempt_at - round_.now).total_seconds()
        if seconds > 0:
            return seconds
        round_.retries.add((refresh.project, refresh.warehouse))
        return NEVER  # `_retry` schedules the Warehouse

    def _seconds_to_timeout(self, tracked: TrackedRefresh, waiting: Waiting, now: datetime) -> float:
        deadline = tracked.deadline(waiting, self._policy)
        left = (deadline - now).total_seconds() if deadline else 0.0
        # While the watch is down, Kargo may have responded without this process knowing: then nothing times out.
        return left if left > 0 or self._cache.is_current else POSTPONE_SECONDS

    def _mark(self, round_: _Round, tracked: TrackedRefresh, *, changed: bool) -> None:
        if changed:
            round_.changed[tracked.refresh.pk] = tracked

    def _retry(self, round_: _Round) -> None:
        """Refresh Warehouses again, each once for all of its refreshes whose retry is due now or soon."""
        if not round_.retries or self._sender.paused:
            self._postpone(round_.retries)
            return
        for attempt in self._sender.request(sorted(round_.retries), RETRY_SECONDS):
            # The patch may have taken seconds, so the time is that of the result and not of the round.
            now = timezone.now()
            refreshes = [
                tracked for tracked in self._queue.of(attempt.key) if _shares_retry(tracked.refresh, now)
            ]
            for tracked in refreshes:
                record_retry(tracked, attempt, now)
                round_.changed[tracked.refresh.pk] = tracked
            self._remove_ended(attempt.key, refreshes)
            # If the Warehouse is gone, the next assessment ends its refreshes.
            soon = SETTLE_SECONDS if attempt.gone else self._policy.handled_within
            responded = attempt.requested_at or attempt.gone
            self._queue.schedule(attempt.key, soon if responded else POSTPONE_SECONDS)

    def _store(self, rows: Sequence[Refresh]) -> None:
        for start in range(0, len(rows), ROWS_PER_WRITE):
            batch = rows[start : start + ROWS_PER_WRITE]
            ended = {row.delivery_id for row in batch if row.outcome}
            then = (partial(update_deliveries, ended),) if ended else ()
            on_done = partial(self._keep_unstored, batch)
            try:
                self._writer.submit(Write(updates=batch, then=then, can_wait=True, when_done=on_done))
            except NotStored as error:
                on_done(error)

    def _keep_unstored(self, rows: Sequence[Refresh], error: Exception | None) -> None:
        """Keep rows that could not be stored until the database is back. Many of them are not tracked any more."""
        if isinstance(error, NotStored) or (error is not None and is_unavailable(error)):
            log.warning("failed to store %d refreshes; they are kept in memory: %s", len(rows), error)
            with self._lock:
                self._not_stored.update((row.pk, row) for row in rows)

    def _postpone(self, keys: Iterable[WarehouseKey]) -> None:
        for key in keys:
            self._queue.schedule(key, POSTPONE_SECONDS)


def _shares_retry(refresh: Refresh, now: datetime) -> bool:
    """Say whether a retry made now also serves this refresh. One that is planned for much later keeps its own."""
    return refresh.next_attempt_at is not None and refresh.next_attempt_at <= now + SHARED_WITHIN


def _is_relevant(old: Warehouse | None, new: Warehouse | None) -> bool:
    """Say whether a change matters to a refresh. Writing our own annotation does not."""
    if old is None or new is None:
        return True
    return (
        old.last_handled_refresh != new.last_handled_refresh
        or old.discovered_at != new.discovered_at
        or old.conditions != new.conditions
        or old.last_freight_id != new.last_freight_id
        or old.generation != new.generation
    )
