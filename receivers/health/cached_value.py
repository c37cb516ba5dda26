"""A value that is expensive to compute and may be slightly out of date."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class CachedValue(Generic[T]):
    """A value that is computed on demand once it is too old, by one thread while the others wait."""

    def __init__(self, compute: Callable[[], T], max_age: float) -> None:
        self._compute = compute
        self._max_age = max_age
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def get(self) -> T:
        """Return the value, at most `max_age` seconds old. Raises whatever computing it raises."""
        value = self._value
        if value is not None and time.monotonic() - value[0] <= self._max_age:
            return value[1]
        return self.refresh(self._max_age)

    def refresh(self, max_age: float) -> T:
        """Compute the value if it is older than `max_age` seconds; return it.

        `get` doesn't block meanwhile, as long as it has a value that is recent enough.
        """
        with self._lock:
            if self._value is None or time.monotonic() - self._value[0] > max_age:
                # Its age counts from before the computation, which may read facts that change meanwhile.
                started = time.monotonic()
                self._value = started, self._compute()
            return self._value[1]

    def update(self, change: Callable[[T], T]) -> None:
        """Replace the cached value, if there is one, with what `change` makes of it; its age stays the same."""
        with self._lock:
            if self._value is not None:
                self._value = self._value[0], change(self._value[1])
