"""Faults for `bench.chaos`: each is a context manager that causes it, and ends it."""

from __future__ import annotations

import random
import resource
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from bench.processes import tree
from tests.clusters import DemoCluster
from tests.product import Product
from tests.real_cluster import LocalCluster
from tests.resilience.outages import locked
from tests.resilience.slow_clients import clients, unfinished_post

PAUSE = (2.0, 20.0)  # seconds between two faults of a kind
DURATION = (1.0, 12.0)  # seconds of a fault
SLOW_CLIENTS = 200


class Fault(NamedTuple):
    """A fault and its name in the table."""

    name: str
    cause: Callable[[random.Random], AbstractContextManager[None]]


@dataclass
class Chaos:
    """Causes faults at random in threads: of each kind one at a time, while faults of other kinds may last.

    `longest` bounds pauses and faults, in seconds, so that a short run has some of each kind.
    """

    kinds: Sequence[Sequence[Fault]]
    seed: int
    longest: float
    counts: Counter[str] = field(default_factory=Counter)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Cause faults until the end of the block or `stop`. Raises what a fault has raised."""
        with ThreadPoolExecutor(len(self.kinds)) as pool:
            # A string, because faults of one kind must not depend on how long those of another one take.
            threads = [
                pool.submit(self._run, faults, random.Random(f"{self.seed}-{number}"))
                for number, faults in enumerate(self.kinds)
            ]
            try:
                yield
            finally:
                self._stopped.set()
        for thread in threads:
            thread.result()

    def _run(self, faults: Sequence[Fault], rng: random.Random) -> None:
        while not self._wait(rng, PAUSE):
            fault = rng.choice(faults)
            with fault.cause(rng):
                self.counts[fault.name] += 1
                self._wait(rng, DURATION)

    def _wait(self, rng: random.Random, bounds: tuple[float, float]) -> bool:
        """Wait for a random time. Return True at once when the chaos ends."""
        return self._stopped.wait(min(rng.uniform(*bounds), self.longest))


def fault_kinds(
    products: Sequence[Product], cluster: DemoCluster | LocalCluster, database: str, path: str
) -> list[list[Fault]]:
    """Return the faults by kind. `database` is a URL, `path` that of a receiver."""
    database_faults = [Fault("database locked", lambda _: locked())]
    if database.startswith("postgres"):  # SQLite has no server
        database_faults.append(Fault("database gone", lambda _: _database_gone(database)))
    return [
        [Fault("process killed", lambda rng: _killed(rng.choice(products)))],
        [
            Fault("API server hanging", lambda _: _hanging(cluster)),
            Fault("API server gone", lambda _: _gone(cluster)),
        ],
        database_faults,
        [Fault("disk full", lambda _: _disk_full(products))],
        [Fault(f"{SLOW_CLIENTS} slow clients", partial(_slow_clients, products, path))],
    ]


@contextmanager
def _killed(product: Product) -> Iterator[None]:
    """Kill a process and all of its children. Raises AssertionError if it does not start again."""
    product.kill()
    try:
        yield
    finally:
        product.start(ready=False)  # which needs neither the API server nor the database


@contextmanager
def _hanging(cluster: DemoCluster | LocalCluster) -> Iterator[None]:
    """Stop the API server without closing its connections."""
    cluster.suspend()
    try:
        yield
    finally:
        cluster.resume()


@contextmanager
def _gone(cluster: DemoCluster | LocalCluster) -> Iterator[None]:
    """Kill the API server."""
    cluster.kill()
    try:
        yield
    finally:
        cluster.start()


@contextmanager
def _database_gone(url: str) -> Iterator[None]:
    """Break all connections to a PostgreSQL database, and refuse new ones."""
    name = urlsplit(url).path.removeprefix("/")
    allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    # Connections to another database of the server are neither broken nor refused.
    with psycopg.connect(urlsplit(url)._replace(path="/postgres").geturl(), autocommit=True) as server:
        server.execute(allow.format(Identifier(name), Literal(False)))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            server.execute(allow.format(Identifier(name), Literal(True)))


@contextmanager
def _disk_full(products: Iterable[Product]) -> Iterator[None]:
    """Let every write to a file fail in all serving processes.

    That is a limit on the size of files (EFBIG instead of ENOSPC), since a small file system would need root.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    _limit_files(products, (0, limits[1]))
    try:
        yield
    finally:
        _limit_files(products, limits)


def _limit_files(products: Iterable[Product], limits: tuple[int, int]) -> None:
    for product in products:
        with suppress(OSError):  # it was killed
            # Each process before its children, which inherit the limit of a process that is just starting.
            for pid in tree(product.pids[0]):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def _slow_clients(products: Sequence[Product], path: str, rng: random.Random) -> Iterator[None]:
    """Open connections that send nothing, a part of the headers, or a part of a body."""
    data = rng.choice(
        [b"", b"GET / HTTP/1.1\r\nHost: ", unfinished_post("/sign-in"), unfinished_post(path, b"{")]
    )
    with ExitStack() as stack:
        with suppress(OSError):  # it was killed
            stack.enter_context(clients(rng.choice(products), SLOW_CLIENTS, data))
        yield
