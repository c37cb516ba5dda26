"""Refresh tokens: the values of the annotation, and the times they stand for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from django.utils import timezone

from receivers.kargo.times import parse_time

MICROSECOND: Final = timedelta(microseconds=1)
PLAUSIBLE_AHEAD: Final = timedelta(hours=1)  # a token further in the future was not made by a clock


def format_token(at: datetime) -> str:
    """Return `at` (in UTC) as RFC 3339 with microseconds, `2026-01-02T03:04:05.000006Z`."""
    return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Tokens:
    """Makes tokens that only ever grow.

    Kargo ignores a token that it has handled, and two equal tokens are no change at all. So a token is later than every
    one made before in this process, whatever the clock does, and later than the one the Warehouse carries.
    """

    def __init__(self, clock: Callable[[], datetime] = timezone.now) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = datetime.min.replace(tzinfo=UTC)
        self._beyond = 0

    def make(self, carried: str) -> datetime:
        """Return the time of a new token for a Warehouse that carries the token `carried` (or an empty text)."""
        before = parse_time(carried)
        with self._lock:
            now = self._clock()
            at = self._last = max(now, self._last + MICROSECOND)
            if before is not None and at <= before < now + PLAUSIBLE_AHEAD:
                # Somebody's clock is ahead, which is no reason to put all others' ahead, too. Never the same twice,
                # for what the Warehouse carries may be seen late.
                self._beyond += 1
                return before + self._beyond * MICROSECOND
            return at
