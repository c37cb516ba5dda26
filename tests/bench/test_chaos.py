"""`python -m bench.chaos`: a short run finds nothing wrong, and each condition notices what it is for."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.chaos import DeliveryLog, conditions
from bench.load import post
from bench.steady_load import NO_ANSWER, SteadyLoad
from tests.cluster.servers import serving
from tests.product import ROOT

pytestmark = pytest.mark.e2e


def answer(status: int, delivery: str = "") -> bytes:
    header = f"x-kargoweb-delivery: {delivery}\r\n" if delivery else ""
    return f"HTTP/1.1 {status} X\r\n{header}Content-Length: 0\r\n\r\n".encode()


def loaded(**changes) -> SteadyLoad:
    """Return a load that has sent the pushes 1 and 2, of which the second one was sent twice."""
    load = SteadyLoad([], lambda _: b"", 100, random.Random(0))
    load.sends.update([1, 2, 2])
    load.acknowledged |= {1, 2}
    load.recorded |= {"a", "b"}
    load.longest = 0.5
    for name, value in changes.items():
        setattr(load, name, value)
    return load


def failed(load: SteadyLoad, log: DeliveryLog, rate: float = 110, memory: float = 150) -> list[str]:
    """Return the names of the conditions that are not met."""
    return [condition.name for condition in conditions(load, log, rate, memory) if not condition.met]


COMPLETE = DeliveryLog({"a": 1, "b": 2, "c": 2}, 0, 0)


def test_a_short_run_meets_all_conditions():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KARGOWEB_")}
    environment["DATABASE_URL"] = os.environ.get("TEST_DATABASE_SERVER", "")
    command = [sys.executable, "-m", "bench.chaos", "5", "--seed", "7"]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, ""), run.stdout + run.stderr
    seed, faults, pushes, *table = run.stdout.splitlines()
    assert seed == "seed: 7"
    assert "process killed" in faults
    assert "200" in pushes
    assert len(table) == len(list(conditions(loaded(), COMPLETE, 110, 150)))


def test_a_complete_log_meets_all_conditions():
    assert failed(loaded(), COMPLETE) == []


@pytest.mark.parametrize(
    ("load", "log", "name"),
    [
        pytest.param({"statuses": Counter({400: 1})}, COMPLETE, "pushes refused (4xx)", id="refused"),
        pytest.param({"acknowledged": {1}}, COMPLETE, "pushes never acknowledged", id="no answer"),
        pytest.param(
            {},
            DeliveryLog({"b": 2, "a": 2}, 0, 0),
            "acknowledged pushes lost",
            id="an acknowledged push is lost",
        ),
        pytest.param(
            {},
            DeliveryLog({"x": 1, "b": 2}, 0, 0),
            "deliveries lost that an answer named",
            id="a recorded delivery is lost",
        ),
        pytest.param(
            {},
            DeliveryLog({"a": 1, "x": 1, "b": 2}, 0, 0),
            "pushes stored more often than sent",
            id="stored twice",
        ),
        pytest.param(
            {}, DeliveryLog(COMPLETE.stored, 1, 0), "deliveries open after 180 s", id="an open delivery"
        ),
        pytest.param(
            {}, DeliveryLog(COMPLETE.stored, 0, 1), "refreshes open after 180 s", id="an open refresh"
        ),
        pytest.param({"longest": 10.5}, COMPLETE, "longest answer, in seconds", id="a late answer"),
    ],
)
def test_each_condition_notices_its_fault(load, log, name):
    assert failed(loaded(**load), log) == [name]


def test_a_low_rate_and_much_memory_are_noticed():
    assert failed(loaded(), COMPLETE, rate=99, memory=513) == [
        "requests a second",
        "most memory (PSS) of a process with its children, in MB",
    ]


def test_a_push_is_sent_again_until_it_is_acknowledged_or_refused():
    async def run(load: SteadyLoad) -> None:
        while load.sends.total() < 4:  # on a busy machine, one run may send a single push
            await load.run(0.035)
        await load.finish(60)

    with serving(
        lambda server: server.respond(answer(500, "a"), times=1),
        lambda server: server.respond(times=0),
        lambda server: server.respond(answer(404), times=1),
        lambda server: server.respond(answer(200, "b"), times=1),
    ) as server:
        load = SteadyLoad([server.port], lambda number: post(f"/{number}", b"{}"), 100, random.Random(0))
        with ThreadPoolExecutor(1) as pool:  # Playwright may run an event loop in this thread
            pool.submit(asyncio.run, run(load)).result()
    assert load.statuses[500] == load.statuses[NO_ANSWER] == load.statuses[404] == 1
    assert load.statuses[200] == len(load.acknowledged) == len(load.sends) - 1
    assert load.sends.total() == load.statuses.total() == len(load.sends) + 2
    assert load.recorded == {"a", "b"}
