"""`python -m bench.changes`: what a change of a Warehouse costs with 1, 100 and 1,000 open refreshes of it.

No controller handles the refreshes, each of which has an attempt of its own. The status of each Warehouse then changes
as fast as the API server takes it, in turns, and the CPU time of kargoweb is divided by the number of changes.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.__main__ import Bench
from bench.worlds import BenchWorld, project_name, receiver_path
from receivers.cluster.client import connect
from receivers.kargo.resources import WAREHOUSES
from tests.worlds import push_body

OPEN_REFRESHES = (1, 100, 1_000)  # of the Warehouses with these positions
CHANGES = 400  # of one Warehouse in one round
ROUNDS = 7
PROJECT = project_name(0)


def push(bench: Bench) -> None:
    """Push once for each refresh, one after the other, so that none share an attempt."""
    for position, count in enumerate(OPEN_REFRESHES):
        for number in range(count):
            body = push_body(bench.world.repository(0, position), f"1.2.{number}")
            assert bench.product.post(receiver_path(PROJECT), body).status == 200


def cost(bench: Bench, position: int) -> float:
    """Change the status of a Warehouse `CHANGES` times; return kargoweb's CPU time per change, in milliseconds."""
    client = connect(str(bench.cluster.kubeconfig))
    before = bench.cpu()
    for number in range(CHANGES):
        condition = {"type": "Healthy", "status": "True", "reason": f"Round{number}", "message": ""}
        status = {"status": {"conditions": [condition]}}
        client.patch_status(WAREHOUSES, f"warehouse-{position}", PROJECT, status)
    time.sleep(1)  # until the last changes are assessed
    client.close()
    return (bench.cpu() - before) / CHANGES * 1000


def main() -> None:
    """Print the table."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as directory:
        bench = Bench(stack, Path(directory) / "bench", BenchWorld(projects=1, warehouses=3, target=0))
        push(bench)
        time.sleep(2)
        rounds = [[cost(bench, position) for position in range(len(OPEN_REFRESHES))] for _ in range(ROUNDS)]
        for position, count in enumerate(OPEN_REFRESHES):
            milliseconds = statistics.median(costs[position] for costs in rounds)
            ratio = statistics.median(costs[position] / costs[0] for costs in rounds)
            print(
                f"{count:>5} open refreshes: {milliseconds:.3f} ms of CPU per change, {ratio:.2f} of that with 1"
            )


if __name__ == "__main__":
    main()
