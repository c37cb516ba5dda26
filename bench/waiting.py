"""What clients cost that wait for a push: memory, threads, CPU time, and how long they wait for the answer.

    python -m bench.waiting 1000

Half of them wait for one tag, as a pipeline with many jobs does, and the others for a tag each.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

django.setup()

from django.utils import timezone

from bench import processes
from receivers.accounts import tokens
from receivers.models import Delivery, Outcome, TokenScope
from tests.clusters import DemoCluster
from tests.databases import SERVED, created_databases
from tests.product import Product
from tests.users import create_user

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
REPOSITORY = "bench/wait"
SECONDS = 20.0  # of waiting that are measured
CALM = 0.3  # of a core
RAMP = 100  # new clients per second


@contextmanager
def installation() -> Iterator[tuple[Product, str]]:
    """Start kargoweb; yield it and a token."""
    with tempfile.TemporaryDirectory() as directory, created_databases():
        SERVED.use()
        _, token = tokens.create(create_user("viewer"), "bench", TokenScope.READ)
        settings = {"KARGOWEB_METRICS": "true", "KARGOWEB_API_RATE": "0"}
        with DemoCluster(Path(directory)) as cluster, Product(cluster.kubeconfig, **settings) as product:
            yield product, token


async def wait(port: int, token: str, tag: str) -> tuple[str, float]:
    """Wait for a tag; return the result and when it came."""
    query = urlencode({"repository": REPOSITORY, "tag": tag, "timeout": 300})
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = (
        f"GET /api/v1/pushes/wait?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
    )
    writer.write(f"{request}Connection: close\r\n\r\n".encode())
    response = await reader.read()
    writer.close()
    return json.loads(response.partition(b"\r\n\r\n")[2])["result"], time.monotonic()


def push(tags: Sequence[str]) -> None:
    """Store a push of each tag that is Freight."""
    now = timezone.now()
    Delivery.objects.bulk_create(
        Delivery(
            received_at=now, project="bench", receiver="hook", kind="dockerhub", repository=REPOSITORY, tag=tag,
            outcome=Outcome.ALREADY_CURRENT, status=200, push_id=uuid.uuid4(), ended_at=now,
        )
        for tag in tags
    )  # fmt: skip


def threads(pids: Sequence[int]) -> int:
    """Return the number of threads of processes."""
    return sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids)


async def calm(pid: int) -> None:
    """Return when every client waits: each looks again once after its start."""
    busy = 1.0
    while busy > CALM:
        before = processes.cpu_seconds(pid)
        await asyncio.sleep(2)
        busy = (processes.cpu_seconds(pid) - before) / 2


async def measure(product: Product, token: str) -> None:
    """Let clients wait, measure, and answer them."""
    port = int(product.url.rpartition(":")[2])
    pid = product.pids[0]
    pids = list(processes.tree(pid))
    before, threads_before = processes.pss(pid), threads(pids)
    own = [f"tag-{number}" for number in range(COUNT // 2)]
    tags = [*own, *["shared"] * (COUNT - len(own))]
    clients = []
    cpu = processes.cpu_seconds(pid)
    for number, tag in enumerate(tags):
        clients.append(asyncio.create_task(wait(port, token, tag)))
        await asyncio.sleep(1 / RAMP if number % 10 else 0)
    await calm(pid)
    connecting = processes.cpu_seconds(pid) - cpu
    print(f"clients: {COUNT}; to accept them: {connecting / COUNT * 1000:.1f} ms of CPU time each")
    cpu = processes.cpu_seconds(pid)
    await asyncio.sleep(SECONDS)
    busy = (processes.cpu_seconds(pid) - cpu) / SECONDS
    print(
        f"while they wait: {busy * 100:.0f} % of a core, {processes.pss(pid) - before:.0f} MB more, ", end=""
    )
    print(f"{threads(pids) - threads_before} threads more")
    begin, cpu = time.monotonic(), processes.cpu_seconds(pid)
    await asyncio.to_thread(push, [*own, "shared"])
    answers = await asyncio.gather(*clients)
    results = {result for result, _ in answers}
    times = sorted(at - begin for _, at in answers)
    cpu = (processes.cpu_seconds(pid) - cpu) / COUNT * 1000
    print(
        f"all pushed at once: {results} after {times[0]:.2f} to {times[-1]:.2f} s, {cpu:.1f} ms of CPU time each"
    )


if __name__ == "__main__":
    logging.disable()
    with installation() as (kargoweb, api_token):
        asyncio.run(measure(kargoweb, api_token))
