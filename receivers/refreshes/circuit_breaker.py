"""Stops requests to an API server that hangs, so that its timeouts do not use up the threads of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

FAILURE_THRESHOLD: Final = 3  # timeouts in a row that open the circuit
# Long enough to free the request threads, short enough that a recovery is noticed at once.
OPEN_SECONDS: Final = 5.0


class CircuitBreaker:
    """Opens for `OPEN_SECONDS` after `FAILURE_THRESHOLD` timeouts in a row. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._timeouts = 0
        self._open_until = 0.0

    def is_open(self) -> bool:
        """Say whether requests should fail now without being sent."""
        return self._clock() < self._open_until

    def record(self, *, timed_out: bool) -> None:
        """Record how a request ended: with a timeout, or with a response of any kind, errors included."""
        with self._lock:
            self._timeouts = self._timeouts + 1 if timed_out else 0
            # The count is kept while the circuit is open: one more timeout afterwards opens it again at once.
            if self._timeouts >= FAILURE_THRESHOLD:
                self._open_until = self._clock() + OPEN_SECONDS
