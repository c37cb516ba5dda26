"""The named reads of the delivery log. Pages, the API and the commands use these and no other queries of lists.

The log may hold ten million deliveries, and people combine filters as they like. So no read of a list works longer
than its bounds allow: it walks down one index in the order of time (that of the most telling filter), looks at
`LOOKED_AT` rows at most, and sorts out by everything else among those. A page that came to that bound says how far
it looked, and its cursor goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from receivers.paging import FIRST_ID, Page, Position

if TYPE_CHECKING:
    from receivers.filters import Filter
    from receivers.models import Delivery, Refresh

LOOKED_AT: Final = 5_000
"""Rows that one page looks at: some 20 ms of work, and more than most people have in a week."""

LONGEST_PAGE: Final = 500  # rows; more is more than anybody reads, and an export takes page after page
MOST_REPEATS: Final = 1_000
"""Deliveries of one push that are counted; beyond that somebody plays, and the count is not worth its time."""

AT_A_TIME: Final = 500
"""Deliveries of a Warehouse that are looked at by one statement: several pages, far from any database's limit."""

WIDE: Final = ("verdicts", "headers", "body")
"""Columns of kilobytes, up to megabytes, which no list shows."""

SEARCHED: Final = ("repository", "tag", "project", "receiver", "pusher", "reason", "client_address", "actor")
"""Columns in which free text is looked for."""

ID_PREFIX: Final = re.compile(r"[0-9a-f]{8,32}")
"""What may stand for a whole id: from 8 characters on, which is about a minute's deliveries."""

NEWEST_FIRST: Final = ("-received_at", "-id")


@dataclass(frozen=True, slots=True)
class _Walk:
    """What walking down one index found; `floor` is where it stopped because it had looked at enough."""

    found: tuple[Position, ...]
    floor: datetime | None


class _CountUpTo(Subquery):
    """Counts the rows of a sliced subquery, so that counting stops where the slice does."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = models.IntegerField()


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """The reads of `Delivery.objects`; they can be chained, but for those that return something else."""

    def narrow(self) -> Self:
        """Leave out the columns in `WIDE`; a row fetches them one by one when it is asked for them after all."""
        return self.defer(*WIDE)

    def newest_of_each_push(self) -> Self:
        """Keep one delivery of each push, the newest there is; those that announce no known push all stay.

        A newer one hides an older one even if other filters leave the newer one out: what counts for a push is how
        its last delivery ended. Costs one look into an index for each row (`delivery_by_push`).
        """
        return self.filter(self._is_newest())

    def _is_newest(self) -> Q:
        newer = self.model._default_manager.filter(push_id=OuterRef("push_id"), id__gt=OuterRef("id"))
        return Q(push_id=None) | Q(~Exists(newer))

    def with_repeats(self) -> Self:
        """Annotate `repeats`: how many deliveries announce the same push, 1 to `MOST_REPEATS`."""
        same = self.model._default_manager.filter(push_id=OuterRef("push_id")).order_by().values("pk")
        return self.annotate(
            repeats=models.Case(
                models.When(push_id=None, then=Value(1)),
                default=Coalesce(_CountUpTo(same[:MOST_REPEATS]), Value(1)),
                output_field=models.IntegerField(),
            )
        )

    def of_push(self, push_id: UUID) -> Self:
        """Return the deliveries that announce a push, newest first, `MOST_REPEATS` at most."""
        return self.filter(push_id=push_id).order_by("-id")[:MOST_REPEATS]

    def with_id(self, prefix: str) -> Self:
        """Return the deliveries whose id begins like this, oldest first: 8 to 32 hexadecimal digits, dashes or not.

        The whole range lies together in the primary key. None has an id that is none.
        """
        digits = prefix.replace("-", "").lower()
        if not ID_PREFIX.fullmatch(digits):
            return self.none()
        lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        return self.filter(id__gte=lowest, id__lte=highest).order_by("id")

    def filtered(self, wanted: Filter) -> Self:
        """Keep what a filter asks for. In no order, and unbounded: lists for people are `page`s."""
        return self.filter(_time(wanted), _rest(wanted))

    def page(self, wanted: Filter, *, after: str = "", size: int = 50, each_push_once: bool = True) -> Page:
        """Return what a filter asks for, newest first: up to `size` (1 to `LONGEST_PAGE`) that follow a cursor.

        With `each_push_once` only the newest delivery of each push. Takes three statements, and two more for every
        outcome beyond the first where the filter names outcomes but no repository, project or Warehouse: each outcome
        is walked by itself. Of a Warehouse the newest `LOOKED_AT` refreshes are looked at, and none beyond, by one
        statement for every `AT_A_TIME` at most.
        Raises `InvalidCursor`.
        """
        size = max(1, min(size, LONGEST_PAGE))
        place = Position.read(after) if after else None
        candidates = self.filter(_time(wanted), _following(place) if place else Q())
        sieve = _rest(wanted) & self._is_newest() if each_push_once else _rest(wanted)
        if _is_of_one_warehouse(wanted):
            walks = [_walk_refreshes(_places(wanted, place), candidates.filter(sieve), size + 1)]
        else:
            branches = _branches(wanted) or [Q()]
            most = LOOKED_AT // len(branches)
            walks = [_walk(candidates.filter(branch), sieve, size + 1, most) for branch in branches]
        return self._page(walks, size)

    def _page(self, walks: Sequence[_Walk], size: int) -> Page:
        """Merge what the walks found, down to where the first of them stopped without having found enough."""
        floors = [walk.floor for walk in walks if walk.floor is not None and len(walk.found) <= size]
        floor = max(floors, default=None)
        found = sorted({position for walk in walks for position in walk.found}, reverse=True)
        if floor is not None:
            found = [position for position in found if position.received_at >= floor]
        rows = self._rows(found[:size])
        if len(found) > size:
            return Page(rows, next=found[size - 1].cursor())
        if floor is not None:
            return Page(rows, next=Position(floor, FIRST_ID).cursor(), looked_to=floor)
        return Page(rows)

    def _rows(self, positions: Iterable[Position]) -> tuple[Delivery, ...]:
        ids = [position.id for position in positions]
        return tuple(self.filter(pk__in=ids).narrow().with_repeats().order_by(*NEWEST_FIRST))


def _walk(candidates: DeliveryQuerySet, sieve: Q, enough: int, most: int) -> _Walk:
    """Walk down `candidates` in the order of time until `enough` pass the sieve, or `most` were looked at."""
    # By time alone, so that the index has all that is asked for. Several of one microsecond all belong above the floor.
    beyond = candidates.order_by("-received_at").values_list("received_at", flat=True)[most : most + 1]
    floor = next(iter(beyond), None)
    within = candidates if floor is None else candidates.filter(received_at__gte=floor)
    found = within.filter(sieve).order_by(*NEWEST_FIRST).values_list("received_at", "id")[:enough]
    return _Walk(tuple(Position(*one) for one in found), floor)


def _places(wanted: Filter, after: Position | None) -> list[Position]:
    """Return where the deliveries are for which the filter's Warehouse was asked, the newest first."""
    asked = _refreshes(wanted).order_by("-id").values_list("delivery__received_at", "delivery_id")[:LOOKED_AT]
    places = [Position(*one) for one in asked]
    return sorted((one for one in places if after is None or one < after), reverse=True)


def _walk_refreshes(places: Sequence[Position], wanted: DeliveryQuerySet, enough: int) -> _Walk:
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
    return _Walk(tuple(found[:enough]), None)


def _following(place: Position) -> Q:
    """Return what comes after a place, in a form that lets an index start there."""
    earlier = Q(received_at__lt=place.received_at) | Q(id__lt=place.id)
    return Q(received_at__lte=place.received_at) & earlier


def _time(wanted: Filter) -> Q:
    since = Q(received_at__gte=wanted.since) if wanted.since else Q()
    return since & Q(received_at__lte=wanted.until) if wanted.until else since


def _branches(wanted: Filter) -> list[Q]:
    """Return the filter that tells most, as conditions of which each has an index in the order of time.

    A delivery fulfils one of them at most. None if no filter has such an index.
    """
    if wanted.repository:
        return [Q(repository=wanted.repository, **({"tag": wanted.tag} if wanted.tag else {}))]
    if wanted.project is not None:
        return [Q(project=wanted.project, **({"receiver": wanted.receiver} if wanted.receiver else {}))]
    return [Q(outcome=outcome) for outcome in sorted(wanted.outcomes)]


def _rest(wanted: Filter) -> Q:
    """Return all that a delivery is held against. The branch is among it, which costs next to nothing."""
    exact = ("receiver", "origin", "repository", "tag")
    rest = Q(**{name: getattr(wanted, name) for name in exact if getattr(wanted, name)})
    if wanted.project is not None:
        rest &= Q(project=wanted.project)
    if wanted.outcomes:
        rest &= Q(outcome__in=sorted(wanted.outcomes))
    if wanted.status:
        rest &= Q(status__range=wanted.status)
    if wanted.warehouse:
        rest &= Q(Exists(_refreshes(wanted).filter(delivery=OuterRef("pk"))))
    if wanted.text:
        rest &= reduce(or_, (Q(**{f"{column}__icontains": wanted.text}) for column in SEARCHED))
    return rest


def _is_of_one_warehouse(wanted: Filter) -> bool:
    """Say whether the filter's Warehouse is what tells most: its refreshes have an index, in the order of time."""
    return bool(wanted.warehouse and _project_of_warehouse(wanted) and not wanted.repository)


def _refreshes(wanted: Filter) -> models.QuerySet[Refresh]:
    """Return the refreshes of the Warehouse, or of those of this name in any project."""
    project = _project_of_warehouse(wanted)
    found = _refresh_model()._default_manager.filter(
        warehouse=wanted.warehouse[1] if wanted.warehouse else ""
    )
    return found.filter(project=project) if project else found


def _project_of_warehouse(wanted: Filter) -> str:
    """Return the project that the filter's Warehouse is in; empty where it does not say."""
    named = wanted.warehouse[0] if wanted.warehouse else None
    return named or wanted.project or ""


def _refresh_model() -> type[Refresh]:
    return apps.get_model("receivers", "Refresh")  # models import this module
