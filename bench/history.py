"""`python -m bench.history COUNT`: fill the delivery log with a realistic history, to measure lists.

Writes COUNT deliveries of the last two months, most with a refresh that has ended. They belong to up to two hundred
projects with a receiver and a few repositories each, some much busier than others, and have various outcomes. A short
history has fewer projects, so that their lists still fill a page: otherwise a comparison with a long one would compare
the rows of the pages. Uses the database of the settings.
"""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

import django
from django.utils import timezone

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kargoweb.settings")
django.setup()

from django.db import transaction

from bench.worlds import HISTORY_PROJECTS, history_project
from receivers.deliveries.bulk_sql import insert
from receivers.models import Delivery, Refresh

Pair = tuple[Delivery, Refresh | None]
REPOSITORIES = 3  # per project
DELIVERIES = 100  # per project, on average, even in a short history
DAYS = 60
BATCH_SIZE = 1_000  # deliveries
COMMIT_SIZE = 20_000  # deliveries
OUTCOMES = {  # and their relative frequency
    "freight_created": 80,
    "not_newest": 5,
    "already_current": 4,
    "no_match": 4,
    "manual_creation_policy": 2,
    "tag_not_visible": 2,
    "discovery_failed": 1,
    "not_handled": 1,
    "invalid_body": 5,
}
VERDICT = {
    "project": "",
    "warehouse": "main",
    "position": 0,
    "subscription": "",
    "kind": "image",
    "repo_url": "",
    "result": "match",
    "rule": "semver.satisfied",
    "reason": 'tag "1.2.3" satisfies ^1.0.0',
}


def fill(count: int, seed: int = 1) -> None:
    """Write `count` deliveries, oldest first."""
    rng = random.Random(seed)
    rows = _rows(count, rng)
    for _ in range(0, count, COMMIT_SIZE):
        with transaction.atomic():
            for _ in range(COMMIT_SIZE // BATCH_SIZE):
                batch = [pair for _, pair in zip(range(BATCH_SIZE), rows, strict=False)]
                insert([delivery for delivery, _ in batch])
                insert([refresh for _, refresh in batch if refresh is not None])


def _rows(count: int, rng: random.Random) -> Iterator[Pair]:
    end = timezone.now()
    step = timedelta(days=DAYS) / count
    outcomes = rng.choices(list(OUTCOMES), list(OUTCOMES.values()), k=count)
    numbers = _projects(count)
    # About half of all pushes go to a tenth of the projects.
    weights = [10 if number < HISTORY_PROJECTS // 10 else 1 for number in numbers]
    projects = rng.choices(numbers, weights, k=count)
    for number in range(count):
        at = end - step * (count - number)
        yield _row(number, at, history_project(projects[number]), outcomes[number], rng)


def _projects(count: int) -> list[int]:
    """Return the numbers of the projects of a history, evenly spread, with the busiest and the quietest."""
    wanted = min(HISTORY_PROJECTS, max(2, count // DELIVERIES))
    return [number * (HISTORY_PROJECTS - 1) // (wanted - 1) for number in range(wanted)]


def _row(number: int, at: datetime, project: str, outcome: str, rng: random.Random) -> Pair:
    repository = f"{project}/app-{rng.randrange(REPOSITORIES)}"
    tag, valid = f"1.{number // 100}.{number % 100}", outcome != "invalid_body"
    matched = valid and outcome != "no_match"
    delivery_id = _id(at, rng)
    delivery = Delivery(
        id=delivery_id,
        received_at=at,
        project=project,
        receiver="hook",
        kind="dockerhub",
        url_suffix="abcdef",
        repository=repository if valid else "",
        tag=tag if valid else "",
        pusher="octocat",
        pushed_at=at if valid else None,
        push_id=_id(at, rng) if valid else None,
        outcome=outcome,
        reason="" if outcome == "freight_created" else f"because of {outcome}",
        ended_at=at,
        status=200 if valid else 400,
        answer='{"msg":"refreshed 1 warehouse(s)"}',
        duration_ms=5.0 + rng.random(),
        warehouses=int(matched),
        client_address="192.0.2.1",
        user_agent="Go-http-client/1.1",
        path="/dockerhub/…abcdef",
        verdicts=[VERDICT | {"project": project, "repo_url": repository}],
        headers=[["Content-Type", "application/json"]],
    )
    delivery.body = b"x" * 1_200
    if not matched:
        return delivery, None
    refresh = Refresh(
        id=_id(at, rng),
        delivery_id=delivery_id,
        project=project,
        warehouse=f"main-{repository[-1]}",
        state="ended",
        outcome=outcome,
        token=at.isoformat(),
        requested_at=at,
        handled_at=at + timedelta(seconds=2),
        discovered_at=at + timedelta(seconds=2),
        ended_at=at + timedelta(seconds=2),
        attempts=1,
        freight=uuid.UUID(int=rng.getrandbits(128)).hex if outcome == "freight_created" else "",
        freight_alias="merry-otter",
    )
    return delivery, refresh


def _id(at: datetime, rng: random.Random) -> uuid.UUID:
    """Return a UUID of version 7 of that time."""
    milliseconds = int(at.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | rng.getrandbits(62))


if __name__ == "__main__":
    fill(int(sys.argv[1]))
