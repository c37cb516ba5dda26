"""Following Freight through the Stages, against the demo's API server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from receivers.cluster import stage_watch
from receivers.cluster.client import connect
from receivers.cluster.stage_watch import StageWatch
from receivers.kargo.resources import (
    CLUSTER_CONFIGS,
    FREIGHTS,
    PROJECT_CONFIGS,
    ReceiverConfig,
    decode_config,
)
from receivers.kargo.stage_states import StageProgress, StageState
from receivers.kargo.stages import PROMOTIONS, STAGES
from tests.clusters import DemoCluster, until
from tests.contract.caches import FAST_BACKOFF
from tests.worlds import World

ORIGIN = {"kind": "Warehouse", "name": "app"}


class Shop:
    """A project with Stages, written by the test as Kargo does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.project = world.bare_project().name

    def stage(self, name: str, *upstreams: str) -> None:
        sources: dict[str, Any] = {"stages": list(upstreams)} if upstreams else {"direct": True}
        spec = {
            "requestedFreight": [{"origin": ORIGIN, "sources": sources}],
            "promotionTemplate": {
                "spec": {"steps": [{"uses": "git-clone", "as": "clone"}, {"uses": "git-push"}]}
            },
        }
        self.world.create(STAGES, {"metadata": {"name": name}, "spec": spec}, self.project)

    def freight(self, name: str, alias: str = "", **fields: Any) -> None:
        body = {"metadata": {"name": name}, "alias": alias or f"alias-{name}", "origin": ORIGIN}
        images = [{"repoURL": "docker.io/shop/app", "tag": f"{name}.0.0"}]
        fields = {"discoveredAt": f"2026-01-0{name[-1]}T00:00:00Z", **fields}
        self.world.create(FREIGHTS, body | {"images": images} | fields, self.project)

    def promote(self, stage: str, freight: str) -> str:
        spec = {"stage": stage, "freight": freight}
        body = {"metadata": {"generateName": "promo-"}, "spec": spec}
        name: str = self.world.create(PROMOTIONS, body, self.project)["metadata"]["name"]
        return name

    def set_status(self, resource: Any, name: str, **status: Any) -> None:
        self.world.cluster.patch_status(resource, name, self.project, {"status": status})

    def enter(self, stage: str, freight: str) -> None:
        """Let Freight be in a Stage and verified there."""
        item = {"name": freight, "origin": ORIGIN}
        history = [{"items": {"Warehouse/app": item}, "verificationHistory": [{"phase": "Successful"}]}]
        self.set_status(STAGES, stage, freightHistory=history, health={"status": "Healthy"})
        since = {"since": "2026-01-09T00:00:00Z"}
        verified = {"verifiedAt": "2026-01-09T00:00:05Z"}
        self.set_status(FREIGHTS, freight, currentlyIn={stage: since}, verifiedIn={stage: verified})


@contextlib.contextmanager
def watching(kubeconfig: Path, *namespaces: str, **options: Any) -> Iterator[StageWatch]:
    client = connect(str(kubeconfig))
    options.setdefault("config", lambda _: None)
    watch = StageWatch(lambda: client, namespaces=namespaces, backoff=FAST_BACKOFF, **options)
    watch.start()
    try:
        until("the watch is settled", lambda: watch.ready)
        yield watch
    finally:
        watch.stop()
        client.close()


@pytest.fixture
def shop(demo_cluster: DemoCluster) -> Iterator[Shop]:
    with World(demo_cluster.kubeconfig) as world:
        yield Shop(world)


@pytest.fixture
def watch(demo_cluster: DemoCluster) -> Iterator[StageWatch]:
    with watching(demo_cluster.kubeconfig) as watch:
        yield watch


def progress(watch: StageWatch, shop: Shop, freight: str, stage: str) -> StageProgress | None:
    journey = watch.journey(shop.project, "app", freight)
    nodes = journey.nodes if journey else ()
    return next((node.progress for node in nodes if node.name == stage), None)


def is_in_state(watch: StageWatch, shop: Shop, freight: str, stage: str, state: StageState) -> bool:
    current = progress(watch, shop, freight, stage)
    return current is not None and current.state is state


def test_a_journey_follows_what_happens(shop, watch):
    shop.stage("test")
    shop.stage("prod", "test")
    shop.freight("1")
    waits = StageState.AWAITING_PROMOTION
    until("the Freight waits", lambda: is_in_state(watch, shop, "1", "test", waits))
    until("the next Stage is known", lambda: is_in_state(watch, shop, "1", "prod", StageState.NOT_REACHED))
    name = shop.promote("test", "1")
    until("it is queued", lambda: is_in_state(watch, shop, "1", "test", StageState.QUEUED))
    step = {"alias": "clone", "status": "Running"}
    shop.set_status(PROMOTIONS, name, phase="Running", stepExecutionMetadata=[step])
    until("it runs", lambda: is_in_state(watch, shop, "1", "test", StageState.PROMOTING))
    current = progress(watch, shop, "1", "test")
    assert current is not None
    assert (current.step, current.steps, current.step_alias, current.promotion) == (1, 2, "clone", name)
    shop.set_status(PROMOTIONS, name, phase="Succeeded")
    shop.enter("test", "1")
    until("it is there", lambda: is_in_state(watch, shop, "1", "test", StageState.CURRENT))
    until("it is verified", lambda: is_in_state(watch, shop, "1", "prod", waits))


def test_promotions_from_before_the_watch_are_listed(shop, demo_cluster):
    shop.stage("test")
    shop.freight("1")
    name = shop.promote("test", "1")
    shop.set_status(PROMOTIONS, name, phase="Failed", message="no")
    with watching(demo_cluster.kubeconfig) as watch:
        until(
            "the Promotions are listed",
            lambda: (journey := watch.journey(shop.project, "app", "1")) and journey.complete,
        )
        current = progress(watch, shop, "1", "test")
        assert current is not None
        assert (current.state, current.message) == (StageState.FAILED, "no")


def test_a_deleted_stage_is_forgotten(shop, watch):
    shop.stage("test")
    shop.stage("prod", "test")
    shop.freight("1")
    shop.freight("2")
    shop.enter("test", "1")
    shop.enter("prod", "1")
    for stage in ("test", "prod"):
        until("the Stage holds it", partial(is_in_state, watch, shop, "1", stage, StageState.CURRENT))
    shop.enter("test", "2")
    until("it has been replaced", lambda: is_in_state(watch, shop, "2", "test", StageState.CURRENT))
    assert not is_in_state(watch, shop, "1", "test", StageState.CURRENT)
    assert is_in_state(watch, shop, "1", "prod", StageState.CURRENT)
    shop.world.cluster.delete(STAGES, "prod", shop.project)
    until("the Stage is gone", lambda: [stage.name for stage in watch.stages(shop.project)] == ["test"])
    assert progress(watch, shop, "1", "prod") is None


def test_policies_come_from_the_project_config(shop, demo_cluster):
    def config(project: str) -> ReceiverConfig:
        policy = {"stageSelector": {"name": "glob:te*"}, "autoPromotionEnabled": True}
        metadata = {"name": project, "namespace": project}
        return decode_config({"metadata": metadata, "spec": {"promotionPolicies": [policy]}})

    shop.stage("test")
    shop.freight("1")
    with watching(demo_cluster.kubeconfig, config=config) as watch:
        assert is_in_state(watch, shop, "1", "test", StageState.IMMINENT)


def test_freight_is_found_by_alias_and_name_in_the_given_projects_only(shop, watch):
    other = Shop(shop.world)
    shop.freight("abcdef1", "calm-lemur")
    shop.freight("abcdef2", "calm-otter")
    other.freight("abcdef3", "calm-lemur")
    until("all are known", lambda: len(watch.freight_by_alias_or_name("abcdef", None)) >= 3)

    def search(text: str, *projects: str) -> list[str]:
        return [freight.name for freight in watch.freight_by_alias_or_name(text, projects)]

    assert search("calm-lemur", shop.project) == ["abcdef1"]
    assert search("CALM-", shop.project) == ["abcdef2", "abcdef1"]
    assert search("abcdef", other.project) == ["abcdef3"]
    assert search("abc", other.project) == []  # too short for a name
    assert search("calm") == []
    assert search(" ", shop.project) == []


def test_listeners_hear_of_every_change_in_a_project(shop, watch):
    heard: list[str] = []
    watch.add_listener(heard.append)
    before = watch.version(shop.project)
    shop.stage("test")
    until("the change is heard", lambda: shop.project in heard)
    assert watch.version(shop.project) > before


def test_listeners_hear_of_new_policies(watch):
    heard: list[str] = []
    watch.add_listener(heard.append)
    config = decode_config({"metadata": {"name": "shop", "namespace": "shop"}})
    watch.on_change(PROJECT_CONFIGS, None, config)
    watch.on_change(PROJECT_CONFIGS, config, None)
    watch.on_change(CLUSTER_CONFIGS, None, decode_config({"metadata": {"name": "cluster"}}))
    assert heard.count("shop") == 2
    assert "" not in heard


def test_a_failing_listener_does_not_stop_the_watch(shop, watch):
    def fail(project: str) -> None:
        raise RuntimeError(project)

    watch.add_listener(fail)
    shop.stage("test")
    until("the Stage is known", lambda: watch.stages(shop.project))


def test_old_freight_is_forgotten_and_read_when_it_is_shown(shop, demo_cluster, monkeypatch):
    monkeypatch.setattr(stage_watch, "KEPT_FREIGHT", 2)
    monkeypatch.setattr(stage_watch, "SLACK", 0)
    shop.stage("test")
    for name in ("1", "2", "3", "4"):
        shop.freight(name)
    shop.enter("test", "1")
    with watching(demo_cluster.kubeconfig, shop.project) as watch:
        kept = {freight.name for freight in watch.freight_by_alias_or_name("alias-", None)}
        assert kept == {"1", "4"}  # in a Stage, and the newest
        shop.freight("5")
        until("the new one is known", lambda: watch.freight_by_alias_or_name("alias-5", None))
        kept = {freight.name for freight in watch.freight_by_alias_or_name("alias-", None)}
        assert kept == {"1", "5"}
        assert is_in_state(watch, shop, "2", "test", StageState.AWAITING_PROMOTION)


def test_unknown_freight_and_freight_of_another_warehouse_have_no_journey(shop, watch):
    shop.stage("test")
    shop.freight("1")
    until("the Freight is known", lambda: watch.freight_by_alias_or_name("alias-1", [shop.project]))
    assert watch.journey(shop.project, "app", "missing") is None
    assert watch.journey(shop.project, "other", "1") is None


def test_deleted_freight_is_gone(shop, watch):
    name = "a" * 40
    shop.stage("test")
    shop.freight(name)
    assert watch.freight(shop.project, name)  # asks the API server, unless the watch was as fast
    until("the watch has it", lambda: watch.freight_by_alias_or_name(name, [shop.project]))
    assert not watch.is_gone(shop.project, name)
    shop.world.cluster.delete(FREIGHTS, name, shop.project)
    until("the watch has forgotten it", lambda: not watch.freight_by_alias_or_name(name, [shop.project]))
    assert watch.journey(shop.project, "app", name) is None
    assert watch.is_gone(shop.project, name)


def test_without_permission_there_is_nothing_and_no_error(shop, demo_cluster):
    with watching(demo_cluster.kubeconfig_for("nobody")) as watch:
        until("it is known", lambda: watch.freshness() == ())
        assert not watch.is_permitted
        assert watch.journey(shop.project, "app", "1") is None
        assert watch.freight(shop.project, "1") is None
        assert not watch.is_gone(shop.project, "1")
        assert watch.stages(shop.project) == ()


def test_with_the_setting_true_a_missing_permission_is_an_error(demo_cluster):
    with watching(demo_cluster.kubeconfig_for("nobody"), required=True) as watch:
        until("all have failed", lambda: all(entry.error for entry in watch.freshness()))
        kinds = {entry.resource.kind for entry in watch.freshness()}
        assert kinds == {"Stage", "Freight", "Promotion"}


def test_a_gap_in_the_watch_lists_promotions_again(tmp_path):
    with DemoCluster(tmp_path) as demo, World(demo.kubeconfig) as world:
        shop = Shop(world)
        shop.stage("test")
        shop.freight("1")
        with watching(demo.kubeconfig) as watch:
            until("it is complete", lambda: (j := watch.journey(shop.project, "app", "1")) and j.complete)
            demo.faults(expireWatches=True)
            shop.promote("test", "1")
            until("it is queued", lambda: is_in_state(watch, shop, "1", "test", StageState.QUEUED))
