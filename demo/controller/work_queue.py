"""A queue of keys to work on, in the manner of Kubernetes' own controllers.

A key that is added many times is worked on once; one that is added while it is worked on comes again afterwards, and is
never worked on by two threads at the same time.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)

FIRST_RETRY: Final = 0.005  # seconds, doubled with every failure: as controller-runtime does
LONGEST_RETRY: Final = 1000.0  # seconds


class WorkQueue(Generic[K]):
    """Keys that are due, keys that will be, and keys that are worked on."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: OrderedDict[K, None] = OrderedDict()
        self._later: dict[K, float] = {}
        self._active: set[K] = set()
        self._failures: dict[K, int] = {}
        self._closed = False

    def add(self, key: K) -> None:
        """Have `key` worked on as soon as possible."""
        with self._changed:
            self._due[key] = None
            self._changed.notify()

    def add_after(self, key: K, seconds: float) -> None:
        """Have `key` worked on in so many seconds, if not earlier."""
        with self._changed:
            at = time.monotonic() + seconds
            self._later[key] = min(at, self._later.get(key, at))
            self._changed.notify()

    def retry(self, key: K) -> None:
        """Have `key` worked on after a pause that doubles with every failure in a row."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        self.add_after(key, min(FIRST_RETRY * 2.0 ** min(failures, 30), LONGEST_RETRY))

    def forgive(self, key: K) -> None:
        """Forget the failures of `key`."""
        self._failures.pop(key, None)

    def get(self) -> K | None:
        """Wait for a key and take it; give it back with `done`. None when the queue is closed."""
        with self._changed:
            while not self._closed:
                pause = self._promote()
                key = next((key for key in self._due if key not in self._active), None)
                if key is not None:
                    del self._due[key]
                    self._active.add(key)
                    return key
                self._changed.wait(pause)
        return None

    def done(self, key: K) -> None:
        """Say that the work on `key` has ended."""
        with self._changed:
            self._active.discard(key)
            self._changed.notify()

    def close(self) -> None:
        """Let every `get` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _promote(self) -> float | None:
        """Make due what is; return the seconds until the next one will be, or None."""
        now = time.monotonic()
        for key in [key for key, at in self._later.items() if at <= now]:
            del self._later[key]
            self._due[key] = None
        return min(self._later.values()) - now if self._later else None
