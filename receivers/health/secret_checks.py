"""Compares the Secrets that receivers refer to with the URLs that are published for them."""

from __future__ import annotations

import binascii
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from hmac import compare_digest
from typing import Final

from receivers.cluster.cache import Mirror
from receivers.cluster.errors import ClusterError, Forbidden
from receivers.cluster.receiver_secrets import ReceiverProblem, read_secret
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest
from receivers.kargo.resources import Receiver

CHECKED_AT_ONCE: Final = 5  # Secrets in one go; with a go a second, a thousand receivers take three minutes
CHECK_AGAIN_SECONDS: Final = 60.0  # until a Secret that could be read is read again
ASK_AGAIN_SECONDS: Final = 600.0  # until one that we may not read, or that is not there, is asked for again


class SecretState(StrEnum):
    """What is known of the Secret that a receiver refers to."""

    MATCHES = "matches"
    DIFFERS = "differs"
    NOT_KNOWN = "not known"


@dataclass(frozen=True, slots=True)
class _Checked:
    """What came of looking at a Secret: against which published digest, and when it is to be looked at again."""

    against: str
    state: SecretState
    due: float


@dataclass(frozen=True, slots=True)
class _Published:
    """A receiver with the digest under which it is published."""

    project: str
    receiver: Receiver
    digest: str

    @property
    def key(self) -> tuple[str, str]:
        return self.project, self.receiver.name


class SecretChecks:
    """Compares published digests with the Secrets, where they may be read. `work` is called by one thread."""

    def __init__(
        self, mirror: Mirror, system_namespace: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._mirror = mirror
        self._system_namespace = system_namespace
        self._clock = clock
        self._checked: dict[tuple[str, str], _Checked] = {}

    def state(self, project: str, receiver: str, published: str) -> SecretState:
        """Return whether the Secret of a receiver belongs to its published digest, as far as that is known."""
        checked = self._checked.get((project, receiver))
        return checked.state if checked and checked.against == published else SecretState.NOT_KNOWN

    def work(self) -> bool:
        """Look at the Secrets that are due, a few at a time."""
        self.check(CHECKED_AT_ONCE)
        return False

    def check(self, most: int) -> None:
        """Look at the Secrets that are due, `most` of them at most, those that have waited longest first."""
        published = {one.key: one for one in self._published()}
        self._checked = {key: checked for key, checked in self._checked.items() if key in published}
        due = [(self._due(one), one) for one in published.values()]
        late = sorted((pair for pair in due if pair[0] <= self._clock()), key=lambda pair: pair[0])
        for _, one in late[:most]:
            self._checked[one.key] = self._look(one)

    def _due(self, one: _Published) -> float:
        checked = self._checked.get(one.key)
        return checked.due if checked and checked.against == one.digest else 0.0

    def _published(self) -> list[_Published]:
        found = []
        for config in self._mirror.configs():
            digests = {url.name: url.digest for url in config.published}
            found += [
                _Published(config.project, receiver, digests[receiver.name])
                for receiver in config.receivers
                if receiver.kind in KINDS and digests.get(receiver.name)
            ]
        return found

    def _look(self, one: _Published) -> _Checked:
        try:
            secret = read_secret(self._mirror.cluster(), one.project, one.receiver, self._system_namespace)
        except (ReceiverProblem, Forbidden):
            return self._note(one, SecretState.NOT_KNOWN, ASK_AGAIN_SECONDS)
        except (ClusterError, binascii.Error):
            return self._note(one, SecretState.NOT_KNOWN, CHECK_AGAIN_SECONDS)
        same = compare_digest(digest(one.project, one.receiver.name, secret), one.digest)
        return self._note(one, SecretState.MATCHES if same else SecretState.DIFFERS, CHECK_AGAIN_SECONDS)

    def _note(self, one: _Published, state: SecretState, seconds: float) -> _Checked:
        return _Checked(one.digest, state, self._clock() + seconds)
