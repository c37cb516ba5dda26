"""Walks down an index of the delivery log in the order of time, no further than its bounds allow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from django.db.models import Q

from receivers.conditions import refreshes
from receivers.paging import Position

if TYPE_CHECKING:
    from receivers.filters import Filter
    from receivers.querysets import DeliveryQuerySet

LOOKED_AT: Final = 5_000
"""Rows that one page looks at: some 20 ms of work, and more than most people have in a week."""

REFRESHES_LOOKED_AT: Final = 1_000
"""Refreshes of one Warehouse that a page looks at: fewer, for each has to be led back to its delivery."""

AT_A_TIME: Final = 100
"""Deliveries of a Warehouse that are looked at by one statement: two pages, or one of pushes announced twice."""

NEWEST_FIRST: Final = ("-received_at", "-id")


@dataclass(frozen=True, slots=True)
class Walk:
    """What walking down one index found; `floor` is where it stopped because it had looked at enough."""

    found: tuple[Position, ...]
    floor: datetime | None


def walk(candidates: DeliveryQuerySet, sieve: Q, enough: int, most: int) -> Walk:
    """Walk down `candidates` in the order of time until `enough` pass the sieve, or `most` were looked at."""
    # By time alone, so that the index has all that is asked for. Several of one microsecond all belong above the floor.
    beyond = candidates.order_by("-received_at").values_list("received_at", flat=True)[most : most + 1]
    floor = next(iter(beyond), None)
    within = candidates if floor is None else candidates.filter(received_at__gte=floor)
    found = within.filter(sieve).order_by(*NEWEST_FIRST).values_list("received_at", "id")[:enough]
    return Walk(tuple(Position(*one) for one in found), floor)


def places(wanted: Filter, after: Position | None) -> list[Position]:
    """Return where the deliveries are for which the filter's Warehouse was asked, the newest first."""
    asked = (
        refreshes(wanted)
        .order_by("-id")
        .values_list("delivery__received_at", "delivery_id")[:REFRESHES_LOOKED_AT]
    )
    places = [Position(*one) for one in asked]
    return sorted((one for one in places if after is None or one < after), reverse=True)


def walk_refreshes(places: Sequence[Position], wanted: DeliveryQuerySet, enough: int) -> Walk:
    """Look at these places, some at a time, until enough of them are wanted.

    Not by one statement with a subquery: a database may then walk down the whole log in search of the few.
    """
    found: list[Position] = []
    for start in range(0, len(places), AT_A_TIME):
        ids = [place.id for place in places[start : start + AT_A_TIME]]
        rows = wanted.filter(pk__in=ids).order_by(*NEWEST_FIRST).values_list("received_at", "id")
        found += (Position(*one) for one in rows)
        if len(found) >= enough:
            break
    return Walk(tuple(found[:enough]), None)


def following(place: Position) -> Q:
    """Return what comes after a place, in a form that lets an index start there."""
    earlier = Q(received_at__lt=place.received_at) | Q(id__lt=place.id)
    return Q(received_at__lte=place.received_at) & earlier
