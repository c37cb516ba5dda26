"""Walks down an index of the delivery log in the order of time, no further than its bounds allow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.pagination import Position
from receivers.deliveries.predicates import refreshes
from receivers.models import Delivery

LOOKED_AT: Final = 5_000
"""Rows that one page looks at: some 20 ms of work, and more than most people have in a week."""

PORTIONS: Final = (200, 800)
"""Refreshes of one Warehouse that are looked at by one statement: a page's worth, and if that is too little all."""

REFRESHES_LOOKED_AT: Final = sum(PORTIONS)
"""Refreshes of one Warehouse that a page looks at: fewer, for each has to be led back to its delivery."""

NEWEST_FIRST: Final = ("-received_at", "-id")


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What walking down one index found; `floor` is where it stopped because it had looked at enough."""

    found: tuple[Position, ...]
    floor: datetime | None


def walk(candidates: QuerySet[Delivery], sieve: Q, enough: int, most: int) -> ScanResult:
    """Walk down `candidates` in the order of time until `enough` pass the sieve, or `most` were looked at."""
    # By time alone, so that the index has all that is asked for. Several of one microsecond all belong above the floor.
    beyond = candidates.order_by("-received_at").values_list("received_at", flat=True)[most : most + 1]
    floor = next(iter(beyond), None)
    within = candidates if floor is None else candidates.filter(received_at__gte=floor)
    found = within.filter(sieve).order_by(*NEWEST_FIRST).values_list("received_at", "id")[:enough]
    return ScanResult(tuple(Position(*one) for one in found), floor)


def walk_refreshes(wanted: DeliveryFilter, candidates: QuerySet[Delivery], enough: int) -> ScanResult:
    """Look at the deliveries for which the filter's Warehouse was asked, the last `REFRESHES_LOOKED_AT` times.

    The walk has a floor if it was asked more often than that; what came before is for `walk` to find. Not by one
    statement with a subquery: a database may then walk down the whole log in search of the few.
    """
    found: list[Position] = []
    asked = refreshes(wanted).order_by("-id").values_list("id", "delivery_id")
    for portion in PORTIONS:
        some = list(asked[:portion])
        rows = candidates.filter(pk__in=[delivery for _, delivery in some]).values_list("received_at", "id")
        found = sorted({*found, *(Position(*one) for one in rows)}, reverse=True)
        if len(some) < portion:
            return ScanResult(tuple(found[:enough]), None)
        last, _ = some[-1]
        # Its id tells when it was made. What was asked before cannot be for a delivery that came after.
        floor = _after_making(last)
        above = [one for one in found if one.received_at >= floor]
        if len(above) >= enough:
            break
        asked = asked.filter(id__lt=last)
    return ScanResult(tuple(above[:enough]), floor)


def _after_making(key: UUID) -> datetime:
    """Return the first moment after a UUID of version 7 was made, of which it has the milliseconds."""
    return datetime.fromtimestamp(((key.int >> 80) + 1) / 1000, UTC)


def following(place: Position) -> Q:
    """Return what comes after a place, in a form that lets an index start there."""
    earlier = Q(received_at__lt=place.received_at) | Q(id__lt=place.id)
    return Q(received_at__lte=place.received_at) & earlier
