"""What a user may see of the deliveries: the rules that the pages and the API share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from receivers.accounts.roles import Access, Action
from receivers.deliveries.bounded_scan import NEWEST_FIRST
from receivers.deliveries.cluster_pushes import NO_MATCH, concerns, reduce, reduce_request
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.matching import MatchResult
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import UNDERSTOOD, Delivery, Refresh

REFRESHES_SHOWN: Final = 200  # of one delivery; more Warehouses than a person reads about
RELATED_SHOWN: Final = 20  # redeliveries, and deliveries of the same push; the list has all of them


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """A delivery and all that belongs to it, as far as the user may see it. Lists are bounded.

    `alike` has the other deliveries of the same push to the same receiver, newest first. `reduced`: a cluster receiver
    got the delivery, and the user sees only what concerns some projects, without the request and the response.
    """

    delivery: Delivery
    refreshes: Sequence[Refresh]
    verdicts: Sequence[Mapping[str, Any]]
    redeliveries: Sequence[Delivery]
    alike: Sequence[Delivery] = ()
    reduced: bool = False


def limited(wanted: DeliveryFilter, access: Access, action: Action = Action.SEE) -> DeliveryFilter:
    """Return the filter, limited to the projects in which the user may do `action`."""
    return replace(wanted, seen=access.projects_with(action))


def find(access: Access, pk: UUID) -> Delivery | None:
    """Return a delivery; None if it doesn't exist or the user may not see it. One query, or two."""
    delivery = Delivery.objects.filter(pk=pk).first()
    if delivery is None or access.may(Action.SEE, delivery.project):
        return delivery
    visible = delivery.project == CLUSTER_SCOPE and concerns(delivery, access.projects or ())
    return delivery if visible else None


def refreshes_of(delivery: Delivery) -> list[Refresh]:
    """Return the refreshes of a delivery, `REFRESHES_SHOWN` at most. One query."""
    return list(delivery.refreshes.order_by("id")[:REFRESHES_SHOWN])


def verdicts_of(verdicts: Iterable[Mapping[str, Any]], access: Access) -> list[Mapping[str, Any]]:
    """Return the verdicts without hints at Warehouses of projects that the user may not see."""
    return [
        verdict
        for verdict in verdicts
        if verdict["result"] != MatchResult.OUT_OF_SCOPE or access.may(Action.SEE, verdict["project"])
    ]


def details(access: Access, delivery: Delivery) -> DeliveryDetails:
    """Return all about a delivery that the user may see. Three queries. Changes a reduced delivery.

    Redeliveries and `alike` have the same receiver: a user who sees one of them sees all.
    """
    if not access.may(Action.SEE, delivery.project):
        return _reduced(access, delivery)
    redeliveries = delivery_log().narrow().filter(original=delivery).order_by(*NEWEST_FIRST)[:RELATED_SHOWN]
    alike = delivery_log().alike(delivery)
    return DeliveryDetails(
        delivery,
        refreshes_of(delivery),
        verdicts_of(delivery.verdicts, access),
        list(redeliveries),
        list(alike.narrow().order_by(*NEWEST_FIRST)[:RELATED_SHOWN]),
    )


def previous_of_repository(access: Access, delivery: Delivery) -> Delivery | None:
    """Return the delivery of the repository's push before this one that the user may see whole, with its body.

    Two queries at most. Reads the last `RELATED_SHOWN` deliveries of the repository.
    """
    if not delivery.repository or delivery.push_id is None:
        return None
    log = delivery_log().filter(UNDERSTOOD, repository=delivery.repository)
    earlier = log.filter(received_at__lt=delivery.received_at).order_by("-received_at")
    columns = earlier.values_list("pk", "project", "push_id", "stored_bytes")[:RELATED_SHOWN]
    for pk, project, push_id, stored_bytes in columns:
        if push_id != delivery.push_id and stored_bytes and access.may(Action.SEE, project):
            return Delivery.objects.defer("verdicts", "headers").filter(pk=pk).first()
    return None


def _reduced(access: Access, delivery: Delivery) -> DeliveryDetails:
    """Return what concerns the user's projects of a delivery to a cluster receiver. One query."""
    projects = access.projects or ()
    refreshes = list(delivery.refreshes.filter(project__in=projects).order_by("id")[:REFRESHES_SHOWN])
    verdicts = [verdict for verdict in delivery.verdicts if verdict["project"] in projects]
    reduce(delivery, refreshes, next((verdict["reason"] for verdict in verdicts), NO_MATCH))
    reduce_request(delivery)
    delivery.headers, delivery.body, delivery.path, delivery.user_agent = [], b"", "", ""
    return DeliveryDetails(delivery, refreshes, verdicts, (), reduced=True)
