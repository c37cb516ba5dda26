"""`manage.py prune`: delete old deliveries and bodies now, beyond what the settings delete by themselves."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from receivers.deliveries.retention import YIELD_SECONDS, Retention
from receivers.management.console import ConsoleCommand, fail
from receivers.models import DROPPABLE_BODY, Delivery


class Command(ConsoleCommand):
    """Delete old deliveries, or only their bodies, in small transactions."""

    help = (
        "Delete deliveries, or only their bodies, that are older than the given numbers of days. Works in small "
        "transactions, beside serving processes, and can be stopped at any time."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=float, help="delete deliveries older than this")
        parser.add_argument("--body-days", type=float, help="drop bodies older than this")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        days, body_days = options["days"], options["body_days"]
        if days is None and body_days is None:
            fail("Give --days, --body-days, or both")
        # Open deliveries have retries to come for as long as the longest list of delays.
        shortest = _days_of_retries()
        if days is not None and days < shortest:
            fail(f"--days must be at least {shortest:g}: younger deliveries may still be retried")
        if body_days is not None and body_days <= 0:
            fail("--body-days must be above 0")
        now = timezone.now()
        deliveries = (
            Delivery.objects.filter(received_at__lt=now - timedelta(days=days)).count()
            if days is not None
            else 0
        )
        bodies = 0
        if body_days is not None:
            old = Delivery.objects.filter(DROPPABLE_BODY, received_at__lt=now - timedelta(days=body_days))
            bodies = old.count()
        if not options["dry_run"]:
            keep_days = settings.KARGOWEB.retention.keep_days if days is None else days
            retention = Retention(keep_days, body_days or 0)
            while retention.work():
                time.sleep(YIELD_SECONDS)  # for those who wait for the lock of SQLite
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.print(f"{verb} {deliveries:,} deliveries and {bodies:,} bodies.")


def _days_of_retries() -> float:
    return max(1.0, settings.KARGOWEB.retries.longest_days)
