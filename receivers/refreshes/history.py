"""The row of a refresh and its history: what happened, what is planned, and where it ended."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Final

from receivers.deliveries.history_events import HistoryEvent
from receivers.kargo.artifacts import Freight
from receivers.kargo.freight_outcome import final_state
from receivers.kargo.progress_states import Ended, Progress, RetryNeeded
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.models import REASON_LENGTH, Refresh, storable
from receivers.refreshes.attempts import Attempt, TrackedRefresh, WarehouseAttempts, refresh_request
from receivers.refreshes.retry_policy import RetryPolicy, seconds_to_next_request
from receivers.refreshes.sender import RequestResult

MAX_EVENTS: Final = 60  # A longer history drops failed attempts. All other events are bounded.
# The other outcomes show that Kargo discovered artifacts for the refresh, which is all that a test is for.
_FAILED_TEST: Final = frozenset(
    {
        RefreshOutcome.NOT_REQUESTED,
        RefreshOutcome.NOT_HANDLED,
        RefreshOutcome.DISCOVERY_FAILED,
        RefreshOutcome.WAREHOUSE_DELETED,
    }
)
# Of a delay, added at random, so that refreshes that begin together do not retry together.
JITTER: Final = 0.25
TOKEN_LENGTH: Final = 40


def append_event(refresh: Refresh, at: datetime, event: str, text: str = "", **fields: str) -> None:
    """Append an event to the history: a `HistoryEvent` or a `RefreshOutcome`."""
    if event == HistoryEvent.ATTEMPT_FAILED and len(refresh.history) >= MAX_EVENTS:
        return
    entry = {
        "at": at.isoformat(timespec="milliseconds"),
        "event": event,
        "text": storable(text, REASON_LENGTH),
    }
    # A new list, because a write that is under way may still hold the old one.
    refresh.history = [*refresh.history, entry | fields]


def record_answer(tracked: TrackedRefresh, attempt: Attempt, attempts: WarehouseAttempts) -> bool:
    """Write into the row what Kargo was seen to do about the last attempt; return whether the row changed."""
    refresh = tracked.refresh
    if attempt.handled_at is None:
        return False
    changed = False
    if refresh.handled_at is None:
        refresh.handled_at, refresh.state, changed = attempt.handled_at, RefreshState.HANDLED, True
        append_event(refresh, attempt.handled_at, HistoryEvent.HANDLED)
    rediscovered = attempts.rediscovered(attempt)
    failure = storable(attempts.failure(attempt), REASON_LENGTH)
    changed |= (refresh.rediscovered, refresh.failure) != (rediscovered, failure)
    refresh.rediscovered, refresh.failure = rediscovered, failure
    return changed


def record_progress(tracked: TrackedRefresh, progress: Progress, now: datetime) -> bool:
    """Write the steps that were reached into the row; return whether it changed."""
    refresh, changed = tracked.refresh, False
    if progress.handled and refresh.handled_at is None:
        refresh.handled_at, refresh.state, changed = now, RefreshState.HANDLED, True
        append_event(refresh, now, HistoryEvent.HANDLED)
    if progress.discovered and refresh.discovered_at is None:
        refresh.discovered_at, refresh.state, changed = now, RefreshState.DISCOVERED, True
        append_event(refresh, now, HistoryEvent.DISCOVERED, progress.digest)
    if progress.digest and refresh.digest != progress.digest:
        refresh.digest, changed = storable(progress.digest), True
    return changed


def record_waiting(tracked: TrackedRefresh, reason: str) -> bool:
    """Write what the refresh waits for into the row; return whether it changed."""
    refresh, reason = tracked.refresh, storable(reason, REASON_LENGTH)
    changed = refresh.reason != reason or refresh.next_attempt_at is not None
    refresh.reason, refresh.next_attempt_at = reason, None
    return changed


def record_retry_needed(
    tracked: TrackedRefresh,
    needed: RetryNeeded,
    freight: tuple[Freight, ...],
    policy: RetryPolicy,
    now: datetime,
) -> bool:
    """Plan the next retry, or end the refresh if there is none; return whether the row changed."""
    refresh = tracked.refresh
    if refresh.next_attempt_at is not None and refresh.retry_cause == needed.cause:
        return False
    retries, total = refresh.retries.get(needed.cause, 0), sum(refresh.retries.values())
    delay = policy.delay(needed.cause, retries, total) if not tracked.is_test else None
    if delay is None:
        record_end(tracked, final_state(refresh_request(tracked), needed, freight), now)
        return True
    seconds = delay * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - nothing secret
    refresh.next_attempt_at = now + timedelta(seconds=seconds)
    refresh.reason, refresh.retry_cause = storable(needed.reason, REASON_LENGTH), needed.cause
    append_event(refresh, now, HistoryEvent.ATTEMPT_FAILED, needed.reason)
    return True


def record_end(tracked: TrackedRefresh, ended: Ended, now: datetime) -> None:
    """Write the end of a tracked refresh into its row. A test has passed if it reached the Warehouse."""
    passed = tracked.is_test and ended.outcome not in _FAILED_TEST
    outcome = RefreshOutcome.TEST_PASSED if passed else ended.outcome
    end_refresh(tracked.refresh, outcome, ended.reason, ended.freight, now)


def end_refresh(
    refresh: Refresh, outcome: RefreshOutcome, reason: str, freight: Freight | None, now: datetime
) -> None:
    """Write an end into a row. The row may have ended before: late Freight replaces the outcome."""
    refresh.state, refresh.outcome, refresh.ended_at = RefreshState.ENDED, outcome, now
    refresh.reason, refresh.next_attempt_at = storable(reason, REASON_LENGTH), None
    if freight is not None:
        refresh.freight, refresh.freight_alias = storable(freight.name), storable(freight.alias)
    append_event(refresh, now, outcome, reason)


def record_request(refresh: Refresh, result: RequestResult, now: datetime) -> None:
    """Write the result of a request into a row: requested, for the first time or again; to be retried; or ended."""
    refresh.attempts += 1
    refresh.error = storable(result.error)
    if result.attempt is not None:
        _record_attempt(refresh, result.attempt, now)
    elif result.gone:
        end_refresh(refresh, RefreshOutcome.WAREHOUSE_DELETED, result.error, None, now)
    else:
        _record_failed_request(refresh, result, now)


def _record_attempt(refresh: Refresh, attempt: Attempt, now: datetime) -> None:
    if refresh.requested_at is None:
        refresh.requested_at = attempt.requested_at
        append_event(refresh, attempt.requested_at, HistoryEvent.REQUESTED)
    else:
        cause = refresh.retry_cause
        # A new mapping, because a write that is under way may still hold the old one.
        refresh.retries = refresh.retries | {cause: refresh.retries.get(cause, 0) + 1}
        append_event(refresh, now, HistoryEvent.RETRIED, refresh.reason, cause=cause)
    refresh.state, refresh.token = RefreshState.REQUESTED, attempt.token
    refresh.discovered_before = storable(attempt.discovered_before, TOKEN_LENGTH)
    refresh.next_attempt_at, refresh.retry_cause, refresh.failed_requests = None, "", 0
    # What was observed so far belongs to the attempt before.
    refresh.handled_at = refresh.discovered_at = refresh.rediscovered = None
    refresh.failure = ""


def _record_failed_request(refresh: Refresh, result: RequestResult, now: datetime) -> None:
    """Plan the next request, or end the refresh if there is none."""
    refresh.failed_requests += 1
    seconds = seconds_to_next_request(refresh.failed_requests, result.retry_after)
    if seconds is None:
        end_refresh(refresh, RefreshOutcome.NOT_REQUESTED, result.error, None, now)
    else:
        refresh.next_attempt_at = now + timedelta(seconds=seconds)
        append_event(refresh, now, HistoryEvent.REQUEST_FAILED, result.error)
