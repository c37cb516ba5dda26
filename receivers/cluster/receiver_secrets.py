"""The Secrets that receivers refer to: read for their digest, compared with what is published, never kept."""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final

from receivers.cluster.cache import Mirror
from receivers.cluster.client import Cluster
from receivers.cluster.errors import ClusterError, Forbidden, NotFound
from receivers.health.receiver_checks import SecretState
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest
from receivers.kargo.resources import SECRETS, Receiver

log = logging.getLogger(__name__)

CHECKED_AT_ONCE: Final = 5  # Secrets in one go; with a go a second, a thousand receivers take three minutes
CHECK_AGAIN_SECONDS: Final = 60.0  # until a Secret that could be read is read again
ASK_AGAIN_SECONDS: Final = 600.0  # until one that we may not read, or that is not there, is asked for again


class ReceiverProblem(Exception):
    """A receiver has no URL; the text is what Kargo says in that case."""


def read_secret(cluster: Cluster, project: str, receiver: Receiver, system_namespace: str) -> bytes:
    """Return the bytes that go into the digest of a receiver; `project` is empty for a cluster receiver.

    Raises `ReceiverProblem`, or `ClusterError` when it cannot be known. Source: `NewReceiver` in Kargo's
    `pkg/webhook/external/receiver.go`.
    """
    if receiver.kind not in KINDS:
        spoken = ", ".join(sorted(KINDS))
        raise ReceiverProblem(f'kargoweb does not speak "{receiver.kind}" receivers; it speaks {spoken}')
    kind, name, namespace = KINDS[receiver.kind], receiver.secret_name, project or system_namespace
    where = f'Secret "{name}" in namespace "{namespace}"'
    try:
        data: Mapping[str, Any] = cluster.get(SECRETS, name, namespace).get("data") or {}
    except NotFound:
        raise ReceiverProblem(f'error getting {where}: secrets "{name}" not found') from None
    if kind.secret_key not in data:
        missing = f'missing data key "{kind.secret_key}" for {kind.title} WebhookReceiver'
        raise ReceiverProblem(f"error extracting secret values from {where}: {missing}")
    return base64.b64decode(data[kind.secret_key])


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
