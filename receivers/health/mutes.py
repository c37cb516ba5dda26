"""Mutes of findings, by `mute_key`: a finding that changes gets another one, so it is no longer muted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from receivers.health.finding import Finding
from receivers.health.report import Muted
from receivers.models import Mute, storable

MAX_MUTES: Final = 10_000  # read at once; as many findings as one check has in the largest cluster
# A finding that comes and goes (a rate limit, an hour's outage of the cluster) stays muted.
EXPIRES_AFTER: Final = timedelta(days=1)
BATCH_SIZE: Final = 500  # keys per statement; SQLite may allow as few as 999 parameters


def read() -> Mapping[str, Muted]:
    """Return the mutes by `Finding.mute_key`, with one query."""
    rows = Mute.objects.order_by("-at").values_list("key", "user", "at", "note")
    return {key: Muted(user, at, note) for key, user, at, note in rows[:MAX_MUTES]}


def mute(finding: Finding, user: str, note: str) -> None:
    """Mute a finding, and those of the same cause. An earlier mute of the same is replaced."""
    now = timezone.now()
    values = {"project": finding.project, "user": storable(user), "at": now, "note": storable(note)}
    Mute.objects.update_or_create(key=finding.mute_key, defaults={**values, "seen_at": now})


def unmute(finding: Finding) -> None:
    """Delete the mute of a finding, if there is one."""
    Mute.objects.filter(key=finding.mute_key).delete()


def prune(current_keys: Collection[str], now: datetime) -> None:
    """Record which mutes still apply to a current finding; delete those that haven't for `EXPIRES_AFTER`."""
    in_use = [key for key in Mute.objects.values_list("key", flat=True)[:MAX_MUTES] if key in current_keys]
    for start in range(0, len(in_use), BATCH_SIZE):
        Mute.objects.filter(key__in=in_use[start : start + BATCH_SIZE]).update(seen_at=now)
    Mute.objects.filter(seen_at__lt=now - EXPIRES_AFTER).delete()
