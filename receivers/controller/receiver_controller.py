"""Manage receivers in place of Kargo's management controller: read their Secrets, compute their URLs, and write the
status of ProjectConfigs and of the ClusterConfig.

Source of reasons and messages: Kargo's `pkg/controller/management/projectconfigs` and `clusterconfigs`, and
`NewReceiver` in `pkg/webhook/external/receiver.go`. All writes are idempotent, so any number of replicas may run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, NotFound
from receivers.cluster.receiver_secrets import ReceiverError, SecretUnreadable, read_secret
from receivers.kargo.kinds import KINDS
from receivers.kargo.receiver_path import digest, receiver_path, receiver_url
from receivers.kargo.receiver_status import desired_status
from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    PROJECT_CONFIGS,
    PublishedUrl,
    Receiver,
    ReceiverConfig,
    decode_config,
)
from receivers.kargo.scopes import scope_name

log = logging.getLogger(__name__)

# Secrets are polled, because a watch would require the permission to list all of them. A rotation is noticed within
# seconds, or later if there are many receivers.
SHORTEST_RECHECK_SECONDS: Final = 2.0  # between two reads of the Secrets of a configuration without errors
RECHECKS_PER_SECOND: Final = 20.0  # receivers; a thousand take 50 seconds
# After an error, such as a configuration that was applied before its Secret.
FIRST_RETRY_SECONDS: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Schedule:
    """When to sync a configuration next, its consecutive failures, and the generation and refresh token synced last."""

    due: float = 0.0
    failures: int = 0
    synced: tuple[int, str] = (-1, "")


class ReceiverController:
    """Keeps the status of every configuration up to date. `work` must be called by one thread only."""

    def __init__(
        self,
        cache: ClusterCache,
        cluster: Callable[[], KubernetesClient],
        base_url: str,
        system_namespace: str,
    ) -> None:
        self._cache = cache
        self._cluster = cluster
        self._base_url = base_url
        self._system_namespace = system_namespace
        self._schedules: dict[str, _Schedule] = {}
        self._digests = _Digests(self._requeue)

    def work(self) -> bool:
        """Sync every configuration that has changed, was asked to refresh, or is due for a recheck. Returns False."""
        configs = {config.project: config for config in self._cache.configs()}
        for project in self._schedules.keys() - configs.keys():
            del self._schedules[project]
            self._digests.replace(project, {})
        for project, config in configs.items():
            schedule = self._schedules.setdefault(project, _Schedule())
            if schedule.due <= time.monotonic() or schedule.synced != (
                config.generation,
                config.refresh_token,
            ):
                self._sync_scheduled(config, schedule)
        return False

    def _requeue(self, project: str) -> None:
        if project in self._schedules:
            self._schedules[project].due = 0.0

    def _sync_scheduled(self, config: ReceiverConfig, schedule: _Schedule) -> None:
        schedule.synced = config.generation, config.refresh_token
        try:
            succeeded = self._sync(config)
        except ClusterError as error:
            log.warning("Cannot update the status of %s %r: %s", config.name, config.project, error)
            succeeded = False
        schedule.failures = 0 if succeeded else schedule.failures + 1
        delay = self._recheck_seconds() if succeeded else _retry_seconds(schedule.failures)
        schedule.due = time.monotonic() + delay

    def _recheck_seconds(self) -> float:
        return max(SHORTEST_RECHECK_SECONDS, len(self._digests) / RECHECKS_PER_SECOND)

    def _sync(self, config: ReceiverConfig) -> bool:
        """Compute the status and write it if it changed; return whether every receiver of ours has a URL."""
        resource = PROJECT_CONFIGS if config.project else CLUSTER_CONFIGS
        try:
            raw = self._cluster().get(resource, config.name, config.project or None)
        except NotFound:
            return True
        current = decode_config(raw)
        if not _concerns_us(current):
            return True
        published, problems = self._resolve(current)
        status = desired_status(raw, published, problems, timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        before = raw.get("status") or {}
        if status != before:
            # A merge patch only removes fields that are null. The version makes it fail if another writer was first.
            patch = {
                "metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]},
                "status": {key: None for key in before if key not in status} | status,
            }
            self._cluster().patch_status(resource, config.name, config.project or None, patch)
        return not problems

    def _resolve(self, config: ReceiverConfig) -> tuple[list[PublishedUrl], list[str]]:
        """Return what the status should publish, and an error message for each receiver of ours without a URL.

        Receivers of unknown kinds keep what is published for them, and so do those whose Secret is
        unreadable at the moment.
        """
        project = config.project
        secrets: dict[str, bytes] = {}
        problems: dict[str, str] = {}
        unmanaged = {receiver.name for receiver in config.receivers if receiver.kind not in KINDS}
        for receiver in config.receivers:
            if receiver.kind not in KINDS:
                continue
            try:
                secrets[receiver.name] = read_secret(
                    self._cluster(), project, receiver, self._system_namespace
                )
            except ReceiverError as problem:
                problems[receiver.name] = str(problem)
                if isinstance(problem, SecretUnreadable):
                    unmanaged.add(receiver.name)
        digests = {name: digest(project, name, secret) for name, secret in secrets.items()}
        self._digests.replace(project, digests)
        for name in digests:
            if others := self._digests.others(project, name):
                problems[name] = (
                    f"its URL is the same as that of {', '.join(others)}; rename one of them or change its Secret"
                )
        before = {(url.name, _kind(url)): url for url in config.published}
        published: list[PublishedUrl] = []
        for receiver in config.receivers:
            if receiver.name in unmanaged:
                published += filter(None, [before.get((receiver.name, receiver.kind))])
            elif receiver.name not in problems:
                published.append(self._publish(project, receiver, secrets[receiver.name]))
        return published, [
            f'error syncing WebhookReceiver "{name}": {text}' for name, text in problems.items()
        ]

    def _publish(self, project: str, receiver: Receiver, secret: bytes) -> PublishedUrl:
        at = (receiver.kind, project, receiver.name, secret)
        path = receiver_path(urlsplit(self._base_url).path, *at)
        return PublishedUrl(receiver.name, path, receiver_url(self._base_url, *at))


class _Digests:
    """The digests of all receivers, to find those that share one.

    Calls `changed` with a project if one of its receivers may have started or stopped to share its digest.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._held: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._held)

    def replace(self, project: str, digests: Mapping[str, str]) -> None:
        """Replace the digests of one project, given by receiver name."""
        before = {holder: held for holder, held in self._held.items() if holder[0] == project}
        after = {(project, name): held for name, held in digests.items()}
        self._held = {holder: held for holder, held in self._held.items() if holder[0] != project} | after
        changed = set(before.values()) ^ set(after.values())
        for (other, _), held in self._held.items():
            if other != project and held in changed:
                self._changed(other)

    def others(self, project: str, receiver: str) -> list[str]:
        """Return the other receivers with the same digest, as `project/receiver`."""
        digest_ = self._held[project, receiver]
        sharers = (
            holder for holder, held in self._held.items() if held == digest_ and holder != (project, receiver)
        )
        return sorted(f"{scope_name(other)}/{name}" for other, name in sharers)


def _concerns_us(config: ReceiverConfig) -> bool:
    """Return False if all receivers, and all that is published for them, are of unknown kinds."""
    kinds = {receiver.kind for receiver in config.receivers} | {_kind(url) for url in config.published}
    return not kinds or not kinds.isdisjoint(KINDS)


def _kind(url: PublishedUrl) -> str:
    """Return the kind of the receiver that a URL was published for: the second to last segment of its path."""
    return url.path.rpartition("/")[0].rpartition("/")[2]


def _retry_seconds(failures: int) -> float:
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10), LONGEST_RETRY_SECONDS)
