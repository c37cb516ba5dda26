"""The serving process starts without a cluster, stops cleanly and leaves no process behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.clusters import DemoCluster, until
from tests.product import Product
from tests.worlds import World, image, push_body

pytestmark = [pytest.mark.e2e, pytest.mark.any_database("about signals, ports and memory")]


def alive(pid: int) -> bool:
    """Return whether a process is running. A zombie is not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def loading(pid: int) -> bool:
    """Return whether a worker has started to load the application: SIGINT is ignored, and SIGTERM not caught."""
    try:
        fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except FileNotFoundError:
        return False
    ignored, caught = (int(fields[name], 16) for name in ("SigIgn", "SigCgt"))
    return bool(ignored >> (signal.SIGINT - 1) & 1) and not caught >> (signal.SIGTERM - 1) & 1


@pytest.fixture
def own_product(database, demo_cluster):
    """A serving process for one test."""
    with Product(demo_cluster.kubeconfig) as product:
        yield product


def test_sigterm_stops_the_process_with_exit_code_0_and_no_traceback(own_product: Product):
    pids = own_product.pids
    assert own_product.stop() == 0
    assert not any(map(alive, pids))
    assert "Traceback" not in own_product.log()


def test_workers_end_when_their_parent_is_killed(own_product: Product):
    parent, *workers = own_product.pids
    os.kill(parent, signal.SIGKILL)
    until("the workers end", lambda: not any(map(alive, workers)))


def test_the_parent_exits_with_1_when_its_worker_is_killed(own_product: Product):
    os.kill(own_product.pids[-1], signal.SIGKILL)
    assert own_product.wait() == 1


def test_without_a_cluster_the_process_starts_but_is_not_ready(database, tmp_path):
    product = Product(tmp_path / "no-kubeconfig")
    product.start(ready=False)
    try:
        readiness = product.get("/readyz")
        assert readiness.status == 503
        # The probe is public: the reason is only in the log and on the status page.
        assert readiness.json()["mirror"] == dict.fromkeys(readiness.json()["mirror"], False)
        assert "no-kubeconfig" not in readiness.data.decode()
        assert "no-kubeconfig does not exist" in product.log()
        response = product.post("/dockerhub/" + "0" * 64, push_body("example/app"))
        assert (response.status, response.data) == (
            503,
            b'{"error":"not ready to take this push; please send it again"}\n',
        )
    finally:
        product.stop()


def test_the_process_becomes_ready_when_the_cluster_starts(database, tmp_path):
    cluster = DemoCluster(tmp_path / "cluster")
    with cluster:
        kubeconfig = cluster.kubeconfig
        cluster.stop()
        product = Product(kubeconfig)
        product.start(ready=False)
        try:
            assert product.status("/readyz") == 503
            cluster.start()
            with World(kubeconfig) as world:
                project = world.project(image("example/late"))
            until("the process is ready", lambda: product.status("/readyz") == 200)
            until(
                "the push is accepted",
                lambda: product.post(project.path(), push_body("example/late")).status == 200,
            )
        finally:
            product.stop()


def test_sigterm_stops_a_worker_that_is_still_loading(database, tmp_path):
    product = Product(tmp_path / "no-kubeconfig")
    product.launch()
    until("the worker is loading", lambda: any(map(loading, product.pids[1:])))
    pids = product.pids
    assert product.stop() == 0
    assert not any(map(alive, pids))


def test_a_port_in_use_is_an_error_of_one_line(own_product: Product, tmp_path):
    second = Product(tmp_path / "no-kubeconfig", PORT=str(own_product.port))
    second.launch()
    assert second.wait() == 3
    expected = f"Can't listen on 127.0.0.1 port {own_product.port}: Address already in use. Set KARGOWEB_BIND or PORT."
    assert second.log() == f"CommandError: {expected}\n"


def test_threads_share_two_heaps(own_product: Product):
    worker = Path(f"/proc/{own_product.pids[1]}/environ").read_bytes()
    assert b"MALLOC_ARENA_MAX=2" in worker.split(b"\0")


def test_the_parent_process_has_not_loaded_the_application(own_product: Product):
    parent, worker = (Path(f"/proc/{pid}/maps").read_text() for pid in own_product.pids)
    assert "orjson" in worker
    assert "orjson" not in parent
