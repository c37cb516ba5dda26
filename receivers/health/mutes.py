"""Findings that somebody has muted, by key: until the finding changes, which gives it another key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from receivers.health.finding import Finding
from receivers.health.report import Muted
from receivers.models import Mute, storable

MOST_READ: Final = 10_000  # mutes; as many findings as the largest cluster has of one kind
# A finding that comes and goes (a rate limit, a cluster that is away for an hour) stays muted.
FORGOTTEN_AFTER: Final = timedelta(days=1)
AT_ONCE: Final = 500  # keys in one statement; SQLite takes 999 parameters and more


def read() -> Mapping[str, Muted]:
    """Return what is muted, by the key of the finding. One query."""
    rows = Mute.objects.order_by("-at").values_list("key", "user", "at", "note")
    return {key: Muted(user, at, note) for key, user, at, note in rows[:MOST_READ]}


def mute(finding: Finding, user: str, note: str) -> None:
    """Mute a finding; who did so last is on record."""
    now = timezone.now()
    values = {"project": finding.project, "user": storable(user), "at": now, "note": storable(note)}
    Mute.objects.update_or_create(key=finding.key, defaults={**values, "seen_at": now})


def unmute(key: str) -> None:
    """Take a mute back; it does not matter whether there is one."""
    Mute.objects.filter(key=key).delete()


def keep_books(found: Collection[str], now: datetime) -> None:
    """Note which mutes still have a finding, of which these are the keys; forget those that have had none for long."""
    present = [key for key in Mute.objects.values_list("key", flat=True)[:MOST_READ] if key in found]
    for start in range(0, len(present), AT_ONCE):
        Mute.objects.filter(key__in=present[start : start + AT_ONCE]).update(seen_at=now)
    Mute.objects.filter(seen_at__lt=now - FORGOTTEN_AFTER).delete()
