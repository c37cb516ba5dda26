"""From a filter to conditions of queries: those that an index has, and those that what it gives is held against."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Final

from django.db import models
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Concat

from receivers.deliveries.filters import DeliveryFilter
from receivers.models import Outcome, Refresh

SEARCHED: Final = ("repository", "tag", "project", "receiver", "pusher", "reason", "client_address", "actor")
"""Columns in which free text is looked for."""

MAY_BE_OPEN: Final = frozenset({Outcome.PENDING, Outcome.REFRESHED, Outcome.FAILED})
"""Outcomes of deliveries that may not have ended."""


def in_time(wanted: DeliveryFilter) -> Q:
    """Return the condition that a delivery came within the filter's time."""
    since = Q(received_at__gte=wanted.since) if wanted.since else Q()
    return since & Q(received_at__lte=wanted.until) if wanted.until else since


def of_outcome(outcome: Outcome) -> Q:
    """Return the condition of an outcome, as its index has it: what may be open has one of its own."""
    return Q(outcome=outcome) if outcome in MAY_BE_OPEN else Q(outcome=outcome, ended_at__isnull=False)


def sieve(wanted: DeliveryFilter) -> Q:
    """Return all that a delivery is held against. The branch is among it, which costs next to nothing."""
    return beside_warehouse(wanted) & _asked(wanted) if wanted.warehouse else beside_warehouse(wanted)


def beside_warehouse(wanted: DeliveryFilter) -> Q:
    """Return all of it but the Warehouse, for deliveries of which it is known."""
    exact = ("receiver", "origin", "repository", "tag")
    rest = Q(**{name: getattr(wanted, name) for name in exact if getattr(wanted, name)})
    if wanted.project is not None:
        rest &= Q(project=wanted.project)
    if wanted.outcomes:
        rest &= Q(outcome__in=sorted(wanted.outcomes))
    if wanted.status:
        rest &= Q(status__range=wanted.status)
    if wanted.push is not None:
        rest &= Q(push_id=wanted.push)
    if wanted.seen is not None:
        rest &= Q(project__in=sorted(wanted.seen))
    return rest & _holds(wanted.text) if wanted.text else rest


def _holds(text: str) -> Q:
    """Return the condition that a text occurs; `repo:1.2` is looked for where its two halves are."""
    found = reduce(or_, (Q(**{f"{column}__icontains": text}) for column in SEARCHED))
    repository, colon, tag = text.rpartition(":")
    return found | Q(repository__iendswith=repository, tag__istartswith=tag) if colon else found


def _asked(wanted: DeliveryFilter) -> Q:
    """Return the condition that the Warehouse was asked to refresh for a delivery, of which the index is by delivery.

    Where the project is named it is compared as one text with the Warehouse: by itself SQLite would look through all
    refreshes of the Warehouse, for each delivery.
    """
    found = Refresh.objects.filter(delivery=OuterRef("pk"))
    name = wanted.warehouse[1] if wanted.warehouse else ""
    if project := project_of_warehouse(wanted):
        path = Concat("project", Value("/"), "warehouse", output_field=models.CharField())
        return Q(Exists(found.annotate(path=path).filter(path=f"{project}/{name}")))
    return Q(Exists(found.filter(warehouse=name)))


def is_of_one_warehouse(wanted: DeliveryFilter) -> bool:
    """Say whether the filter's Warehouse is what tells most: its refreshes have an index, in the order of time."""
    of_one_tag = wanted.repository and wanted.tag
    return bool(wanted.warehouse and project_of_warehouse(wanted) and not of_one_tag)


def refreshes(wanted: DeliveryFilter) -> models.QuerySet[Refresh]:
    """Return the refreshes of the Warehouse, or of those of this name in any project."""
    project = project_of_warehouse(wanted)
    found = Refresh.objects.filter(warehouse=wanted.warehouse[1] if wanted.warehouse else "")
    return found.filter(project=project) if project else found


def project_of_warehouse(wanted: DeliveryFilter) -> str:
    """Return the project that the filter's Warehouse is in; empty where it does not say."""
    named = wanted.warehouse[0] if wanted.warehouse else None
    return named or wanted.project or ""
