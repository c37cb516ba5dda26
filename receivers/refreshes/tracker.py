"""Tracks refreshes: assesses those that a change in the cluster concerns, and those whose time has come."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.utils import timezone

from kargoweb import tracing
from receivers.cluster.cache import ClusterCache
from receivers.cluster.freight_watch import FreightWatch
from receivers.deliveries.log_writer import LogWriter, NotStored, Write, is_unavailable
from receivers.kargo.artifacts import Freight
from receivers.kargo.progress import assess
from receivers.kargo.progress_states import (
    Ended,
    Lookup,
    LookupNeeded,
    Progress,
    RefreshPhase,
    RetryNeeded,
    Waiting,
)
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState, RetryCause
from receivers.kargo.resources import WAREHOUSES, Resource, Warehouse, WarehouseKey
from receivers.kargo.times import parse_time
from receivers.models import Delivery, Refresh
from receivers.refreshes.attempts import (
    Attempt,
    TrackedRefresh,
    last_attempt,
    refresh_request,
    tracked_refresh,
)
from receivers.refreshes.history import (
    record_answer,
    record_end,
    record_progress,
    record_request,
    record_retry_needed,
    record_waiting,
)
from receivers.refreshes.lookups import ClusterLookups, LookupResult
from receivers.refreshes.retry_policy import SHARED_WITHIN, RetryPolicy
from receivers.refreshes.rollup import update_ended
from receivers.refreshes.sender import RefreshSender, RequestResult
from receivers.refreshes.work_queue import SETTLE_SECONDS, DueWarehouse, WorkQueue

log = logging.getLogger(__name__)

BATCH: Final = 200  # Warehouses in one round
MAX_ASSESSMENTS: Final = 4  # of one Warehouse in one round; each may need one more lookup
IDLE_SECONDS: Final = 0.25  # to wait for due work; short, so that the process can stop
# For the patches of one round; the next assessment sees the result of slower ones.
REQUEST_SECONDS: Final = 10.0
POSTPONE_SECONDS: Final = 5.0  # until the next assessment if the cluster does not respond
ROWS_PER_WRITE: Final = 500
# Warehouses per second whose failed requests are retried when the API server returns, which has much else to do then
RETRIES_PER_SECOND: Final = 50


@dataclass(slots=True)
class _Assessment:
    """The assessment of one Warehouse in one round, and what was read for it."""

    due: DueWarehouse
    result: LookupResult = field(default_factory=LookupResult)


@dataclass(slots=True)
class _Round:
    """The results of one round: rows to store, and Warehouses to request a refresh of."""

    now: datetime
    changed: dict[UUID, Refresh] = field(default_factory=dict)
    requests: set[WarehouseKey] = field(default_factory=set)


class Tracker:
    """Tracks refreshes until they end. Only one thread may call `work`; all else is safe to call from any thread."""

    def __init__(
        self,
        *,
        cache: ClusterCache,
        freight: FreightWatch,
        queue: WorkQueue,
        sender: RefreshSender,
        writer: LogWriter,
        policy: RetryPolicy,
        replica: UUID,
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._sender = sender
        self._writer = writer
        self._policy = policy
        self._replica = replica
        self._lookups = ClusterLookups(cache.cluster, freight)
        self._end_listeners: list[Callable[[Refresh], None]] = []
        self._not_stored: dict[UUID, Refresh] = {}
        self._lock = threading.Lock()  # of `_not_stored`, which the writer's thread fills
        self._retry_failed = threading.Event()

    @property
    def room(self) -> int:
        """Return how many more refreshes this process can track."""
        return self._queue.room

    def __len__(self) -> int:
        """Return the number of tracked refreshes."""
        return len(self._queue)

    def track_new(self, delivery: Delivery, results: Iterable[RequestResult], now: datetime) -> list[Refresh]:
        """Return the unsaved refreshes for the results of a delivery's requests, which came at `now`.

        Tracks and holds those that are open, as far as there is room. A process that has room takes over the others.
        """
        refreshes: list[Refresh] = []
        for result in results:
            project, warehouse = result.key
            # By id: the queue keeps the refresh in memory, and it must not keep the body with it.
            refresh = Refresh(delivery_id=delivery.pk, project=project, warehouse=warehouse)
            record_request(refresh, result, now)
            refreshes.append(refresh)
            if not refresh.outcome and self._queue.room:
                refresh.held_by = self._replica
                tracked = tracked_refresh(refresh, delivery, result.attempt)
                self._queue.add(tracked, self._seconds_to_assessment(tracked, now))
        return refreshes

    def resume(self, rows: Iterable[Refresh]) -> None:
        """Track refreshes that this process has taken over, with their deliveries."""
        now = timezone.now()
        attempts: dict[tuple[WarehouseKey, str], Attempt] = {}
        for row in rows:
            tracked = tracked_refresh(row, row.delivery)
            if row.token:
                attempt = attempts.get((tracked.key, row.token))
                if attempt is None:
                    attempt = attempts[tracked.key, row.token] = last_attempt(row)
                    self._queue.restore(attempt)
                tracked.attempt = attempt
            elif row.next_attempt_at is None:
                row.next_attempt_at = now  # else nothing would ever request it, and it would always be due
            self._queue.add(tracked, self._seconds_to_assessment(tracked, now))
        # Their requests may have failed for a reason that was gone before this process took them over.
        self._retry_failed.set()

    def retry_failed_requests(self) -> None:
        """Retry the requests soon that the API server did not accept, whenever they are due: it has returned."""
        self._retry_failed.set()

    def on_change(self, resource: Resource, old: Warehouse | None, new: Warehouse | None) -> None:
        """Note a change in the cluster cache, if it matters to refreshes."""
        warehouse = new or old
        if resource is not WAREHOUSES or warehouse is None:
            return
        if _is_relevant(old, new):
            self._queue.add_change(warehouse.key, old, new)
        else:
            self._queue.add_annotation(warehouse.key, warehouse.refresh_token)

    def on_freight(self, freight: Freight) -> None:
        """Note new Freight."""
        tags = {artifact.tag for artifact in freight.artifacts}
        self._queue.add_freight((freight.project, freight.warehouse), tags)

    def tracked_ids(self) -> list[UUID]:
        """Return the ids of all tracked refreshes."""
        return self._queue.ids()

    def release(self, ids: Collection[UUID]) -> None:
        """Stop tracking these refreshes and do not store them: another process holds them."""
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
        if self._retry_failed.is_set() and self._can_request:
            self._retry_failed.clear()
            self._advance_failed_requests(timezone.now())
        due = self._queue.take_due(BATCH, IDLE_SECONDS)
        if due:
            self._run_round(due)
        if self._not_stored and not self._writer.stuck:
            with self._lock:
                rows, self._not_stored = list(self._not_stored.values()), {}
            self._store(rows)
        return True

    @property
    def _can_request(self) -> bool:
        return self._cache.ready and self._cache.is_responding and not self._sender.paused

    def _advance_failed_requests(self, now: datetime) -> None:
        for number, refreshes in enumerate(self._queue.with_failed_requests().values()):
            at = now + timedelta(seconds=number / RETRIES_PER_SECOND)
            for tracked in refreshes:
                planned = tracked.refresh.next_attempt_at
                if planned is not None and planned > at:
                    tracked.refresh.next_attempt_at = at
                    self._queue.settle(tracked, _seconds_until(at, now))

    def _run_round(self, due: Sequence[DueWarehouse]) -> None:
        if not self._cache.ready:
            self._postpone(due)
            return
        round_ = _Round(timezone.now())
        try:
            self._assess_all(round_, due)
            self._request(round_)
        finally:
            # What was recorded before an error is true and must not be lost.
            self._store(list(round_.changed.values()))

    def _assess_all(self, round_: _Round, due: Sequence[DueWarehouse]) -> None:
        """Assess these Warehouses, and again those that needed a lookup."""
        open_ = [_Assessment(each) for each in due]
        for _ in range(MAX_ASSESSMENTS):
            needed = {
                assessment.due.key: (assessment, lookup)
                for assessment in open_
                if (lookup := self._assess_safely(round_, assessment)) is not None
            }
            if not needed:
                return
            failed = self._lookups.look_up(
                {key: (assessment.result, lookup) for key, (assessment, lookup) in needed.items()}
            )
            self._postpone(needed[key][0].due for key in failed)
            open_ = [assessment for key, (assessment, _) in needed.items() if key not in failed]
        self._postpone(each.due for each in open_)  # these Warehouses change faster than they can be assessed

    def _assess_safely(self, round_: _Round, assessment: _Assessment) -> Lookup | None:
        """Assess one Warehouse; an unexpected error must not affect the others."""
        try:
            return self._assess(round_, assessment)
        except Exception:
            log.exception("failed to assess the refreshes of Warehouse %s/%s", *assessment.due.key)
            self._postpone([assessment.due])
            return None

    def _assess(self, round_: _Round, assessment: _Assessment) -> Lookup | None:
        """Bring the due refreshes of a Warehouse up to date; return the lookup that is needed first, if any.

        Afterwards those that need a lookup are left in `assessment.due`.
        """
        due, result = assessment.due, assessment.result
        warehouse = result.warehouse or (None if result.gone else self._cache.warehouse(*due.key))
        lookups: set[Lookup] = set()
        if due.tags_changed and not self._add_planned(due, warehouse, result):
            lookups.add(Lookup.ARTIFACTS)
        left: list[TrackedRefresh] = []
        for tracked in due.refreshes:
            lookup = self._assess_one(round_, tracked, assessment, warehouse)
            if lookup is not None:
                lookups.add(lookup)
                left.append(tracked)
        due.refreshes = left
        # One lookup at a time, the cheapest first: its result may make the others unnecessary.
        return min(lookups, key=list(Lookup).index, default=None)

    def _add_planned(self, due: DueWarehouse, warehouse: Warehouse | None, result: LookupResult) -> bool:
        """Add the refreshes with a planned attempt whose tag has appeared; return False if a lookup has to show it."""
        if warehouse is not None and result.discovered is None:
            return False
        tags = {artifact.tag for each in result.discovered or () for artifact in each.artifacts}
        known = {tracked.refresh.pk for tracked in due.refreshes}
        planned = self._queue.planned(due.key, tags)
        due.refreshes += [tracked for tracked in planned if tracked.refresh.pk not in known]
        due.tags_changed = False
        return True

    def _assess_one(
        self, round_: _Round, tracked: TrackedRefresh, assessment: _Assessment, warehouse: Warehouse | None
    ) -> Lookup | None:
        """Bring one refresh up to date; return the lookup that is needed first, if any."""
        refresh = tracked.refresh
        if refresh.outcome:
            return None
        if tracked.attempt is None:
            seconds = _seconds_until(refresh.next_attempt_at, round_.now)
        else:
            if record_answer(tracked, tracked.attempt, assessment.due.attempts):
                round_.changed[refresh.pk] = refresh
            progress = self._progress(tracked, assessment.result, warehouse)
            if isinstance(progress.state, LookupNeeded):
                return progress.state.lookup
            seconds = self._record(round_, tracked, progress, assessment.result)
        if refresh.state == RefreshState.ENDED:
            self._end(tracked)
            return None
        if refresh.next_attempt_at is not None and seconds <= 0:
            round_.requests.add(tracked.key)
            seconds = POSTPONE_SECONDS  # in case that `_request` can't send it
        self._queue.settle(tracked, seconds)
        return None

    def _progress(
        self, tracked: TrackedRefresh, result: LookupResult, warehouse: Warehouse | None
    ) -> Progress:
        if warehouse is None:
            return Progress(Ended(RefreshOutcome.WAREHOUSE_DELETED, "the Warehouse was deleted"))
        return assess(refresh_request(tracked), self._lookups.observe(warehouse, result))

    def _record(
        self, round_: _Round, tracked: TrackedRefresh, progress: Progress, result: LookupResult
    ) -> float:
        """Write the progress into the row; return the seconds until this refresh must be assessed again."""
        refresh, now, state = tracked.refresh, round_.now, progress.state
        changed = record_progress(tracked, progress, now)
        seconds = self._seconds_to_timeout(tracked, state.phase, now) if isinstance(state, Waiting) else 0.0
        if isinstance(state, Waiting) and seconds <= 0:
            state = state.on_timeout
        if isinstance(state, Waiting):
            changed |= record_waiting(tracked, state.reason)
        elif isinstance(state, Ended):
            record_end(tracked, state, now)
            changed = True
        elif isinstance(state, RetryNeeded):
            freight = self._lookups.freight_of(refresh, result)
            changed |= record_retry_needed(tracked, state, freight, self._policy, now)
            seconds = _seconds_until(refresh.next_attempt_at, now)
        if changed:
            round_.changed[refresh.pk] = refresh
        return seconds

    def _end(self, tracked: TrackedRefresh) -> None:
        """Stop tracking a refresh that has ended, and notify the listeners."""
        self._queue.remove([tracked])
        _trace(tracked)
        for listener in self._end_listeners:
            listener(tracked.refresh)

    def _seconds_to_assessment(self, tracked: TrackedRefresh, now: datetime) -> float:
        """Return the seconds until a refresh must be assessed that was just requested or taken over."""
        refresh = tracked.refresh
        if refresh.next_attempt_at is not None:
            return _seconds_until(refresh.next_attempt_at, now)
        if refresh.handled_at is not None or self._cache.warehouse(*tracked.key) is None:
            return SETTLE_SECONDS
        return max(SETTLE_SECONDS, self._seconds_to_timeout(tracked, RefreshPhase.HANDLING, now))

    def _seconds_to_timeout(self, tracked: TrackedRefresh, phase: RefreshPhase, now: datetime) -> float:
        refresh = tracked.refresh
        since = refresh.discovered_at if phase is RefreshPhase.FREIGHT else parse_time(refresh.token)
        retries = refresh.retries.get(RetryCause.NOT_HANDLED, 0) if phase is RefreshPhase.HANDLING else 0
        timeout = self._policy.timeout(phase, retries)
        waited = (now - since).total_seconds() if since else timeout
        if (resumed_at := self._cache.resumed_at) is not None:
            # While the API server did not respond, Kargo could not do anything, either.
            waited = min(waited, time.monotonic() - resumed_at)
        left = timeout - waited
        # While the watch is down, Kargo may have responded without this process knowing: then nothing times out.
        return left if left > 0 or self._cache.is_current else POSTPONE_SECONDS

    def _request(self, round_: _Round) -> None:
        """Request refreshes of Warehouses, each once for all whose next attempt is due now or soon."""
        if not round_.requests or not self._can_request:
            return
        for result in self._sender.request(sorted(round_.requests), REQUEST_SECONDS):
            # The patch may have taken seconds, so the time is that of the result and not of the round.
            now = timezone.now()
            for tracked in self._queue.planned_until(result.key, now + timedelta(seconds=SHARED_WITHIN)):
                if not self._shares_retry(tracked.refresh, now):
                    continue
                record_request(tracked.refresh, result, now)
                round_.changed[tracked.refresh.pk] = tracked.refresh
                if tracked.refresh.outcome:
                    self._end(tracked)
                    continue
                tracked.attempt = result.attempt or tracked.attempt
                self._queue.settle(tracked, self._seconds_to_assessment(tracked, now))

    def _shares_retry(self, refresh: Refresh, now: datetime) -> bool:
        """Say whether a request that the API server has just answered also serves this planned one."""
        if refresh.failed_requests or not refresh.retry_cause:  # the API server responds again
            return True
        cause = RetryCause(refresh.retry_cause)
        left = _seconds_until(refresh.next_attempt_at, now)
        return self._policy.is_soon(left, cause, refresh.retries.get(cause, 0), sum(refresh.retries.values()))

    def _store(self, rows: Sequence[Refresh]) -> None:
        for start in range(0, len(rows), ROWS_PER_WRITE):
            batch = rows[start : start + ROWS_PER_WRITE]
            # If the first request had failed, the delivery changes when one succeeds.
            requested = {row.delivery_id for row in batch if row.state == RefreshState.REQUESTED}
            then = (partial(update_ended, batch, requested),)
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

    def _postpone(self, due: Iterable[DueWarehouse]) -> None:
        for each in due:
            self._queue.postpone(each, POSTPONE_SECONDS)


def _trace(tracked: TrackedRefresh) -> None:
    """Record the span from the first request of a refresh to its end, with a link to its delivery."""
    refresh = tracked.refresh
    attributes: dict[str, tracing.Value] = {
        "kargoweb.delivery.id": str(refresh.delivery_id),
        "kargoweb.project": refresh.project,
        "kargoweb.warehouse": refresh.warehouse,
        "kargoweb.refresh.outcome": refresh.outcome,
        "kargoweb.refresh.attempts": refresh.attempts,
        "kargoweb.freight": refresh.freight,
        "kargoweb.repository": tracked.push.repository,
        "kargoweb.tag": tracked.push.tag,
    }
    tracing.record(
        "follow refresh",
        refresh.requested_at or tracked.received_at,
        refresh.ended_at,
        link=tracked.traceparent,
        attributes=attributes,
    )


def _seconds_until(at: datetime | None, now: datetime) -> float:
    return (at - now).total_seconds() if at is not None else 0.0


def _is_relevant(old: Warehouse | None, new: Warehouse | None) -> bool:
    """Say whether a change matters to a refresh, apart from the annotation that Kargo has yet to handle."""
    if old is None or new is None:
        return True
    return (
        old.last_handled_refresh != new.last_handled_refresh
        or old.discovered_at != new.discovered_at
        or old.conditions != new.conditions
        or old.last_freight_id != new.last_freight_id
        or old.generation != new.generation
    )
