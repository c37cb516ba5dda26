"""The mirror knows what is in the cluster, moments after it is there: against every API server there is."""

from __future__ import annotations

import contextlib

import pytest

from receivers.cluster.client import connect
from receivers.cluster.snapshot import Collision, Route
from receivers.kargo.resources import CLUSTER_CONFIGS, PROJECT_CONFIGS, PROJECTS, WAREHOUSES
from tests.clusters import until
from tests.contract.caches import Kargo, digest, known, listed, mirrored, receivers


@pytest.fixture
def kargo(cluster):
    with contextlib.closing(connect(str(cluster.kubeconfig))) as client:
        yield Kargo(client)


@pytest.fixture
def mirror(cluster, kargo, namespace):
    """A mirror of a cluster in which the test has a project `namespace` with a ProjectConfig and a Warehouse."""
    kargo.create(PROJECTS, namespace)
    kargo.receivers(namespace, "hook")
    kargo.warehouse(namespace, "w", "docker.io/example/app")
    with mirrored(cluster.kubeconfig) as mirror:
        yield mirror
    kargo.client.delete(PROJECTS, namespace)


def test_what_was_there_at_the_start_is_known(mirror, kargo, namespace):
    assert namespace in {each.name for each in mirror.projects()}
    assert mirror.config(namespace).receivers[0].name == "hook"
    assert mirror.warehouse(namespace, "w").subscriptions[0].repo_url == "docker.io/example/app"
    until("the mirror equals a list", lambda: known(mirror) == listed(kargo.client))


def names_of(mirror, warehouse):
    return mirror.warehouse(*warehouse).subscriptions[0].repository


def test_a_warehouse_is_found_under_the_repositories_it_names(mirror, kargo, namespace):
    name = names_of(mirror, (namespace, "w"))
    kargo.warehouse(namespace, "a", "docker.io/example/app", "docker.io/example/other")
    until("the new one is known", lambda: mirror.warehouse(namespace, "a"))
    assert [each.name for each in mirror.warehouses_for([name], namespace)] == ["a", "w"]
    assert {each.name for each in mirror.warehouses_for([name], "")} >= {"a", "w"}
    assert mirror.warehouses_for([name], "another-project") == ()
    assert [each.name for each in mirror.warehouses(namespace)] == ["a", "w"]


def test_a_warehouse_that_subscribes_to_something_else_moves(mirror, kargo, namespace):
    before = names_of(mirror, (namespace, "w"))
    kargo.subscribe(namespace, "w", "docker.io/example/new")
    until("the change is known", lambda: names_of(mirror, (namespace, "w")) != before)
    after = names_of(mirror, (namespace, "w"))
    assert mirror.warehouses_for([before], namespace) == ()
    assert [each.name for each in mirror.warehouses_for([before, after], namespace)] == ["w"]


def test_a_near_miss_is_found_by_its_near_key(mirror, namespace):
    subscription = mirror.warehouse(namespace, "w").subscriptions[0]
    assert [each.name for each in mirror.near_misses(subscription.near_key, namespace)] == ["w"]
    assert mirror.near_misses("no such key", namespace) == ()


def test_a_deleted_warehouse_is_forgotten(mirror, kargo, namespace):
    name = names_of(mirror, (namespace, "w"))
    kargo.delete_warehouse(namespace, "w")
    until("it is gone", lambda: mirror.warehouse(namespace, "w") is None)
    assert mirror.warehouses_for([name], namespace) == mirror.warehouses(namespace) == ()


def test_a_published_receiver_has_a_route(mirror, kargo, namespace):
    one = digest(namespace)
    assert mirror.route(one) is None
    kargo.publish(namespace, hook=one)
    assert until("the route", lambda: mirror.route(one)) == Route(namespace, "hook", "dockerhub")


def test_a_receiver_that_left_the_spec_has_no_route(mirror, kargo, namespace):
    one = digest(namespace)
    kargo.publish(namespace, hook=one)
    until("the route", lambda: mirror.route(one))
    kargo.client.patch(PROJECT_CONFIGS, namespace, namespace, {"spec": receivers("other")})
    until("no route", lambda: mirror.route(one) is None)


def test_receivers_that_share_a_digest_are_a_collision_until_one_gives_it_up(mirror, kargo, namespace):
    one = digest(namespace)
    kargo.client.patch(PROJECT_CONFIGS, namespace, namespace, {"spec": receivers("hook", "twin")})
    kargo.publish(namespace, hook=one, twin=one)
    routes = (Route(namespace, "hook", "dockerhub"), Route(namespace, "twin", "dockerhub"))
    assert until("the collision", lambda: mirror.route(one)) == Collision(routes)
    kargo.publish(namespace, twin=one, hook=digest("another"))
    until("the route", lambda: mirror.route(one) == routes[1])


def test_the_cluster_config_has_routes_too(mirror, kargo, namespace):
    kargo.receivers("", namespace)
    try:
        kargo.publish("", **{namespace: digest(namespace)})
        route = until("the route", lambda: mirror.route(digest(namespace)))
        assert route == Route("", namespace, "dockerhub")
        assert mirror.config("").name == "cluster"
    finally:
        kargo.client.delete(CLUSTER_CONFIGS, "cluster")
    until("no route", lambda: mirror.route(digest(namespace)) is None and mirror.config("") is None)


def test_listeners_hear_of_each_change_in_order_and_after_it_shows(mirror, kargo, namespace):
    heard = []

    def listen(resource, old, new):
        if resource is WAREHOUSES and (new or old).project == namespace:
            shown = mirror.warehouse(namespace, "l")
            heard.append((old and old.name, new and new.name, shown and shown.resource_version))

    mirror.add_listener(lambda *_: 1 / 0)
    mirror.add_listener(listen)
    kargo.warehouse(namespace, "l", "docker.io/example/app")
    kargo.subscribe(namespace, "l", "docker.io/example/new")
    version = kargo.client.get(WAREHOUSES, "l", namespace)["metadata"]["resourceVersion"]
    kargo.delete_warehouse(namespace, "l")
    until("all three", lambda: len(heard) == 3)
    assert [pair[:2] for pair in heard] == [(None, "l"), ("l", "l"), ("l", None)]
    assert (heard[1][2], heard[2][2]) == (version, None)


def test_the_mirror_says_how_fresh_it_is(mirror):
    for each in mirror.freshness():
        assert (each.synced, each.relists, each.namespace) == (True, 1, "")
        assert each.contact is not None
    until("nothing fails", lambda: not any(each.error or each.failing_since for each in mirror.freshness()))
    assert sum(each.objects for each in mirror.freshness()) >= 3


def test_named_namespaces_are_the_only_projects(mirror, cluster, kargo, namespace):
    with mirrored(cluster.kubeconfig, namespaces=[namespace, "not-there"]) as narrow:
        assert [each.name for each in narrow.projects()] == sorted([namespace, "not-there"])
        assert narrow.warehouse(namespace, "w") == mirror.warehouse(namespace, "w")
        kargo.warehouse(namespace, "new", "docker.io/example/app")
        until("the change", lambda: narrow.warehouse(namespace, "new"))
        kargo.delete_warehouse(namespace, "new")
        assert {each.project for each in narrow.warehouses()} == {namespace}


def test_a_mirror_that_stops_ends_its_threads_at_once(cluster):
    with mirrored(cluster.kubeconfig) as mirror:
        pass
    assert mirror.ready
    assert not any(watcher.is_alive() for watcher in mirror.watchers)
