"""Keeps the books: stores sums, remembers URLs, and forgets what is older than it has to be kept."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from receivers.cluster.cache import Mirror
from receivers.kargo.resources import ReceiverConfig
from receivers.models import Audit, Delivery
from receivers.refreshes.tokens import utc_now
from receivers.webhook.unknown_urls import UnknownCalls
from receivers.webhook.url_registry import ReceiverUrls

log = logging.getLogger(__name__)

DELETED_AT_ONCE: Final = 500  # deliveries in one transaction, so that nobody waits long for the lock


class BookKeeper:
    """Stores the URLs that are or were good, and the sums of unknown calls. Runs every second or so."""

    def __init__(self, mirror: Mirror, urls: ReceiverUrls, unknown: UnknownCalls) -> None:
        self._mirror = mirror
        self._urls = urls
        self._unknown = unknown
        self._synced: frozenset[ReceiverConfig] | None = None

    def work(self) -> bool:
        """Store what is new since the last time."""
        self._unknown.flush()
        # Before the mirror is complete, every URL would look retired.
        configs = frozenset(self._mirror.configs())
        if self._mirror.ready and (configs != self._synced or self._urls.has_news):
            self._urls.sync(configs)
            self._synced = configs
        return False


class Janitor:
    """Deletes deliveries, all that belongs to them, and what people did, when they are older than `keep_days`."""

    def __init__(self, keep_days: int) -> None:
        self._keep = timedelta(days=keep_days)

    def work(self) -> bool:
        """Delete some. Returns whether there are more."""
        before = utc_now() - self._keep
        forgotten = Audit.objects.filter(at__lt=before).order_by("at").values_list("pk", flat=True)
        Audit.objects.filter(pk__in=list(forgotten[:DELETED_AT_ONCE])).delete()
        old = Delivery.objects.filter(received_at__lt=before).order_by("received_at")
        ids = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
        if ids:
            # Nothing but the ids is read: a body has up to 2 MiB.
            Delivery.objects.filter(pk__in=ids).only("pk").delete()
            log.info("deleted %d deliveries older than %d days", len(ids), self._keep.days)
        return len(ids) == DELETED_AT_ONCE
