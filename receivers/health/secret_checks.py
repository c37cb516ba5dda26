"""Compares the Secrets that receivers refer to with the URLs that are published for them."""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Final

from receivers.cluster.cache import ClusterCache
from receivers.cluster.errors import ClusterError
from receivers.cluster.receiver_secrets import ReceiverError, SecretUnreadable, read_secret
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest
from receivers.kargo.resources import Receiver

BATCH_SIZE: Final = 5  # Secrets per run; with a run per second, a thousand receivers take about three minutes
RECHECK_SECONDS: Final = 60.0  # after a Secret was read, or the API server failed
RETRY_SECONDS: Final = 600.0  # after a Secret was missing, or kargoweb wasn't allowed to read it


class SecretState(StrEnum):
    """Whether the Secret that a receiver refers to matches the receiver's URL."""

    MATCHES = "matches"
    DIFFERS = "differs"
    FORBIDDEN = "forbidden"
    """kargoweb may not read it."""

    MISSING = "missing"
    """It doesn't exist, or doesn't have the key."""

    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The result of comparing a Secret with a published digest, and when to compare again (monotonic time)."""

    digest: str
    state: SecretState
    due: float


@dataclass(frozen=True, slots=True)
class _PublishedReceiver:
    """A receiver with its published digest."""

    project: str
    receiver: Receiver
    digest: str

    @property
    def key(self) -> tuple[str, str]:
        return self.project, self.receiver.name


def _retry_seconds(receiver: Receiver) -> float:
    """Return when to try again: sooner if the receiver takes nothing without its Secret."""
    return RECHECK_SECONDS if KINDS[receiver.kind].signs else RETRY_SECONDS


class SecretChecks:
    """Compares published digests with Secrets that kargoweb may read. Only one thread may call `work`."""

    def __init__(
        self, cache: ClusterCache, system_namespace: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cache = cache
        self._system_namespace = system_namespace
        self._clock = clock
        self._comparisons: dict[tuple[str, str], _Comparison] = {}

    def state(self, project: str, receiver: str, published: str) -> SecretState:
        """Return whether the Secret of a receiver matches its published digest, if that is known."""
        comparison = self._comparisons.get((project, receiver))
        return comparison.state if comparison and comparison.digest == published else SecretState.UNKNOWN

    def work(self) -> bool:
        """Compare a batch of the Secrets that are due."""
        self.check(BATCH_SIZE)
        return False

    def check(self, limit: int) -> None:
        """Compare up to `limit` of the Secrets that are due, those that are due the longest first."""
        published = {receiver.key: receiver for receiver in self._published()}
        self._comparisons = {
            key: comparison for key, comparison in self._comparisons.items() if key in published
        }
        now = self._clock()
        due = [receiver for receiver in published.values() if self._due(receiver) <= now]
        for receiver in sorted(due, key=self._due)[:limit]:
            self._comparisons[receiver.key] = self._compare(receiver)

    def _due(self, receiver: _PublishedReceiver) -> float:
        comparison = self._comparisons.get(receiver.key)
        # A new digest makes an earlier comparison worthless.
        return comparison.due if comparison and comparison.digest == receiver.digest else 0.0

    def _published(self) -> list[_PublishedReceiver]:
        published = []
        for config in self._cache.configs():
            digests = {url.name: url.digest for url in config.published}
            published += [
                _PublishedReceiver(config.project, receiver, digests[receiver.name])
                for receiver in config.receivers
                if receiver.kind in KINDS and digests.get(receiver.name)
            ]
        return published

    def _compare(self, published: _PublishedReceiver) -> _Comparison:
        project, receiver = published.project, published.receiver
        try:
            secret = read_secret(self._cache.cluster(), project, receiver, self._system_namespace)
        except SecretUnreadable:
            return self._result(published, SecretState.FORBIDDEN, _retry_seconds(receiver))
        except ReceiverError:
            return self._result(published, SecretState.MISSING, _retry_seconds(receiver))
        except (ClusterError, binascii.Error):
            return self._result(published, SecretState.UNKNOWN, RECHECK_SECONDS)
        same = compare_digest(digest(project, receiver.name, secret), published.digest)
        return self._result(published, SecretState.MATCHES if same else SecretState.DIFFERS, RECHECK_SECONDS)

    def _result(self, published: _PublishedReceiver, state: SecretState, delay: float) -> _Comparison:
        return _Comparison(published.digest, state, self._clock() + delay)
