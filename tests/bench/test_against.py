"""`python -m bench.against`: which requests it sends to which server, and its table."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.against import NAME_WIDTH, Server, main, parse_arguments, standard_loads, table
from bench.load import LoadResult
from bench.worlds import SHARED, TARGET, BenchWorld, fill, receiver_path
from tests.cluster.servers import serving
from tests.clusters import DemoCluster
from tests.product import Product
from tests.worlds import push_body

pytestmark = [pytest.mark.e2e, pytest.mark.any_database("about the benchmark's requests and its table")]

SMALL = ("--rounds=2", "--pushes=20", "--warehouses=3", "--single=team/app-{}", "--shared=team/shared")


class FakeReceiver(ThreadingHTTPServer):
    """Responds to every push with `status`, and adds its name and the repository to `log`."""

    request_queue_size = 64
    daemon_threads = False

    def __init__(self, name: str, log: list[tuple[str, str]], status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.name, self.log, self.status = name, log, status

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/dockerhub/{self.name}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeReceiver

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == f"/dockerhub/{self.server.name}"
        self.server.log.append((self.server.name, body["repository"]["repo_name"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Don't log."""


@contextlib.contextmanager
def receivers(*statuses: int) -> Iterator[tuple[list[str], list[tuple[str, str]]]]:
    """Run a receiver for each status; yield the command's arguments, and the list of the requests."""
    log: list[tuple[str, str]] = []
    servers = [FakeReceiver(f"server-{number}", log, status) for number, status in enumerate(statuses)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield [f"{server.name}={server.url}" for server in servers], log
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def test_every_server_gets_the_same_pushes_in_turn():
    with receivers(200, 200) as (arguments, log):
        assert main([*arguments, *SMALL]) == 0
    per_round = 20 + 5 * 20 + 1 + 10 * 20
    assert Counter(name for name, _ in log) == {"server-0": 2 * per_round, "server-1": 2 * per_round}
    assert Counter(log)["server-0", "team/shared"] == Counter(log)["server-1", "team/shared"] == 2
    one_connection = [repository for name, repository in log if name == "server-0"][:20]
    assert one_connection == [f"team/app-{number % 3}" for number in range(20)]
    assert [name for name, _ in log[:40]] == ["server-0"] * 20 + ["server-1"] * 20
    second_round = log[2 * per_round :]
    assert [name for name, _ in second_round[:40]] == ["server-1"] * 20 + ["server-0"] * 20


def test_responses_other_than_200_are_reported(capsys):
    with receivers(200, 503) as (arguments, _):
        assert main([*arguments, *SMALL]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "server-1: responses other than 200: {503: 642}"


def test_the_table_has_medians_of_the_rounds_and_of_their_ratios():
    loads = standard_loads("team/app-{}", "team/shared", warehouses=3, pushes=20)
    servers = [Server("fast", "localhost", 80, "/"), Server("slow", "localhost", 80, "/")]
    # The machine becomes slower from round to round.
    for server, rounds in zip(servers, [(0.002, 0.004, 0.02), (0.003, 0.005, 0.06)], strict=True):
        for load in loads:
            server.results[load.name] = [
                LoadResult(load.pushes * seconds, [seconds] * load.pushes) for seconds in rounds
            ]
    rows = [line.split("  ")[0] + line[NAME_WIDTH:] for line in table(servers, loads)]
    assert rows == [
        "                fast                slow",
        "1 connection: p50, ms         4.00 (1.00)         5.00 (1.50)",
        "16 connections: pushes per second       250.00 (1.00)       200.00 (0.67)",
        "16 connections: p50, ms         4.00 (1.00)         5.00 (1.50)",
        "16 connections: p99, ms         4.00 (1.00)         5.00 (1.50)",
        "shared repository: p50, ms         4.00 (1.00)         5.00 (1.50)",
        "burst of 200 pushes: s         0.80 (1.00)         1.00 (1.50)",
    ]


def test_a_process_id_adds_cpu_time_and_memory(capsys):
    with receivers(200, 200) as (arguments, _):
        main([*arguments, *SMALL, f"--pid=server-1={os.getpid()}"])
    rows = capsys.readouterr().out.splitlines()[7:12]
    assert [row[:NAME_WIDTH].strip() for row in rows] == [
        "1 connection: CPU per delivery, ms",
        "16 connections: CPU per delivery, ms",
        "shared repository: CPU per delivery, ms",
        "burst: CPU per delivery, ms",
        "memory (PSS), MB",
    ]
    assert {row[NAME_WIDTH:].split()[0] for row in rows} == {"-"}  # of server-0
    assert float(rows[-1].split()[-1]) > 1


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["hooks"], id="no URL"),
        pytest.param(["https://127.0.0.1/hook"], id="TLS"),
        pytest.param(["a=http://127.0.0.1:1/x", "a=http://127.0.0.1:2/x"], id="one name twice"),
        pytest.param(["a=http://127.0.0.1:1/x", "--pid=b=1"], id="process of an unknown server"),
    ],
)
def test_invalid_arguments_are_rejected(arguments):
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(arguments)


def test_a_server_that_closes_connections_is_an_error():
    with serving(lambda server: server.respond(times=3)) as server, pytest.raises(ConnectionError):
        main([f"http://127.0.0.1:{server.port}/hook", *SMALL])


def test_kargoweb_accepts_every_push_for_the_objects_of_bench_worlds(database, tmp_path):
    with DemoCluster(tmp_path / "cluster", tls=True) as cluster:
        fill(cluster.kubeconfig, BenchWorld(projects=1, warehouses=2, target=3))
        with Product(cluster.kubeconfig) as product:
            url = f"{product.url}{receiver_path(TARGET)}"
            assert main([url, "--rounds=1", "--pushes=6", "--warehouses=3"]) == 0
            assert b"refreshed 3 warehouse(s)" in product.post(receiver_path(TARGET), push_body(SHARED)).data
