"""Deliveries to cluster receivers, as the readers of single projects see them: reduced to these projects.

A cluster receiver gets the pushes for every project. `ProjectDelivery` has the projects that each delivery concerns, so
that a project's list finds them by index.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from receivers.deliveries.bounded_scan import PORTIONS, ScanResult
from receivers.deliveries.delivery_page import Position
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.outcomes import summary
from receivers.deliveries.predicates import conditions_of_push, in_time
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import Delivery, Outcome, ProjectDelivery, Refresh

MOST_PROJECTS: Final = 5
"""Projects that are scanned one by one. With more of them, one scan checks the project of each row."""

NO_MATCH: Final = "no subscription of the project matches this push"
_SEEN_DETAILS: Final = frozenset({"names", "tags", "commit", "git"})
"""The details that say what was pushed. The others come from the whole request or say what it did to all projects."""

_MICROSECOND: Final = timedelta(microseconds=1)


def project_deliveries(delivery: Delivery, projects: Iterable[str]) -> list[ProjectDelivery]:
    """Return the unsaved rows for the projects that a delivery concerns; none unless a cluster receiver got it."""
    if delivery.project != CLUSTER_SCOPE:
        return []
    return [
        ProjectDelivery(delivery=delivery, project=project, received_at=delivery.received_at)
        for project in sorted(set(projects))
    ]


def concerns(delivery: Delivery, projects: Collection[str]) -> bool:
    """Say whether a delivery to a cluster receiver concerns one of these projects. One query."""
    return ProjectDelivery.objects.filter(delivery=delivery, project__in=projects).exists()


def reduced_projects(wanted: DeliveryFilter) -> frozenset[str]:
    """Return the projects that deliveries to cluster receivers are reduced to; none if the filter shows them whole."""
    if wanted.project is None:
        return wanted.seen or frozenset()
    visible = wanted.project != CLUSTER_SCOPE and (wanted.seen is None or wanted.project in wanted.seen)
    return frozenset({wanted.project}) if visible else frozenset()


def scan_cluster_pushes(
    wanted: DeliveryFilter, candidates: QuerySet[Delivery], after: Position | None, enough: int
) -> list[ScanResult]:
    """Scan the deliveries to cluster receivers that concern the projects of a filter, and match it when reduced.

    `candidates` are checked by primary key. Each scan reads a bounded number of rows of one index.
    """
    projects = reduced_projects(wanted)
    if not projects:
        return []
    entries = ProjectDelivery.objects.filter(in_time(wanted))
    if len(projects) <= MOST_PROJECTS:
        sources = [entries.filter(project=project) for project in sorted(projects)]
    else:
        # In the order of time, so that the number of rows read is bounded.
        sources = [entries]
        candidates = candidates.filter(concerned__project__in=projects).distinct()
    check = partial(_matching, wanted, projects, candidates)
    return [_scan(source, check, after, enough) for source in sources]


def _scan(
    entries: QuerySet[ProjectDelivery],
    check: Callable[[Collection[UUID]], list[Position]],
    after: Position | None,
    enough: int,
) -> ScanResult:
    """Scan entries from the newest on until `enough` deliveries pass the `check`, or all portions were read."""
    matches: list[Position] = []
    rows = entries.order_by("-received_at", "-delivery_id").values_list("received_at", "delivery_id")
    for portion in PORTIONS:
        batch = list((rows.filter(_following(after)) if after else rows)[:portion])
        matches = sorted({*matches, *check({delivery for _, delivery in batch})}, reverse=True)
        if len(batch) < portion:
            return ScanResult(tuple(matches[:enough]), None)
        after = Position(*batch[-1])
        # Other rows of the same microsecond may be beyond the portion.
        floor = after.received_at + _MICROSECOND
        above = [position for position in matches if position.received_at >= floor]
        if len(above) >= enough:
            break
    return ScanResult(tuple(above[:enough]), floor)


def _following(position: Position) -> Q:
    earlier = Q(received_at__lt=position.received_at) | Q(delivery_id__lt=position.id)
    return Q(received_at__lte=position.received_at) & earlier


def _matching(
    wanted: DeliveryFilter, projects: frozenset[str], candidates: QuerySet[Delivery], ids: Collection[UUID]
) -> list[Position]:
    """Return those of the deliveries that match the filter by what readers of the projects may see."""
    if not ids:
        return []
    rows = candidates.filter(conditions_of_push(wanted), pk__in=ids).values_list(
        "received_at", "id", "outcome"
    )
    matching = list(rows)
    if wanted.outcomes or wanted.warehouse:
        refreshes = _refreshes([pk for _, pk, _ in matching], projects)
        matching = [
            (at, pk, outcome)
            for at, pk, outcome in matching
            if (not wanted.outcomes or _outcome(outcome, refreshes[pk]) in wanted.outcomes)
            and (not wanted.warehouse or _refreshed(wanted.warehouse, refreshes[pk]))
        ]
    return [Position(at, pk) for at, pk, _ in matching]


def _refreshed(warehouse: tuple[str | None, str], refreshes: Iterable[Refresh]) -> bool:
    project, name = warehouse
    return any(row.warehouse == name and project in {None, row.project} for row in refreshes)


def _refreshes(ids: Collection[UUID], projects: Collection[str]) -> dict[UUID, list[Refresh]]:
    by_delivery: dict[UUID, list[Refresh]] = defaultdict(list)
    columns = ("delivery", "project", "warehouse", "outcome", "reason")
    rows = Refresh.objects.filter(delivery__in=ids, project__in=projects)
    for row in rows.only(*columns).order_by("id"):
        by_delivery[row.delivery_id].append(row)
    return by_delivery


def reduce_rows(rows: Sequence[Delivery], projects: Collection[str]) -> None:
    """Reduce those of the rows that a cluster receiver got, as `reduce` does. One query."""
    of_cluster = [row for row in rows if row.project == CLUSTER_SCOPE]
    refreshes = _refreshes([row.pk for row in of_cluster], projects) if of_cluster else {}
    for row in of_cluster:
        reduce(row, refreshes.get(row.pk, []), NO_MATCH)
        row.repeats = 1


def reduce(delivery: Delivery, refreshes: Sequence[Refresh], why_no_match: str) -> None:
    """Reduce a delivery to what concerns a project: its `refreshes`, or the reason why there is none.

    The response is left out, for it counts the Warehouses of all projects. The row must not be saved afterwards.
    """
    outcome = _outcome(delivery.outcome, refreshes)
    reasons = (refresh.reason for refresh in refreshes if refresh.outcome == outcome)
    delivery.outcome = outcome
    delivery.reason = next(reasons, "") if refreshes else why_no_match
    delivery.warehouses = len(refreshes)
    delivery.answer = ""


def reduce_request(delivery: Delivery) -> None:
    """Leave out what was in the request, and what it did to all projects. The row must not be saved afterwards."""
    delivery.details = {name: value for name, value in delivery.details.items() if name in _SEEN_DETAILS}
    delivery.client_address = ""


def _outcome(whole: str, refreshes: Sequence[Refresh]) -> Outcome:
    """Return the outcome for projects with these refreshes of a delivery that has the outcome `whole`."""
    if refreshes:
        return summary(refresh.outcome for refresh in refreshes) or Outcome.REFRESHED
    return Outcome.PENDING if whole == Outcome.PENDING else Outcome.NO_MATCH
