"""Concurrent pushes for one Warehouse share a patch, and never one that was sent before they arrived."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.utils import timezone

from receivers.kargo.resources import REFRESH_ANNOTATION
from receivers.refreshes.sender import RefreshSender
from tests.delivery_rows import routed
from tests.worlds import image, push_body

CALLERS = 32


@pytest.fixture
def place(world):
    return world.project(image("example/app"), warehouses=4)


@pytest.fixture
def sender(world, demo_cluster):
    """A sender in front of the demo's API server, which takes 5 ms for a patch and writes each one down."""
    demo_cluster.faults({"verb": "patch", "latency": 0.005}, record=REFRESH_ANNOTATION)
    sender = RefreshSender(lambda: world.cluster, lambda key: None)
    yield sender
    sender.stop()
    demo_cluster.faults()


def patches_of(demo_cluster, place):
    """Return the patches of a project's Warehouses, in the order of their arrival."""
    patches = demo_cluster.fault_log()["patches"]
    return [one for one in patches if one["namespace"] == place.name and one["value"]]


def test_nobody_rides_on_a_patch_that_was_made_before_he_came(sender, place, demo_cluster):
    def push(_: int):
        came = timezone.now()
        return came, sender.request([(place.name, "warehouse-0")], 5)[0]

    with ThreadPoolExecutor(CALLERS) as pool:
        pushes = list(pool.map(push, range(300)))
    assert all(asked.requested_at > came for came, asked in pushes)
    sent = {one["value"] for one in patches_of(demo_cluster, place)}
    assert {asked.token for _, asked in pushes} == sent
    assert len(sent) < 300 / 4


def test_no_two_patches_of_a_warehouse_carry_the_same_token_and_they_only_grow(sender, place, demo_cluster):
    keys = [(place.name, "warehouse-0"), (place.name, "warehouse-1")]
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda _: sender.request(keys, 5), range(100)))
    for name in ("warehouse-0", "warehouse-1"):
        tokens = [one["value"] for one in patches_of(demo_cluster, place) if one["name"] == name]
        assert tokens == sorted(set(tokens))


def test_different_warehouses_go_side_by_side(sender, place, demo_cluster):
    demo_cluster.faults({"verb": "patch", "latency": 0.2}, record=REFRESH_ANNOTATION)
    sender.request([(place.name, f"warehouse-{number}") for number in range(4)], 5)
    patches = patches_of(demo_cluster, place)
    assert max(one["received"] for one in patches) < min(one["answered"] for one in patches)


def test_all_who_share_a_patch_hear_of_its_failure_and_later_ones_are_sent(sender, place, demo_cluster):
    demo_cluster.faults({"verb": "patch", "latency": 0.01, "status": 500, "times": 2})
    with ThreadPoolExecutor(CALLERS) as pool:
        asked = list(pool.map(lambda _: sender.request([(place.name, "warehouse-0")], 5)[0], range(200)))
    assert any(one.error for one in asked)
    assert asked[-1].requested_at


def test_whoever_waits_for_a_silent_server_waits_no_longer_than_he_said(sender, place, demo_cluster):
    demo_cluster.faults({"verb": "patch", "silence": 1.0, "times": 1})
    key = (place.name, "warehouse-0")
    first = threading.Thread(target=sender.request, args=[[key], 0.1])
    first.start()
    try:
        assert "did not respond within" in sender.request([key, (place.name, "warehouse-1")], 0.1)[0].error
    finally:
        first.join()


def test_after_it_was_stopped_nobody_is_kept_waiting(sender, place):
    sender.stop()
    keys = [(place.name, "warehouse-0"), (place.name, "warehouse-1")]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: sender.request(keys, 5), range(8)))
    assert all(len(asked) == 2 for asked in results)


def test_a_burst_at_the_receiver_costs_few_patches_and_all_pushes_are_answered(product, demo_cluster, world):
    place = routed(product, world, image("example/burst"))
    demo_cluster.faults({"verb": "patch", "latency": 0.01}, record=REFRESH_ANNOTATION)
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: product.post(place.path(), push_body("example/burst")), range(200)))
    assert {answer.status for answer in answers} == {200}
    tokens = [one["value"] for one in patches_of(demo_cluster, place)]
    assert len(tokens) <= 100
    assert tokens == sorted(set(tokens))
