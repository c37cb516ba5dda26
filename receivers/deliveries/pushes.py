"""The list of pushes: what Docker Hub announces once, although it sends it to several receivers and several times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from receivers.deliveries.bounded_scan import LOOKED_AT, ScanResult
from receivers.deliveries.cluster_pushes import reduce_rows, reduced_projects, scan_cluster_pushes
from receivers.deliveries.delivery_page import Position
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.outcomes import decisive
from receivers.deliveries.predicates import all_conditions, conditions_of_push, in_time
from receivers.deliveries.querysets import MAX_PAGE_SIZE, delivery_log, merged
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import UNDERSTOOD, Delivery, ProjectDelivery, Refresh

DELIVERIES_READ: Final = LOOKED_AT
"""Deliveries of the pushes of one page. Docker Hub sends about six to each receiver; more is abuse."""

REFRESHES_READ: Final = 2_000
"""Refreshes of the pushes of one page: 40 for each, which is more than a row has room for."""

COUNTED: Final = 2_000
"""Deliveries that a count reads, about 10 ms of work. With more of them, the list says "more than"."""

_COLUMNS: Final = (
    "delivery", "project", "warehouse", "state", "outcome", "reason", "freight", "freight_alias",
    "requested_at", "discovered_at", "ended_at", "next_attempt_at", "history",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PushEntry:
    """A push as a reader may see it.

    `deliveries` has the visible ones, newest first, and `decisive` is the one that has the outcome of the push.
    `refreshes` has those of the visible deliveries and projects. `received_at` is the place in the list.
    """

    push_id: UUID
    received_at: datetime
    deliveries: tuple[Delivery, ...]
    decisive: Delivery
    refreshes: tuple[Refresh, ...]

    @property
    def first(self) -> Delivery:
        """Return the delivery that came first."""
        return self.deliveries[-1]


@dataclass(frozen=True, slots=True)
class PushPage:
    """A page of the list, newest first; `next` and `looked_to` are those of `DeliveryPage`.

    With outcomes in the filter, a page may have fewer rows than its size although there is a next one.
    """

    rows: tuple[PushEntry, ...]
    next: str = ""
    looked_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class PushCount:
    """How many pushes and deliveries a filter selects; `more` if the count stopped at its bound."""

    pushes: int
    deliveries: int
    more: bool = False


def push_page(wanted: DeliveryFilter, *, after: str = "", size: int = 50) -> PushPage:
    """Return up to `size` (1 to `MAX_PAGE_SIZE`) pushes after a cursor, newest first.

    A push is selected if one of its deliveries is, and has its place in the list by the newest of those. With outcomes
    in the filter, that of the push must be one of them. Costs as much as `DeliveryQuerySet.page` and three statements
    more. Raises `InvalidCursor`.
    """
    size = max(1, min(size, MAX_PAGE_SIZE))
    position = Position.read(after) if after else None
    results = _scans(wanted, position, size)
    positions, following, looked_to = merged(results, size)
    entries = _entries(wanted, positions, position)
    return PushPage(entries, following, looked_to)


def pushes_of(rows: Sequence[Delivery], seen: frozenset[str] | None, most: int) -> tuple[PushEntry, ...]:
    """Return up to `most` (1 to `MAX_PAGE_SIZE`) pushes of these deliveries, in their order, as a reader may see them.

    The rows need `project`, `push_id` and `received_at`. Deliveries that the reader may not see, and those whose body
    was not understood, are left out. Six statements at most.
    """
    positions: dict[UUID, Position] = {}
    for row in _visible(seen, rows):
        if row.push_id and len(positions) < most:
            positions.setdefault(row.push_id, _position(row))
    return _entries(DeliveryFilter(seen=seen), list(positions.values()), None) if positions else ()


def count_pushes(wanted: DeliveryFilter) -> PushCount:
    """Count the pushes and deliveries that a filter selects, up to about `COUNTED` deliveries."""
    log = delivery_log()
    results = log.scanned(wanted, None, COUNTED, UNDERSTOOD)
    results += scan_cluster_pushes(wanted, log.filter(UNDERSTOOD), None, COUNTED)
    positions, following, _ = merged(results, COUNTED)
    ids = [position.id for position in positions]
    pushes: set[UUID | None] = set()
    for start in range(0, len(ids), MAX_PAGE_SIZE):
        batch = ids[start : start + MAX_PAGE_SIZE]
        pushes.update(Delivery.objects.filter(pk__in=batch).values_list("push_id", flat=True))
    return PushCount(len(pushes), len(ids), bool(following))


def _scans(wanted: DeliveryFilter, position: Position | None, size: int) -> list[ScanResult]:
    """Scan for the newest matching delivery of each push, after a position."""
    log = delivery_log()
    results = log.scanned(wanted, position, size, _is_newest_of(in_time(wanted) & all_conditions(wanted)))
    of_cluster = Q(project=CLUSTER_SCOPE) & in_time(wanted) & conditions_of_push(wanted)
    candidates = log.filter(_is_newest_of(of_cluster))
    return results + scan_cluster_pushes(wanted, candidates, position, size + 1)


def _is_newest_of(conditions: Q) -> Q:
    """Return the condition that no newer delivery of the same push meets the conditions. One index lookup a row."""
    later = Q(received_at__gt=OuterRef("received_at")) | Q(id__gt=OuterRef("id"))
    newer = delivery_log().filter(
        later, conditions, push_id=OuterRef("push_id"), received_at__gte=OuterRef("received_at")
    )
    return UNDERSTOOD & Q(~Exists(newer))


def _entries(
    wanted: DeliveryFilter, positions: Sequence[Position], after: Position | None
) -> tuple[PushEntry, ...]:
    """Return the pushes of these deliveries, each once, in this order. Three to five statements."""
    anchors = {row.pk: row for row in _rows(Q(pk__in=[position.id for position in positions]))}
    push_ids = {row.push_id for row in anchors.values() if row.push_id}
    by_push: dict[UUID, dict[UUID, Delivery]] = defaultdict(dict)
    visible = delivery_log().filter(push_id__in=push_ids).narrow()[:DELIVERIES_READ] if push_ids else ()
    for row in [*_visible(_scope(wanted), list(visible)), *anchors.values()]:
        if row.push_id:
            by_push[row.push_id][row.pk] = row
    # Readers of some projects see deliveries to cluster receivers reduced, as the filter's project does.
    projects = reduced_projects(wanted)
    everything = [row for rows in by_push.values() for row in rows.values()]
    if projects:
        reduce_rows(everything, projects)
    refreshes = refreshes_by_delivery(everything, projects or None)
    entries: dict[UUID, PushEntry] = {}
    for position in positions:
        anchor = anchors.get(position.id)
        if anchor is None or anchor.push_id is None or anchor.push_id in entries:
            continue
        rows = sorted(by_push[anchor.push_id].values(), key=_position, reverse=True)
        if after and any(_position(row) >= after and _meets(wanted, row) for row in rows):
            continue  # on an earlier page
        decisive_row = decisive(rows)
        if wanted.outcomes and decisive_row.outcome not in wanted.outcomes:
            continue
        of_push = tuple(refresh for row in rows for refresh in refreshes.get(row.pk, ()))
        entries[anchor.push_id] = PushEntry(
            anchor.push_id, anchor.received_at, tuple(rows), decisive_row, of_push
        )
    return tuple(entries.values())


def _rows(condition: Q) -> list[Delivery]:
    return list(delivery_log().filter(condition).narrow())


def _scope(wanted: DeliveryFilter) -> frozenset[str] | None:
    """Return the projects whose deliveries belong to the rows, None for all: those of the reader and the filter."""
    if wanted.project is None:
        return wanted.seen
    project = frozenset({wanted.project})
    return project if wanted.seen is None else project & wanted.seen


def _visible(seen: frozenset[str] | None, rows: Sequence[Delivery]) -> list[Delivery]:
    """Return those of the rows that a reader may see. One statement if they see only some projects."""
    if seen is None:
        return list(rows)
    of_cluster = [row.pk for row in rows if row.project == CLUSTER_SCOPE]
    concerned: Collection[UUID] = ()
    if of_cluster and CLUSTER_SCOPE not in seen:
        entries = ProjectDelivery.objects.filter(delivery__in=of_cluster, project__in=seen)
        concerned = set(entries.values_list("delivery", flat=True))
    return [row for row in rows if row.project in seen or row.pk in concerned]


def refreshes_by_delivery(
    rows: Iterable[Delivery], projects: Collection[str] | None
) -> dict[UUID, list[Refresh]]:
    """Return the refreshes by delivery, `REFRESHES_READ` at most. One query.

    With `projects`, those of deliveries to cluster receivers are limited to these.
    """
    rows = list(rows)
    by_delivery: dict[UUID, list[Refresh]] = defaultdict(list)
    of_cluster = {row.pk for row in rows if row.project == CLUSTER_SCOPE}
    ids = [row.pk for row in rows if row.warehouses]
    if not ids:
        return by_delivery
    for refresh in Refresh.objects.filter(delivery__in=ids).only(*_COLUMNS)[:REFRESHES_READ]:
        if projects is None or refresh.delivery_id not in of_cluster or refresh.project in projects:
            by_delivery[refresh.delivery_id].append(refresh)
    for refreshes in by_delivery.values():
        refreshes.sort(key=lambda refresh: refresh.pk)
    return by_delivery


def _meets(wanted: DeliveryFilter, row: Delivery) -> bool:
    """Say whether a delivery meets the exact fields of a filter; texts and Warehouses concern all of a push."""
    if wanted.project is not None and row.project not in {wanted.project, CLUSTER_SCOPE}:
        return False
    if wanted.receiver and row.receiver != wanted.receiver:
        return False
    if wanted.origin is not None and row.origin != wanted.origin:
        return False
    if wanted.outcomes and row.outcome not in wanted.outcomes:
        return False
    if wanted.status and not (row.status and wanted.status[0] <= row.status <= wanted.status[1]):
        return False
    return wanted.until is None or row.received_at <= wanted.until


def _position(row: Delivery) -> Position:
    return Position(row.received_at, row.pk)
