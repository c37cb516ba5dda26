"""A value that is dear to make and may be a little old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Kept(Generic[T]):
    """A value that is made anew when it is asked for and has grown too old; by one thread, while the others wait."""

    def __init__(self, make: Callable[[], T], seconds: float) -> None:
        self._make = make
        self._seconds = seconds
        self._lock = threading.Lock()
        self._value: tuple[float, T] | None = None

    def get(self) -> T:
        """Return the value, `seconds` old at most. Raises what making it raises."""
        value = self._value
        if value is not None and time.monotonic() - value[0] <= self._seconds:
            return value[1]
        return self.renew(self._seconds)

    def renew(self, older_than: float) -> T:
        """Make it anew if it is older than that, in seconds; return it. Whoever has one that will do does not wait."""
        with self._lock:
            if self._value is None or time.monotonic() - self._value[0] > older_than:
                began = time.monotonic()
                self._value = began, self._make()
            return self._value[1]

    def change(self, how: Callable[[T], T]) -> None:
        """Put another value in the place of the one that is kept, if there is one; its age stays."""
        with self._lock:
            if self._value is not None:
                self._value = self._value[0], how(self._value[1])
