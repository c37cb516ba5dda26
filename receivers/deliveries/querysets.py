"""The named reads of the delivery log. Pages, the API and the commands use these and no other queries of lists.

The log may hold ten million deliveries, and people combine filters as they like. So no read of a list works longer
than its bounds allow: it walks down one index in the order of time (that of the most telling filter), looks at
`LOOKED_AT` rows at most, and sorts out by everything else among those. A page that came to that bound says how far
it looked, and its cursor goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, Self
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from receivers.deliveries.bounded_scan import LOOKED_AT, NEWEST_FIRST, ScanResult, following, walk, walk_refreshes
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.pagination import FIRST_ID, DeliveryPage, Position
from receivers.deliveries.predicates import (
    beside_warehouse,
    in_time,
    is_of_one_warehouse,
    of_outcome,
    project_of_warehouse,
    sieve,
)
from receivers.models import Delivery

LONGEST_PAGE: Final = 500  # rows; more is more than anybody reads, and an export takes page after page
MOST_REPEATS: Final = 1_000
"""Deliveries of one push that are counted; beyond that somebody plays, and the count is not worth its time."""

WIDE: Final = ("verdicts", "headers", "body")
"""Columns of kilobytes, up to megabytes, which no list shows."""

ID_PREFIX: Final = re.compile(r"[0-9a-f]{8,32}")
"""What may stand for a whole id: from 8 characters on, which is about a minute's deliveries."""

MOST_PROJECTS: Final = 5
"""Projects of somebody who may not see all that are walked one by one; who may see more has everything sorted out."""

MOST_RECEIVERS: Final = 50
"""Receivers of a project that are walked one by one; nobody has more, and if so the database sorts."""

# Each name by a look into the index for the next one: DISTINCT would read all that the project ever had.
_RECEIVERS: Final = """
    WITH RECURSIVE found (receiver) AS (
        SELECT MIN(receiver) FROM receivers_delivery WHERE project = %s
        UNION ALL
        SELECT (SELECT MIN(receiver) FROM receivers_delivery WHERE project = %s AND receiver > found.receiver)
        FROM found WHERE found.receiver IS NOT NULL
    )
    SELECT NULL AS id, receiver FROM found WHERE receiver IS NOT NULL LIMIT %s
"""


class _CountUpTo(Subquery):
    """Counts the rows of a sliced subquery, so that counting stops where the slice does."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = models.IntegerField()


class DeliveryQuerySet(models.QuerySet[Delivery]):
    """The reads of the delivery log; they can be chained, but for those that return something else."""

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

    def filtered(self, wanted: DeliveryFilter) -> Self:
        """Keep what a filter asks for. In no order, and unbounded: lists for people are `page`s."""
        return self.filter(in_time(wanted), sieve(wanted))

    def page(self, wanted: DeliveryFilter, *, after: str = "", size: int = 50, each_push_once: bool = True) -> DeliveryPage:
        """Return what a filter asks for, newest first: up to `size` (1 to `LONGEST_PAGE`) that follow a cursor.

        With `each_push_once` only the newest delivery of each push. Takes three statements. Where the filter names
        no repository, receiver or Warehouse, but a project, each of its receivers is walked by itself (two statements,
        and one to know them); where it names no project either, but outcomes, each of these. Of a Warehouse the
        newest `REFRESHES_LOOKED_AT` are looked at first; what lies beyond is found by walking the receivers of its
        project and of the cluster. Raises `InvalidCursor`.
        """
        size = max(1, min(size, LONGEST_PAGE))
        place = Position.read(after) if after else None
        candidates = self.filter(in_time(wanted), following(place) if place else Q())
        newest = self._is_newest() if each_push_once else Q()
        asked = None
        if is_of_one_warehouse(wanted):
            asked = walk_refreshes(wanted, candidates.filter(beside_warehouse(wanted), newest), size + 1)
        if asked and (asked.floor is None or place is None or place.received_at > asked.floor):
            walks = [asked]
        else:
            branches = self._branches(wanted) if asked is None else self._of_warehouse(wanted)
            most = LOOKED_AT // max(1, len(branches))
            walks = [
                walk(candidates.filter(branch), sieve(wanted) & newest, size + 1, most) for branch in branches
            ]
        return self._page(walks, size)

    def _branches(self, wanted: DeliveryFilter) -> list[Q]:
        """Return the filter that tells most, as conditions of which each has an index in the order of time.

        A delivery that the filter wants fulfils one of them.
        """
        if wanted.repository:
            of_tag = {"tag": wanted.tag} if wanted.tag else {}
            return [Q(repository=wanted.repository, push_id__isnull=False, **of_tag)]
        if wanted.project is not None and wanted.receiver:
            return [Q(project=wanted.project, receiver=wanted.receiver)]
        if wanted.project is not None:
            return self._receivers_of(wanted.project)
        if wanted.outcomes:
            return [of_outcome(outcome) for outcome in sorted(wanted.outcomes)]
        if wanted.seen is not None and len(wanted.seen) <= MOST_PROJECTS:
            return [branch for project in sorted(wanted.seen) for branch in self._receivers_of(project)]
        return [Q()]

    def _of_warehouse(self, wanted: DeliveryFilter) -> list[Q]:
        """Return conditions, with an index each, of which all deliveries fulfil one for which a Warehouse was asked."""
        return [*self._receivers_of(project_of_warehouse(wanted)), *self._receivers_of("")]

    def _receivers_of(self, project: str) -> list[Q]:
        """Return a condition for each receiver of a project that has had a delivery, by one look into an index each.

        An index by project alone would cost every insertion, for which a sender waits.
        """
        rows = self.model._default_manager.raw(_RECEIVERS, [project, project, MOST_RECEIVERS + 1])
        names = [row.receiver for row in rows]
        if len(names) > MOST_RECEIVERS:
            return [Q(project=project)]
        return [Q(project=project, receiver=name) for name in names]

    def _page(self, walks: Sequence[ScanResult], size: int) -> DeliveryPage:
        """Merge what the walks found, down to where the first of them stopped without having found enough."""
        floors = [one.floor for one in walks if one.floor is not None and len(one.found) <= size]
        floor = max(floors, default=None)
        found = sorted({position for one in walks for position in one.found}, reverse=True)
        if floor is not None:
            found = [position for position in found if position.received_at >= floor]
        rows = self._rows(found[:size])
        if len(found) > size:
            return DeliveryPage(rows, next=found[size - 1].cursor())
        if floor is not None:
            return DeliveryPage(rows, next=Position(floor, FIRST_ID).cursor(), looked_to=floor)
        return DeliveryPage(rows)

    def _rows(self, positions: Iterable[Position]) -> tuple[Delivery, ...]:
        ids = [position.id for position in positions]
        return tuple(self.filter(pk__in=ids).narrow().with_repeats().order_by(*NEWEST_FIRST))


def delivery_log() -> DeliveryQuerySet:
    """Return all deliveries, as a queryset with the reads above.

    A function and not `Delivery.objects`: models import nothing of the rooms above them.
    """
    return DeliveryQuerySet(Delivery)
