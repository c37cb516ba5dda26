"""The alert desk: one replica is on duty, finds what began and what ended, and sends it.

The replica on duty holds one row (`AlertDuty`) under the lease of its process. If it dies, another takes the row
when the lease has expired. What is to be sent is stored before it is sent, and marked as sent afterwards, so nothing is
lost; a message may arrive twice if the process dies in between, with the same id.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.health.monitor import HealthMonitor
from receivers.models import AlertChannel, AlertDuty, PushFailure
from receivers.ops.alerts.alert_log import EVERYTHING, begin, close_without_channel, forget, scopes
from receivers.ops.alerts.encryption import Undecryptable, renewed
from receivers.ops.alerts.finding_alerts import (
    SteadyFindings,
    compare_cluster,
    note_downtimes,
    outage_of_database,
)
from receivers.ops.alerts.outbox import Outbox
from receivers.ops.alerts.push_alerts import end_recovered, note_failures
from receivers.ops.alerts.warehouse_events import forget_events, note_recoveries
from receivers.refreshes.leases import ReplicaLease

log = logging.getLogger(__name__)

DUTY: Final = UUID(int=1)
COMPARE_SECONDS: Final = 15.0  # between two comparisons with the health report, which costs a few queries
FORGET_SECONDS: Final = 3600.0  # between two deletions of old alerts
MOST_ROUNDS: Final = 50  # of notes at once; the others wait a second
LONG_OUTAGE: Final = timedelta(minutes=1)  # of the database, until it is worth an alert


class AlertDesk:
    """Finds what to report, and sends it. Every replica has one; `work` does something on one of them only."""

    def __init__(
        self,
        *,
        lease: ReplicaLease,
        cache: ClusterCache,
        health: HealthMonitor,
        outbox: Outbox,
        after: float,
        events_after: timedelta | None = None,
    ) -> None:
        self._lease = lease
        self._cache = cache
        self._health = health
        self.outbox = outbox
        self._after = after
        # Until an Event of a Warehouse is sent, so that several become one; None if there are to be no Events.
        self._events_after = events_after
        self._findings = SteadyFindings(after)
        self._compare_seconds = min(COMPARE_SECONDS, max(0.5, after / 4))
        self._compared_at = -COMPARE_SECONDS
        self._away_since: datetime | None = None
        self._failing_since: datetime | None = None
        self._forgot_at = -FORGET_SECONDS
        self._renewed = False

    def work(self) -> bool:
        """Do one round. Raises what the database raises, so that the next round follows a little later."""
        try:
            self._work()
        except (DatabaseError, InterfaceError):
            self._failing_since = self._failing_since or timezone.now()
            raise
        return False

    def _work(self) -> None:
        with_channel = scopes()
        if not with_channel and self._events_after is None:
            _forget_all()
            return
        if not self._on_duty():
            self._failing_since = None  # the one on duty reports it
            return
        self._report_outage(timezone.now())
        for _ in range(MOST_ROUNDS):
            if not note_failures(with_channel, self._events_after):
                break
        if time.monotonic() - self._compared_at >= self._compare_seconds:
            self._compared_at = time.monotonic()
            self._compare(with_channel)
        if self._on_duty():  # the comparison may have taken longer than the lease lasts
            self.outbox.work()

    def stop(self) -> None:
        """Let another replica take over at once."""
        AlertDuty.objects.filter(held_by=self._lease.id).update(held_by=None)

    @property
    def is_on_duty(self) -> bool:
        """Say whether this replica is on duty. One query."""
        return AlertDuty.objects.filter(pk=DUTY, held_by=self._lease.id).exists()

    def _on_duty(self) -> bool:
        """Return whether this replica is on duty. It becomes so if nobody is."""
        if self.is_on_duty:
            # Others may only take the row after this replica's lease has expired.
            return True
        AlertDuty.objects.bulk_create([AlertDuty(pk=DUTY)], ignore_conflicts=True)
        claimed = bool(self._lease.claim(AlertDuty.objects.filter(pk=DUTY), 1))
        if claimed:
            log.info("this replica sends the alerts")
        return claimed

    def _compare(self, with_channel: set[str]) -> None:
        close_without_channel(with_channel)
        end_recovered(with_channel)
        if self._events_after is not None:
            note_recoveries(self._events_after)
        if time.monotonic() - self._forgot_at >= FORGET_SECONDS:
            self._forgot_at = time.monotonic()
            forget(timezone.now())
            forget_events(timezone.now())
        if not self._renewed:
            _renew_encryption()
            self._renewed = True
        if EVERYTHING in with_channel:
            note_downtimes(timezone.now())
            self._compare_cluster()
        # Findings of a cluster that can't be read say nothing new.
        if self._cache.ready and self._cache.is_responding:
            report = self._health.latest()
            for scope in with_channel:
                self._findings.compare(scope, report)

    def _compare_cluster(self) -> None:
        if self._cache.is_responding:
            self._away_since = None
            compare_cluster(None, "")
            return
        now = datetime.now(UTC)
        self._away_since = self._away_since or now
        if (now - self._away_since).total_seconds() >= self._after:
            errors = dict.fromkeys(watch.error for watch in self._cache.freshness() if watch.error)
            compare_cluster(self._away_since, next(iter(errors), ""))

    def _report_outage(self, now: datetime) -> None:
        """Report that the database was unavailable. Meanwhile, nothing could be stored, not even an alert."""
        since, self._failing_since = self._failing_since, None
        if since is not None and now - since >= LONG_OUTAGE:
            begin(EVERYTHING, [outage_of_database(since, now)], already_over=True)


def _forget_all() -> None:
    """Delete what no channel will send: a new channel starts with what happens after it was created."""
    # Not without a look: an empty deletion locks SQLite, too.
    if PushFailure.objects.exists():
        PushFailure.objects.all().delete()
    close_without_channel(())


def _renew_encryption() -> None:
    """Encrypt the secrets of all channels with the current key, so that an old one can be removed."""
    for channel in AlertChannel.objects.all():
        try:
            address, key = renewed(channel.address), renewed(channel.signing_key)
        except Undecryptable:
            log.warning("the secrets of alert channel %s can't be decrypted; enter them again", channel.name)
            continue
        if (address, key) != (channel.address, channel.signing_key):
            AlertChannel.objects.filter(pk=channel.pk, address=channel.address).update(
                address=address, signing_key=key
            )
