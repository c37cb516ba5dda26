"""Concurrent pushes for one Warehouse share a patch, but never a patch that was sent before they arrived."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.utils import timezone

from receivers.kargo.resources import REFRESH_ANNOTATION
from receivers.refreshes.sender import RefreshSender
from receivers.refreshes.work_queue import WorkQueue
from tests.delivery_rows import routed_project
from tests.worlds import image, push_body

CALLERS = 32


@pytest.fixture
def project(world):
    return world.project(image("example/app"), warehouses=4)


@pytest.fixture
def sender(world, demo_cluster):
    """A sender in front of the demo's API server, which takes 5 ms for a patch and records all patches."""
    demo_cluster.faults({"verb": "patch", "latency": 0.005}, record=REFRESH_ANNOTATION)
    sender = RefreshSender(lambda: world.cluster, lambda key: None, WorkQueue(lambda key: None))
    yield sender
    sender.stop()
    demo_cluster.faults()


def test_no_push_shares_a_patch_that_was_sent_before_it_arrived(sender, project, demo_cluster):
    def push(_: int):
        arrived_at = timezone.now()
        return arrived_at, sender.request([(project.name, "warehouse-0")], 5)[0]

    with ThreadPoolExecutor(CALLERS) as pool:
        pushes = list(pool.map(push, range(300)))
    assert all(result.attempt.requested_at > arrived_at for arrived_at, result in pushes)
    tokens = {patch["value"] for patch in demo_cluster.recorded_patches(project.name)}
    assert {result.attempt.token for _, result in pushes} == tokens
    assert len(tokens) < 300 / 4


def test_the_tokens_of_a_warehouse_strictly_increase(sender, project, demo_cluster):
    keys = [(project.name, "warehouse-0"), (project.name, "warehouse-1")]
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda _: sender.request(keys, 5), range(100)))
    for name in ("warehouse-0", "warehouse-1"):
        patches = demo_cluster.recorded_patches(project.name)
        tokens = [patch["value"] for patch in patches if patch["name"] == name]
        assert tokens == sorted(set(tokens))


def test_different_warehouses_are_patched_in_parallel(sender, project, demo_cluster):
    # Long enough that even on a busy machine the last patch arrives before the first response.
    demo_cluster.faults({"verb": "patch", "latency": 1.5}, record=REFRESH_ANNOTATION)
    sender.request([(project.name, f"warehouse-{number}") for number in range(4)], 5)
    patches = demo_cluster.recorded_patches(project.name)
    assert max(patch["received"] for patch in patches) < min(patch["answered"] for patch in patches)


def test_all_callers_of_a_patch_get_its_error_and_later_patches_are_sent(sender, project, demo_cluster):
    demo_cluster.faults({"verb": "patch", "latency": 0.01, "status": 500, "times": 2})
    with ThreadPoolExecutor(CALLERS) as pool:
        results = list(pool.map(lambda _: sender.request([(project.name, "warehouse-0")], 5)[0], range(200)))
    assert any(result.error for result in results)
    assert results[-1].attempt


class HangingClient:
    """A Kubernetes client whose patches of one Warehouse hang until they are released."""

    def __init__(self, hanging: str) -> None:
        self._hanging = hanging
        self.reached, self.released = threading.Event(), threading.Event()

    def patch(self, resource, name, namespace, body, *, timeout):
        if name == self._hanging:
            self.reached.set()
            assert self.released.wait(30)


def test_a_caller_waits_no_longer_than_its_timeout():
    client = HangingClient("hanging")
    sender = RefreshSender(lambda: client, lambda key: None, WorkQueue(lambda key: None))
    key = ("shop", "hanging")
    first = threading.Thread(target=sender.request, args=[[key], 30])
    first.start()
    try:
        # Only now: the caller that sends a patch waits for its response beyond the timeout.
        assert client.reached.wait(30)
        hanging, other = sender.request([key, ("shop", "other")], 0.1)
        assert "did not respond within 0.1 s" in hanging.error
        assert other.attempt
    finally:
        client.released.set()
        first.join()
        sender.stop()


def test_no_caller_waits_for_a_stopped_sender(sender, project):
    sender.stop()
    keys = [(project.name, "warehouse-0"), (project.name, "warehouse-1")]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: sender.request(keys, 5), range(8)))
    assert all(len(of_call) == 2 for of_call in results)


def test_a_burst_of_pushes_needs_few_patches(product, demo_cluster, world):
    project = routed_project(product, world, image("example/burst"))
    demo_cluster.faults({"verb": "patch", "latency": 0.01}, record=REFRESH_ANNOTATION)
    with ThreadPoolExecutor(CALLERS) as pool:
        responses = list(
            pool.map(lambda _: product.post(project.path(), push_body("example/burst")), range(200))
        )
    assert {response.status for response in responses} == {200}
    tokens = [patch["value"] for patch in demo_cluster.recorded_patches(project.name)]
    assert len(tokens) <= 100
    assert tokens == sorted(set(tokens))
