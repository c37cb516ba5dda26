"""Remembers, for a minute, pushes whose deliveries do not say when they happened."""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import Final
from uuid import UUID

from receivers.deliveries.push_identity import Place, opens_another, push_id

REMEMBERED: Final = 10_000
"""Pushes without a time that are kept in memory: more than come within a minute, some MB. The oldest are forgotten."""


class PushDeduplicator:
    """Gives deliveries the id of the push that they announce. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: OrderedDict[Place, datetime] = OrderedDict()

    def push_id(self, place: Place, pushed_at: datetime | None, received_at: datetime) -> UUID:
        """Return the id of the push that a delivery announces which came at `received_at` (UTC).

        Without `pushed_at` it belongs to the last push of this place, if that began within `grouping.WINDOW` in this
        process. Names in `place` are no longer than the log keeps them.
        """
        if pushed_at is not None:
            return push_id(place, pushed_at)
        with self._lock:
            opened = self._opened.get(place)
            if opened is None or opens_another(opened, received_at):
                self._opened[place] = opened = received_at
                self._opened.move_to_end(place)
                if len(self._opened) > REMEMBERED:
                    self._opened.popitem(last=False)
        return push_id(place, opened)
