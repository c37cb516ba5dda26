"""Pages of a list that grows at its top, and the cursors by which one leads to the next."""

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
_CURSOR: Final = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{32})")


class InvalidCursor(ValueError):
    """A cursor that no page gave out."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the list, which is sorted by these, the highest first."""

    received_at: datetime
    id: UUID

    def cursor(self) -> str:
        """Return the place as opaque text that may stand in an address."""
        return f"{(self.received_at - _EPOCH) // _MICROSECOND:x}-{self.id.hex}"

    @classmethod
    def read(cls, cursor: str) -> Position:
        """Read what `cursor` wrote. Raises `InvalidCursor`."""
        found = _CURSOR.fullmatch(cursor)
        try:
            if found:
                return cls(_EPOCH + int(found[1], 16) * _MICROSECOND, UUID(found[2]))
        except OverflowError:
            pass
        raise InvalidCursor("this is no cursor of a list of deliveries; start at the first page")


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A part of the list, newest first.

    `rows` come without the columns in `querysets.WIDE` and with `repeats`: how many deliveries announce the same
    push, itself included; `querysets.MOST_REPEATS` stands for that many or more. `next` is the cursor of what follows,
    empty at the end. `looked_to` is set when the page is shorter than asked for because `walking.LOOKED_AT` rows were
    looked at: until then the search is complete, and `next` goes on with it; there may or may not be more.
    """

    rows: tuple[Delivery, ...]
    next: str = ""
    looked_to: datetime | None = None
