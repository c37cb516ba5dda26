"""Gathers what is known of receivers and Warehouses, and has the rules judge it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from receivers.cluster.cache import Mirror
from receivers.cluster.heartbeats import Heartbeats
from receivers.cluster.reflector import Freshness
from receivers.cluster.snapshot import Collision
from receivers.health import log_queries, mutes
from receivers.health.cached_value import Kept
from receivers.health.delivery_checks import RetiredCalls
from receivers.health.finding import Finding, most_urgent_first
from receivers.health.installation_checks import local_installation, unreadable
from receivers.health.reachability import is_local
from receivers.health.receiver_checks import ReceiverFacts, orphaned_calls, receiver_findings
from receivers.health.report import Look
from receivers.health.secret_checks import SecretChecks
from receivers.health.subscription_checks import covered_projects
from receivers.health.warehouse_checks import MissedPushes, WarehouseFacts, warehouse_findings
from receivers.kargo.resources import CLUSTER_CONFIGS, PublishedUrl, ReceiverConfig

KEPT_SECONDS: Final = 5.0  # so that several people who look, and pages that update themselves, cost one look
# How old a look may be that a page is shown with. While pages are open the background takes a new one in time; whoever
# comes after a silence waits for his.
STALE_SECONDS: Final = 30.0
WANTED_SECONDS: Final = (
    60.0  # for which new looks are taken after somebody asked: nobody pays for what nobody sees
)
RHYTHM_KEPT_SECONDS: Final = 300.0  # on which days pushes came: the dearest query, and days go by slowly
BLIP_SECONDS: Final = 60.0  # that a watch may fail before it is told; the API server may be restarting


class Health:
    """The findings of a cluster. Safe to ask from any thread."""

    def __init__(
        self,
        mirror: Mirror,
        heartbeats: Heartbeats,
        secrets: SecretChecks,
        shortest_interval: timedelta,
        base_url: str,
    ) -> None:
        self._mirror = mirror
        self._heartbeats = heartbeats
        self._secrets = secrets
        self._shortest_interval = shortest_interval
        self._base_url = base_url
        self._kept = Kept(self._take, STALE_SECONDS)
        self._wanted = -WANTED_SECONDS
        self._pushed_days = Kept(lambda: log_queries.pushed_days(timezone.now()), RHYTHM_KEPT_SECONDS)

    def findings(self, project: str | None = None) -> tuple[Finding, ...]:
        """Return the findings of one project (empty: of the cluster receivers and the cluster), or (None) all.

        The most urgent come first, and muted ones are among them. See `latest` for how old they are.
        """
        look = self.latest()
        return look.findings if project is None else look.of_project(project)

    def latest(self) -> Look:
        """Return the last look, some `KEPT_SECONDS` old while somebody keeps asking, `STALE_SECONDS` at most.

        It costs nothing but after a silence, when it is taken for whoever asks: six queries, whatever there is.
        """
        self._wanted = time.monotonic()
        return self._kept.get()

    def work(self) -> bool:
        """Take a new look if somebody asked for one lately."""
        if time.monotonic() - self._wanted < WANTED_SECONDS:
            self._kept.renew(KEPT_SECONDS)
        return False

    def keep_mutes(self) -> bool:
        """Forget the mutes whose finding has been gone for long, while the cluster is seen as it is."""
        if self._mirror.is_current:
            look = self._kept.renew(KEPT_SECONDS)
            mutes.keep_books(look.by_key.keys(), look.at)
        return False

    def note_mutes(self) -> None:
        """Take note that this process has changed what is muted. Others see it with their next look."""
        muted = mutes.read()
        self._kept.change(lambda look: look.with_mutes(muted))

    def _take(self) -> Look:
        return Look.of(timezone.now(), self.look(), mutes.read())

    def look(self) -> tuple[Finding, ...]:
        """Return all findings as of now, most urgent first."""
        found = list(self._of_watches())
        if self._mirror.ready:  # before, receivers and Warehouses would seem to lack what is not listed yet
            log = _Log.read(timezone.now(), self._pushed_days.get())
            found += self._of_receivers(log)
            found += self._of_warehouses(log)
        return most_urgent_first(found)

    def _of_watches(self) -> Iterator[Finding]:
        for one in self._mirror.freshness():
            if self._fails(one):
                yield unreadable(one.resource.plural, one.namespace, one.error)

    def _fails(self, one: Freshness) -> bool:
        # Who may read some namespaces only may do without the ClusterConfig.
        dispensable = one.resource is CLUSTER_CONFIGS and not one.synced and self._mirror.ready
        lasting = one.failing_since is not None and time.time() - one.failing_since > BLIP_SECONDS
        return bool(one.error) and lasting and not dispensable

    def _of_receivers(self, log: _Log) -> Iterator[Finding]:
        there, at_home = set(), 0
        for config in self._mirror.configs():
            published = {url.name: url for url in config.published}
            for receiver in config.receivers:
                there.add((config.project, receiver.name))
                url = published.get(receiver.name)
                at_home += url is not None and is_local(url.url)
                facts = self._receiver_facts(config, receiver.name, url, log)
                yield from receiver_findings(config, receiver, facts)
        for (project, name), calls in log.retired.items():
            if (project, name) not in there:
                yield from orphaned_calls(project, name, calls)
        if finding := local_installation(self._base_url, at_home):
            yield finding

    def _receiver_facts(
        self, config: ReceiverConfig, name: str, published: PublishedUrl | None, log: _Log
    ) -> ReceiverFacts:
        facts = log.of_receiver(config.project, name)
        if published is None:
            return facts
        digest = published.digest
        return replace(
            facts,
            at_home=is_local(self._base_url),
            secret=self._secrets.state(config.project, name, digest),
            sharers=self._sharers(config.project, name, digest),
            # A Secret that was put back makes a former URL a good one.
            retired=tuple(calls for calls in facts.retired if calls.url_suffix != digest[-6:]),
        )

    def _sharers(self, project: str, name: str, digest: str) -> tuple[str, ...]:
        route = self._mirror.route(digest)
        if not isinstance(route, Collision):
            return ()
        others = (one for one in route.routes if (one.project, one.receiver) != (project, name))
        return tuple(f"{one.project or 'cluster'}/{one.receiver}" for one in others)

    def _of_warehouses(self, log: _Log) -> Iterator[Finding]:
        covered = covered_projects(self._mirror.configs())
        heartbeats = self._heartbeats.known()
        both = {
            yes: WarehouseFacts(yes, log.now, self._shortest_interval, heartbeats) for yes in (True, False)
        }
        for warehouse in self._mirror.warehouses():
            facts = both["" in covered or warehouse.project in covered]
            missed = log.missed.get(warehouse.key)
            yield from warehouse_findings(warehouse, replace(facts, missed=missed) if missed else facts)


@dataclass(frozen=True, slots=True)
class _Log:
    """What the delivery log says at one moment."""

    now: datetime
    pushed_days: Mapping[tuple[str, str], tuple[bool, ...]]
    last_pushes: Mapping[tuple[str, str], datetime | None]
    outcomes: Mapping[tuple[str, str], Mapping[str, int]]
    retired: Mapping[tuple[str, str], tuple[RetiredCalls, ...]]
    missed: Mapping[tuple[str, str], tuple[MissedPushes, ...]]

    @classmethod
    def read(cls, now: datetime, pushed_days: Mapping[tuple[str, str], tuple[bool, ...]]) -> _Log:
        return cls(
            now,
            pushed_days,
            log_queries.last_pushes(),
            log_queries.outcomes(now),
            log_queries.retired(now),
            log_queries.missed(),
        )

    def of_receiver(self, project: str, name: str) -> ReceiverFacts:
        key = project, name
        last, days = self.last_pushes.get(key), self.pushed_days.get(key, ())
        if last is not None and last > self.now - log_queries.DAY:
            days = (True, *days[1:])  # what is kept of the days may be a few minutes old
        return ReceiverFacts(
            last_push=last,
            pushed_days=days,
            outcomes=self.outcomes.get(key, {}),
            retired=self.retired.get(key, ()),
        )
