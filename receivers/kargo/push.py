"""A push, independent of the kind of sender."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from receivers.kargo.repository_names import names_of_push, near_key


@dataclass(frozen=True, slots=True)
class Push:
    """A pushed artifact.

    `repository` is the name exactly as sent: it can be empty or any text. `tag` is empty if the sender names none,
    `media_type` if it is unknown. `pusher` is only shown and may be empty. `pushed_at` is in UTC, or None.
    """

    repository: str
    tag: str
    media_type: str = ""
    pusher: str = ""
    pushed_at: datetime | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the normalized names that subscriptions to this repository are indexed by, sorted, none empty."""
        return tuple(sorted({name for name in names_of_push(self.repository, self.media_type) if name}))

    @property
    def near_key(self) -> str:
        """Return the name that near misses are indexed by; empty for an empty repository."""
        return near_key(self.repository)
