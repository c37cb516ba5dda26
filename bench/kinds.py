"""The cost of a delivery of each receiver kind, beside that of Docker Hub's."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.load import LoadResult, post
from receivers.kargo.kinds import KINDS
from receivers.kargo.push import Push
from receivers.kargo.resources import PROJECT_CONFIGS, SECRETS
from tests.worlds import World, image

SECRET = "only-for-benchmarks"
COMMIT = "c0ffee" + "0" * 34
ROUNDS = 3  # the median counts; the machine's speed drifts
DOCKER_HUB = "dockerhub"
GENERIC: dict[str, Any] = {
    "actions": [
        {
            "action": "Refresh",
            "whenExpression": "request.body.tag != ''",
            "targetSelectionCriteria": [{"kind": "Warehouse", "name": "warehouse"}],
        }
    ]
}
"""What a generic receiver does: an expression, and one Warehouse by its name."""


@dataclass(frozen=True)
class KindCost:
    """The CPU time of a delivery, as a ratio to one of Docker Hub, and the median response time in seconds."""

    title: str
    ratio: float
    seconds: float


def create_receivers(kubeconfig: Path) -> dict[str, bytes]:
    """Create a project with a receiver and a Warehouse for each kind; return the request of a push for each."""
    with World(kubeconfig) as world:
        return {name: _create(world, name) for name in KINDS}


def _create(world: World, name: str) -> bytes:
    kind, project = KINDS[name], world.bare_project(f"bench-kind-{name}")
    url = f"https://git.example.com/bench/{name}"
    repository = f"bench/{name}" if name in {DOCKER_HUB, "generic"} else f"registry.example.com/bench/{name}"
    is_git = kind.is_git
    project.warehouse(
        "warehouse", {"git": {"repoURL": url, "branch": "main"}} if is_git else image(repository)
    )
    metadata = {"name": "hooks", "namespace": project.name}
    world.create(SECRETS, {"metadata": metadata, "stringData": {kind.secret_key: SECRET}}, project.name)
    project.publish("hook", kind=name, secret=SECRET)
    if name == "generic":
        receiver = {"name": "hook", name: {"secretRef": {"name": "hooks"}, **GENERIC}}
        world.cluster.patch(
            PROJECT_CONFIGS, project.name, project.name, {"spec": {"webhookReceivers": [receiver]}}
        )
    push = (
        Push(url, "refs/heads/main", commit=COMMIT)
        if is_git
        else Push(repository, "1.2.3", pushed_at=datetime.now(UTC))
    )
    body = b'{"tag": "1.2.3"}' if name == "generic" else kind.compose(push)
    request = post(project.path("hook", name, SECRET), body)
    head, _, rest = request.partition(b"\r\n\r\n")
    fields = kind.compose_headers(push, body, SECRET.encode()).items()
    lines = "".join(f"\r\n{field}: {value}" for field, value in fields if field.lower() != "content-type")
    return head + lines.encode() + b"\r\n\r\n" + rest


def measure_kinds(requests: dict[str, bytes], run: Callable[[bytes], LoadResult]) -> Iterator[KindCost]:
    """Send pushes of each kind; yield the costs. `run` sends one request over and over."""
    for name, request in requests.items():
        if name == DOCKER_HUB:
            continue
        pairs = [(run(requests[DOCKER_HUB]), run(request)) for _ in range(ROUNDS)]
        yield KindCost(
            KINDS[name].title,
            statistics.median(own.cpu_per_response / other.cpu_per_response for other, own in pairs),
            statistics.median(own.percentile(0.5) for _, own in pairs),
        )
