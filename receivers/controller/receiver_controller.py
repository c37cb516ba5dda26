"""Manages receivers, where kargoweb does what Kargo's management controller otherwise does: it reads the Secrets,
computes the URLs and writes the status of ProjectConfigs and of the ClusterConfig.

Reasons and messages: Kargo's `pkg/controller/management/projectconfigs` and `clusterconfigs`, and `NewReceiver` in its
`pkg/webhook/external/receiver.go`. All writes are idempotent, so any number of replicas may do this side by side.
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
from receivers.cluster.receiver_secrets import ReceiverError, read_secret
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

# Secrets are read and not watched, which would take the right to list them all. A rotation is seen within seconds,
# as long as there are not so many receivers that reading them all takes longer.
SHORTEST_RECHECK_SECONDS: Final = 2.0  # between two looks at the Secrets of a good configuration
RECHECKS_PER_SECOND: Final = 20.0  # of receivers; a thousand of them are looked at within a minute
# After a fault: `kubectl apply` of configuration and Secret in the wrong order.
FIRST_RETRY_SECONDS: Final = 2.0
LONGEST_RETRY_SECONDS: Final = 60.0


@dataclass(slots=True)
class _Schedule:
    """When a configuration is looked at next, how often it failed in a row, and which state of it was looked at."""

    due: float = 0.0
    failures: int = 0
    seen: tuple[int, str] = (-1, "")


class ReceiverManager:
    """Brings the status of every configuration up to date. `work` is called by one thread only."""

    def __init__(
        self, cache: ClusterCache, cluster: Callable[[], KubernetesClient], base_url: str, system_namespace: str
    ) -> None:
        self._cache = cache
        self._cluster = cluster
        self._base_url = base_url
        self._system_namespace = system_namespace
        self._schedules: dict[str, _Schedule] = {}
        self._digests = _Digests(self._look_again)

    def work(self) -> bool:
        """Look at every configuration that is due: changed, asked to refresh, or not looked at for a while."""
        configs = {config.project: config for config in self._cache.configs()}
        for project in self._schedules.keys() - configs.keys():
            del self._schedules[project]
            self._digests.replace(project, {})
        for project, config in configs.items():
            schedule = self._schedules.setdefault(project, _Schedule())
            if schedule.due <= time.monotonic() or schedule.seen != (config.generation, config.refresh_token):
                self._look_at(config, schedule)
        return False

    def _look_again(self, project: str) -> None:
        if project in self._schedules:
            self._schedules[project].due = 0.0

    def _look_at(self, config: ReceiverConfig, schedule: _Schedule) -> None:
        schedule.seen = config.generation, config.refresh_token
        try:
            good = self._sync(config)
        except ClusterError as error:
            log.warning(
                "the status of %s %r cannot be brought up to date: %s", config.name, config.project, error
            )
            good = False
        schedule.failures = 0 if good else schedule.failures + 1
        pause = self._recheck_seconds() if good else _retry_pause(schedule.failures)
        schedule.due = time.monotonic() + pause

    def _recheck_seconds(self) -> float:
        return max(SHORTEST_RECHECK_SECONDS, len(self._digests) / RECHECKS_PER_SECOND)

    def _sync(self, config: ReceiverConfig) -> bool:
        """Compute and write the status; return whether every receiver has a URL."""
        resource = PROJECT_CONFIGS if config.project else CLUSTER_CONFIGS
        try:
            raw = self._cluster().get(resource, config.name, config.project or None)
        except NotFound:
            return True
        published, problems = self._resolve(config.project, decode_config(raw).receivers)
        status = desired_status(raw, published, problems, timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        before = raw.get("status") or {}
        if status != before:
            # A merge patch: what the status is to lose must be named. The version keeps two writers apart.
            patch = {
                "metadata": {"resourceVersion": raw["metadata"]["resourceVersion"]},
                "status": {key: None for key in before if key not in status} | status,
            }
            self._cluster().patch_status(resource, config.name, config.project or None, patch)
        return not problems

    def _resolve(self, project: str, receivers: tuple[Receiver, ...]) -> tuple[list[PublishedUrl], list[str]]:
        """Return the URLs of the receivers that have one, and a sentence for every receiver that has none."""
        secrets: dict[str, bytes] = {}
        problems: dict[str, str] = {}
        for receiver in receivers:
            try:
                secrets[receiver.name] = read_secret(
                    self._cluster(), project, receiver, self._system_namespace
                )
            except ReceiverError as problem:
                problems[receiver.name] = str(problem)
        found = {name: digest(project, name, secret) for name, secret in secrets.items()}
        self._digests.replace(project, found)
        for name in found:
            if others := self._digests.others(project, name):
                problems[name] = (
                    f"its URL is also that of {', '.join(others)}; rename one of them or change its Secret"
                )
        published = [
            self._publish(project, one, secrets[one.name]) for one in receivers if one.name not in problems
        ]
        return published, [
            f'error syncing WebhookReceiver "{name}": {text}' for name, text in problems.items()
        ]

    def _publish(self, project: str, receiver: Receiver, secret: bytes) -> PublishedUrl:
        at = (receiver.kind, project, receiver.name, secret)
        path = receiver_path(urlsplit(self._base_url).path, *at)
        return PublishedUrl(receiver.name, path, receiver_url(self._base_url, *at))


class _Digests:
    """The digest of every receiver, and so the receivers that share one. `changed` is called with the projects of
    those who shared a digest that somebody has taken or given up."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        self._changed = changed
        self._held: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return len(self._held)

    def replace(self, project: str, found: Mapping[str, str]) -> None:
        """Note the digests by receiver name of one project; what it had before is forgotten."""
        before = {holder: held for holder, held in self._held.items() if holder[0] == project}
        after = {(project, name): held for name, held in found.items()}
        self._held = {holder: held for holder, held in self._held.items() if holder[0] != project} | after
        moved = set(before.values()) ^ set(after.values())
        for (other, _), held in self._held.items():
            if other != project and held in moved:
                self._changed(other)

    def others(self, project: str, receiver: str) -> list[str]:
        """Return the other receivers with the same digest, as `project/receiver`."""
        digest_ = self._held[project, receiver]
        sharers = (
            holder for holder, held in self._held.items() if held == digest_ and holder != (project, receiver)
        )
        return sorted(f"{scope_name(other)}/{name}" for other, name in sharers)


def _retry_pause(failures: int) -> float:
    return min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 10), LONGEST_RETRY_SECONDS)
