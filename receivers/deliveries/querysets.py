"""The queries of the delivery log that pages, the API and the commands share.

The log may hold ten million deliveries, and people combine filters as they like, so every list has a bounded cost: it
scans one index by time (that of the most selective field), reads at most `LOOKED_AT` rows, and checks these against
the rest of the filter. A page that reaches this bound says how far it got, and its cursor continues from there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from django.db import models
from django.db.models import Exists, OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Concat

from receivers.deliveries.bounded_scan import (
    LOOKED_AT,
    NEWEST_FIRST,
    ScanResult,
    following,
    scan,
    scan_refreshes,
)
from receivers.deliveries.cluster_pushes import (
    MOST_PROJECTS,
    reduce_rows,
    reduced_projects,
    scan_cluster_pushes,
)
from receivers.deliveries.delivery_page import FIRST_ID, DeliveryPage, Position
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.predicates import (
    all_but_warehouse,
    all_conditions,
    in_time,
    of_outcome,
    project_of_warehouse,
    selects_one_warehouse,
)
from receivers.deliveries.stored_names import stored_artifacts
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import Delivery

MAX_PAGE_SIZE: Final = 500  # rows; more than a person reads, and exports read page by page
MOST_REPEATS: Final = 1_000
"""Deliveries of one push that are counted. More than that is abuse, and not worth the time."""

WIDE: Final = ("verdicts", "headers", "stored_body")
"""Columns of kilobytes up to megabytes, which no list shows."""

ID_PREFIX: Final = re.compile(r"[0-9a-f]{8,32}")
"""An abbreviated id, of at least 8 characters, which is what about a minute's deliveries share."""

MOST_RECEIVERS: Final = 50
"""Receivers of a project that are scanned one by one. With more of them, the database sorts."""

# Finds each name by an index lookup of the next one; DISTINCT would read all deliveries of the project.
_RECEIVERS: Final = """
    WITH RECURSIVE found (receiver) AS (
        SELECT MIN(receiver) FROM receivers_delivery WHERE project = %s
        UNION ALL
        SELECT (SELECT MIN(receiver) FROM receivers_delivery WHERE project = %s AND receiver > found.receiver)
        FROM found WHERE found.receiver IS NOT NULL
    )
    SELECT NULL AS id, receiver FROM found WHERE receiver IS NOT NULL LIMIT %s
"""


_OF_RECEIVER: Final = Concat("project", Value("/"), "receiver", output_field=models.CharField())
"""Project and receiver as one text. As two columns, they could make a database read an index by receiver, which has all
deliveries of years, where the index by push has a few rows."""


class _CountUpTo(Subquery):
    """Counts the rows of a sliced subquery, so that counting stops at the end of the slice."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) counted)"
    output_field = models.IntegerField()


class DeliveryQuerySet(models.QuerySet[Delivery]):
    """The queries of the delivery log."""

    def narrow(self) -> Self:
        """Defer the columns in `WIDE`."""
        return self.defer(*WIDE)

    def newest_of_each_push(self) -> Self:
        """Keep the newest delivery of each push to each receiver, and all deliveries without a push.

        A newer delivery hides an older one even if other filters exclude the newer one: the outcome of a push is that
        of its last delivery. A delivery to another receiver hides nothing, for not every reader may see that receiver.
        Costs one index lookup for each row (`delivery_by_push`).
        """
        return self.filter(self._is_newest())

    def _is_newest(self) -> Q:
        # By time, as the pages are sorted: ids of several processes do not tell which one came first.
        later = Q(received_at__gt=OuterRef("received_at")) | Q(id__gt=OuterRef("id"))
        newer = self._of_same_push().filter(later, received_at__gte=OuterRef("received_at"))
        return Q(push_id=None) | Q(~Exists(newer))

    def _of_same_push(self) -> models.QuerySet[Delivery]:
        """Return the deliveries of the push of an outer query's row to the same receiver, for a subquery."""
        of_push = DeliveryQuerySet(self.model).filter(push_id=OuterRef("push_id"))
        outer_path = Concat(
            OuterRef("project"), Value("/"), OuterRef("receiver"), output_field=models.CharField()
        )
        return of_push.alias(of_receiver=_OF_RECEIVER).filter(of_receiver=outer_path)

    def with_repeats(self) -> Self:
        """Annotate `repeats`: how many deliveries announce a push to the same receiver, from 1 to `MOST_REPEATS`."""
        same = self._of_same_push().order_by().values("pk")
        return self.annotate(
            repeats=models.Case(
                models.When(push_id=None, then=Value(1)),
                default=Coalesce(_CountUpTo(same[:MOST_REPEATS]), Value(1)),
                output_field=models.IntegerField(),
            )
        )

    def of_push(self, push_id: UUID) -> Self:
        """Return the deliveries of a push to all receivers, newest first, at most `MOST_REPEATS`.

        Readers may see only some of them: see `visibility.deliveries_of_push`.
        """
        return self.filter(push_id=push_id).order_by(*NEWEST_FIRST)[:MOST_REPEATS]

    def alike(self, delivery: Delivery) -> Self:
        """Return the other deliveries of the same push to the same receiver, unordered."""
        of_push = self.filter(push_id=delivery.push_id or delivery.pk).exclude(pk=delivery.pk)
        return of_push.alias(of_receiver=_OF_RECEIVER).filter(
            of_receiver=f"{delivery.project}/{delivery.receiver}"
        )

    def with_id(self, prefix: str) -> Self:
        """Return the deliveries whose id starts with `prefix`, oldest first: 8 to 32 hex digits.

        Ignores dashes; returns nothing for any other text. Reads one range of the primary key.
        """
        digits = prefix.replace("-", "").lower()
        if not ID_PREFIX.fullmatch(digits):
            return self.none()
        lowest, highest = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        return self.filter(id__gte=lowest, id__lte=highest).order_by("id")

    def filtered(self, wanted: DeliveryFilter) -> Self:
        """Keep what a filter selects, unordered and unbounded; use `page` for lists."""
        return self.filter(in_time(wanted), all_conditions(wanted))

    def page(
        self,
        wanted: DeliveryFilter,
        *,
        after: str = "",
        size: int = 50,
        each_push_once: bool = True,
        with_cluster: bool = True,
    ) -> DeliveryPage:
        """Return up to `size` (1 to `MAX_PAGE_SIZE`) deliveries that a filter selects after a cursor, newest first.

        With `each_push_once`, only the newest delivery of each push. Runs three statements. A repository that the log
        may have under several names costs one to find these, and two for each. Without a push, a repository, a
        receiver and a Warehouse, but with a project or for a reader of a few, it scans each of their receivers (two
        statements, and one to find them); otherwise, with outcomes, it scans each outcome. For a Warehouse it reads the
        newest refreshes first, then scans the receivers of the project and of the cluster.

        If the filter has a project, or the reader sees only some, the page also has the deliveries to cluster receivers
        that concern these projects, reduced to them, unless `with_cluster` is false: up to six statements for each of
        `MOST_PROJECTS` projects. Raises `InvalidCursor`.
        """
        size = max(1, min(size, MAX_PAGE_SIZE))
        position = Position.read(after) if after else None
        newest = self._is_newest() if each_push_once else Q()
        results = self.scanned(wanted, position, size, newest)
        if not with_cluster:
            return self._page(results, size)
        results += scan_cluster_pushes(wanted, self.filter(newest), position, size + 1)
        page = self._page(results, size)
        if projects := reduced_projects(wanted):
            reduce_rows(page.rows, projects)
        return page

    def scanned(
        self, wanted: DeliveryFilter, position: Position | None, size: int, also: Q
    ) -> list[ScanResult]:
        """Scan for `size` deliveries after a position that a filter and a further condition select.

        `page` says what is scanned. Deliveries to cluster receivers that are reduced to projects are not included.
        """
        candidates = self.filter(in_time(wanted), following(position) if position else Q())
        recent = None
        if selects_one_warehouse(wanted):
            recent = scan_refreshes(wanted, candidates.filter(all_but_warehouse(wanted), also), size + 1)
        if recent and (
            recent.floor is None
            or (recent.matches and (position is None or position.received_at > recent.floor))
        ):
            return [recent]
        branches = self._branches(wanted) if recent is None else self._of_warehouse(wanted)
        most = LOOKED_AT // max(1, len(branches))
        return [
            scan(candidates.filter(branch), all_conditions(wanted) & also, size + 1, most)
            for branch in branches
        ]

    def _branches(self, wanted: DeliveryFilter) -> list[Q]:
        """Return the most selective field of the filter as conditions that each have an index by time.

        Every delivery that the filter selects meets one of them.
        """
        selective = _selective_conditions(wanted)
        if selective is not None:
            return selective
        if wanted.project is not None:
            return self._receivers_of(wanted.project)
        # Before the outcomes: failures in projects that the reader can't see must not use up the bound.
        if wanted.seen is not None and len(wanted.seen) <= MOST_PROJECTS:
            return [branch for project in sorted(wanted.seen) for branch in self._receivers_of(project)]
        if wanted.outcomes:
            return [of_outcome(outcome) for outcome in sorted(wanted.outcomes)]
        return [Q()]

    def _of_warehouse(self, wanted: DeliveryFilter) -> list[Q]:
        """Return conditions that each have an index; every delivery that refreshed the Warehouse meets one of them."""
        return [*self._receivers_of(project_of_warehouse(wanted)), *self._receivers_of(CLUSTER_SCOPE)]

    def _receivers_of(self, project: str) -> list[Q]:
        """Return a condition for each receiver of a project that has had a delivery; one index lookup each.

        An index by project alone would slow down every insertion, and senders wait for those.
        """
        rows = self.model._default_manager.raw(_RECEIVERS, [project, project, MOST_RECEIVERS + 1])
        names = [row.receiver for row in rows]
        if len(names) > MOST_RECEIVERS:
            return [Q(project=project)]
        return [Q(project=project, receiver=name) for name in names]

    def _page(self, results: Sequence[ScanResult], size: int) -> DeliveryPage:
        positions, following_cursor, looked_to = merged(results, size)
        return DeliveryPage(self._rows(positions), following_cursor, looked_to)

    def _rows(self, positions: Iterable[Position]) -> tuple[Delivery, ...]:
        ids = [position.id for position in positions]
        return tuple(self.filter(pk__in=ids).narrow().with_repeats().order_by(*NEWEST_FIRST))


def merged(results: Sequence[ScanResult], size: int) -> tuple[list[Position], str, datetime | None]:
    """Merge scans, down to the highest floor of those that stopped before they had enough.

    Return `size` positions at most, and `next` and `looked_to` of their page.
    """
    floors = [result.floor for result in results if result.floor is not None and len(result.matches) <= size]
    floor = max(floors, default=None)
    positions = sorted({position for result in results for position in result.matches}, reverse=True)
    if floor is not None:
        positions = [position for position in positions if position.received_at >= floor]
    if len(positions) > size:
        return positions[:size], positions[size - 1].cursor(), None
    if floor is not None:
        return positions, Position(floor, FIRST_ID).cursor(), floor
    return positions, "", None


def _selective_conditions(wanted: DeliveryFilter) -> list[Q] | None:
    """Return the conditions of a push, a repository or a receiver, which have an index by time; None without one.

    One statement if the log may have the repository under several names.
    """
    if wanted.push is not None:
        return [Q(push_id=wanted.push)]
    if wanted.repository:
        artifacts = stored_artifacts(wanted.repository, wanted.tag)
        return [
            Q(repository=repository, push_id__isnull=False, **({"tag": tag} if tag else {}))
            for repository, tag in artifacts
        ]
    if wanted.project is not None and wanted.receiver:
        return [Q(project=wanted.project, receiver=wanted.receiver)]
    return None


def delivery_log() -> DeliveryQuerySet:
    """Return all deliveries as a queryset with the methods above.

    A function instead of `Delivery.objects`, because models import nothing from the rooms above them.
    """
    return DeliveryQuerySet(Delivery)
