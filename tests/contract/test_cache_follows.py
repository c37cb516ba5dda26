"""The cache follows changes in the cluster, against every API server."""

from __future__ import annotations

import pytest

from receivers.cluster.snapshot import Collision, Route
from receivers.kargo.resources import CLUSTER_CONFIGS, PROJECT_CONFIGS, PROJECTS, WAREHOUSES
from tests.clusters import until
from tests.contract.caches import Kargo, cached_versions, digest, listed_versions, receivers, running_cache


@pytest.fixture
def kargo(client):
    return Kargo(client)


@pytest.fixture
def cache(cluster, kargo, namespace):
    """A cache of a cluster in which the test has a project `namespace` with a ProjectConfig and a Warehouse."""
    kargo.create(PROJECTS, namespace)
    kargo.receivers(namespace, "hook")
    kargo.warehouse(namespace, "w", "docker.io/example/app")
    with running_cache(cluster.kubeconfig) as cache:
        yield cache
    kargo.client.delete(PROJECTS, namespace)


def test_existing_objects_are_cached(cache, kargo, namespace):
    assert namespace in {project.name for project in cache.projects()}
    assert cache.config(namespace).receivers[0].name == "hook"
    assert cache.warehouse(namespace, "w").subscriptions[0].repo_url == "docker.io/example/app"
    until("the cache equals a list", lambda: cached_versions(cache) == listed_versions(kargo.client))


def repository_of(cache, warehouse):
    return cache.warehouse(*warehouse).subscriptions[0].repository


def test_a_warehouse_is_found_by_its_repositories(cache, kargo, namespace):
    name = repository_of(cache, (namespace, "w"))
    kargo.warehouse(namespace, "a", "docker.io/example/app", "docker.io/example/other")
    until("the new Warehouse is cached", lambda: cache.warehouse(namespace, "a"))
    assert [warehouse.name for warehouse in cache.warehouses_for([name], namespace)] == ["a", "w"]
    assert {warehouse.name for warehouse in cache.warehouses_for([name], "")} >= {"a", "w"}
    assert cache.warehouses_for([name], "another-project") == ()
    assert [warehouse.name for warehouse in cache.warehouses(namespace)] == ["a", "w"]


def test_a_warehouse_moves_when_its_subscription_changes(cache, kargo, namespace):
    before = repository_of(cache, (namespace, "w"))
    kargo.subscribe(namespace, "w", "docker.io/example/new")
    until("the change is cached", lambda: repository_of(cache, (namespace, "w")) != before)
    after = repository_of(cache, (namespace, "w"))
    assert cache.warehouses_for([before], namespace) == ()
    assert [warehouse.name for warehouse in cache.warehouses_for([before, after], namespace)] == ["w"]


def test_a_similar_repository_is_found_by_its_near_key(cache, namespace):
    subscription = cache.warehouse(namespace, "w").subscriptions[0]
    assert [warehouse.name for warehouse in cache.near_misses(subscription.near_key, namespace)] == ["w"]
    assert cache.near_misses("no such key", namespace) == ()


def test_a_deleted_warehouse_is_removed(cache, kargo, namespace):
    name = repository_of(cache, (namespace, "w"))
    kargo.delete_warehouse(namespace, "w")
    until("the Warehouse is removed", lambda: cache.warehouse(namespace, "w") is None)
    assert cache.warehouses_for([name], namespace) == cache.warehouses(namespace) == ()


def test_a_published_receiver_has_a_route(cache, kargo, namespace):
    url_digest = digest(namespace)
    assert cache.route(url_digest) is None
    kargo.publish(namespace, hook=url_digest)
    assert until("the route", lambda: cache.route(url_digest)) == Route(namespace, "hook", "dockerhub")


def test_a_receiver_removed_from_the_spec_has_no_route(cache, kargo, namespace):
    url_digest = digest(namespace)
    kargo.publish(namespace, hook=url_digest)
    until("the route", lambda: cache.route(url_digest))
    kargo.client.patch(PROJECT_CONFIGS, namespace, namespace, {"spec": receivers("other")})
    until("no route", lambda: cache.route(url_digest) is None)


def test_receivers_that_share_a_digest_collide_until_one_changes(cache, kargo, namespace):
    url_digest = digest(namespace)
    kargo.client.patch(PROJECT_CONFIGS, namespace, namespace, {"spec": receivers("hook", "twin")})
    kargo.publish(namespace, hook=url_digest, twin=url_digest)
    routes = (Route(namespace, "hook", "dockerhub"), Route(namespace, "twin", "dockerhub"))
    assert until("the collision", lambda: cache.route(url_digest)) == Collision(routes)
    kargo.publish(namespace, twin=url_digest, hook=digest("another"))
    until("the route", lambda: cache.route(url_digest) == routes[1])


def test_the_cluster_config_has_routes(cache, kargo, namespace):
    kargo.receivers("", namespace)
    try:
        kargo.publish("", **{namespace: digest(namespace)})
        route = until("the route", lambda: cache.route(digest(namespace)))
        assert route == Route("", namespace, "dockerhub")
        assert cache.config("").name == "cluster"
    finally:
        kargo.client.delete(CLUSTER_CONFIGS, "cluster")
    until("no route", lambda: cache.route(digest(namespace)) is None and cache.config("") is None)


def test_listeners_are_called_in_order_after_each_change_is_visible(cache, kargo, namespace):
    events = []

    def listen(resource, old, new):
        if resource is WAREHOUSES and (new or old).project == namespace:
            cached = cache.warehouse(namespace, "l")
            events.append((old and old.name, new and new.name, cached and cached.resource_version))

    cache.add_listener(lambda *_: 1 / 0)
    cache.add_listener(listen)
    kargo.warehouse(namespace, "l", "docker.io/example/app")
    kargo.subscribe(namespace, "l", "docker.io/example/new")
    version = kargo.client.get(WAREHOUSES, "l", namespace)["metadata"]["resourceVersion"]
    kargo.delete_warehouse(namespace, "l")
    until("all three events arrive", lambda: len(events) == 3)
    assert [pair[:2] for pair in events] == [(None, "l"), ("l", "l"), ("l", None)]
    assert (events[1][2], events[2][2]) == (version, None)


def test_the_cache_reports_its_freshness(cache):
    for entry in cache.freshness():
        assert (entry.synced, entry.relists, entry.namespace) == (True, 1, "")
        assert entry.contact is not None
    until("nothing fails", lambda: not any(entry.error or entry.failing_since for entry in cache.freshness()))
    assert sum(entry.objects for entry in cache.freshness()) >= 3


def test_a_cache_of_namespaces_contains_only_these_projects(cache, cluster, kargo, namespace):
    with running_cache(cluster.kubeconfig, namespaces=[namespace, "missing"]) as scoped:
        assert [project.name for project in scoped.projects()] == sorted([namespace, "missing"])
        assert scoped.warehouse(namespace, "w") == cache.warehouse(namespace, "w")
        kargo.warehouse(namespace, "new", "docker.io/example/app")
        until("the change", lambda: scoped.warehouse(namespace, "new"))
        kargo.delete_warehouse(namespace, "new")
        assert {warehouse.project for warehouse in scoped.warehouses()} == {namespace}


def test_a_stopped_cache_has_no_running_threads(cluster):
    with running_cache(cluster.kubeconfig) as cache:
        pass
    assert cache.ready
    assert not any(reflector.is_alive() for reflector in cache.reflectors)
