"""Pages of a list that grows at its top, and the cursors that lead from one page to the next."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from receivers.models import Delivery

FIRST_ID: Final = UUID(int=0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
CURSOR: Final = "([0-9a-f]{1,14})-([0-9a-f]{32})"
"""The form of a cursor. Fourteen digits are enough until the year 4253."""

_CURSOR: Final = re.compile(CURSOR)


class InvalidCursor(ValueError):
    """A cursor that doesn't come from a page."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in the list, which is sorted by these fields in descending order."""

    received_at: datetime
    id: UUID

    def cursor(self) -> str:
        """Return the position as opaque text for a URL."""
        return f"{(self.received_at - _EPOCH) // _MICROSECOND:x}-{self.id.hex}"

    @classmethod
    def read(cls, cursor: str) -> Position:
        """Parse what `cursor` returned. Raises `InvalidCursor`."""
        match = _CURSOR.fullmatch(cursor)
        if not match:
            raise InvalidCursor("this isn't a cursor of this list; start at the first page")
        return cls(_EPOCH + int(match[1], 16) * _MICROSECOND, UUID(match[2]))


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of the list, newest first.

    `rows` lack the columns in `querysets.WIDE` and have `repeats`: how many deliveries announce the same push to the
    same receiver, itself included, where `querysets.MOST_REPEATS` means that many or more. `next` is the cursor of the
    next page, empty at the end. `looked_to` is set if the page is short because the search stopped after
    `bounded_scan.LOOKED_AT` rows: the search is complete back to that time and `next` continues it, with or without
    further results.
    """

    rows: tuple[Delivery, ...]
    next: str = ""
    looked_to: datetime | None = None
