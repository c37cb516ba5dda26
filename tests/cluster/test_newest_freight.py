"""The newest Freight of a Warehouse, from a list of its project and from the watch."""

from __future__ import annotations

from typing import Any

import pytest

from receivers.cluster.client import connect
from receivers.cluster.newest_freight import IDLE_SECONDS, RELIST_SECONDS, NewestFreight
from receivers.kargo.artifacts import decode_freight
from receivers.kargo.resources import FREIGHTS
from tests.worlds import World


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def world(demo_cluster):
    with World(demo_cluster.kubeconfig) as world:
        yield world


@pytest.fixture
def client(demo_cluster):
    client = connect(str(demo_cluster.kubeconfig))
    yield client
    client.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def newest(client, clock) -> NewestFreight:
    return NewestFreight(lambda: client, clock)


def raw_freight(project: str, name: str, created: str, warehouse: str = "main") -> dict[str, Any]:
    metadata = {"name": name, "namespace": project, "creationTimestamp": created}
    return {
        "metadata": metadata,
        "alias": f"alias-{name}",
        "origin": {"kind": "Warehouse", "name": warehouse},
    }


def create(world: World, project: str, name: str) -> None:
    raw = raw_freight(project, name, "")
    del raw["metadata"]["creationTimestamp"]
    world.create(FREIGHTS, raw, project)


def name_of(newest: NewestFreight, project: str, warehouse: str = "main") -> str:
    freight = newest.of((project, warehouse))
    return freight.name if freight else ""


def test_freight_that_existed_before_is_listed_once_it_is_requested(world, newest):
    project = world.bare_project().name
    create(world, project, "manual")
    newest.work()
    assert name_of(newest, project) == ""
    newest.work()
    assert name_of(newest, project) == "manual"
    assert name_of(newest, project, "another") == ""


def test_new_freight_replaces_older_freight_only(world, newest):
    project = world.bare_project().name
    for name, day in (("first", 1), ("third", 3), ("second", 2)):
        newest.on_freight(decode_freight(raw_freight(project, name, f"2026-03-0{day}T12:00:00Z")))
    assert name_of(newest, project) == "third"


def test_deleted_freight_disappears_with_the_next_list(world, newest, clock):
    project = world.bare_project().name
    create(world, project, "only")
    name_of(newest, project)
    newest.work()
    world.cluster.delete(FREIGHTS, "only", project)
    newest.work()
    assert name_of(newest, project) == "only"
    clock.seconds += RELIST_SECONDS
    name_of(newest, project)
    newest.work()
    assert name_of(newest, project) == ""


def test_a_gap_of_the_watch_makes_a_list_due(world, newest):
    project = world.bare_project().name
    name_of(newest, project)
    newest.work()
    create(world, project, "missed")
    newest.work()
    assert name_of(newest, project) == ""
    newest.on_restart()
    newest.work()
    assert name_of(newest, project) == "missed"


def test_a_project_that_nobody_looks_at_is_not_listed(world, newest, clock):
    project = world.bare_project().name
    create(world, project, "unseen")
    name_of(newest, project)
    clock.seconds += IDLE_SECONDS + 1
    newest.work()
    assert name_of(newest, project) == ""


def test_an_unreachable_api_server_keeps_what_is_known(client, clock):
    newest = NewestFreight(lambda: client, clock)
    newest.on_freight(decode_freight(raw_freight("a b", "known", "2026-03-01T12:00:00Z")))
    assert name_of(newest, "a b") == "known"
    client.close()
    newest.work()
    assert name_of(newest, "a b") == "known"
