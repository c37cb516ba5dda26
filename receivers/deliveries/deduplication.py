"""Recognize deliveries of the same push.

Docker Hub sends one to every webhook of the repository, so to several receivers, and for a multi-platform image several
to each, all alike. What they announce is one push, whichever receivers get it.

All replicas must agree without talking to each other, so the id of a push is a hash of what its deliveries share.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid5

WINDOW: Final = timedelta(seconds=60)
"""How long after the first delivery of a push without a time further deliveries belong to the same push.

Docker Hub sends the deliveries of one push within seconds; a minute later it is a new push.
"""

REMEMBERED: Final = 10_000
"""Pushes without a time that are kept in memory: more than arrive within a minute, a few MB. The oldest go first."""

# Arbitrary, but fixed: with another namespace, deliveries of one push would no longer match those already stored.
_NAMESPACE: Final = UUID("4cd605e7-afa2-5360-b5b9-c5e9fb5c76f4")

PushKey = tuple[str, str]
"""What was pushed: repository and tag."""


def push_id(key: PushKey, pushed_at: datetime) -> UUID:
    """Return the id of the push with this key and time. The same arguments give the same id in every process.

    Docker Hub's `pushed_at` is in seconds, and the same in all deliveries of a push. The id isn't secret: it
    can be computed from repository, tag and time, so an id alone must not grant access to anything.
    """
    # JSON keeps different keys apart, whatever characters they contain.
    return uuid5(_NAMESPACE, json.dumps([*key, pushed_at.astimezone(UTC).isoformat()]))


def starts_new_push(window_start: datetime | None, received_at: datetime) -> bool:
    """Say whether a delivery without a time starts a new push.

    `window_start` is when the last push with its key started. The difference may be negative: recovery
    may process an older delivery after newer ones.
    """
    return window_start is None or abs(received_at - window_start) > WINDOW


class PushDeduplicator:
    """Assigns deliveries to pushes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._window_starts: OrderedDict[PushKey, datetime] = OrderedDict()

    def push_id(self, key: PushKey, pushed_at: datetime | None, received_at: datetime) -> UUID:
        """Return the id of the push that a delivery, received at `received_at` (UTC), announces.

        A delivery without `pushed_at` belongs to the last push with its key, if that started within `WINDOW` in this
        process. The texts in `key` must be cut to the lengths that the log stores.
        """
        if pushed_at is not None:
            return push_id(key, pushed_at)
        with self._lock:
            start = self._window_starts.get(key)
            if start is None or starts_new_push(start, received_at):
                self._window_starts[key] = start = received_at
                self._window_starts.move_to_end(key)
                if len(self._window_starts) > REMEMBERED:
                    self._window_starts.popitem(last=False)
        return push_id(key, start)
