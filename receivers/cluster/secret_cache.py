"""The Secrets of receivers, kept in memory for seconds: providers send bursts, and sign every request."""

from __future__ import annotations

import binascii
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.cluster.receiver_secrets import ReceiverError, read_secret
from receivers.kargo.resources import Receiver

KEPT_SECONDS: Final = 5.0  # a changed Secret applies after this time at the latest
REFUSED_SECONDS: Final = (
    2.0  # after an error; this limits the requests that anyone who knows the URL can cause
)
MOST_KEPT: Final = 1_000


class SecretNotRead(Exception):
    """The Secret of a receiver can't be read; the message says why."""


@dataclass(frozen=True, slots=True)
class _CachedSecret:
    """The value of a Secret, or why it can't be read; until a time of `time.monotonic`."""

    value: bytes
    problem: str
    until: float

    def __repr__(self) -> str:
        return "_CachedSecret()"  # without the value


class SecretCache:
    """Reads the Secrets of receivers when they are needed. Thread-safe. Nothing is stored or logged."""

    def __init__(self, cluster: Callable[[], KubernetesClient], system_namespace: str) -> None:
        self._cluster = cluster
        self._system_namespace = system_namespace
        self._lock = threading.Lock()
        self._cached: dict[tuple[str, str, str], _CachedSecret] = {}

    def read(self, project: str, receiver: Receiver) -> bytes:
        """Return the value of the Secret of a receiver of a kind in `KINDS`. Raises `SecretNotRead`."""
        key = (project, receiver.kind, receiver.secret_name)
        cached = self._cached.get(key)
        if cached is None or cached.until <= time.monotonic():
            cached = self._read(project, receiver)
            with self._lock:
                if len(self._cached) >= MOST_KEPT:
                    self._cached.clear()
                self._cached[key] = cached
        if cached.problem:
            raise SecretNotRead(cached.problem)
        return cached.value

    def _read(self, project: str, receiver: Receiver) -> _CachedSecret:
        try:
            value = read_secret(self._cluster(), project, receiver, self._system_namespace)
        except (ReceiverError, ClusterError) as error:
            return _CachedSecret(b"", str(error), time.monotonic() + REFUSED_SECONDS)
        except binascii.Error:
            return _CachedSecret(b"", "the Secret is not valid Base64", time.monotonic() + REFUSED_SECONDS)
        return _CachedSecret(value, "", time.monotonic() + KEPT_SECONDS)
