"""Remembers every receiver URL that ever was good, so that a push to a retired one is not just "unknown"."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils import timezone

from receivers.kargo.resources import ReceiverConfig
from receivers.models import ReceiverUrl

DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def digest_hash(digest: str) -> bytes:
    """Return what is kept of a digest: its SHA-256, 32 bytes, from which nobody gets the URL back."""
    return hashlib.sha256(digest.encode()).digest()


@dataclass(frozen=True, slots=True)
class RetiredReceiver:
    """The receiver that a digest once belonged to; `project` is empty for a cluster receiver."""

    project: str
    receiver: str
    kind: str


@dataclass(frozen=True, slots=True)
class KnownUrl:
    """A URL that a configuration published: the last characters of its digest, and whose it was."""

    suffix: str
    owner: RetiredReceiver


class UrlRegistry:
    """The URLs known so far, in memory and in the database. `sync` is called by one thread only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, RetiredReceiver] = {}
        self._not_stored: dict[bytes, KnownUrl] = {}

    def former(self, kind: str, digest: str) -> RetiredReceiver | None:
        """Return the receiver of this kind that the digest belonged to; None if it never was a receiver's."""
        found = self._known.get(digest_hash(digest))
        return found if found is not None and found.kind == kind else None

    @property
    def has_news(self) -> bool:
        """Say whether a URL was noticed that is not stored yet; its receiver may be gone again by now."""
        return bool(self._not_stored)

    def notice(self, config: ReceiverConfig) -> None:
        """Take note, in memory, of the URLs that a configuration publishes now. Called whenever one changes."""
        seen = _published([config])
        with self._lock:
            self._known.update({hashed: one.owner for hashed, one in seen.items()})
            self._not_stored.update(seen)

    def sync(self, configs: Iterable[ReceiverConfig]) -> None:
        """Store what was noticed, and which URLs these configurations (all there are) no longer publish."""
        now = timezone.now()
        rows = {bytes(row.digest_hash): row for row in ReceiverUrl.objects.all()}
        with self._lock:
            published, noticed = _published(configs), dict(self._not_stored)
        new = {hashed: seen for hashed, seen in (noticed | published).items() if hashed not in rows}
        ReceiverUrl.objects.bulk_create(
            [_row(hashed, seen, now, retired=hashed not in published) for hashed, seen in new.items()],
            ignore_conflicts=True,
        )
        gone = [row.pk for hashed, row in rows.items() if hashed not in published and row.retired_at is None]
        back = [row.pk for hashed, row in rows.items() if hashed in published and row.retired_at is not None]
        ReceiverUrl.objects.filter(pk__in=gone).update(retired_at=now)
        ReceiverUrl.objects.filter(pk__in=back).update(retired_at=None)
        stored = {hashed: RetiredReceiver(row.project, row.receiver, row.kind) for hashed, row in rows.items()}
        self._known = self._known | stored | {hashed: seen.owner for hashed, seen in new.items()}
        with self._lock:
            for hashed in noticed:
                self._not_stored.pop(hashed, None)


def _row(hashed: bytes, seen: KnownUrl, now: datetime, *, retired: bool) -> ReceiverUrl:
    owner = seen.owner
    return ReceiverUrl(
        digest_hash=hashed,
        url_suffix=seen.suffix,
        kind=owner.kind,
        project=owner.project,
        receiver=owner.receiver,
        first_seen_at=now,
        retired_at=now if retired else None,
    )


def _published(configs: Iterable[ReceiverConfig]) -> dict[bytes, KnownUrl]:
    """Return, by hash, every URL that is published for a receiver of the spec."""
    found: dict[bytes, KnownUrl] = {}
    for config in configs:
        kinds = {receiver.name: receiver.kind for receiver in config.receivers}
        for url in config.published:
            digest = url.path.rstrip("/").rpartition("/")[2]
            if url.name in kinds and DIGEST.fullmatch(digest):
                found[digest_hash(digest)] = KnownUrl(
                    digest[-6:], RetiredReceiver(config.project, url.name, kinds[url.name])
                )
    return found
