"""Scan an index of the delivery log from the newest row to older ones, within fixed bounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from receivers.deliveries.delivery_page import Position
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.predicates import refreshes_of_warehouse
from receivers.models import Delivery

LOOKED_AT: Final = 5_000
"""Rows that one page scans: about 20 ms of work, and more than most installations get in a week."""

PORTIONS: Final = (200, 800)
"""Refreshes of one Warehouse that each statement reads: first enough for a page, then the rest.

In all they are fewer than the deliveries that a page scans, because each costs a lookup of its delivery.
"""

CLOCK_SKEW: Final = timedelta(seconds=1)
"""Between the clock of the process that received a delivery and of the one that created a refresh for it."""

NEWEST_FIRST: Final = ("-received_at", "-id")


@dataclass(frozen=True, slots=True)
class ScanResult:
    """The matches of one scan, newest first. `floor` is where it stopped at its bound; None if it was complete."""

    matches: tuple[Position, ...]
    floor: datetime | None


def scan(candidates: QuerySet[Delivery], conditions: Q, enough: int, most: int) -> ScanResult:
    """Scan `candidates` from the newest on until `enough` meet the conditions, or `most` rows were read."""
    # By time alone, so that the index covers the query. All rows of the floor's microsecond are within the bound.
    beyond = candidates.order_by("-received_at").values_list("received_at", flat=True)[most : most + 1]
    floor = next(iter(beyond), None)
    within = candidates if floor is None else candidates.filter(received_at__gte=floor)
    matches = within.filter(conditions).order_by(*NEWEST_FIRST).values_list("received_at", "id")[:enough]
    return ScanResult(tuple(Position(*row) for row in matches), floor)


def scan_refreshes(wanted: DeliveryFilter, candidates: QuerySet[Delivery], enough: int) -> ScanResult:
    """Scan the deliveries of the newest refreshes of the filter's Warehouse.

    The result has a floor if there are more refreshes; `scan` finds what is older. This isn't one statement with a
    subquery, because a database may then read the whole log in search of a few rows.
    """
    matches: list[Position] = []
    refreshes = refreshes_of_warehouse(wanted).order_by("-id").values_list("id", "delivery_id")
    for portion in PORTIONS:
        batch = list(refreshes[:portion])
        rows = candidates.filter(pk__in=[delivery for _, delivery in batch]).values_list("received_at", "id")
        matches = sorted({*matches, *(Position(*row) for row in rows)}, reverse=True)
        if len(batch) < portion:
            return ScanResult(tuple(matches[:enough]), None)
        last, _ = batch[-1]
        # Its id tells when it was created. A refresh that was created before is for a delivery that came before.
        floor = _after_creation(last)
        above = [position for position in matches if position.received_at >= floor]
        if len(above) >= enough:
            break
        refreshes = refreshes.filter(id__lt=last)
    return ScanResult(tuple(above[:enough]), floor)


def _after_creation(key: UUID) -> datetime:
    """Return a moment by which a UUID of version 7 had been created, by the clock of any process."""
    return datetime.fromtimestamp(((key.int >> 80) + 1) / 1000, UTC) + CLOCK_SKEW


def following(position: Position) -> Q:
    """Return the condition for rows after a position, in a form that lets an index scan start there."""
    earlier = Q(received_at__lt=position.received_at) | Q(id__lt=position.id)
    return Q(received_at__lte=position.received_at) & earlier
