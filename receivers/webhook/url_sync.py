"""Stores the receiver URLs that are or were valid, and the counts of requests to unknown URLs."""

from __future__ import annotations

from receivers.cluster.cache import Mirror
from receivers.kargo.resources import ReceiverConfig
from receivers.webhook.unknown_urls import UnknownUrlCounter
from receivers.webhook.url_registry import UrlRegistry


class UrlSync:
    """Stores the URLs that are or were good, and the sums of unknown calls. Runs every second or so."""

    def __init__(self, mirror: Mirror, urls: UrlRegistry, unknown: UnknownUrlCounter) -> None:
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
