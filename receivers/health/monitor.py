"""Gathers the facts about receivers and Warehouses, and runs the health checks on them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.heartbeats import Heartbeats
from receivers.cluster.reflector import Freshness
from receivers.cluster.snapshot import Collision
from receivers.health import log_queries, mutes
from receivers.health.cached_value import CachedValue
from receivers.health.controller_checks import controller_findings
from receivers.health.delivery_checks import OldUrlUse
from receivers.health.finding import Finding, most_urgent_first
from receivers.health.installation_checks import local_installation, misrouted_webhooks, unreadable
from receivers.health.known_controllers import with_stopped
from receivers.health.reachability import is_local
from receivers.health.receiver_checks import ReceiverFacts, receiver_findings, removed_receiver_findings
from receivers.health.report import HealthReport
from receivers.health.secret_checks import SecretChecks
from receivers.health.warehouse_checks import MissedPushes, WarehouseFacts, warehouse_findings
from receivers.health.warehouse_problems import WarehouseProblems
from receivers.kargo.coverage import projects_with_receiver
from receivers.kargo.receiver_path import digest_suffix
from receivers.kargo.resources import CLUSTER_CONFIGS, PublishedUrl, Receiver, ReceiverConfig
from receivers.kargo.scopes import ReceiverKey, scope_name
from receivers.webhook.upstream import Upstream, passes_on

REFRESH_SECONDS: Final = 5.0  # several viewers, and pages that update themselves, share one report
# How old a report may be on a page. While pages are open, the background refreshes it in time. The first viewer after
# an idle period waits for a new one.
MAX_AGE_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 60.0  # refreshing stops this long after the last request: unseen reports cost nothing
PUSHED_DAYS_SECONDS: Final = 300.0  # the most expensive query, whose result changes once a day
GLITCH_SECONDS: Final = 60.0  # a watch may fail this long without a finding: the API server may be restarting


class HealthMonitor:
    """The findings of a cluster. Thread-safe."""

    def __init__(
        self,
        cache: ClusterCache,
        heartbeats: Heartbeats,
        secrets: SecretChecks,
        min_interval: timedelta,
        base_url: str,
        *,
        upstream: Upstream | None = None,
    ) -> None:
        self._cache = cache
        self._heartbeats = heartbeats
        self._secrets = secrets
        self._min_interval = min_interval
        self._base_url = base_url
        self._upstream = upstream
        self._report = CachedValue(self._build_report, MAX_AGE_SECONDS)
        self._requested_at = -IDLE_SECONDS
        self._problems = WarehouseProblems()
        cache.add_listener(self._problems.on_change)
        self._pushed_days = CachedValue(lambda: log_queries.pushed_days(timezone.now()), PUSHED_DAYS_SECONDS)

    def findings(self, project: str | None = None) -> tuple[Finding, ...]:
        """Return the findings of one project (empty: cluster receivers and the cluster), or (None) all of them.

        The most urgent come first, and muted ones are included. See `report` for how old they are.
        """
        report = self.report()
        return report.findings if project is None else report.for_project(project)

    def report(self) -> HealthReport:
        """Return the latest report, about `REFRESH_SECONDS` old while it is requested, `MAX_AGE_SECONDS` at most.

        This is free unless reports have not been requested for a while. Then the caller builds one, with nine queries.
        """
        self._requested_at = time.monotonic()
        return self._report.get()

    def latest(self) -> HealthReport:
        """Return a report that is `REFRESH_SECONDS` old at most, with nine queries if no page requests reports."""
        return self._report.refresh(REFRESH_SECONDS)

    def work(self) -> bool:
        """Refresh the report if it was requested recently."""
        if time.monotonic() - self._requested_at < IDLE_SECONDS:
            self._report.refresh(REFRESH_SECONDS)
        return False

    def prune_mutes(self) -> bool:
        """Delete the mutes of findings that are long gone, unless the cluster's state may be out of date."""
        if self._cache.is_current:
            report = self._report.refresh(REFRESH_SECONDS)
            mutes.prune({finding.mute_key for finding in report.findings}, report.at)
        return False

    def reload_mutes(self) -> None:
        """Apply mutes that this process changed. Other processes apply them with their next report."""
        current = mutes.read()
        self._report.update(lambda report: report.with_mutes(current))

    def _build_report(self) -> HealthReport:
        return HealthReport.build(timezone.now(), self.run_checks(), mutes.read())

    def run_checks(self) -> tuple[Finding, ...]:
        """Return all current findings, most urgent first."""
        findings = list(self._watch_findings())
        if self._cache.ready:  # until then, receivers and Warehouses would seem to lack what isn't listed yet
            log = _LogFacts.read(timezone.now(), self._pushed_days.get())
            findings += self._receiver_findings(log)
            findings += self._warehouse_findings(log)
            heartbeats = with_stopped(self._heartbeats.latest())
            findings += controller_findings(self._cache.warehouses(), heartbeats, log.now)
        return most_urgent_first(findings)

    def _watch_findings(self) -> Iterator[Finding]:
        for watch in self._cache.freshness():
            if self._is_failing(watch):
                yield unreadable(watch.resource.plural, watch.namespace, watch.error)

    def _is_failing(self, watch: Freshness) -> bool:
        # An installation that may read only some namespaces can do without the ClusterConfig.
        dispensable = watch.resource is CLUSTER_CONFIGS and not watch.synced and self._cache.ready
        lasting = watch.failing_since is not None and time.time() - watch.failing_since > GLITCH_SECONDS
        return bool(watch.error) and lasting and not dispensable

    def _receiver_findings(self, log: _LogFacts) -> Iterator[Finding]:
        existing, local_urls = set(), 0
        for config in self._cache.configs():
            published = {url.name: url for url in config.published}
            for receiver in config.receivers:
                existing.add((config.project, receiver.name))
                url = published.get(receiver.name)
                local_urls += url is not None and is_local(url.url)
                facts = self._receiver_facts(config, receiver, url, log)
                yield from receiver_findings(config, receiver, facts)
        for (project, name), uses in log.old_urls.items():
            if (project, name) not in existing:
                yield from removed_receiver_findings(project, name, uses)
        if finding := local_installation(self._base_url, local_urls):
            yield finding
        if finding := misrouted_webhooks(log.misrouted):
            yield finding

    def _receiver_facts(
        self, config: ReceiverConfig, receiver: Receiver, published: PublishedUrl | None, log: _LogFacts
    ) -> ReceiverFacts:
        name = receiver.name
        facts = log.of_receiver(config.project, name)
        if published is None:
            return facts
        digest = published.digest
        return replace(
            facts,
            served_locally=is_local(self._base_url),
            secret=self._secrets.state(config.project, name, digest),
            sharers=self._sharers(config.project, name, digest),
            passed_on=passes_on(self._upstream, config.project, receiver),
            # Restoring an earlier Secret makes an old URL the current one again.
            old_urls=tuple(use for use in facts.old_urls if use.url_suffix != digest_suffix(digest)),
        )

    def _sharers(self, project: str, name: str, digest: str) -> tuple[str, ...]:
        route = self._cache.route(digest)
        if not isinstance(route, Collision):
            return ()
        others = (other for other in route.routes if (other.project, other.receiver) != (project, name))
        return tuple(f"{scope_name(other.project)}/{other.receiver}" for other in others)

    def _warehouse_findings(self, log: _LogFacts) -> Iterator[Finding]:
        # A receiver without a URL has a finding of its own.
        projects = projects_with_receiver(self._cache.configs())
        # Two instances serve all Warehouses but the few with missed pushes or a problem.
        common = {covered: WarehouseFacts(covered, self._min_interval) for covered in (True, False)}
        for warehouse in self._cache.warehouses():
            facts = common["" in projects or warehouse.project in projects]
            missed, problem = log.missed.get(warehouse.key, ()), self._problems.of(warehouse)
            if missed or problem:
                facts = replace(facts, missed=missed, problem=problem)
            yield from warehouse_findings(warehouse, facts)


@dataclass(frozen=True, slots=True)
class _LogFacts:
    """The facts from the delivery log at one moment."""

    now: datetime
    pushed_days: Mapping[ReceiverKey, tuple[bool, ...]]
    last_pushes: Mapping[ReceiverKey, datetime | None]
    outcomes: Mapping[ReceiverKey, Mapping[str, int]]
    old_urls: Mapping[ReceiverKey, tuple[OldUrlUse, ...]]
    missed: Mapping[tuple[str, str], tuple[MissedPushes, ...]]
    misrouted: Mapping[str, int]

    @classmethod
    def read(cls, now: datetime, pushed_days: Mapping[ReceiverKey, tuple[bool, ...]]) -> _LogFacts:
        return cls(
            now,
            pushed_days,
            log_queries.last_pushes(),
            log_queries.outcomes(now),
            log_queries.old_urls(now),
            log_queries.missed(),
            log_queries.misrouted(now),
        )

    def of_receiver(self, project: str, name: str) -> ReceiverFacts:
        key = project, name
        last, days = self.last_pushes.get(key), self.pushed_days.get(key, ())
        if last is not None and last > self.now - log_queries.DAY:
            days = (True, *days[1:])  # the cached days may be a few minutes old
        return ReceiverFacts(
            last_push=last,
            pushed_days=days,
            outcomes=self.outcomes.get(key, {}),
            old_urls=self.old_urls.get(key, ()),
            system_namespace=settings.KARGOWEB.system_namespace,
        )
