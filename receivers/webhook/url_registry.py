"""Remember every receiver URL that was ever valid, so that a push to a retired URL isn't just unknown."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from receivers.cluster.snapshot import Route, published_routes
from receivers.kargo.receiver_path import digest_hash, digest_suffix
from receivers.kargo.resources import ReceiverConfig
from receivers.models import ReceiverUrl


@dataclass(frozen=True, slots=True)
class RetiredReceiver:
    """The receiver that a digest once belonged to."""

    route: Route


@dataclass(frozen=True, slots=True)
class KnownUrl:
    """A URL that a configuration published: the suffix of its digest, and the receiver it leads to."""

    suffix: str
    route: Route


class UrlRegistry:
    """The known URLs, in memory and in the database. Only one thread may call `sync`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: dict[bytes, Route] = {}
        self._unsaved: dict[bytes, KnownUrl] = {}

    def retired(self, kind: str, digest: str) -> RetiredReceiver | None:
        """Return the receiver of this kind that the digest belonged to; None if it never belonged to one."""
        route = self._routes.get(digest_hash(digest))
        return RetiredReceiver(route) if route is not None and route.kind == kind else None

    @property
    def has_unsaved(self) -> bool:
        """Say whether a URL isn't stored yet. Its receiver may be gone by now."""
        return bool(self._unsaved)

    def add(self, config: ReceiverConfig) -> None:
        """Add the URLs that a configuration publishes, in memory. Call whenever a configuration changes."""
        published = _published([config])
        with self._lock:
            self._routes.update({key: url.route for key, url in published.items()})
            self._unsaved.update(published)

    def sync(self, current: Callable[[], Iterable[ReceiverConfig]]) -> frozenset[ReceiverConfig]:
        """Store unsaved URLs, and retire those that no configuration publishes any more.

        `current` returns all configurations. Return those that were current.
        """
        now = timezone.now()
        rows = {bytes(row.digest_hash): row for row in ReceiverUrl.objects.all()}
        with self._lock:
            unsaved = dict(self._unsaved)
        # Read last: whatever is stored or unsaved was published before, so what is missing here has been retired since.
        configs = frozenset(current())
        published = _published(configs)
        new = {key: url for key, url in (unsaved | published).items() if key not in rows}
        # Another replica may store the same URLs at the same time.
        ReceiverUrl.objects.bulk_create(
            [_row(key, url, now, retired=key not in published) for key, url in new.items()],
            ignore_conflicts=True,
        )
        retired = [row.pk for key, row in rows.items() if key not in published and row.retired_at is None]
        restored = [row.pk for key, row in rows.items() if key in published and row.retired_at is not None]
        ReceiverUrl.objects.filter(pk__in=retired).update(retired_at=now)
        ReceiverUrl.objects.filter(pk__in=restored).update(retired_at=None)
        stored = {key: Route(row.project, row.receiver, row.kind) for key, row in rows.items()}
        with self._lock:
            self._routes = self._routes | stored | {key: url.route for key, url in new.items()}
            for key in unsaved:
                self._unsaved.pop(key, None)
        return configs


def _row(key: bytes, url: KnownUrl, now: datetime, *, retired: bool) -> ReceiverUrl:
    return ReceiverUrl(
        digest_hash=key,
        url_suffix=url.suffix,
        kind=url.route.kind,
        project=url.route.project,
        receiver=url.route.receiver,
        first_seen_at=now,
        retired_at=now if retired else None,
    )


def _published(configs: Iterable[ReceiverConfig]) -> dict[bytes, KnownUrl]:
    """Return every URL that is published for a receiver in the spec, by the hash of its digest."""
    return {
        digest_hash(digest): KnownUrl(digest_suffix(digest), route)
        for config in configs
        for digest, route in published_routes(config)
    }
