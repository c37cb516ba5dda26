"""A work queue like client-go's.

A key that is added several times is processed once. A key that is added while it is processed is processed again
afterwards, and never by two threads at the same time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY_DELAY: Final = 0.005  # seconds, doubled with each failure, as in controller-runtime
MAX_RETRY_DELAY: Final = 1000.0  # seconds


class WorkQueue(Generic[K]):
    """Keys that are due, delayed or being processed."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: OrderedDict[K, None] = OrderedDict()
        self._later: dict[K, float] = {}
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Add `key` for immediate processing."""
        with self._changed:
            self._due[key] = None
            self._changed.notify()

    def add_after(self, key: K, seconds: float) -> None:
        """Add `key` after a delay, unless it is already due earlier."""
        with self._changed:
            at = time.monotonic() + seconds
            self._later[key] = min(at, self._later.get(key, at))
            self._changed.notify()

    def retry(self, key: K) -> None:
        """Add `key` after a backoff, which doubles with each consecutive failure."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(FIRST_RETRY_DELAY * 2.0 ** min(failures, 30), MAX_RETRY_DELAY))

    def forget(self, key: K) -> None:
        """Reset the backoff of `key`."""
        self._failures.pop(key, None)

    def get(self) -> K | None:
        """Wait for a key and return it, or None when the queue is closed. Call `done` after processing."""
        with self._changed:
            while not self._closed:
                timeout = self._promote()
                key = next((key for key in self._due if key not in self._active), None)
                if key is not None:
                    del self._due[key]
                    self._active.add(key)
                    return key
                self._changed.wait(timeout)
        return None

    def done(self, key: K) -> None:
        """Mark the processing of `key` as finished."""
        with self._changed:
            self._active.discard(key)
            self._changed.notify()

    def close(self) -> None:
        """Make every `get` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _promote(self) -> float | None:
        """Move delayed keys that are due. Return the seconds until the next key is due, or None."""
        now = time.monotonic()
        for key in [key for key, at in self._later.items() if at <= now]:
            del self._later[key]
            self._due[key] = None
        return min(self._later.values()) - now if self._later else None
