"""Random changes and disconnections: the cache ends up correct, and no reader sees an inconsistent state."""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receivers.cluster.client import connect
from receivers.cluster.snapshot import Collision, Route
from receivers.kargo.resources import PROJECT_CONFIGS, PROJECTS, WAREHOUSES
from tests.clusters import DemoCluster, until
from tests.contract.caches import Kargo, cached_keys, cached_versions, digest, listed_versions, running_cache

CHURNED = ("churn-a", "churn-b")  # projects whose objects the steps change
STEADY = "churn-steady"  # the project of the objects that readers must always find
NAMES = ("w0", "w1", "w2", "w3")
REPOSITORIES = tuple(f"docker.io/churn/{letter}" for letter in "abc")
DIGESTS = tuple(digest(letter) for letter in "abc")

warehouses = st.tuples(st.sampled_from(CHURNED), st.sampled_from(NAMES))
some_repositories = st.lists(st.sampled_from(REPOSITORIES), min_size=1, max_size=3, unique=True)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("create"), warehouses, some_repositories),
        st.tuples(st.just("create"), warehouses, some_repositories),
        st.tuples(st.just("subscribe"), warehouses, some_repositories),
        st.tuples(st.just("handle"), warehouses),
        st.tuples(st.just("rename"), warehouses, warehouses),
        st.tuples(st.just("delete"), warehouses),
        st.tuples(st.just("publish"), st.sampled_from(CHURNED), st.sampled_from(DIGESTS)),
        st.tuples(st.just("unpublish"), st.sampled_from(CHURNED)),
        st.tuples(
            st.just("fault"), st.sampled_from(["dropWatches", "expireWatches", "compact", "swapEvents"])
        ),
        st.tuples(st.just("refuse"), st.sampled_from(["list", "watch"]), st.sampled_from([429, 500, 503])),
    ),
    min_size=10,
    max_size=60,
)


class ChurnDriver:
    """Runs steps; skips those whose objects do not exist."""

    def __init__(self, cluster: DemoCluster, kargo: Kargo) -> None:
        self.cluster = cluster
        self.kargo = kargo
        self.existing: dict[tuple[str, str], list[str]] = {}
        self.published: set[str] = set()
        self.moves = itertools.cycle(REPOSITORIES)

    def run(self, step) -> None:
        """Run a step, and subscribe the mover to its next repository."""
        name, *arguments = step
        getattr(self, name)(*arguments)
        self.kargo.subscribe(STEADY, "mover", next(self.moves))

    def create(self, key, repositories):
        if key in self.existing:
            return self.subscribe(key, repositories)
        self.kargo.warehouse(*key, *repositories)
        self.existing[key] = repositories

    def subscribe(self, key, repositories):
        if key in self.existing:
            self.kargo.subscribe(*key, *repositories)
            self.existing[key] = repositories

    def handle(self, key):
        if key in self.existing:
            project, name = key
            self.kargo.client.patch_status(
                WAREHOUSES, name, project, {"status": {"lastHandledRefresh": str(time.time())}}
            )

    def rename(self, key, to):
        if key in self.existing and to not in self.existing:
            self.create(to, self.existing[key])
            self.delete(key)

    def delete(self, key):
        if self.existing.pop(key, None):
            self.kargo.delete_warehouse(*key)

    def publish(self, project, url_digest):
        if project not in self.published:
            self.kargo.receivers(project, "hook")
            self.published.add(project)
        self.kargo.publish(project, hook=url_digest)

    def unpublish(self, project):
        if project in self.published:
            self.published.remove(project)
            self.kargo.client.delete(PROJECT_CONFIGS, project, project)

    def fault(self, kind):
        self.cluster.faults(**{kind: True})

    def refuse(self, verb, status):
        self.cluster.faults({"verb": verb, "status": status, "times": 2}, dropWatches=True)

    def clear(self):
        """Delete everything that the steps created."""
        self.cluster.faults()
        for key in list(self.existing):
            self.delete(key)
        for project in list(self.published):
            self.unpublish(project)


class Reader:
    """Reads the cache continuously, and records inconsistent states."""

    def __init__(self, cache, names) -> None:
        self.cache = cache
        self.names = names
        self.violations: list[str] = []
        self.rounds = 0
        self._versions: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _run(self):
        while not self._stop.is_set():
            for name, project in itertools.product(self.names, ("", *CHURNED)):
                self._check(name, project)
            self._check_steady()
            self.rounds += 1

    def _check(self, name, project):
        warehouses = self.cache.warehouses_for([name], project)
        keys = [warehouse.key for warehouse in warehouses]
        self._expect(keys == sorted(set(keys)), f"{name}: unsorted or repeated: {keys}")
        for warehouse in warehouses:
            self._expect(project in ("", warehouse.project), f"{warehouse.key} is not in {project}")
            self._expect(
                name in {subscription.repository for subscription in warehouse.subscriptions},
                f"{warehouse.key} does not subscribe to {name}",
            )
            self._check_version(warehouse)

    def _check_steady(self):
        # The mover subscribes to one of the repositories at any time, so a query for all of them must find it.
        names = {warehouse.name for warehouse in self.cache.warehouses_for(self.names, STEADY)}
        self._expect(names == {"mover"}, f"the mover is missing from {names}")
        self._expect(self.cache.warehouse(STEADY, "steady") is not None, "steady is missing")
        self._expect(
            {warehouse.name for warehouse in self.cache.warehouses(STEADY)} == {"mover", "steady"}, "not both"
        )
        self._expect(
            self.cache.route(digest("steady")) == Route(STEADY, "hook", "dockerhub"), "no steady route"
        )
        for route in map(self.cache.route, DIGESTS):
            if isinstance(route, Collision):
                self._expect(len(route.routes) > 1, "a collision of a single route")
        for warehouse in self.cache.warehouses():
            self._check_version(warehouse)

    def _check_version(self, warehouse):
        version = int(warehouse.resource_version)
        self._expect(
            version >= self._versions.get(warehouse.uid, 0), f"{warehouse.key} went back to {version}"
        )
        self._versions[warehouse.uid] = version

    def _expect(self, holds: bool, violation: str):
        if not holds:
            self.violations.append(violation)


@pytest.fixture(scope="module", autouse=True)
def frequent_thread_switches() -> Iterator[None]:
    """Switch threads as often as possible, so that readers run between any two steps of a writer."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="module")
def churn(tmp_path_factory) -> Iterator[ChurnDriver]:
    with (
        DemoCluster(tmp_path_factory.mktemp("churn")) as cluster,
        contextlib.closing(connect(str(cluster.kubeconfig))) as client,
    ):
        kargo = Kargo(client)
        for project in (*CHURNED, STEADY):
            kargo.create(PROJECTS, project)
        kargo.warehouse(STEADY, "steady", "docker.io/churn/steady")
        kargo.warehouse(STEADY, "mover", REPOSITORIES[0])
        kargo.receivers(STEADY, "hook")
        kargo.publish(STEADY, hook=digest("steady"))
        yield ChurnDriver(cluster, kargo)


def repository_names(cache) -> list[str]:
    """Return the normalized names of the test's repositories."""
    steady = cache.warehouse(STEADY, "steady").subscriptions[0].repository
    return [steady.replace("steady", letter) for letter in "abc"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(steps=steps)
def test_after_any_sequence_the_cache_equals_a_fresh_list(churn, steps):
    try:
        with running_cache(churn.cluster.kubeconfig) as cache:
            check(churn, steps, cache)
    finally:
        churn.clear()


def check(churn, steps, cache):
    names = repository_names(cache)
    with Reader(cache, names) as first, Reader(cache, names) as second:
        for step in steps:
            churn.run(step)
        churn.cluster.faults()
        until(
            "the cache equals a list", lambda: cached_versions(cache) == listed_versions(churn.kargo.client)
        )
        until("both readers have read", lambda: first.rounds and second.rounds)
    assert (first.violations, second.violations) == ([], [])
    with running_cache(churn.cluster.kubeconfig) as fresh_cache:
        assert cached_keys(cache, names) == cached_keys(fresh_cache, names)
        assert [cache.route(url_digest) for url_digest in DIGESTS] == [
            fresh_cache.route(url_digest) for url_digest in DIGESTS
        ]
        assert cache.configs() == fresh_cache.configs()
