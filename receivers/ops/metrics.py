"""What Prometheus is told: how pushes are answered, how refreshes end, and how this process is doing.

No label holds a name from the cluster or the registry: there are thousands of those, and whoever reads metrics may not
be allowed to know them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sized
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from receivers.cluster.cache import ClusterCache
from receivers.cluster.freight_watch import FreightWatch
from receivers.kargo.outcomes import RefreshOutcome
from receivers.models import Refresh

ANSWERS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
"""Seconds; Docker Hub waits for ten."""

TO_FREIGHT: Final = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds; Kargo's discovery of a large repository takes minutes, and a registry may lag as long."""


class Metrics:
    """Counts of this process since it started, and gauges that are read when somebody asks."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._answers = Histogram(
            "kargoweb_answer_seconds",
            "How long pushes took to be answered, by response code.",
            ["code"],
            buckets=ANSWERS,
            registry=self._registry,
        )
        self._refreshes = Counter(
            "kargoweb_refreshes_ended",
            "Refreshes of Warehouses that ended, by outcome.",
            ["outcome"],
            registry=self._registry,
        )
        self._freight = Histogram(
            "kargoweb_push_to_freight_seconds",
            "From the first request of a refresh to the Freight that holds what was pushed.",
            buckets=TO_FREIGHT,
            registry=self._registry,
        )
        for outcome in RefreshOutcome:
            self._refreshes.labels(outcome.value)  # from the start, so that a rate has a beginning

    def watch(self, gauges: Gauges) -> None:
        """Tell these, too."""
        self._registry.register(gauges)

    def note_answer(self, status: int, seconds: float) -> None:
        """Count an answer to a push."""
        self._answers.labels(str(status)).observe(seconds)

    def note_end(self, refresh: Refresh) -> None:
        """Count a refresh that has ended."""
        self._refreshes.labels(refresh.outcome).inc()
        if refresh.outcome == RefreshOutcome.FREIGHT_CREATED and refresh.requested_at and refresh.ended_at:
            self._freight.observe(max(0.0, (refresh.ended_at - refresh.requested_at).total_seconds()))

    def text(self) -> bytes:
        """Return all of it in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True, slots=True, eq=False)
class Gauges(Collector):
    """How this process stands at the moment."""

    cache: ClusterCache
    freight: FreightWatch
    tracker: Sized
    writer: Sized
    spool: Sized

    def collect(self) -> Iterator[Metric]:
        """Yield them; called for every scrape."""
        for name, text, rows in (
            ("refreshes_followed", "Refreshes that this process tracks.", self.tracker),
            ("log_queue", "Writes that wait to be stored in the delivery log.", self.writer),
            ("spool_deliveries", "Deliveries on disk that wait for the database.", self.spool),
        ):
            yield GaugeMetricFamily(f"kargoweb_{name}", text, value=len(rows))
        yield GaugeMetricFamily(
            "kargoweb_ready",
            "1 while pushes can be taken, as far as the cluster goes.",
            value=self.cache.ready,
        )
        yield from self._freshness()

    def _freshness(self) -> Iterator[Metric]:
        synced = GaugeMetricFamily(
            "kargoweb_cache_synced", "1 while all objects of a kind are known.", labels=["kind"]
        )
        age = GaugeMetricFamily(
            "kargoweb_cache_age_seconds", "Since the API server last told of a kind.", labels=["kind"]
        )
        watched = [*self.cache.freshness(), *self.freight.freshness()]
        for kind in sorted({one.resource.kind for one in watched}):
            of_kind = [one for one in watched if one.resource.kind == kind]
            synced.add_metric([kind], all(one.synced for one in of_kind))
            if contacts := _known(one.contact for one in of_kind):
                age.add_metric([kind], max(0.0, time.time() - min(contacts)))
        yield from (synced, age)


def _known(moments: Iterator[float | None]) -> Collection[float]:
    return [one for one in moments if one is not None]
