"""Attempts, each one patch of one Warehouse, the refreshes that share them, and what Kargo did about them."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from django.utils import timezone

from receivers.kargo.conditions import discovery_failure, is_discovering
from receivers.kargo.progress import is_handled
from receivers.kargo.progress_states import RefreshRequest
from receivers.kargo.push import Push
from receivers.kargo.resources import Warehouse, WarehouseKey
from receivers.kargo.times import parse_time
from receivers.models import Delivery, Origin, Refresh

NEVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class Attempt:
    """A patch of the Warehouse `key`, sent at `requested_at` with `token`, whose value as a time is `token_time`.

    `discovered_before` is the Warehouse's `discoveredAt` at that time, as far as the cache knew. `handled_at` is when
    this process saw that Kargo had handled the token or a later one. `rediscovered` and `failure` are those of
    `RefreshRequest`, as seen at that moment; `WarehouseAttempts` knows what was seen later. `discovering` says whether
    Kargo was seen at work on it. `refreshes` wait for the token to be handled.
    """

    key: WarehouseKey
    token: str
    token_time: datetime
    requested_at: datetime
    discovered_before: str = ""
    handled_at: datetime | None = None
    rediscovered: bool | None = None
    failure: str = ""
    discovering: bool = False
    refreshes: dict[UUID, TrackedRefresh] = field(default_factory=dict)
    handled_change: int = 0
    """The number of the change that showed the handling."""


@dataclass(slots=True, eq=False)
class TrackedRefresh:
    """A refresh that is tracked, and its push, without the body and the headers of the delivery.

    A refresh for a test isn't retried, because its tag need not exist. `attempt` is the last one, None while the API
    server has not accepted any. `traceparent` is that of the delivery. `due` is the time of the next assessment, in
    seconds of `time.monotonic`; `place` is where the queue keeps the refresh. Both are the queue's.
    """

    refresh: Refresh
    push: Push
    received_at: datetime
    is_test: bool
    attempt: Attempt | None = None
    traceparent: str = ""
    due: float = NEVER
    place: dict[UUID, Self] | None = None

    @property
    def key(self) -> WarehouseKey:
        """Return the key of the Warehouse."""
        return self.refresh.project, self.refresh.warehouse


def tracked_refresh(refresh: Refresh, delivery: Delivery, attempt: Attempt | None = None) -> TrackedRefresh:
    """Return a row to track, with what its delivery says about the push."""
    names = delivery.details.get("names")
    push = Push(
        delivery.repository,
        delivery.tag,
        delivery.media_type,
        delivery.pusher,
        delivery.pushed_at,
        other_tags=tuple(delivery.details.get("tags", ())),
        normalized=None if names is None else tuple(names),
        commit=delivery.details.get("commit", ""),
        is_git=delivery.details.get("git", False),
    )
    is_test = delivery.origin == Origin.TEST
    return TrackedRefresh(refresh, push, delivery.received_at, is_test, attempt, delivery.traceparent)


def last_attempt(row: Refresh) -> Attempt:
    """Return the last attempt of a stored refresh."""
    at = parse_time(row.token) or row.requested_at or timezone.now()
    return Attempt(
        key=(row.project, row.warehouse),
        token=row.token,
        token_time=at,
        requested_at=row.requested_at or at,
        discovered_before=row.discovered_before,
        handled_at=row.handled_at,
        rediscovered=row.rediscovered,
        failure=row.failure,
    )


def refresh_request(tracked: TrackedRefresh) -> RefreshRequest:
    """Return the request that a row stands for, with what was observed of it so far."""
    refresh = tracked.refresh
    return RefreshRequest(
        push=tracked.push,
        received_at=tracked.received_at,
        token=refresh.token,
        discovered_before=refresh.discovered_before,
        handled=refresh.handled_at is not None,
        rediscovered=refresh.rediscovered,
        failure=refresh.failure,
    )


class WarehouseAttempts:
    """The attempts of one Warehouse that Kargo has not handled yet, and its latest answers to the others.

    A change costs the same however many attempts are unhandled: Kargo handles tokens in their order, so those that a
    change handles are the first ones, and each is handled once.
    """

    def __init__(self) -> None:
        self._unhandled: list[Attempt] = []
        # The time of the last of these tokens that the annotation is known to have had. The others are older.
        self._written: datetime | None = None
        self._changes = 0
        self._rediscovery = 0  # the number of the last change that showed a discovery
        self._failed = 0  # the number of the last change that showed a failed discovery
        self._failure = ""

    def __len__(self) -> int:
        """Return the number of attempts that Kargo has not handled yet."""
        return len(self._unhandled)

    def add(self, attempt: Attempt) -> None:
        """Add an attempt that is about to be sent."""
        insort(self._unhandled, attempt, key=_token_time)

    def restore(self, attempt: Attempt, warehouse: Warehouse | None, now: datetime) -> None:
        """Add an attempt that was sent earlier, and that Kargo may have handled by now.

        `warehouse` is the latest that is known, None if nothing is known yet.
        """
        self._note_written(attempt)
        if attempt.handled_at is None and warehouse is not None and self._is_handled(attempt, warehouse):
            attempt.handled_at = now
        if attempt.handled_at is None:
            self.add(attempt)
            return
        self._changes += 1  # what was seen before does not concern this attempt
        attempt.handled_change = self._changes

    def discard(self, attempt: Attempt) -> None:
        """Remove an attempt, if it is unhandled: the API server did not accept it, or nothing waits for it."""
        index = bisect_left(self._unhandled, attempt.token_time, key=_token_time)
        if index < len(self._unhandled) and self._unhandled[index] is attempt:
            del self._unhandled[index]

    def note_annotation(self, token: str) -> None:
        """Record that the annotation has this token, which is that of an attempt or of another tool."""
        at = parse_time(token)
        index = bisect_left(self._unhandled, at, key=_token_time) if at else len(self._unhandled)
        if index < len(self._unhandled) and self._unhandled[index].token == token:
            self._note_written(self._unhandled[index])

    def apply(self, old: Warehouse | None, new: Warehouse, now: datetime) -> list[Attempt]:
        """Note a change; return the attempts that it shows to be handled, or that Kargo has begun to work on."""
        self._changes += 1
        self.note_annotation(new.refresh_token)
        rediscovered = old is not None and old.discovered_at != new.discovered_at
        failure = discovery_failure(new)
        if rediscovered:
            self._rediscovery = self._changes
        if failure:
            # Kargo's next reconciliation removes it from the conditions, so this may be the only chance to see it.
            self._failed, self._failure = self._changes, failure
        handled = self._take_handled(new)
        for attempt in handled:
            attempt.handled_at, attempt.handled_change = now, self._changes
            attempt.failure = failure
            if old is not None:
                attempt.rediscovered = rediscovered
        return handled + (self._mark_discovering() if is_discovering(new) else [])

    def rediscovered(self, attempt: Attempt) -> bool | None:
        """Say whether `discoveredAt` changed when Kargo handled an attempt or later; None if that is unknown."""
        return True if self._rediscovery > attempt.handled_change > 0 else attempt.rediscovered

    def failure(self, attempt: Attempt) -> str:
        """Return Kargo's last message of a failed discovery since it handled an attempt; empty if there is none."""
        return self._failure if self._failed >= attempt.handled_change > 0 else attempt.failure

    def _take_handled(self, warehouse: Warehouse) -> list[Attempt]:
        """Remove and return the attempts whose token, or a later one, Kargo has handled."""
        count = 0
        while count < len(self._unhandled) and self._is_handled(self._unhandled[count], warehouse):
            count += 1
        handled, self._unhandled[:count] = self._unhandled[:count], []
        return handled

    def _note_written(self, attempt: Attempt) -> None:
        self._written = max(self._written or attempt.token_time, attempt.token_time)

    def _is_handled(self, attempt: Attempt, warehouse: Warehouse) -> bool:
        """Say whether Kargo has handled the token of an attempt, or one that replaced it in the annotation.

        Tokens of others tell nothing about that order: Kargo's own are in whole seconds, and any text is valid.
        """
        if is_handled(attempt.token, warehouse):
            return True
        is_written = self._written is not None and attempt.token_time <= self._written
        return is_written and warehouse.last_handled_refresh == warehouse.refresh_token

    def _mark_discovering(self) -> list[Attempt]:
        """Mark and return the attempts that are not marked yet; the others were sent before them."""
        begun: list[Attempt] = []
        for attempt in reversed(self._unhandled):
            if attempt.discovering:
                break
            attempt.discovering = True
            begun.append(attempt)
        return begun


def _token_time(attempt: Attempt) -> datetime:
    return attempt.token_time
