"""Count requests to URLs that never belonged to a receiver, to reveal webhooks with an outdated URL.

Anyone can cause these requests, so they must not cost a database write each. They are summed up in memory, within a
bound, and stored once in a while.
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

from receivers.deliveries.redaction import redact
from receivers.models import UnknownCall, storable

# Between two flushes. During a flood from more sources, further sources only add to the total.
SOURCES_IN_MEMORY: Final = 500
SOURCES_KEPT: Final = 1_000  # in the database, newest first

Source = tuple[str, str, str]
"""Kind, digest suffix and client address."""


@dataclass(slots=True)
class _Tally:
    first_at: datetime
    last_at: datetime
    user_agent: str
    count: int = 0


class UnknownUrlCounter:
    """Sums up requests to unknown URLs between two flushes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tallies: dict[Source, _Tally] = {}
        self.total = 0

    def count(self, kind: str, url_suffix: str, client_address: str, user_agent: str) -> None:
        """Count one request."""
        now = timezone.now()
        # The sender chooses all of them, and an Ingress may repeat the URL in a header.
        user_agent = redact(user_agent)
        source = (kind[:32], url_suffix, redact(client_address)[:64])
        with self._lock:
            self.total += 1
            if source not in self._tallies and len(self._tallies) >= SOURCES_IN_MEMORY:
                return
            tally = self._tallies.setdefault(source, _Tally(now, now, user_agent))
            tally.count += 1
            tally.last_at, tally.user_agent = now, user_agent

    def flush(self) -> None:
        """Add the counts to the database and delete the oldest sources beyond `SOURCES_KEPT`."""
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        if not tallies:
            return
        try:
            with transaction.atomic():
                for source, tally in tallies.items():
                    _add(source, tally)
        except Exception:
            self._restore(tallies)
            raise
        beyond = UnknownCall.objects.order_by("-last_at").values("pk")[
            SOURCES_KEPT : SOURCES_KEPT + SOURCES_IN_MEMORY
        ]
        UnknownCall.objects.filter(pk__in=[row["pk"] for row in beyond]).delete()

    def _restore(self, tallies: Mapping[Source, _Tally]) -> None:
        """Merge back counts that could not be stored."""
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
    # F() lets replicas add to the same row without losing counts.
    UnknownCall.objects.filter(pk=row.pk).update(
        count=F("count") + tally.count, last_at=tally.last_at, user_agent=storable(tally.user_agent)
    )
