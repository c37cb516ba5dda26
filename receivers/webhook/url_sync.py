"""Store the receiver URLs that are or were valid, and the counts of requests to unknown URLs."""

from __future__ import annotations

from receivers.cluster.cache import ClusterCache
from receivers.kargo.resources import ReceiverConfig
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry


class UrlSync:
    """Writes the URL registry and the counts of unknown URLs to the database. Runs about once a second."""

    def __init__(self, cache: ClusterCache, urls: UrlRegistry, unknown: UnknownUrlCounter) -> None:
        self._cache = cache
        self._urls = urls
        self._unknown = unknown
        self._synced: frozenset[ReceiverConfig] | None = None

    def work(self) -> bool:
        """Store what has changed since the last call. Return False: there is never more to do at once."""
        self._unknown.flush()
        changed = self._synced != frozenset(self._cache.configs())
        # Before the cache is in sync, every URL would look retired.
        if self._cache.ready and (changed or self._urls.has_unsaved):
            self._synced = self._urls.sync(self._cache.configs)
        return False
