"""The cache survives failures of the API server: it keeps its objects, reports the error, and recovers."""

from __future__ import annotations

import contextlib
import time

import pytest

from demo.apiserver.kargo_types import kargo_definitions
from receivers.cluster.backoff import Backoff
from receivers.cluster.cache import ClusterCache
from receivers.cluster.client import connect
from receivers.cluster.errors import KubeconfigError
from tests.clusters import PATIENCE, ROLES, DemoCluster, until
from tests.contract.caches import FAST_BACKOFF, Kargo, cached_versions, listed_versions, running_cache

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest.fixture
def kargo(demo):
    with contextlib.closing(connect(str(demo.kubeconfig))) as client:
        kargo = Kargo(client)
        kargo.warehouse("default", "steady", "docker.io/example/steady")
        yield kargo


def freshness_of(cache, kind="warehouses"):
    return next(entry for entry in cache.freshness() if entry.resource.plural == kind)


def request_count(demo, request):
    return demo.fault_log()["requests"].get(request, 0)


def wait_until_caught_up(cache, kargo):
    until("the cache equals a list", lambda: cached_versions(cache) == listed_versions(kargo.client))
    until("nothing fails", lambda: not any(entry.error for entry in cache.freshness()))


def test_a_dropped_watch_resumes_without_a_relist(demo, kargo):
    with running_cache(demo.kubeconfig) as cache:
        for number in range(5):
            demo.faults(dropWatches=True)
            kargo.warehouse("default", f"w{number}", "docker.io/example/app")
        wait_until_caught_up(cache, kargo)
        assert freshness_of(cache).relists == 1


def test_events_out_of_order_lead_to_the_same_state(demo, kargo):
    with running_cache(demo.kubeconfig) as cache:
        demo.faults(swapEvents=True)
        for number in range(6):
            kargo.warehouse("default", f"w{number}", "docker.io/example/app")
            kargo.subscribe("default", f"w{number}", "docker.io/example/other")
        kargo.delete_warehouse("default", "w3")
        wait_until_caught_up(cache, kargo)


def test_an_expired_version_causes_a_relist_whose_differences_are_events(demo, kargo):
    with running_cache(demo.kubeconfig) as cache:
        events = []
        cache.add_listener(lambda _, old, new: events.append((old and old.name, new and new.name)))
        demo.faults({"verb": "watch", "status": 500}, dropWatches=True)
        until("the watch fails", lambda: freshness_of(cache).error)
        kargo.warehouse("default", "new", "docker.io/example/app")
        kargo.delete_warehouse("default", "steady")
        demo.faults(compact=True)
        wait_until_caught_up(cache, kargo)
        assert events == [("steady", None), (None, "new")]
        assert freshness_of(cache).relists == 2


def test_a_slow_relist_does_not_empty_the_cache(demo, kargo):
    with running_cache(demo.kubeconfig) as cache:
        steady = cache.warehouse("default", "steady")
        assert steady is not None

        def relist_started():
            demo.faults({"verb": "list", "latency": 0.5}, expireWatches=True)
            return request_count(demo, "list warehouses") > 1

        until("a relist starts", relist_started)
        while freshness_of(cache).relists == 1:
            time.sleep(0.01)
            assert cache.warehouse("default", "steady") is steady
            assert cache.warehouses_for([steady.subscriptions[0].repository], "") == (steady,)
        assert cache.warehouse("default", "steady") is steady


def test_the_cache_recovers_after_an_outage_of_the_server(demo, kargo):
    with running_cache(demo.kubeconfig) as cache:
        demo.kill()
        failing = until(
            "the error is reported",
            lambda: [entry for entry in cache.freshness() if "cannot reach" in entry.error],
        )[0]
        assert failing.failing_since is not None
        assert cache.ready
        assert cache.warehouse("default", "steady")
        demo.start()
        kargo.warehouse("default", "new", "docker.io/example/app")
        demo.faults(compact=True)
        wait_until_caught_up(cache, kargo)


@pytest.mark.parametrize("fault", [{"status": 500}, {"reset": True}, {"status": 429, "retryAfter": 1}])
def test_a_failed_list_is_retried(demo, kargo, fault):
    demo.faults({"verb": "list", "resource": "warehouses", "times": 1, **fault})
    with running_cache(demo.kubeconfig) as cache:
        wait_until_caught_up(cache, kargo)
        assert cache.warehouse("default", "steady")


def test_retry_after_is_honored(demo, kargo):
    demo.faults({"verb": "list", "resource": "warehouses", "times": 1, "status": 429, "retryAfter": 1})
    with running_cache(demo.kubeconfig):
        assert request_count(demo, "list warehouses") == 2


def test_the_cache_waits_for_a_server_that_is_down_at_startup(demo, kargo):
    path = demo.kubeconfig
    demo.stop()
    with running_cache(path, ready=False) as cache:
        until("the error is reported", lambda: all(entry.error for entry in cache.freshness()))
        assert not cache.ready
        demo.start()
        assert cache.wait_ready(PATIENCE)
        assert cache.warehouse("default", "steady")


def test_the_cache_waits_for_a_kubeconfig_that_is_missing_at_startup(demo, kargo, tmp_path):
    path = tmp_path / "later"
    with running_cache(path, ready=False) as cache:
        until(
            "the error is reported",
            lambda: all("does not exist" in entry.error for entry in cache.freshness()),
        )
        with pytest.raises(KubeconfigError):
            cache.cluster()
        path.write_bytes(demo.kubeconfig.read_bytes())
        assert cache.wait_ready(PATIENCE)
        assert cache.cluster().version()


def test_a_forbidden_type_is_reported_and_listed_once_it_is_permitted(demo, kargo):
    demo.grant("kargoweb", [{"verbs": ["get", "list", "watch"], "resources": ["projects"]}])
    with running_cache(demo.kubeconfig_for("kargoweb"), ready=False) as cache:
        until(
            "the error is reported", lambda: 'cannot list resource "warehouses"' in freshness_of(cache).error
        )
        until("the permitted type is cached", lambda: freshness_of(cache, "projects").synced)
        assert not cache.ready
        demo.grant("kargoweb", ROLES["kargoweb"])
        assert cache.wait_ready(PATIENCE)
        wait_until_caught_up(cache, kargo)


def test_objects_stay_cached_when_their_type_becomes_forbidden(demo, kargo):
    with running_cache(demo.kubeconfig_for("kargoweb")) as cache:
        demo.grant("kargoweb", [])
        demo.faults(expireWatches=True)
        until("the error is reported", lambda: "cannot" in freshness_of(cache).error)
        assert cache.warehouse("default", "steady")
        demo.grant("kargoweb", ROLES["kargoweb"])
        wait_until_caught_up(cache, kargo)


def test_a_cache_of_namespaces_works_without_access_to_the_cluster_config(demo, kargo):
    rules = [{"verbs": ["*"], "resources": ["projectconfigs", "warehouses"], "namespaces": ["default"]}]
    demo.grant("kargoweb", rules)
    with running_cache(demo.kubeconfig_for("kargoweb"), namespaces=["default"]) as cache:
        assert cache.warehouse("default", "steady")
        assert "cannot list" in freshness_of(cache, "clusterconfigs").error


def test_missing_types_are_reported_and_listed_once_they_are_installed(tmp_path):
    with (
        DemoCluster(tmp_path / "bare", kargo=False) as bare,
        running_cache(bare.kubeconfig, ready=False) as cache,
    ):
        until(
            "the error is reported",
            lambda: all("not installed" in entry.error for entry in cache.freshness()),
        )
        for definition in kargo_definitions():
            assert bare.api.post(DEFINITIONS, definition).status == 201
        assert cache.wait_ready(PATIENCE)


def test_an_expired_token_is_reloaded(demo, kargo):
    path = demo.kubeconfig_for("kargoweb")
    with running_cache(path) as cache:
        demo.revoke("kargoweb")
        demo.faults(dropWatches=True)
        until("the error is reported", lambda: "nauthorized" in freshness_of(cache).error)
        assert cache.warehouse("default", "steady")
        demo.renew("kargoweb")
        assert demo.kubeconfig_for("kargoweb") == path
        kargo.warehouse("default", "new", "docker.io/example/app")
        wait_until_caught_up(cache, kargo)


def test_a_silent_watch_is_reopened_without_an_error(demo, kargo):
    backoff = Backoff(first=0.01, longest=0.1, healthy=0.1, silence=1.0)
    with running_cache(demo.kubeconfig, backoff=backoff) as cache:
        until("several watches", lambda: request_count(demo, "watch warehouses") > 2)
        assert (freshness_of(cache).error, freshness_of(cache).relists) == ("", 1)


def test_a_server_that_ends_every_watch_is_not_retried_in_a_busy_loop(demo, kargo):
    backoff = Backoff(first=0.2, longest=30.0)
    with running_cache(demo.kubeconfig, backoff=backoff) as cache:
        demo.faults({"verb": "watch", "reset": True}, dropWatches=True)
        until("the error is reported", lambda: freshness_of(cache).error)
        until("it keeps failing", lambda: request_count(demo, "watch warehouses") >= 3)
        assert request_count(demo, "list warehouses") == 1


def test_stopping_does_not_wait_for_a_hanging_server(demo, kargo):
    demo.faults({"verb": "list", "silence": 60.0})
    cache = ClusterCache(lambda: connect(str(demo.kubeconfig)), backoff=FAST_BACKOFF)
    cache.start()
    until("the lists wait", lambda: request_count(demo, "list warehouses"))
    cache.stop()
    assert not any(reflector.is_alive() for reflector in cache.reflectors)


@pytest.fixture
def bookmarking(tmp_path):
    """A cluster that sends frequent bookmarks, with one Warehouse."""
    options = ("--bookmark-interval", "0.1")
    with (
        DemoCluster(tmp_path, options=options) as cluster,
        contextlib.closing(connect(str(cluster.kubeconfig))) as client,
    ):
        Kargo(client).warehouse("default", "steady", "docker.io/example/steady")
        yield cluster, Kargo(client)


def test_a_server_restored_from_a_backup_is_relisted(bookmarking, tmp_path):
    cluster, kargo = bookmarking
    cluster.stop()
    backup = (tmp_path / "state.jsonl").read_bytes()
    cluster.start()
    for number in range(5):
        kargo.warehouse("default", f"lost{number}", "docker.io/example/app")
    with running_cache(cluster.kubeconfig) as cache:
        cluster.stop()
        (tmp_path / "state.jsonl").write_bytes(backup)
        cluster.start()
        wait_until_caught_up(cache, kargo)
        assert [warehouse.name for warehouse in cache.warehouses()] == ["steady"]
