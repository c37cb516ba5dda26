"""Clients that wait for a push: wakes them when something about it has changed, whichever process changed it.

They wait in the event loop of the server and hold no thread. One thread looks at the log for all of them, twice a
second while there are any: a query for 200 tags, however many clients wait for each.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

from django.db.models import Count, Max, Q, Sum
from django.utils import timezone

from receivers.models import UNDERSTOOD, Delivery, Outcome, Refresh

TAGS_AT_ONCE: Final = 200  # in one query; every database takes that many conditions
RECHECK_SECONDS: Final = 30.0
"""A client that waits for a Stage looks again after this time, whatever happened: soak times end without an event."""

MAX_WAITING: Final = 2_000
"""Clients at a time. A server has 4,096 connections, and pushes need some, too."""

LOOKED_BACK: Final = timedelta(days=1)  # `latest` may have been pushed every minute for years

Fingerprint = tuple[Any, ...]
"""What is known of a tag; something may have happened if it changes."""


class WaitKey(NamedTuple):
    """What a client waits for: a tag, and the Stages of some projects."""

    repository: str
    tag: str
    projects: Sequence[str] = ()


class TooManyWaiting(Exception):
    """`MAX_WAITING` clients wait already."""


class PushWaiters:
    """The clients that wait. `changed` is for the event loop of the server, `work` for one thread.

    `stage_version` returns a number that changes with the Stages of a project.
    """

    def __init__(self, stage_version: Callable[[str], int]) -> None:
        self._stage_version = stage_version
        self._lock = threading.Lock()  # of `_waiting`
        # Each client, and when it last looked by itself; infinite once it was compared with a fingerprint.
        self._waiting: dict[WaitKey, dict[asyncio.Future[None], float]] = {}
        self._known: dict[WaitKey, Fingerprint] = {}
        self._read_at = 0.0
        self._closed = False

    def __len__(self) -> int:
        """Return the number of clients that wait."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    async def changed(self, text: str) -> bool:
        """Return True when a push has changed, or the client's time is over; False if waiting has ended.

        `text` is what `header` returned to the view of the client. Raises `TooManyWaiting`.
        """
        seconds, looked_at, repository, tag, projects = json.loads(text)
        # Added before anything is awaited: from here on, `work` compares the tag with what the view saw at `looked_at`.
        key = WaitKey(repository, tag, tuple(projects))
        future = asyncio.get_running_loop().create_future()
        self._add(key, future, looked_at)
        try:
            if not self._closed:
                await asyncio.wait(
                    [future], timeout=min(seconds, RECHECK_SECONDS) if key.projects else seconds
                )
        finally:
            self._remove(key, future)
        return not self._closed

    def close(self) -> None:
        """End all waits: the process stops, which must not take as long as the most patient client."""
        self._closed = True
        with self._lock:
            keys = list(self._waiting)
        for key in keys:
            self._wake(key, math.inf)

    def work(self) -> bool:
        """Wake the clients whose push has changed. Return False: there is never more to do at once."""
        with self._lock:
            keys = list(self._waiting)
        if not keys:
            # Else the next client for the same tag would be compared with what was known long before it came.
            self._known.clear()
            return False
        current = self._fingerprints(keys)
        for key in keys:
            # What a client saw before the last fingerprint may have changed until that was read.
            self._wake(key, math.inf if self._known.get(key) != current[key] else self._read_at)
        self._known, self._read_at = current, time.monotonic()
        return False

    def _add(self, key: WaitKey, future: asyncio.Future[None], looked_at: float) -> None:
        with self._lock:
            if sum(map(len, self._waiting.values())) >= MAX_WAITING:
                raise TooManyWaiting
            self._waiting.setdefault(key, {})[future] = looked_at

    def _remove(self, key: WaitKey, future: asyncio.Future[None]) -> None:
        with self._lock:
            futures = self._waiting.get(key, {})
            futures.pop(future, None)
            if not futures:
                self._waiting.pop(key, None)

    def _wake(self, key: WaitKey, before: float) -> None:
        """Wake the clients of a key that looked before a time; note that the others have been compared."""
        with self._lock:
            futures = self._waiting.get(key, {})
            woken = [
                future for future, looked_at in futures.items() if before == math.inf or looked_at < before
            ]
            for future in futures:
                futures[future] = math.inf
        for future in woken:
            # Futures belong to the event loop; its thread alone may set their results.
            future.get_loop().call_soon_threadsafe(_finish, future)

    def _fingerprints(self, keys: Sequence[WaitKey]) -> dict[WaitKey, Fingerprint]:
        tags = list(dict.fromkeys((key.repository, key.tag) for key in keys))
        by_tag: dict[tuple[str, str], Fingerprint] = {}
        for start in range(0, len(tags), TAGS_AT_ONCE):
            by_tag |= _of_tags(tags[start : start + TAGS_AT_ONCE])
        return {
            key: (
                by_tag.get((key.repository, key.tag)),
                *(self._stage_version(project) for project in key.projects),
            )
            for key in keys
        }


def header(seconds: float, looked_at: float, key: WaitKey) -> str:
    """Return what the view of a client that waits tells the server: the seconds left, and what to wait for.

    `looked_at` is when the view began to look, in seconds of `time.monotonic`.
    """
    return json.dumps([seconds, looked_at, key.repository, key.tag, list(key.projects)])


def _of_tags(tags: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Fingerprint]:
    """Return what is known of tags: their deliveries and refreshes by their states. Two queries."""
    condition = Q()
    for repository, tag in tags:
        condition |= Q(repository=repository, tag=tag)
    deliveries = Delivery.objects.filter(
        condition & UNDERSTOOD, received_at__gte=timezone.now() - LOOKED_BACK
    )
    rows = (
        deliveries.order_by()
        .values_list("repository", "tag")
        .annotate(
            count=Count("pk"),
            unprocessed=Count("pk", filter=Q(outcome=Outcome.PENDING)),
            open=Count("pk", filter=Q(ended_at=None)),
            last=Max("ended_at"),
            refreshed=Sum("warehouses"),
            freight=Sum("with_freight"),
        )
    )
    # One Warehouse of several may have failed.
    ended = Counter(
        Refresh.objects.filter(delivery__in=deliveries.filter(ended_at=None))
        .exclude(outcome="")
        .values_list("delivery__repository", "delivery__tag")
    )
    return {(repository, tag): (*values, ended[repository, tag]) for repository, tag, *values in rows}


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
