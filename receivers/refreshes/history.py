"""A refresh that is tracked: its row, its history, and how both are brought up to date."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.deliveries.events import HistoryEvent
from receivers.kargo.artifacts import Freight
from receivers.kargo.freight_outcome import final_state
from receivers.kargo.progress_states import (
    Ended,
    Progress,
    RefreshPhase,
    RefreshRequest,
    RetryCause,
    RetryNeeded,
    Waiting,
)
from receivers.kargo.push import Push
from receivers.kargo.refresh_outcomes import RefreshOutcome, RefreshState
from receivers.kargo.times import parse_time
from receivers.models import REASON_LENGTH, Delivery, Origin, Refresh, storable
from receivers.refreshes.retry_policy import RetryPolicy, seconds_to_next_request
from receivers.refreshes.sender import RefreshAttempt

# A longer history drops failed attempts. All other events are bounded, and retries are counted by them.
MAX_EVENTS: Final = 60
JITTER: Final = (
    0.25  # of a delay, added at random, so that refreshes that begin together do not retry together
)
TOKEN_LENGTH: Final = 40


@dataclass(slots=True, eq=False)
class TrackedRefresh:
    """A refresh that is tracked, without the delivery's body and headers.

    `may_retry` is false for a test, because its tag need not exist. `witnessed` and `failure` are those of
    `RefreshRequest`; `cause` is that of the scheduled retry, empty if there is none or it is not known any more.
    """

    refresh: Refresh
    push: Push
    received_at: datetime
    may_retry: bool
    witnessed: bool | None = None
    failure: str = ""
    cause: str = ""

    @classmethod
    def from_row(cls, refresh: Refresh, delivery: Delivery) -> TrackedRefresh:
        """Return a row and what its delivery says about the push."""
        push = Push(
            delivery.repository, delivery.tag, delivery.media_type, delivery.pusher, delivery.pushed_at
        )
        return cls(refresh, push, delivery.received_at, may_retry=delivery.origin != Origin.TEST)

    @property
    def request(self) -> RefreshRequest:
        """Return the request that is assessed."""
        return RefreshRequest(
            push=self.push,
            received_at=self.received_at,
            token=self.refresh.token,
            discovered_before=self.refresh.discovered_before,
            witnessed=self.witnessed,
            failure=self.failure,
        )

    def retries(self, cause: str = "") -> int:
        """Return the number of retries for a cause, or (empty) for any."""
        retried = (entry for entry in self.refresh.history if entry["event"] == HistoryEvent.RETRIED)
        return sum(1 for entry in retried if cause in ("", entry.get("cause")))

    def deadline(self, waiting: Waiting, policy: RetryPolicy) -> datetime | None:
        """Return when the phase times out; None if its start is unknown."""
        refresh, phase = self.refresh, waiting.phase
        since = refresh.discovered_at if phase is RefreshPhase.FREIGHT else parse_time(refresh.token)
        retries = self.retries(RetryCause.NOT_HANDLED) if phase is RefreshPhase.HANDLING else 0
        return since and since + timedelta(seconds=policy.timeout(phase, retries))


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
    """Schedule the next retry, or end the refresh if there is none; return whether the row changed."""
    refresh = tracked.refresh
    # After a restart the cause of a scheduled retry is unknown: it may be this one, and keeps its time.
    if refresh.next_attempt_at is not None and tracked.cause in ("", needed.cause):
        return False
    retries, total = tracked.retries(needed.cause), tracked.retries()
    delay = policy.delay(needed.cause, retries, total) if tracked.may_retry else None
    if delay is None:
        record_end(tracked, final_state(tracked.request, needed, freight), now)
        return True
    seconds = delay * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - nothing secret
    refresh.next_attempt_at = now + timedelta(seconds=seconds)
    refresh.reason, tracked.cause = storable(needed.reason, REASON_LENGTH), needed.cause
    append_event(refresh, now, HistoryEvent.ATTEMPT_FAILED, needed.reason)
    return True


def record_end(tracked: TrackedRefresh, ended: Ended, now: datetime) -> None:
    """Write the end of a tracked refresh into its row."""
    end_refresh(tracked.refresh, ended.outcome, ended.reason, ended.freight, now)


def end_refresh(
    refresh: Refresh, outcome: RefreshOutcome, reason: str, freight: Freight | None, now: datetime
) -> None:
    """Write an end into a row. The row may have ended before: late Freight replaces the outcome."""
    refresh.state, refresh.outcome, refresh.ended_at = RefreshState.ENDED, outcome, now
    refresh.reason, refresh.next_attempt_at = storable(reason, REASON_LENGTH), None
    if freight is not None:
        refresh.freight, refresh.freight_alias = storable(freight.name), storable(freight.alias)
    append_event(refresh, now, outcome, reason)


def record_first_attempt(refresh: Refresh, attempt: RefreshAttempt, now: datetime) -> None:
    """Write the result of an attempt into a row that was not requested before: requested, to be retried, or ended."""
    refresh.attempts += 1
    refresh.error = storable(attempt.error)
    if attempt.requested_at is not None:
        _note_token(refresh, attempt)
        refresh.requested_at = attempt.requested_at
        append_event(refresh, attempt.requested_at, HistoryEvent.REQUESTED)
        return
    if attempt.gone:
        end_refresh(refresh, RefreshOutcome.WAREHOUSE_DELETED, attempt.error, None, now)
        return
    seconds = seconds_to_next_request(refresh.attempts, attempt.retry_after)
    if seconds is None:
        end_refresh(refresh, RefreshOutcome.NOT_REQUESTED, attempt.error, None, now)
        return
    refresh.next_attempt_at = now + timedelta(seconds=seconds)
    append_event(refresh, now, HistoryEvent.REQUEST_FAILED, attempt.error)


def record_retry(tracked: TrackedRefresh, attempt: RefreshAttempt, now: datetime) -> None:
    """Write the result of a retry into the row: requested again, or to be requested later."""
    refresh = tracked.refresh
    refresh.attempts += 1
    refresh.error = storable(attempt.error)
    if attempt.requested_at is None:
        _record_failed_request(refresh, attempt, now)
        return
    append_event(refresh, now, HistoryEvent.RETRIED, refresh.reason, cause=tracked.cause)
    _note_token(refresh, attempt)
    # Everything observed so far belongs to the old token.
    refresh.handled_at = refresh.discovered_at = None
    tracked.witnessed, tracked.failure, tracked.cause = None, "", ""


def _record_failed_request(refresh: Refresh, attempt: RefreshAttempt, now: datetime) -> None:
    """Schedule the next request, or end the refresh if there is none."""
    append_event(refresh, now, HistoryEvent.REQUEST_FAILED, attempt.error)
    failed = sum(1 for entry in refresh.history if entry["event"] == HistoryEvent.REQUEST_FAILED)
    seconds = seconds_to_next_request(failed, attempt.retry_after)
    if seconds is None:
        end_refresh(refresh, RefreshOutcome.NOT_REQUESTED, attempt.error, None, now)
    else:
        refresh.next_attempt_at = now + timedelta(seconds=seconds)


def _note_token(refresh: Refresh, attempt: RefreshAttempt) -> None:
    refresh.state, refresh.token, refresh.next_attempt_at = RefreshState.REQUESTED, attempt.token, None
    refresh.discovered_before = storable(attempt.discovered_before, TOKEN_LENGTH)
