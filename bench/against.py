"""`python -m bench.against [NAME=]URL...`: compare servers that receive the same pushes, such as Kargo's and kargoweb.

Each URL is the receiver of the project that `python -m bench.worlds` creates. The servers take turns with every load,
for several rounds, so that the noise of the machine affects them alike. The table has the median of the rounds and, in
parentheses, that of the ratios to the first server in the same round. `--pid NAME=PID` adds the CPU time per delivery
and the memory of a server on this machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.load import LoadResult, post, run
from bench.processes import pss
from bench.worlds import SHARED, SINGLE
from tests.worlds import push_body

NAME_WIDTH, COLUMN_WIDTH = 52, 20  # characters


@dataclass(frozen=True, slots=True)
class Load:
    """`pushes` pushes to `repositories` in turn, over several connections."""

    name: str
    connections: int
    pushes: int
    repositories: Sequence[str]


@dataclass(slots=True)
class Server:
    """A server, and the results of the rounds by the name of the load."""

    name: str
    host: str
    port: int
    path: str
    pid: int | None = None
    results: dict[str, list[LoadResult]] = field(default_factory=dict)

    def drive(self, load: Load, round_: int) -> None:
        """Send a load and store its result. Raises OSError if the server does not respond."""
        requests = list(self._requests(load, round_))  # before the clock starts
        result = run((self.host, self.port), iter(requests), connections=load.connections, pid=self.pid)
        self.results.setdefault(load.name, []).append(result)

    def _requests(self, load: Load, round_: int) -> Iterator[bytes]:
        """Yield the requests of a load. Each push has another tag."""
        for number in range(load.pushes):
            body = push_body(load.repositories[number % len(load.repositories)], f"1.{round_}.{number}")
            yield post(self.path, body, f"{self.host}:{self.port}")

    def rounds(self, load: Load, figure: Callable[[LoadResult], float]) -> list[float]:
        """Return a figure of each round."""
        return [figure(result) for result in self.results[load.name]]

    def failures(self) -> dict[int, int]:
        """Return the number of responses with each status other than 200."""
        statuses = sum(
            (Counter(result.statuses) for rounds in self.results.values() for result in rounds), Counter()
        )
        return {status: count for status, count in statuses.items() if status != 200}


def standard_loads(single: str, shared: str, warehouses: int, pushes: int) -> list[Load]:
    """Return the loads of the table; `single` has a `{}` for the number of the Warehouse."""
    repositories = [single.format(number) for number in range(warehouses)]
    return [
        Load("1 connection", 1, pushes, repositories),
        Load("16 connections", 16, 5 * pushes, repositories),
        Load("shared repository", 1, max(1, pushes // 20), [shared]),
        Load("burst", 64, 10 * pushes, repositories[:1]),
    ]


def measure(servers: Sequence[Server], loads: Sequence[Load], round_: int) -> None:
    """Send each load to one server after the other. Every round begins with another server."""
    first = round_ % len(servers)
    for load in loads:
        for server in (*servers[first:], *servers[:first]):
            server.drive(load, round_)


def table(servers: Sequence[Server], loads: Sequence[Load]) -> Iterator[str]:
    """Yield the lines of the table."""
    single, many, shared, burst = loads
    figures: list[tuple[str, Load, Callable[[LoadResult], float]]] = [
        (f"{single.name}: p50, ms", single, lambda result: 1000 * result.percentile(0.5)),
        (f"{many.name}: pushes per second", many, lambda result: result.rate),
        (f"{many.name}: p50, ms", many, lambda result: 1000 * result.percentile(0.5)),
        (f"{many.name}: p99, ms", many, lambda result: 1000 * result.percentile(0.99)),
        (f"{shared.name}: p50, ms", shared, lambda result: 1000 * result.percentile(0.5)),
        (f"{burst.name} of {burst.pushes} pushes: s", burst, lambda result: result.seconds),
    ]
    yield f"{'':{NAME_WIDTH}}" + "".join(f"{server.name:>{COLUMN_WIDTH}}" for server in servers)
    for title, load, figure in figures:
        yield _line(title, [server.rounds(load, figure) for server in servers])
    if any(server.pid for server in servers):
        for load in loads:
            cpu = [
                server.rounds(load, lambda result: 1000 * result.cpu_per_response) if server.pid else []
                for server in servers
            ]
            yield _line(f"{load.name}: CPU per delivery, ms", cpu)
        yield _line("memory (PSS), MB", [[pss(server.pid)] if server.pid else [] for server in servers])


def _line(title: str, rounds: Sequence[Sequence[float]]) -> str:
    """Return a line for the figures of each server's rounds; a server without figures gets a dash."""
    cells = []
    for figures in rounds:
        ratios = [figure / first for figure, first in zip(figures, rounds[0], strict=False) if first]
        ratio = f" ({statistics.median(ratios):.2f})" if ratios else ""
        cells.append(f"{statistics.median(figures):.2f}{ratio}" if figures else "-")
    return f"{title:{NAME_WIDTH}}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)


def server(text: str) -> Server:
    """Parse `[NAME=]URL`; without a name, the server is called by its address. Raises ValueError."""
    name, separator, url = text.rpartition("=")
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or (separator and not name):
        raise ValueError
    return Server(name or parts.netloc, parts.hostname, parts.port or 80, parts.path)


def process(text: str) -> tuple[str, int]:
    """Parse `NAME=PID`. Raises ValueError."""
    name, _, pid = text.rpartition("=")
    return name, int(pid)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options. Exits with code 2 and a message if they are invalid."""
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=__doc__)
    parser.add_argument(
        "servers", nargs="+", type=server, metavar="[NAME=]URL", help="http URL of a receiver"
    )
    parser.add_argument(
        "--pid",
        action="append",
        default=[],
        type=process,
        metavar="NAME=PID",
        help="main process of a server",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--pushes", type=int, default=200, help="with one connection; the other loads are in proportion"
    )
    parser.add_argument("--warehouses", type=int, default=100, help="Warehouses with their own repository")
    parser.add_argument("--single", default=SINGLE, help="those repositories, with {} for the number")
    parser.add_argument("--shared", default=SHARED, help="the repository of many Warehouses")
    options = parser.parse_args(arguments)
    named = {server.name: server for server in options.servers}
    if len(named) < len(options.servers):
        parser.error("two servers have the same name")
    for name, pid in options.pid:
        if name not in named:
            parser.error(f"--pid: no server is called {name!r}")
        named[name].pid = pid
    return options


def main(arguments: Sequence[str]) -> int:
    """Run the command. Return the exit code: 1 if a server responded with anything but 200."""
    options = parse_arguments(arguments)
    servers: list[Server] = options.servers
    loads = standard_loads(options.single, options.shared, options.warehouses, options.pushes)
    averages = [os.getloadavg()[0]]
    for round_ in range(options.rounds):
        measure(servers, loads, round_)
        averages.append(os.getloadavg()[0])
        print(f"round {round_ + 1} of {options.rounds}, load average {averages[-1]:.1f}", file=sys.stderr)
    for line in table(servers, loads):
        print(line)
    print(
        f"{options.rounds} rounds, {os.cpu_count()} CPUs, load average {min(averages):.1f} to {max(averages):.1f}"
    )
    failures = {server.name: server.failures() for server in servers if server.failures()}
    for name, statuses in failures.items():
        print(f"{name}: responses other than 200: {statuses}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
