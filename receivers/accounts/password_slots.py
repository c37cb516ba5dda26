"""How many passwords are checked at the same time.

Checking one takes a core for a third of a second, by design. And each check must be counted before the next one for the
same user begins: of 28 simultaneous guesses, none would have been counted yet.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

IN_TOTAL: Final = 4
PER_ADDRESS: Final = 2
PER_USERNAME: Final = 1
RETRY_AFTER: Final = 1  # seconds


class PasswordSlots:
    """Counts the passwords that are being checked. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._addresses: Counter[str] = Counter()
        self._usernames: Counter[str] = Counter()

    @contextmanager
    def take(self, address: str, username: str) -> Iterator[bool]:
        """Yield whether a password may be checked now; the slot is taken until the end of the block."""
        with self._lock:
            free = (
                self._addresses.total() < IN_TOTAL
                and self._addresses[address] < PER_ADDRESS
                and self._usernames[username] < PER_USERNAME
            )
            if free:
                self._addresses[address] += 1
                self._usernames[username] += 1
        try:
            yield free
        finally:
            if free:
                self._release(address, username)

    def _release(self, address: str, username: str) -> None:
        with self._lock:
            self._addresses.subtract([address])
            self._usernames.subtract([username])
            # Forget those without any, or the counters would grow.
            self._addresses, self._usernames = +self._addresses, +self._usernames


slots: Final = PasswordSlots()
"""Those of this process."""


def too_many(request: HttpRequest) -> HttpResponse:
    """Return 429 and the time to wait for a slot."""
    response = render(request, "accounts/too_many.html", status=429)
    response["Retry-After"], response["Cache-Control"] = str(RETRY_AFTER), "no-store"
    return response
