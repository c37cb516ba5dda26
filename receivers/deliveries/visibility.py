"""Deliveries as somebody may see them: what the pages and the API show, and what they keep from whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from receivers.accounts.roles import Access, Action
from receivers.deliveries.bounded_scan import NEWEST_FIRST
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.querysets import delivery_log
from receivers.kargo.matching import MatchResult
from receivers.models import Delivery, Refresh

REFRESHES_TOLD: Final = 200  # of one delivery; more Warehouses than anybody reads about
RELATED_TOLD: Final = 20  # redeliveries, and deliveries of the same push; the list has all of them


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """A delivery and all that belongs to it, as far as it may be seen. Lists are bounded.

    `alike` are the other deliveries of the same push, newest first.
    """

    delivery: Delivery
    refreshes: Sequence[Refresh]
    verdicts: Sequence[Mapping[str, Any]]
    redeliveries: Sequence[Delivery]
    alike: Sequence[Delivery]


def limited(wanted: DeliveryFilter, access: Access, action: Action = Action.SEE) -> DeliveryFilter:
    """Return the filter, limited to the projects in which somebody may do something."""
    return replace(wanted, seen=access.projects_with(action))


def find(access: Access, pk: UUID) -> Delivery | None:
    """Return a delivery, None if there is none or it may not be seen. One query."""
    delivery = Delivery.objects.filter(pk=pk).first()
    return delivery if delivery is not None and access.may(Action.SEE, delivery.project) else None


def refreshes_of(delivery: Delivery) -> list[Refresh]:
    """Return the refreshes of a delivery, `REFRESHES_TOLD` at most. One query."""
    return list(delivery.refreshes.order_by("id")[:REFRESHES_TOLD])


def verdicts_of(verdicts: Iterable[Mapping[str, Any]], access: Access) -> list[Mapping[str, Any]]:
    """Return the verdicts without the hints at Warehouses of projects that somebody may not see."""
    return [
        one
        for one in verdicts
        if one["result"] != MatchResult.OUT_OF_SCOPE or access.may(Action.SEE, one["project"])
    ]


def everything(access: Access, delivery: Delivery) -> DeliveryDetails:
    """Return all about a delivery that may be seen. Three queries.

    Deliveries of one push, and those sent again, are to one receiver: who sees one of them sees all.
    """
    again = delivery_log().narrow().filter(original=delivery).order_by(*NEWEST_FIRST)[:RELATED_TOLD]
    alike = delivery_log().filter(push_id=delivery.push_id or delivery.pk).exclude(pk=delivery.pk)
    return DeliveryDetails(
        delivery,
        refreshes_of(delivery),
        verdicts_of(delivery.verdicts, access),
        list(again),
        list(alike.narrow().order_by(*NEWEST_FIRST)[:RELATED_TOLD]),
    )
