"""The `Authorization` header."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from kubernetes.client import Configuration

from receivers.cluster.errors import ConfigurationProblem

FRESH_FOR: Final = 1.0  # seconds; the hook behind it scans the environment each time it is asked


class Credentials:
    """The `Authorization` header, kept fresh by the official client's hook (token files, exec plugins)."""

    def __init__(self, configuration: Configuration, clock: Callable[[], float] = time.monotonic) -> None:
        self._configuration = configuration
        self._clock = clock
        self._lock = threading.Lock()
        self._asked = float("-inf")
        self._value = ""

    def header(self) -> str:
        """Return the value to send, or an empty string. Raises `ConfigurationProblem`."""
        now = self._clock()
        if now - self._asked < FRESH_FOR:
            return self._value
        # One thread asks (a plugin may take seconds); the others go on with what they have.
        if self._lock.acquire(blocking=self._asked == float("-inf")):
            try:
                self._value = self._ask()
                self._asked = self._clock()
            finally:
                self._lock.release()
        return self._value

    def _ask(self) -> str:
        try:
            value = self._configuration.get_api_key_with_prefix("BearerToken", "authorization") or ""
        except Exception as error:  # noqa: BLE001  a hook may run a plugin and raise anything
            if self._value:
                return self._value
            raise ConfigurationProblem(f"the credentials cannot be read ({type(error).__name__})") from None
        value = value.strip()
        if "\n" in value or "\r" in value:
            raise ConfigurationProblem("the token holds a line break and cannot be sent")
        return value
