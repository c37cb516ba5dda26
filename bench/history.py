"""`python -m bench.history COUNT`: fill the delivery log with a believable past, for measuring how lists behave.

So many deliveries of the last two months, each with a refresh that has ended: two hundred projects with a receiver and
a few repositories each, some of them far busier than others, and every outcome. The database is that of the settings.
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

from django.db import transaction  # noqa: E402

from bench.worlds import HISTORY_PROJECTS, history_project  # noqa: E402
from receivers.deliveries.bulk_sql import insert  # noqa: E402
from receivers.models import Delivery, Refresh  # noqa: E402

Pair = tuple[Delivery, Refresh | None]
REPOSITORIES = 3  # of a project
DAYS = 60
AT_ONCE = 1_000  # rows of one statement's making
COMMITTED = 20_000  # rows in one transaction
OUTCOMES = {
    "freight_created": 80, "not_newest": 5, "already_current": 4, "no_match": 4, "manual_creation_policy": 2,
    "tag_not_visible": 2, "discovery_failed": 1, "not_handled": 1, "invalid_body": 1,
}  # fmt: skip
VERDICT = {
    "project": "", "warehouse": "main", "position": 0, "subscription": "", "kind": "image", "repo_url": "",
    "result": "match", "rule": "semver.satisfied", "reason": 'tag "1.2.3" satisfies ^1.0.0',
}  # fmt: skip


def fill(count: int, seed: int = 1) -> None:
    """Write `count` deliveries, oldest first."""
    dice = random.Random(seed)
    rows = _rows(count, dice)
    for _ in range(0, count, COMMITTED):
        with transaction.atomic():
            for _ in range(COMMITTED // AT_ONCE):
                some = [pair for _, pair in zip(range(AT_ONCE), rows, strict=False)]
                insert([delivery for delivery, _ in some])
                insert([refresh for _, refresh in some if refresh is not None])


def _rows(count: int, dice: random.Random) -> Iterator[Pair]:
    end = timezone.now()
    step = timedelta(days=DAYS) / count
    outcomes = dice.choices(list(OUTCOMES), list(OUTCOMES.values()), k=count)
    # Half of all pushes go to a tenth of the projects.
    projects = dice.choices(
        range(HISTORY_PROJECTS),
        [10 if n < HISTORY_PROJECTS // 10 else 1 for n in range(HISTORY_PROJECTS)],
        k=count,
    )
    for number in range(count):
        at = end - step * (count - number)
        yield _row(number, at, history_project(projects[number]), outcomes[number], dice)


def _row(number: int, at: datetime, project: str, outcome: str, dice: random.Random) -> Pair:
    repository = f"{project}/app-{dice.randrange(REPOSITORIES)}"
    tag, understood = f"1.{number // 100}.{number % 100}", outcome != "invalid_body"
    followed = understood and outcome != "no_match"
    key = _id(at, dice)
    delivery = Delivery(
        id=key, received_at=at, project=project, receiver="hook", kind="dockerhub", url_suffix="abcdef",
        repository=repository if understood else "", tag=tag if understood else "", pusher="somebody",
        pushed_at=at if understood else None, push_id=_id(at, dice) if understood else None,
        outcome=outcome, reason="" if outcome == "freight_created" else f"because of {outcome}", ended_at=at,
        status=200 if understood else 400, answer='{"msg":"refreshed 1 warehouse(s)"}',
        duration_ms=5.0 + dice.random(), warehouses=int(followed), client_address="192.0.2.1",
        user_agent="Go-http-client/1.1", path="/dockerhub/…abcdef",
        verdicts=[VERDICT | {"project": project, "repo_url": repository}],
        headers=[["Content-Type", "application/json"]],
        body=b"x" * 1_200,
    )  # fmt: skip
    if not followed:
        return delivery, None
    refresh = Refresh(
        id=_id(at, dice), delivery_id=key, project=project, warehouse=f"main-{repository[-1]}", state="ended",
        outcome=outcome, token=at.isoformat(), requested_at=at, handled_at=at + timedelta(seconds=2),
        discovered_at=at + timedelta(seconds=2), ended_at=at + timedelta(seconds=2), attempts=1,
        freight=uuid.UUID(int=dice.getrandbits(128)).hex if outcome == "freight_created" else "",
        freight_alias="merry-otter",
    )  # fmt: skip
    return delivery, refresh


def _id(at: datetime, dice: random.Random) -> uuid.UUID:
    """Return a UUID of version 7 of that time."""
    milliseconds = int(at.timestamp() * 1000)
    return uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | 0b10 << 62 | dice.getrandbits(62))


if __name__ == "__main__":
    fill(int(sys.argv[1]))
