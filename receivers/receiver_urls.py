"""Remembers every receiver URL that ever was good, so that a push to a retired one is not just "unknown"."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from receivers.models import ReceiverUrl
from receivers.rules.resources import ReceiverConfig
from receivers.tokens import utc_now

DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def digest_hash(digest: str) -> bytes:
    """Return what is kept of a digest: its SHA-256, 32 bytes, from which nobody gets the URL back."""
    return hashlib.sha256(digest.encode()).digest()


@dataclass(frozen=True, slots=True)
class Former:
    """The receiver that a digest once belonged to; `project` is empty for a cluster receiver."""

    project: str
    receiver: str
    kind: str


class ReceiverUrls:
    """The URLs known so far, in memory and in the database. `sync` is called by one thread only."""

    def __init__(self) -> None:
        self._known: dict[bytes, Former] = {}

    def former(self, kind: str, digest: str) -> Former | None:
        """Return the receiver of this kind that the digest belonged to; None if it never was a receiver's."""
        found = self._known.get(digest_hash(digest))
        return found if found is not None and found.kind == kind else None

    def sync(self, configs: Iterable[ReceiverConfig]) -> None:
        """Take note of the URLs that these configurations (all there are) publish, and of those they no longer do."""
        now = utc_now()
        rows = {bytes(row.digest_hash): row for row in ReceiverUrl.objects.all()}
        published = _published(configs)
        new = [
            ReceiverUrl(
                digest_hash=hashed,
                url_suffix=suffix,
                kind=former.kind,
                project=former.project,
                receiver=former.receiver,
                first_seen_at=now,
            )
            for hashed, (suffix, former) in published.items()
            if hashed not in rows
        ]
        ReceiverUrl.objects.bulk_create(new, ignore_conflicts=True)
        gone = [row.pk for hashed, row in rows.items() if hashed not in published and row.retired_at is None]
        back = [row.pk for hashed, row in rows.items() if hashed in published and row.retired_at is not None]
        ReceiverUrl.objects.filter(pk__in=gone).update(retired_at=now)
        ReceiverUrl.objects.filter(pk__in=back).update(retired_at=None)
        known = {hashed: Former(row.project, row.receiver, row.kind) for hashed, row in rows.items()}
        self._known = known | {hashed: former for hashed, (_, former) in published.items()}


def _published(configs: Iterable[ReceiverConfig]) -> dict[bytes, tuple[str, Former]]:
    """Return, by hash, the last characters and the receiver of every URL published for a receiver of the spec."""
    found: dict[bytes, tuple[str, Former]] = {}
    for config in configs:
        kinds = {receiver.name: receiver.kind for receiver in config.receivers}
        for url in config.published:
            digest = url.path.rstrip("/").rpartition("/")[2]
            if url.name in kinds and DIGEST.fullmatch(digest):
                found[digest_hash(digest)] = digest[-6:], Former(config.project, url.name, kinds[url.name])
    return found
