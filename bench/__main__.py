"""`python -m bench`: measure and print a table of ratios with their targets. Exit code 1 if a target is missed.

kargoweb talks TLS to a real kube-apiserver if `KUBEBUILDER_ASSETS` has one, otherwise to the demo's API server.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"

from prometheus_client.parser import text_string_to_metric_families

from bench.clusters import ASSETS, new_cluster
from bench.kinds import create_receivers, measure_kinds
from bench.load import LoadResult, cycle, post, run
from bench.processes import cpu_seconds, pss
from bench.worlds import SHARED, TARGET, BenchWorld, fill, project_name, receiver_path
from receivers.cluster.client import connect
from receivers.kargo.resources import WAREHOUSES
from tests.clusters import DemoCluster
from tests.product import Product
from tests.worlds import push_body

PATCH_SECONDS = 0.003  # of simulated latency in the demo's API server
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
LARGE = BenchWorld(projects=1_000, warehouses=10, target=100)
SMALL = BenchWorld(projects=1, warehouses=10, target=0)
STATUS_CHANGES = 100  # per second
MAX_KIND_RATIO = 2.0  # of a delivery of another kind to one of Docker Hub
MAX_WAREHOUSES = 2_000  # in the load: enough that pushes rarely share a patch


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    name: str
    measured: float
    target: float
    unit: str = ""
    at_least: bool = False
    api_bound: bool = False
    """The API server's speed decides. The target is for that of the demo, with its simulated latency."""

    @property
    def target_met(self) -> bool:
        """Return whether the target is met, or does not apply."""
        if self.api_bound and ASSETS:
            return True
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def __str__(self) -> str:
        sign, mark = (">=" if self.at_least else "<="), ("ok" if self.target_met else "MISSED")
        target = "" if self.api_bound and ASSETS else f"{sign} {self.target:<7g} {self.unit:<5} {mark}"
        return f"{self.name:<70} {self.measured:>9.3f} {target}"


class Bench:
    """A cluster, kargoweb in front of it, and the loads that are sent to it."""

    def __init__(self, stack: ExitStack, directory: Path, world: BenchWorld) -> None:
        self.world = world
        directory.mkdir()
        self.cluster = new_cluster(directory / "cluster")
        stack.enter_context(self.cluster)
        fill(self.cluster.kubeconfig, world)
        if isinstance(self.cluster, DemoCluster):
            self.cluster.faults({"verb": "patch", "latency": PATCH_SECONDS})
        database = f"sqlite:///{directory / 'log.sqlite3'}"
        options = {
            "KARGOWEB_DATA_DIR": str(directory),
            "DATABASE_URL": database,
            "KARGOWEB_LOG_LEVEL": "WARNING",
            "KARGOWEB_RATE_LIMIT": "0",  # the whole load comes from one address
        }
        settings = {"DJANGO_SETTINGS_MODULE": "bench.settings"}
        self.product = Product(self.cluster.kubeconfig, **options, **settings)
        self.product.migrate()
        stack.enter_context(self.product)
        time.sleep(1)  # until the periodic tasks have run once

    def noop(self, connections: int, seconds: float = SECONDS) -> LoadResult:
        """Send requests to a view that does nothing."""
        return self._run(cycle(lambda _: post("/noop", push_body("bench/noop")), 1), connections, seconds)

    def pushes(self, connections: int, seconds: float = SECONDS) -> LoadResult:
        """Send pushes for many different Warehouses."""
        per_project = self.world.warehouses

        def push(number: int) -> bytes:
            project, warehouse = number // per_project, number % per_project
            return post(
                receiver_path(project_name(project)),
                push_body(self.world.repository(project, warehouse), "1.2.3"),
            )

        return self._run(
            cycle(push, min(MAX_WAREHOUSES, self.world.projects * per_project)), connections, seconds
        )

    def same_warehouse(self, connections: int) -> LoadResult:
        """Send pushes for a single Warehouse."""
        body = post(receiver_path(project_name(0)), push_body(self.world.repository(0, 0), "1.2.3"))
        return self._run(cycle(lambda _: body, 1), connections, SECONDS)

    def repeated(self, request: bytes, seconds: float) -> LoadResult:
        """Send one request over and over."""
        return self._run(cycle(lambda _: request, 1), 4, seconds)

    def fan_out(self) -> LoadResult:
        """Send pushes that match a hundred Warehouses each, one after the other."""
        body = post(receiver_path(TARGET), push_body(SHARED, "1.2.3"))
        return self._run(cycle(lambda _: body, 1), 1, SECONDS)

    def patch_count(self) -> int:
        """Return the number of patches of Warehouses that the API server has received."""
        if isinstance(self.cluster, DemoCluster):
            requests = self.cluster.fault_log()["requests"]
            return sum(count for name, count in requests.items() if name.startswith("patch "))
        metrics = self.cluster.api.get("/metrics").data.decode()
        return sum(
            int(sample.value)
            for family in text_string_to_metric_families(metrics)
            for sample in family.samples
            if sample.name == "apiserver_request_total"
            and (sample.labels["resource"], sample.labels["verb"]) == ("warehouses", "PATCH")
        )

    def patch_latency(self) -> float:
        """Return the median duration of a patch without other load, in seconds."""
        client = connect(str(self.cluster.kubeconfig))
        times = []
        for number in range(300):
            body = {"metadata": {"annotations": {"bench": str(number)}}}
            begin = time.perf_counter()
            client.patch(WAREHOUSES, f"warehouse-{number % 10}", project_name(0), body)
            times.append(time.perf_counter() - begin)
        client.close()
        return statistics.median(times)

    def push_to_all(self) -> None:
        """Push once for each Warehouse, so that each has a tracked refresh."""
        numbers = iter(range(self.world.projects * self.world.warehouses))
        per_project = self.world.warehouses
        with ThreadPoolExecutor(8) as pool:
            for number in numbers:
                project, warehouse = number // per_project, number % per_project
                body = push_body(self.world.repository(project, warehouse), "1.2.3")
                pool.submit(self.product.post, receiver_path(project_name(project)), body)

    def start_kargo(self, seconds: float) -> subprocess.Popen[str]:
        """Start a process that updates the status of refreshed Warehouses, as Kargo does."""
        arguments = [str(self.cluster.kubeconfig), str(STATUS_CHANGES), str(seconds)]
        return subprocess.Popen(
            [sys.executable, "-m", "bench.kargo", *arguments], stdout=subprocess.PIPE, text=True
        )

    def cpu(self) -> float:
        """Return the CPU time of kargoweb's processes so far, in seconds."""
        return cpu_seconds(self.product.pids[0])

    def memory(self) -> float:
        """Return the memory (PSS) of kargoweb's processes, in MB."""
        return pss(self.product.pids[0])

    def _run(self, requests: Iterator[bytes], connections: int, seconds: float) -> LoadResult:
        address, pid = ("127.0.0.1", self.product.port), self.product.pids[0]
        result = run(address, requests, connections=connections, seconds=seconds, pid=pid)
        assert set(result.statuses) == {200}, result.statuses
        return result


def measure(large: Bench, small: Bench) -> Iterator[Row]:
    """Run all measurements; yield each row when it is ready."""
    yield Row("memory with 1,000 receivers and 10,200 Warehouses", large.memory(), 150, "MB")
    yield Row("memory of these receivers and Warehouses", large.memory() - small.memory(), 60, "MB")
    for bench in (large, small):
        bench.pushes(16, 1)  # warm up
    yield from throughput(large)
    patch, single = large.patch_latency(), large.pushes(1)
    yield Row(
        f"1 connection: p50 in addition to a patch ({patch * 1000:.1f} ms)",
        (single.percentile(0.5) - patch) * 1000,
        3,
        "ms",
    )
    fan_out = large.fan_out()
    ratio = fan_out.percentile(0.5) / single.percentile(0.5)
    yield Row("a push that matches 100 Warehouses / one that matches 1 (p50)", ratio, 12, api_bound=True)
    before = large.patch_count()
    same_warehouse = large.same_warehouse(64)
    yield Row(
        "64 connections, one Warehouse: patches per delivery",
        (large.patch_count() - before) / len(same_warehouse.times),
        0.2,
    )
    yield from tracking(large)
    ratios = sorted(large.pushes(1, 2).percentile(0.5) / small.pushes(1, 2).percentile(0.5) for _ in range(3))
    yield Row("p50 with 10,000 Warehouses / with 10", ratios[1], 1.2)
    yield from kinds(small)
    if isinstance(large.cluster, DemoCluster):
        latency = relist_latency(large, large.cluster)
        yield Row("longest response during a full relist", latency * 1000, 100, "ms")


def kinds(small: Bench) -> Iterator[Row]:
    """Compare a delivery of each kind with one of Docker Hub."""
    requests = create_receivers(small.cluster.kubeconfig)
    time.sleep(2)  # until kargoweb knows the receivers
    seconds = SECONDS / 5
    for cost in measure_kinds(requests, lambda request: small.repeated(request, seconds)):
        name = f"{cost.title}: CPU per delivery / Docker Hub's (p50 {cost.seconds * 1000:.1f} ms)"
        yield Row(name, cost.ratio, MAX_KIND_RATIO)


def tracking(large: Bench) -> Iterator[Row]:
    """Measure the cost of tracking all Warehouses while Kargo changes a hundred statuses per second."""
    large.push_to_all()
    time.sleep(2)
    before, begin = large.cpu(), time.monotonic()
    time.sleep(SECONDS)
    idle = (large.cpu() - before) / (time.monotonic() - begin)
    before, begin = large.cpu(), time.monotonic()
    changes = int(large.start_kargo(4 * SECONDS).communicate()[0])
    share = (large.cpu() - before) / (time.monotonic() - begin)
    rate = changes / (4 * SECONDS)
    yield Row(
        f"cores to track 10,000 Warehouses with {rate:.0f} status changes per second", share - idle, 0.25
    )
    quiet = large.pushes(4).percentile(0.99)
    large.push_to_all()
    kargo = large.start_kargo(3 * SECONDS)
    time.sleep(SECONDS)  # until it has listed all Warehouses
    busy = large.pushes(4).percentile(0.99)
    kargo.communicate()
    yield Row("4 connections: p99 during status changes / p99 without", busy / quiet, 1.5)


def throughput(large: Bench) -> Iterator[Row]:
    """Compare the full path with the view that does nothing, alternating because the machine's speed drifts."""
    rounds = [
        (large.noop(16, SECONDS / 2), large.patch_latency(), large.pushes(16, SECONDS / 2)) for _ in range(3)
    ]
    rate = statistics.median(full.rate for _, _, full in rounds)
    cpu = statistics.median(full.cpu_per_response for _, _, full in rounds) * 1000
    yield Row(
        f"16 connections: rate ({rate:.0f}/s) / rate of a no-op DRF view",
        statistics.median(full.rate / noop.rate for noop, _, full in rounds),
        0.25,
        at_least=True,
        api_bound=True,
    )
    yield Row(
        f"16 connections: CPU per push ({cpu:.1f} ms) / CPU of a no-op DRF view",
        statistics.median(full.cpu_per_response / noop.cpu_per_response for noop, _, full in rounds),
        6,
    )
    yield Row(
        "16 connections: p99 / patch latency",
        statistics.median(full.percentile(0.99) / patch for _, patch, full in rounds),
        15,
        api_bound=True,
    )
    yield Row("64 connections: longest response", large.pushes(64).longest, 1, "s", api_bound=True)


def relist_latency(large: Bench, demo: DemoCluster) -> float:
    """Return the longest response time while the cache relists everything, in seconds.

    The load also runs before and after the relist, so its own longest response time is a lower bound.
    """
    large.pushes(1, 1)
    timer = threading.Timer(
        1, lambda: demo.faults({"verb": "patch", "latency": PATCH_SECONDS}, expireWatches=True)
    )
    timer.start()
    result = large.pushes(1, 6)
    timer.join()
    return result.longest


def main() -> int:
    """Run all benchmarks; return the exit code."""
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, "
        f"{'kube-apiserver' if ASSETS else 'demo API server'}, load average {os.getloadavg()[0]:.1f}"
    )
    with ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        small = Bench(stack, Path(directory) / "small", SMALL)
        large = Bench(stack, Path(directory) / "large", LARGE)
        success = True
        for row in measure(large, small):
            print(row, flush=True)
            success &= row.target_met
        print(f"load average {os.getloadavg()[0]:.1f}")
    return 0 if success else 1


if __name__ == "__main__":
    sys.exit(main())
