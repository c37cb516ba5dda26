"""A push, as every kind of sender tells it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from receivers.kargo.repository_names import names_of_push, near_key


@dataclass(frozen=True, slots=True)
class Push:
    """What was pushed.

    `repository` is the name exactly as sent (it may be empty, or hold anything); `tag` is empty when the sender names
    none; `media_type` is empty when unknown; `pusher` is for people and may be empty; `pushed_at` is in UTC, or None.
    """

    repository: str
    tag: str
    media_type: str = ""
    pusher: str = ""
    pushed_at: datetime | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names, sorted, under which a subscription of this repository is indexed; none is empty."""
        return tuple(sorted({name for name in names_of_push(self.repository, self.media_type) if name}))

    @property
    def near_key(self) -> str:
        """Return the coarser name under which near misses are indexed; empty for an empty repository."""
        return near_key(self.repository)
