"""The Freight watch reports new Freight, against every API server and across failures."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from receivers.cluster.client import connect
from receivers.cluster.freight_watch import FreightWatch
from receivers.kargo.artifacts import Freight
from receivers.kargo.resources import FREIGHTS
from tests.clusters import Cluster, DemoCluster, until
from tests.contract.caches import FAST_BACKOFF


class FreightRecorder:
    """A Freight watch that records its events, and a way to create Freight."""

    def __init__(self, kubeconfig: Path, **options: Any) -> None:
        self.client = connect(str(kubeconfig))
        self.watch = FreightWatch(lambda: self.client, backoff=FAST_BACKOFF, **options)
        self.reported: list[Freight] = []
        self.starts = 0
        self.watch.add_listener(self.reported.append)
        self.watch.add_restart_listener(self._count_start)

    def _count_start(self) -> None:
        self.starts += 1

    def make(self, name: str, project: str, warehouse: str = "main", tag: str = "1.2.3") -> None:
        """Create Freight as Kargo does."""
        image = {"repoURL": "docker.io/example/app", "tag": tag, "digest": f"sha256:{name}"}
        origin = {"kind": "Warehouse", "name": warehouse}
        body = {"metadata": {"name": name}, "alias": f"alias-{name}", "origin": origin, "images": [image]}
        kind = {"apiVersion": FREIGHTS.api_version, "kind": FREIGHTS.kind}
        self.client.create(FREIGHTS, kind | body, project)

    def names(self) -> list[str]:
        """Return the names of the reported Freight, in order."""
        return [freight.name for freight in self.reported]


@contextlib.contextmanager
def watching(kubeconfig: Path, **options: Any) -> Iterator[FreightRecorder]:
    """Run a Freight watch that has started."""
    recorder = FreightRecorder(kubeconfig, **options)
    recorder.watch.start()
    try:
        until(
            "the watch has started",
            lambda: all(reflector.is_watching for reflector in recorder.watch.reflectors),
        )
        yield recorder
    finally:
        recorder.watch.stop()
        recorder.client.close()


def test_new_freight_is_reported_and_stored_by_warehouse(cluster: Cluster, namespace: str) -> None:
    with watching(cluster.kubeconfig) as recorder:
        recorder.make("f1", namespace)
        recorder.make("f2", namespace, "other", tag="2.0.0")
        until("both are reported", lambda: {"f1", "f2"} <= set(recorder.names()))
        [freight] = recorder.watch.of((namespace, "main"))
        assert (freight.alias, freight.artifacts[0].repository, freight.artifacts[0].tag) == (
            "alias-f1",
            "example/app",
            "1.2.3",
        )
        assert freight.created_at is not None


def test_existing_freight_is_not_reported(cluster: Cluster, namespace: str) -> None:
    with watching(cluster.kubeconfig) as recorder:
        recorder.make("old", namespace)
    with watching(cluster.kubeconfig, namespaces=(namespace,)) as recorder:
        recorder.make("new", namespace)
        until("the new Freight is reported", lambda: "new" in recorder.names())
        assert "old" not in recorder.names()


@pytest.fixture
def isolated_namespace(demo: DemoCluster) -> str:
    demo.api.post("/api/v1/namespaces", {"metadata": {"name": "isolated"}})
    return "isolated"


def test_a_dropped_watch_resumes(demo: DemoCluster, isolated_namespace: str) -> None:
    with watching(demo.kubeconfig) as recorder:
        for number in range(4):
            demo.faults(dropWatches=True)
            recorder.make(f"f{number}", isolated_namespace)
        until("all are reported", lambda: recorder.names() == [f"f{number}" for number in range(4)])
        assert recorder.starts == 1


def test_an_expired_history_restarts_the_watch(demo: DemoCluster, isolated_namespace: str) -> None:
    with watching(demo.kubeconfig) as recorder:
        demo.faults(expireWatches=True)
        until("the watch restarts", lambda: recorder.starts == 2)
        until(
            "the watch is running",
            lambda: all(reflector.is_watching for reflector in recorder.watch.reflectors),
        )
        recorder.make("after", isolated_namespace)
        until("the new Freight is reported", lambda: "after" in recorder.names())


def test_a_forbidden_watch_reports_the_error(demo: DemoCluster) -> None:
    recorder = FreightRecorder(demo.kubeconfig_for("nobody"))
    recorder.watch.start()
    try:
        [freshness] = until(
            "the error is reported", lambda: [entry for entry in recorder.watch.freshness() if entry.error]
        )
        assert "freights" in freshness.error
    finally:
        recorder.watch.stop()
        recorder.client.close()


def test_the_oldest_freight_is_evicted(
    demo: DemoCluster, isolated_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receivers.cluster.freight_watch.RECENT_LIMIT", 3)
    with watching(demo.kubeconfig) as recorder:
        for number in range(5):
            recorder.make(f"f{number}", isolated_namespace, f"w{number % 2}")
        until("all are reported", lambda: len(recorder.reported) == 5)
        remaining = [
            freight.name for name in ("w0", "w1") for freight in recorder.watch.of((isolated_namespace, name))
        ]
        assert sorted(remaining) == ["f2", "f3", "f4"]
