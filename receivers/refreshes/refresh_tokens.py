"""Refresh tokens: the values of the refresh annotation, which are times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

from receivers.kargo.times import parse_time

MICROSECOND: Final = timedelta(microseconds=1)
MAX_CLOCK_SKEW: Final = timedelta(hours=1)  # a token further in the future does not come from a clock


def format_token(at: datetime) -> str:
    """Return `at` (in UTC) as RFC 3339 with microseconds, `2026-01-02T03:04:05.000006Z`."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Tokens:
    """Creates tokens that strictly increase.

    Kargo ignores a token that it has handled, and writing the same token again changes nothing. So every token is later
    than all that this process created before, even if the clock is set back, and later than the Warehouse's own.
    """

    def __init__(self, clock: Callable[[], datetime] = timezone.now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._beyond = 0

    def create(self, current: str) -> datetime:
        """Return the time of a new token for a Warehouse whose token is `current` (empty: none)."""
        before = parse_time(current)
        with self._lock:
            now = self._clock()
            at = self._last = max(now, self._last + MICROSECOND)
            if before is not None and at <= before < now + MAX_CLOCK_SKEW:
                # Another process's clock is ahead. Tokens of other Warehouses must not follow it, so `_last` keeps its
                # value. A counter keeps these tokens distinct, because the cache may still show an older `current`.
                self._beyond += 1
                return before + self._beyond * MICROSECOND
            return at
