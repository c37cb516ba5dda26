"""The story of one refresh: what is known of it, and how its row is brought up to date."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from receivers.kargo.artifacts import Freight
from receivers.kargo.freight_outcome import given_up
from receivers.kargo.outcomes import RefreshOutcome, RefreshState
from receivers.kargo.progress_types import Ended, Lost, Patience, Request, Step, Waiting
from receivers.kargo.push import Push
from receivers.kargo.times import parse_time
from receivers.models import REASON_LENGTH, Delivery, Origin, Refresh, storable
from receivers.refreshes.retry_policy import Schedule, seconds_to_next_attempt
from receivers.refreshes.sender import Asked

# Of one story. Beyond, what was lost is told no more; all else is bounded, and attempts are counted by it.
MOST_EVENTS: Final = 60
JITTER: Final = 0.25  # of a delay, added at random: many stories that begin together must not go on in step
ASKED_AGAIN: Final = "asked again"
NOT_REQUESTED: Final = "not requested"
LOST: Final = "lost"


@dataclass(slots=True, eq=False)
class Followed:
    """A refresh that is being followed, without the delivery's body and headers.

    `may_ask_again` is false for a test: its tag need not exist.
    """

    refresh: Refresh
    push: Push
    received_at: datetime
    may_ask_again: bool
    witnessed: bool | None = None
    failure: str = ""
    cause: str = ""

    @classmethod
    def of(cls, refresh: Refresh, delivery: Delivery) -> Followed:
        """Return what is to be followed of a row and its delivery."""
        push = Push(
            delivery.repository, delivery.tag, delivery.media_type, delivery.pusher, delivery.pushed_at
        )
        return cls(refresh, push, delivery.received_at, may_ask_again=delivery.origin != Origin.TEST)

    @property
    def request(self) -> Request:
        """Return what was asked."""
        return Request(
            push=self.push,
            received_at=self.received_at,
            token=self.refresh.token,
            discovered_before=self.refresh.discovered_before,
            witnessed=self.witnessed,
            failure=self.failure,
        )

    def times_asked_again(self, cause: str = "") -> int:
        """Return how often the Warehouse was asked again for that cause, or (empty) for any."""
        asked = (one for one in self.refresh.story if one["event"] == ASKED_AGAIN)
        return sum(1 for one in asked if cause in ("", one.get("cause")))

    def deadline(self, waiting: Waiting, schedule: Schedule) -> datetime | None:
        """Return when it has been waited for long enough; None if nobody knows since when."""
        refresh = self.refresh
        since = refresh.discovered_at if waiting.patience is Patience.FREIGHT else parse_time(refresh.token)
        times = self.times_asked_again("not handled") if waiting.patience is Patience.HANDLING else 0
        return since and since + timedelta(seconds=schedule.limit(waiting.patience, times))


def tell(refresh: Refresh, at: datetime, event: str, text: str = "", **more: str) -> None:
    """Add a line to the story."""
    if event != LOST or len(refresh.story) < MOST_EVENTS:
        line = {
            "at": at.isoformat(timespec="milliseconds"),
            "event": event,
            "text": storable(text, REASON_LENGTH),
        }
        refresh.story = [*refresh.story, line | more]


def note_step(followed: Followed, step: Step, now: datetime) -> bool:
    """Write into the row how far it is; return whether that was news. How it stands is for others to write."""
    refresh, news = followed.refresh, False
    if step.handled and refresh.handled_at is None:
        refresh.handled_at, refresh.state, news = now, RefreshState.HANDLED, True
        tell(refresh, now, "handled")
    if step.discovered and refresh.discovered_at is None:
        refresh.discovered_at, refresh.state, news = now, RefreshState.DISCOVERED, True
        tell(refresh, now, "discovered", step.digest)
    if step.digest and refresh.digest != step.digest:
        refresh.digest, news = storable(step.digest), True
    return news


def note_waiting(followed: Followed, reason: str) -> bool:
    """Write into the row what is waited for; return whether that was news."""
    refresh, reason = followed.refresh, storable(reason, REASON_LENGTH)
    news = refresh.reason != reason or refresh.next_attempt_at is not None
    refresh.reason, refresh.next_attempt_at = reason, None
    return news


def note_lost(
    followed: Followed, lost: Lost, freight: tuple[Freight, ...], schedule: Schedule, now: datetime
) -> bool:
    """Plan when the Warehouse is asked again, or end the story; return whether that was news."""
    refresh = followed.refresh
    if refresh.next_attempt_at is not None and followed.cause in ("", lost.cause):
        return False
    times, in_all = followed.times_asked_again(lost.cause), followed.times_asked_again()
    delay = schedule.delay(lost.cause, times, in_all) if followed.may_ask_again else None
    if delay is None:
        note_end(followed, given_up(followed.request, lost, freight), now)
        return True
    seconds = delay * random.uniform(1.0, 1.0 + JITTER)  # noqa: S311 - nothing secret
    refresh.next_attempt_at = now + timedelta(seconds=seconds)
    refresh.reason, followed.cause = storable(lost.reason, REASON_LENGTH), lost.cause
    tell(refresh, now, LOST, lost.reason)
    return True


def note_end(followed: Followed, ended: Ended, now: datetime) -> None:
    """Write the end of the story into the row."""
    end(followed.refresh, ended.outcome, ended.reason, ended.freight, now)


def end(
    refresh: Refresh, outcome: RefreshOutcome, reason: str, freight: Freight | None, now: datetime
) -> None:
    """Write an end into a row; it may be a better one than the row has."""
    refresh.state, refresh.outcome, refresh.ended_at = RefreshState.ENDED, outcome, now
    refresh.reason, refresh.next_attempt_at = storable(reason, REASON_LENGTH), None
    if freight is not None:
        refresh.freight, refresh.freight_alias = storable(freight.name), storable(freight.alias)
    tell(refresh, now, outcome, reason)


def _note_refused(refresh: Refresh, asked: Asked, now: datetime) -> None:
    """Plan when it is tried once more to ask again, or give up: the API server does not take it."""
    tell(refresh, now, NOT_REQUESTED, asked.error)
    refused = sum(1 for one in refresh.story if one["event"] == NOT_REQUESTED)
    seconds = seconds_to_next_attempt(refused, asked.retry_after)
    if seconds is None:
        end(refresh, RefreshOutcome.NOT_REQUESTED, asked.error, None, now)
    else:
        refresh.next_attempt_at = now + timedelta(seconds=seconds)


def note_asked_again(followed: Followed, asked: Asked, now: datetime) -> None:
    """Write into the row that the Warehouse was asked again, or that it could not be and is to be later."""
    refresh = followed.refresh
    refresh.attempts += 1
    refresh.error = storable(asked.error)
    if asked.requested_at is None:
        _note_refused(refresh, asked, now)
        return
    tell(refresh, now, ASKED_AGAIN, refresh.reason, cause=followed.cause)
    refresh.state, refresh.token, refresh.next_attempt_at = RefreshState.REQUESTED, asked.token, None
    refresh.discovered_before = storable(asked.discovered_before, 40)
    refresh.handled_at = refresh.discovered_at = None
    followed.witnessed, followed.failure, followed.cause = None, "", ""
