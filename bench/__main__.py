"""`python -m bench`: measure and print a table of ratios with their targets. Exit code 1 if a target is missed."""

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

from bench.load import LoadResult, cycle, post, run
from bench.worlds import BenchWorld, fill, project_name
from receivers.cluster.client import connect
from receivers.kargo.resources import WAREHOUSES
from tests.clusters import DemoCluster
from tests.product import Product
from tests.worlds import push_body

PATCH_SECONDS = 0.003
SECONDS = float(os.environ.get("BENCH_SECONDS", "5"))
LARGE = BenchWorld(projects=1_000, warehouses=10, shared=100)
SMALL = BenchWorld(projects=1, warehouses=10, shared=0)
STATUS_CHANGES = 100  # per second
MAX_WAREHOUSES = 2_000  # in the load: enough that pushes rarely share a patch


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table."""

    name: str
    measured: float
    target: float
    unit: str = ""
    at_least: bool = False

    @property
    def target_met(self) -> bool:
        """Return whether the target is met."""
        return self.measured >= self.target if self.at_least else self.measured <= self.target

    def __str__(self) -> str:
        sign, mark = (">=" if self.at_least else "<="), ("ok" if self.target_met else "MISSED")
        return f"{self.name:<66} {self.measured:>9.3f} {sign} {self.target:<7g} {self.unit:<5} {mark}"


class Bench:
    """A cluster, kargoweb in front of it, and the loads that are sent to it."""

    def __init__(self, stack: ExitStack, directory: Path, world: BenchWorld) -> None:
        self.world = world
        self.cluster = stack.enter_context(DemoCluster(directory / "cluster"))
        fill(self.cluster.kubeconfig, world)
        self.cluster.faults({"verb": "patch", "latency": PATCH_SECONDS})
        database = f"sqlite:///{directory / 'log.sqlite3'}"
        options = {
            "KARGOWEB_DATA_DIR": str(directory),
            "DATABASE_URL": database,
            "KARGOWEB_LOG_LEVEL": "WARNING",
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
                self.world.path(project), push_body(self.world.repository(project, warehouse), "1.2.3")
            )

        return self._run(
            cycle(push, min(MAX_WAREHOUSES, self.world.projects * per_project)), connections, seconds
        )

    def same_warehouse(self, connections: int, seconds: float = SECONDS) -> LoadResult:
        """Send pushes for a single Warehouse."""
        body = post(self.world.path(0), push_body(self.world.repository(0, 0), "1.2.3"))
        return self._run(cycle(lambda _: body, 1), connections, seconds)

    def fan_out(self, seconds: float = SECONDS) -> LoadResult:
        """Send pushes that match a hundred Warehouses each, one after the other."""
        body = post(self.world.path(self.world.fan_out), push_body("bench/shared", "1.2.3"))
        return self._run(cycle(lambda _: body, 1), 1, seconds)

    def patch_count(self) -> int:
        """Return the number of patches that the API server has received."""
        requests = self.cluster.fault_log()["requests"]
        return sum(count for name, count in requests.items() if name.startswith("patch "))

    def patch_latency(self) -> float:
        """Return the median duration of a patch without other load, in seconds; 3 ms of it are simulated latency."""
        cluster = connect(str(self.cluster.kubeconfig))
        times = []
        for number in range(300):
            body = {"metadata": {"annotations": {"bench": str(number)}}}
            begin = time.perf_counter()
            cluster.patch(WAREHOUSES, f"warehouse-{number % 10}", project_name(0), body)
            times.append(time.perf_counter() - begin)
        cluster.close()
        return statistics.median(times)

    def push_to_all(self) -> None:
        """Push once for each Warehouse, so that each has a tracked refresh."""
        numbers = iter(range(self.world.projects * self.world.warehouses))
        per_project = self.world.warehouses
        with ThreadPoolExecutor(8) as pool:
            for number in numbers:
                project, warehouse = number // per_project, number % per_project
                body = push_body(self.world.repository(project, warehouse), "1.2.3")
                pool.submit(self.product.post, self.world.path(project), body)

    def start_kargo(self, seconds: float) -> subprocess.Popen[str]:
        """Start a process that updates the status of refreshed Warehouses, as Kargo does."""
        arguments = [str(self.cluster.kubeconfig), str(STATUS_CHANGES), str(seconds)]
        return subprocess.Popen(
            [sys.executable, "-m", "bench.kargo", *arguments], stdout=subprocess.PIPE, text=True
        )

    def cpu(self) -> float:
        """Return the CPU time of the worker so far, in seconds."""
        fields = Path(f"/proc/{self.product.pids[-1]}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the resident memory of the worker, in MB."""
        status = Path(f"/proc/{self.product.pids[-1]}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def _run(self, requests: Iterator[bytes], connections: int, seconds: float) -> LoadResult:
        result = run(self.product.port, requests, connections=connections, seconds=seconds)
        assert set(result.statuses) == {200}, result.statuses
        return result


def measure(large: Bench, small: Bench) -> Iterator[Row]:
    """Run all measurements; yield each row when it is ready."""
    yield Row("memory of 10,000 Warehouses and 1,000 receivers", large.memory() - small.memory(), 60, "MB")
    for bench in (large, small):
        bench.pushes(16, 1)  # warm up
    patch = large.patch_latency()
    yield from throughput(large, patch)
    single = large.pushes(1)
    yield Row(
        f"1 connection: p50 in addition to a patch ({patch * 1000:.1f} ms)",
        (single.percentile(0.5) - patch) * 1000,
        3,
        "ms",
    )
    fan_out = large.fan_out()
    ratio = fan_out.percentile(0.5) / single.percentile(0.5)
    yield Row("a push that matches 100 Warehouses / one that matches 1 (p50)", ratio, 12)
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
    yield Row("longest response during a full relist", relist_latency(large) * 1000, 100, "ms")


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


def throughput(large: Bench, patch: float) -> Iterator[Row]:
    """Compare the full path with the view that does nothing, alternating because the machine's speed drifts."""
    rounds = [(large.noop(16, SECONDS / 2), large.pushes(16, SECONDS / 2)) for _ in range(3)]
    ratios = sorted(full.rate / noop.rate for noop, full in rounds)
    rates = sorted(full.rate for _, full in rounds)
    p99 = sorted(full.percentile(0.99) for _, full in rounds)[1]
    yield Row(
        f"16 connections: rate ({rates[1]:.0f}/s) / rate of a no-op DRF view", ratios[1], 0.25, at_least=True
    )
    yield Row("16 connections: p99 / patch latency", p99 / patch, 15)
    yield Row("64 connections: longest response", large.pushes(64).longest, 1, "s")


def relist_latency(large: Bench) -> float:
    """Return the longest response time while the cache relists everything, in seconds.

    The load also runs before and after the relist, so its own longest response time is a lower bound.
    """
    large.pushes(1, 1)
    timer = threading.Timer(
        1, lambda: large.cluster.faults({"verb": "patch", "latency": PATCH_SECONDS}, expireWatches=True)
    )
    timer.start()
    result = large.pushes(1, 6)
    timer.join()
    return result.longest


def main() -> int:
    """Run all benchmarks; return the exit code."""
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"
    )
    with ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        small = Bench(stack, Path(directory) / "small", SMALL)
        large = Bench(stack, Path(directory) / "large", LARGE)
        success = True
        for row in measure(large, small):
            print(row, flush=True)
            success &= row.target_met
    return 0 if success else 1


if __name__ == "__main__":
    sys.exit(main())
