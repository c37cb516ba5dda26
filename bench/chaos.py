"""`python -m bench.chaos [SECONDS]`: send pushes while faults occur at random, and count what is lost.

Uses SQLite and one process or, if `DATABASE_URL` is an address of PostgreSQL (`tools/postgres.py` starts a server), a
new database there and three processes. Exit code 1 if a condition is not met; the logs are kept then. The same seed
causes the same faults, as far as the times of a busy machine allow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import django
import psycopg
from django.apps import apps

from bench.clusters import new_cluster
from bench.faults import Chaos, fault_kinds
from bench.kargo import TAG, simulate
from bench.load import post
from bench.processes import pss
from bench.steady_load import SteadyLoad
from bench.worlds import BenchWorld, fill, project_name, receiver_path
from receivers.cluster.errors import ClusterError
from tests.product import Product
from tests.worlds import push_body

RATE = 110.0  # requests per second
WORLD = BenchWorld(projects=10, warehouses=2, target=0)
STATUS_CHANGES = 20.0  # per second: Kargo refreshes each Warehouse about every two seconds
SETTLE = 180.0  # seconds after the faults until every delivery has ended
MAX_ANSWER = 10.0  # seconds: what Docker Hub waits for an answer
MAX_MEMORY = 512.0  # MB of one process: the limit of the pod in the Helm chart
PUSHER = "push-"  # and the number of the push, to recognize it in the delivery log


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of a run."""

    name: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Return whether the condition is met."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        sign, mark = (">=" if self.at_least else "<="), ("ok" if self.met else "FAILED")
        return f"{self.name:<62} {self.measured:>8.6g} {sign} {self.limit:<5g} {mark}"


@dataclass(frozen=True, slots=True)
class DeliveryLog:
    """What the database contains after a run: the ids of the stored deliveries with the numbers of their pushes."""

    stored: Mapping[str, int]
    open_deliveries: int
    open_refreshes: int


class MemoryWatch:
    """The most memory that each process has used, measured once a second."""

    def __init__(self, products: Sequence[Product]) -> None:
        self.peak = 0.0
        self._products = products

    def run(self, stopped: threading.Event) -> None:
        """Measure until `stopped`."""
        while not stopped.wait(1):
            for product in self._products:
                with suppress(OSError):  # it was killed
                    self.peak = max(self.peak, pss(product.pids[0]))


def play_kargo(kubeconfig: Path, stopped: threading.Event) -> None:
    """Handle refreshes as Kargo does, until `stopped`."""
    while not stopped.wait(0.5):
        with suppress(ClusterError):
            simulate(str(kubeconfig), STATUS_CHANGES, seconds=5)


def request(number: int) -> bytes:
    """Return a push by its number."""
    project, warehouse = number % WORLD.projects, number // WORLD.projects % WORLD.warehouses
    body = push_body(
        WORLD.repository(project, warehouse), TAG, pusher=f"{PUSHER}{number}", pushed_at=int(time.time())
    )
    return post(receiver_path(project_name(project)), body)


def conditions(load: SteadyLoad, log: DeliveryLog, rate: float, memory: float) -> Iterator[Condition]:
    """Yield the conditions of a run: `rate` is the requests per second, `memory` the most of a process, in MB."""
    times = Counter(log.stored.values())
    yield Condition("requests a second", rate, 100, at_least=True)
    yield Condition("pushes refused (4xx)", sum(load.statuses[s] for s in range(400, 500)), 0)
    yield Condition("pushes never acknowledged", len(load.sends.keys() - load.acknowledged), 0)
    yield Condition("acknowledged pushes lost", len(load.acknowledged - times.keys()), 0)
    yield Condition("deliveries lost that an answer named", len(load.recorded - log.stored.keys()), 0)
    yield Condition(
        "pushes stored more often than sent",
        sum(count > load.sends[number] for number, count in times.items()),
        0,
    )
    yield Condition(f"deliveries open after {SETTLE:g} s", log.open_deliveries, 0)
    yield Condition(f"refreshes open after {SETTLE:g} s", log.open_refreshes, 0)
    yield Condition("longest answer, in seconds", load.longest, MAX_ANSWER)
    yield Condition("most memory (PSS) of a process with its children, in MB", memory, MAX_MEMORY)


def read_log() -> DeliveryLog:
    """Wait until all deliveries have ended, for `SETTLE` seconds at most, and return what is stored."""
    deliveries = apps.get_model("receivers", "Delivery").objects.filter(ended_at=None)
    refreshes = apps.get_model("receivers", "Refresh").objects.filter(outcome="")
    deadline = time.monotonic() + SETTLE
    while (counts := (deliveries.count(), refreshes.count())) != (0, 0) and time.monotonic() < deadline:
        time.sleep(1)
    rows = apps.get_model("receivers", "Delivery").objects.filter(pusher__startswith=PUSHER)
    stored = {str(id_): int(pusher.removeprefix(PUSHER)) for id_, pusher in rows.values_list("pk", "pusher")}
    return DeliveryLog(stored, *counts)


@contextmanager
def database(directory: Path) -> Iterator[str]:
    """Yield the URL of a new database."""
    server = os.environ.get("DATABASE_URL", "")
    if not server.startswith("postgres"):
        yield f"sqlite:///{directory / 'log.sqlite3'}"
        return
    name = f"kargoweb_chaos_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        try:
            yield urlsplit(server)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@contextmanager
def serving(kubeconfig: Path, directory: Path, url: str) -> Iterator[list[Product]]:
    """Start one process on SQLite, three on PostgreSQL."""
    with ExitStack() as stack:
        products: list[Product] = []
        for number in range(3 if url.startswith("postgres") else 1):
            data_dir = directory / f"replica-{number}"
            data_dir.mkdir()
            # The default, which a deployment has, and tests do not.
            product = Product(kubeconfig, KARGOWEB_DATA_DIR=str(data_dir), KARGOWEB_ANSWER_TIMEOUT="8")
            if not products:
                product.migrate()
            products.append(stack.enter_context(product))
        try:
            yield products
        finally:
            for product in products:
                shutil.copy(product.log_path, directory / f"{product.port}.log")


def soak(directory: Path, seconds: float, seed: int) -> bool:
    """Run the load and the faults, and print the table. Return whether all conditions are met."""
    stopped = threading.Event()
    with ExitStack() as stack:
        cluster = new_cluster(directory / "cluster")
        stack.enter_context(cluster)
        fill(cluster.kubeconfig, WORLD)
        url = stack.enter_context(database(directory))
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "kargoweb.settings",
            "DATABASE_URL": url,
            "KARGOWEB_DATA_DIR": str(directory),
            "KARGOWEB_SECRET_KEY": "only-for-the-chaos-only-for-the-chaos",
            "KARGOWEB_LOG_LEVEL": "WARNING",
        }
        django.setup()
        products = stack.enter_context(serving(cluster.kubeconfig, directory, url))
        memory = MemoryWatch(products)
        for target, arguments in ((play_kargo, (cluster.kubeconfig, stopped)), (memory.run, (stopped,))):
            thread = threading.Thread(target=target, args=arguments)
            thread.start()
            stack.callback(thread.join)
        stack.callback(stopped.set)
        load = SteadyLoad([product.port for product in products], request, RATE, random.Random(seed))
        faults = fault_kinds(products, cluster, url, receiver_path(project_name(0)))
        chaos = Chaos(faults, seed, longest=seconds / 5)
        with chaos.running():
            asyncio.run(load.run(seconds))
        rate = load.sends.total() / seconds
        asyncio.run(load.finish(SETTLE))
        table = list(conditions(load, read_log(), rate, memory.peak))
        print(f"faults: {_counts(chaos.counts)}")
        print(f"pushes: {len(load.sends)}, requests by status (0: no answer): {_counts(load.statuses)}")
        print(*table, sep="\n")
        return all(condition.met for condition in table)


def _counts(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    return ", ".join(f"{count} x {name}" for name, count in sorted(counts.items()))


def main(arguments: Sequence[str]) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=600.0, help="duration (default: 600)")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the random faults")
    options = parser.parse_args(arguments)
    print(f"seed: {options.seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="kargoweb-chaos-"))
    if not soak(directory, options.seconds, options.seed):
        print(f"logs: {directory}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
