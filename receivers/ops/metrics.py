"""The metrics for Prometheus: responses to pushes, ends of refreshes, and the state of this process.

No label contains a name from the cluster or the registry: there may be thousands, and those who read metrics may not
be allowed to see them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sized
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from receivers.cluster.cache import ClusterCache
from receivers.cluster.freight_watch import FreightWatch
from receivers.cluster.stage_watch import StageWatch
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import FREIGHTS
from receivers.models import Refresh

RESPONSE_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds; GitHub's timeout is ten, and Docker Hub's is unknown."""

FREIGHT_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds; discovery in a large repository takes minutes, and so may the registry until it lists a tag."""


class Metrics:
    """Counters of this process since its start, and gauges that each scrape reads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Histogram(
            "kargoweb_answer_seconds",
            "Time until the response to a request, by response code.",
            ["code"],
            buckets=RESPONSE_BUCKETS,
            registry=self._registry,
        )
        self._refreshes = Counter(
            "kargoweb_refreshes_ended",
            "Ended refreshes of Warehouses, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self._freight = Histogram(
            "kargoweb_push_to_freight_seconds",
            "Time from the first request of a refresh to Freight with the pushed artifact.",
            buckets=FREIGHT_BUCKETS,
            registry=self._registry,
        )
        self._alerts = Counter(
            "kargoweb_alert_messages",
            "Attempts to send an alert message, by result.",
            ["result"],
            registry=self._registry,
        )
        for result in ("sent", "failed"):
            self._alerts.labels(result)
        for outcome in RefreshOutcome:
            self._refreshes.labels(
                outcome.value
            )  # exported as 0 from the start, for rates need a first sample

    def watch(self, gauges: Gauges) -> None:
        """Export these gauges, too."""
        self._registry.register(gauges)

    def count_response(self, status: int, seconds: float) -> None:
        """Count a response and its `seconds`."""
        self._answers.labels(str(status)).observe(seconds)

    def count_refresh(self, refresh: Refresh) -> None:
        """Count a refresh that has ended."""
        self._refreshes.labels(refresh.outcome).inc()
        if refresh.outcome == RefreshOutcome.FREIGHT_CREATED and refresh.requested_at and refresh.ended_at:
            self._freight.observe(max(0.0, (refresh.ended_at - refresh.requested_at).total_seconds()))

    def count_alert(self, sent: bool) -> None:
        """Count an attempt to send an alert message, which arrived or not."""
        self._alerts.labels("sent" if sent else "failed").inc()

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True, slots=True, eq=False)
class Gauges(Collector):
    """The current state of this process."""

    cache: ClusterCache
    freight: FreightWatch
    tracker: Sized
    writer: Sized
    spool: Sized
    waiters: Sized
    stages: StageWatch | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges; called for every scrape."""
        for name, text, rows in (
            ("refreshes_followed", "Refreshes that this process tracks.", self.tracker),
            ("log_queue", "Queued writes to the delivery log.", self.writer),
            ("spool_deliveries", "Deliveries in the spool on disk, waiting for the database.", self.spool),
            ("waiting_clients", "Clients of the API that wait for a push.", self.waiters),
        ):
            yield GaugeMetricFamily(f"kargoweb_{name}", text, value=len(rows))
        yield GaugeMetricFamily(
            "kargoweb_ready",
            "1 if the cluster cache is in sync, so that pushes are accepted.",
            value=self.cache.ready,
        )
        yield from self._freshness()

    def _freshness(self) -> Iterator[Metric]:
        synced = GaugeMetricFamily(
            "kargoweb_cache_synced", "1 if the cache has all objects of a kind.", labels=["kind"]
        )
        age = GaugeMetricFamily(
            "kargoweb_cache_age_seconds",
            "Time since the API server last sent anything about a kind.",
            labels=["kind"],
        )
        watches = [*self.cache.freshness(), *self.freight.freshness()]
        if self.stages is not None:
            watches += [watch for watch in self.stages.freshness() if watch.resource is not FREIGHTS]
        for kind in sorted({watch.resource.kind for watch in watches}):
            of_kind = [watch for watch in watches if watch.resource.kind == kind]
            synced.add_metric([kind], all(watch.synced for watch in of_kind))
            if contacts := [watch.contact for watch in of_kind if watch.contact is not None]:
                age.add_metric([kind], max(0.0, time.time() - min(contacts)))
        yield from (synced, age)
