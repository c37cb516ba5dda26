"""A push as one user may see it: its deliveries to all receivers, their refreshes, and earlier pushes of its tag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from receivers.accounts.roles import Access, Action
from receivers.deliveries.bounded_scan import NEWEST_FIRST
from receivers.deliveries.cluster_pushes import NO_MATCH, reduce, reduce_request
from receivers.deliveries.outcomes import decisive
from receivers.deliveries.querysets import delivery_log
from receivers.deliveries.visibility import verdicts_of
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import Delivery, Origin, Outcome, ProjectDelivery, Refresh

DELIVERIES_READ: Final = 100
"""The newest deliveries of a push. Docker Hub sends about six to each receiver; more is abuse."""

REFRESHES_READ: Final = 1_000  # of a push; more Warehouses than a person reads about
VERDICTS_OF: Final = 10  # receivers whose verdicts are read: each may have a thousand of them
GENERATIONS: Final = 3  # redeliveries of redeliveries that belong to the page of their push
TAG_READ: Final = 500  # the newest deliveries of a tag or a repository, of which a reader may see only some
HISTORY_READ: Final = 200  # the same for a page that updates itself: `latest` may have been pushed all day
EARLIER_SHOWN: Final = 8  # earlier pushes of the same tag

ANNOUNCED: Final = frozenset({Origin.PUSH, Origin.API})
"""The origins of pushes from outside; the others are tests, redeliveries and catch-ups."""

ReceiverKey = tuple[str, str]
"""Project (`CLUSTER_SCOPE` for a cluster receiver) and name of a receiver."""


@dataclass(frozen=True, slots=True)
class PushRecord:
    """What a user may see of a push.

    `deliveries` are sorted by time, the oldest first, with redeliveries; those to cluster receivers are reduced to the
    user's projects unless the user sees everything. `refreshes` are in the order in which they were created.
    `verdicts` are those of the newest delivery to each receiver, each subscription once. `decisive` is the delivery
    that has the outcome of the push. `more` says that there are further deliveries.
    """

    push_id: UUID
    deliveries: tuple[Delivery, ...]
    refreshes: tuple[Refresh, ...]
    verdicts: tuple[Mapping[str, Any], ...]
    decisive: Delivery
    more: bool = False

    @property
    def first(self) -> Delivery:
        """Return the delivery that came first."""
        return self.deliveries[0]

    @property
    def receivers(self) -> tuple[ReceiverKey, ...]:
        """Return the receivers, in the order in which they got the push."""
        return tuple(dict.fromkeys((row.project, row.receiver) for row in self.deliveries))


@dataclass(frozen=True, slots=True)
class EarlierPush:
    """An earlier or later push of the same tag: when its first visible delivery came, and its Freight."""

    push_id: UUID
    received_at: datetime
    outcome: str
    freight: tuple[Refresh, ...]


def find_push(access: Access, push_id: UUID) -> PushRecord | None:
    """Return a push; None if there is none or the user may see none of its deliveries. Four to six queries."""
    of_push = list(delivery_log().filter(push_id=push_id).narrow().order_by(*NEWEST_FIRST)[:DELIVERIES_READ])
    rows = _visible(access, of_push)
    if not rows:
        return None
    rows += _redeliveries(access, rows)
    rows.sort(key=lambda row: (row.received_at, row.pk))
    refreshes = _refreshes(access, rows)
    verdicts = _verdicts(access, rows)
    _reduce(access, rows, refreshes, verdicts)
    return PushRecord(
        push_id=push_id,
        deliveries=tuple(rows),
        refreshes=tuple(refreshes),
        verdicts=_each_once(verdicts.values()),
        decisive=decisive(rows),
        more=len(of_push) == DELIVERIES_READ,
    )


def newest_push(access: Access, artifacts: Iterable[tuple[str, str]]) -> UUID | None:
    """Return the newest push of the first of these (repository, tag) of which the user may see one.

    One query or two for each. Redeliveries and tests count only if nothing else does.
    """
    for repository, tag in artifacts:
        rows = _of_tag(access, repository, tag, TAG_READ)
        pushes = (row for row in rows if row.origin in ANNOUNCED)
        if newest := next(pushes, None) or next(iter(rows), None):
            return newest.push_id
    return None


def other_pushes(access: Access, record: PushRecord) -> tuple[EarlierPush, ...]:
    """Return the other pushes of the same tag, the newest first, `EARLIER_SHOWN` at most. Two or three queries."""
    own = {row.pk for row in record.deliveries} | {row.original_id for row in record.deliveries}
    by_push: dict[UUID, list[Delivery]] = defaultdict(list)
    for row in _of_tag(access, record.first.repository, record.first.tag, HISTORY_READ):
        if row.pk not in own and row.origin in ANNOUNCED and row.push_id and row.push_id != record.push_id:
            by_push[row.push_id].append(row)
    shown = dict(list(by_push.items())[:EARLIER_SHOWN])
    if not shown:
        return ()
    refreshes = _refreshes(access, [row for rows in shown.values() for row in rows])
    return tuple(
        EarlierPush(push_id, rows[-1].received_at, rows[0].outcome, _freight(refreshes, rows))
        for push_id, rows in shown.items()
    )


def tags_pushed(access: Access, repository: str, but: str) -> tuple[str, ...]:
    """Return the other tags of a repository that were pushed lately and that the user may see, the newest first.

    One query, or two.
    """
    log = delivery_log().filter(repository=repository, push_id__isnull=False).only("project", "tag", "origin")
    rows = _visible(access, list(log.order_by("-received_at")[:TAG_READ]))
    tags = dict.fromkeys(row.tag for row in rows if row.origin in ANNOUNCED)
    return tuple(tag for tag in tags if tag and tag != but)


def _freight(refreshes: Sequence[Refresh], rows: Sequence[Delivery]) -> tuple[Refresh, ...]:
    """Return a refresh of these deliveries for each piece of Freight."""
    ids = {row.pk for row in rows}
    by_name = {row.freight: row for row in refreshes if row.freight and row.delivery_id in ids}
    return tuple(by_name.values())


def _of_tag(access: Access, repository: str, tag: str, most: int) -> list[Delivery]:
    """Return the newest visible deliveries of a tag, the newest first. At most `most` are read."""
    columns = ("received_at", "push_id", "project", "origin", "outcome", "original", "warehouses")
    log = delivery_log().filter(repository=repository, tag=tag, push_id__isnull=False).only(*columns)
    return _visible(access, list(log.order_by("-received_at")[:most]))


def _visible(access: Access, rows: list[Delivery]) -> list[Delivery]:
    """Return those of the rows that the user may see. One query if they see only some projects."""
    of_cluster = [row.pk for row in rows if row.project == CLUSTER_SCOPE]
    concerned: set[UUID] = set()
    if of_cluster and not access.may(Action.SEE, CLUSTER_SCOPE):
        entries = ProjectDelivery.objects.filter(delivery__in=of_cluster, project__in=access.projects or ())
        concerned = set(entries.values_list("delivery", flat=True))
    return [row for row in rows if access.may(Action.SEE, row.project) or row.pk in concerned]


def _redeliveries(access: Access, rows: Sequence[Delivery]) -> list[Delivery]:
    """Return the redeliveries of deliveries, and theirs. A query for each generation, and one that finds none."""
    redeliveries: list[Delivery] = []
    originals = [row.pk for row in rows]
    for _ in range(GENERATIONS):
        log = delivery_log().filter(original__in=originals).narrow().order_by(*NEWEST_FIRST)
        redelivered = _visible(access, list(log[:DELIVERIES_READ]))
        if not redelivered:
            break
        redeliveries += redelivered
        originals = [row.pk for row in redelivered]
    return redeliveries


def _refreshes(access: Access, rows: Sequence[Delivery]) -> list[Refresh]:
    """Return the refreshes of deliveries in projects that the user may see, in the order of creation. One query."""
    ids = [row.pk for row in rows if row.warehouses]
    if not ids:
        return []
    refreshes = Refresh.objects.filter(delivery__in=ids)
    if access.projects is not None:
        refreshes = refreshes.filter(project__in=access.projects)
    return list(refreshes.order_by("id")[:REFRESHES_READ])


def _verdicts(access: Access, rows: Sequence[Delivery]) -> dict[UUID, list[Mapping[str, Any]]]:
    """Return the verdicts of the newest delivery to each receiver, as far as the user may see them. One query."""
    # A pending redelivery has no verdicts yet.
    newest = {
        (row.project, row.receiver): row
        for row in sorted(rows, key=lambda row: row.outcome != Outcome.PENDING)
    }
    chosen = {row.pk: row for row in list(newest.values())[:VERDICTS_OF]}
    stored = dict(Delivery.objects.filter(pk__in=chosen).values_list("pk", "verdicts"))
    projects = access.projects
    visible: dict[UUID, list[Mapping[str, Any]]] = {}
    for pk, row in chosen.items():
        if access.may(Action.SEE, row.project):
            visible[pk] = verdicts_of(stored.get(pk, ()), access)
        else:
            visible[pk] = [
                verdict for verdict in stored.get(pk, ()) if verdict["project"] in (projects or ())
            ]
    return visible


def _reduce(
    access: Access,
    rows: Sequence[Delivery],
    refreshes: Sequence[Refresh],
    verdicts: Mapping[UUID, Sequence[Mapping[str, Any]]],
) -> None:
    """Reduce deliveries to cluster receivers to what concerns the user's projects."""
    if access.may(Action.SEE, CLUSTER_SCOPE):
        return
    for row in rows:
        if row.project == CLUSTER_SCOPE:
            own = [refresh for refresh in refreshes if refresh.delivery_id == row.pk]
            reason = next((verdict["reason"] for verdict in verdicts.get(row.pk, ())), NO_MATCH)
            reduce(row, own, reason)
            reduce_request(row)


def _each_once(verdicts: Iterable[Sequence[Mapping[str, Any]]]) -> tuple[Mapping[str, Any], ...]:
    """Return a verdict for each subscription: that of the receiver that got the push last."""
    by_subscription = {
        (verdict["project"], verdict["warehouse"], verdict["position"]): verdict
        for of_delivery in verdicts
        for verdict in of_delivery
    }
    return tuple(by_subscription.values())
