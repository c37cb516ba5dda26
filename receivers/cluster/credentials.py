"""Provide the `Authorization` header."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from kubernetes.client import Configuration

from receivers.cluster.errors import KubeconfigError

# Seconds; the client's refresh hook is slow, because it scans the environment at each call
FRESH_FOR: Final = 1.0


class Credentials:
    """The `Authorization` header, refreshed by the official client's hook (token files, exec plugins)."""

    def __init__(self, configuration: Configuration, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._lock = threading.Lock()
        self._refreshed_at = float("-inf")
        self._value = ""

    def header(self) -> str:
        """Return the value of the header, or an empty string if there is none. Raises `KubeconfigError`."""
        now = self._clock()
        if now - self._refreshed_at < FRESH_FOR:
            return self._value
        # One thread refreshes (a plugin may take seconds); the others use the current value meanwhile.
        if self._lock.acquire(blocking=self._refreshed_at == float("-inf")):
            try:
                self._value = self._refresh()
                self._refreshed_at = self._clock()
            finally:
                self._lock.release()
        return self._value

    def _refresh(self) -> str:
        try:
            value = self._configuration.get_api_key_with_prefix("BearerToken", "authorization") or ""
        except Exception as error:  # noqa: BLE001  the hook may run a plugin and raise anything
            if self._value:
                return self._value
            raise KubeconfigError(f"the credentials cannot be read ({type(error).__name__})") from None
        value = value.strip()
        if "\n" in value or "\r" in value:
            raise KubeconfigError("the token contains a line break")
        return value
