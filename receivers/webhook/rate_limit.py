"""Limits how many requests one sender may make to one receiver, so that a leaked URL can't fill the log.

Refused requests get no rows. They are summed up in memory and written to the log of the process once in a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from receivers.kargo.scopes import ReceiverKey, scope_name

log = logging.getLogger(__name__)

BURST_SECONDS: Final = 10.0
"""So many seconds' worth may come at once: Docker Hub calls once for each tag, and a build may push a hundred."""

SOURCES_KEPT: Final = 10_000
"""Senders in memory. Beyond that, those that made no use of their limit lately are forgotten."""

Source = tuple[ReceiverKey, str]
"""A receiver and the address of a client."""


class RateLimiter:
    """Limits requests to `rate` per second for each source; 0 means no limit. Thread-safe.

    This is the generic cell rate algorithm: for each source, the time at which all its requests so far would have come
    at exactly `rate`. It may be `BURST_SECONDS` ahead of the clock.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._clock = clock
        self._lock = threading.Lock()
        self._used_until: dict[Source, float] = {}
        self._refused: Counter[Source] = Counter()

    def wait(self, source: Source) -> float:
        """Count a request and return 0, or refuse it and return the seconds until the next one is accepted."""
        if not self._interval:
            return 0.0
        now = self._clock()
        with self._lock:
            used_until = max(now, self._used_until.get(source, now)) + self._interval
            if used_until - now > BURST_SECONDS:
                self._refused[source] += 1
                return used_until - now - BURST_SECONDS
            self._used_until[source] = used_until
            if len(self._used_until) > SOURCES_KEPT:
                self._used_until = {key: until for key, until in self._used_until.items() if until > now}
        return 0.0

    def report(self) -> None:
        """Log how many requests were refused since the last call, a line for each source."""
        with self._lock:
            refused, self._refused = self._refused, Counter()
        for ((project, receiver), address), count in refused.most_common():
            log.warning(
                "refused %d requests to %s/%s from %s: more than KARGOWEB_RATE_LIMIT",
                count,
                scope_name(project),
                receiver,
                address,
            )
