"""Counts calls of URLs that never were a receiver's, so that "Docker Hub calls an old URL" can be seen.

Strangers can cause these, so they cost no database write each: they are summed up in memory, up to a bound, and
stored now and then.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from receivers.models import UnknownCall, storable

# Between two flushes; a flood from more sources than that is counted, not told apart.
SOURCES_IN_MEMORY: Final = 500
SOURCES_KEPT: Final = 1_000  # in the database, newest first

Source = tuple[str, str, str]
"""Kind, last characters of the digest, client address."""


@dataclass(slots=True)
class _Tally:
    first_at: datetime
    last_at: datetime
    user_agent: str
    count: int = 0


class UnknownUrlCounter:
    """Sums up unknown calls between two flushes. Safe to call from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[Source, _Tally] = {}
        self.total = 0

    def count(self, kind: str, url_suffix: str, client_address: str, user_agent: str) -> None:
        """Note one call."""
        now = timezone.now()
        source = (kind[:32], url_suffix, client_address[:64])
        with self._lock:
            self.total += 1
            if source not in self._tallies and len(self._tallies) >= SOURCES_IN_MEMORY:
                return
            tally = self._tallies.setdefault(source, _Tally(now, now, user_agent))
            tally.count += 1
            tally.last_at, tally.user_agent = now, user_agent

    def flush(self) -> None:
        """Add what has come together to the database and forget the oldest sources beyond the bound."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        if not tallies:
            return
        try:
            with transaction.atomic():
                for source, tally in tallies.items():
                    _add(source, tally)
        except Exception:
            self._take_back(tallies)
            raise
        beyond = UnknownCall.objects.order_by("-last_at").values("pk")[
            SOURCES_KEPT : SOURCES_KEPT + SOURCES_IN_MEMORY
        ]
        UnknownCall.objects.filter(pk__in=[row["pk"] for row in beyond]).delete()

    def _take_back(self, tallies: Mapping[Source, _Tally]) -> None:
        """Count again what could not be stored."""
        with self._lock:
            for source, tally in tallies.items():
                if later := self._tallies.get(source):
                    later.count += tally.count
                    later.first_at = tally.first_at
                else:
                    self._tallies[source] = tally


def _add(source: Source, tally: _Tally) -> None:
    kind, url_suffix, client_address = source
    row, _ = UnknownCall.objects.get_or_create(
        kind=kind,
        url_suffix=url_suffix,
        client_address=client_address,
        defaults={"first_at": tally.first_at, "last_at": tally.last_at},
    )
    UnknownCall.objects.filter(pk=row.pk).update(
        count=F("count") + tally.count, last_at=tally.last_at, user_agent=storable(tally.user_agent)
    )
