"""Translate a filter into query conditions: those that an index serves, and those that rows are checked against."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Final

from django.db import models
from django.db.models import Exists, OuterRef, Q, Value
from django.db.models.functions import Concat

from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.push_names import repository_spellings, tag_spellings
from receivers.models import Outcome, Refresh

SEARCHED: Final = ("repository", "tag", "project", "receiver", "pusher", "reason", "client_address", "actor")
"""Columns that free text is searched in."""

PUSH_COLUMNS: Final = ("repository", "tag", "receiver", "pusher")
"""Those of them that say nothing about other projects."""

MAY_BE_OPEN: Final = frozenset({Outcome.PENDING, Outcome.REFRESHED, Outcome.FAILED})
"""Outcomes of deliveries that may still be in progress."""


def in_time(wanted: DeliveryFilter) -> Q:
    """Return the condition that a delivery was received in the time range of the filter."""
    since = Q(received_at__gte=wanted.since) if wanted.since else Q()
    return since & Q(received_at__lte=wanted.until) if wanted.until else since


def of_outcome(outcome: Outcome) -> Q:
    """Return the condition of an outcome that an index serves: outcomes that may be open have indexes of their own."""
    return Q(outcome=outcome) if outcome in MAY_BE_OPEN else Q(outcome=outcome, ended_at__isnull=False)


def all_conditions(wanted: DeliveryFilter) -> Q:
    """Return every condition but the time range. That of the scanned index is repeated, which costs next to nothing."""
    return all_but_warehouse(wanted) & _refreshed(wanted) if wanted.warehouse else all_but_warehouse(wanted)


def all_but_warehouse(wanted: DeliveryFilter) -> Q:
    """Return `all_conditions` without the Warehouse, for deliveries that are known to have refreshed it."""
    rest = _common_conditions(wanted)
    if wanted.project is not None:
        rest &= Q(project=wanted.project)
    if wanted.outcomes:
        rest &= Q(outcome__in=sorted(wanted.outcomes))
    if wanted.seen is not None:
        rest &= Q(project__in=sorted(wanted.seen))
    return rest & _contains(wanted.text, SEARCHED) if wanted.text else rest


def conditions_of_push(wanted: DeliveryFilter) -> Q:
    """Return the conditions on what a reader of one project may know of a delivery to a cluster receiver.

    That is all but project, outcome and Warehouse.
    """
    rest = _common_conditions(wanted)
    return rest & _contains(wanted.text, PUSH_COLUMNS) if wanted.text else rest


def _common_conditions(wanted: DeliveryFilter) -> Q:
    exact = ("receiver", "kind", "origin")
    rest = Q(**{name: getattr(wanted, name) for name in exact if getattr(wanted, name)})
    if wanted.repository:
        rest &= Q(repository__in=repository_spellings(wanted.repository))
    if wanted.tag:
        rest &= Q(tag__in=tag_spellings(wanted.tag))
    if wanted.status:
        rest &= Q(status__range=wanted.status)
    if wanted.push is not None:
        rest &= Q(push_id=wanted.push)
    return rest


def _contains(text: str, columns: tuple[str, ...]) -> Q:
    """Return the condition that a row contains a text; `repo:1.2` also matches a repository and a tag together."""
    anywhere = reduce(or_, (Q(**{f"{column}__icontains": text}) for column in columns))
    repository, colon, tag = text.rpartition(":")
    return anywhere | _ends_with(repository) & _starts_with(tag) if colon else anywhere


def _ends_with(repository: str) -> Q:
    return Q(repository__iendswith=repository) | Q(repository__iendswith=f"{repository}.git")


def _starts_with(tag: str) -> Q:
    return reduce(or_, (Q(tag__istartswith=spelled) for spelled in tag_spellings(tag)))


def _refreshed(wanted: DeliveryFilter) -> Q:
    """Return the condition that a delivery refreshed the Warehouse.

    Project and Warehouse are compared as one text. Otherwise SQLite uses the index by Warehouse and reads all of its
    refreshes for each delivery, where the index by delivery has a few.
    """
    of_delivery = Refresh.objects.filter(delivery=OuterRef("pk"))
    name = wanted.warehouse[1] if wanted.warehouse else ""
    if project := project_of_warehouse(wanted):
        path = Concat("project", Value("/"), "warehouse", output_field=models.CharField())
        return Q(Exists(of_delivery.annotate(path=path).filter(path=f"{project}/{name}")))
    return Q(Exists(of_delivery.filter(warehouse=name)))


def selects_one_warehouse(wanted: DeliveryFilter) -> bool:
    """Say whether the Warehouse is the most selective field of the filter. Its refreshes have an index by time."""
    selects_tag = wanted.repository and wanted.tag
    return bool(wanted.warehouse and project_of_warehouse(wanted) and not selects_tag and wanted.push is None)


def refreshes_of_warehouse(wanted: DeliveryFilter) -> models.QuerySet[Refresh]:
    """Return the refreshes of the filter's Warehouse, or of all Warehouses of that name if it names no project."""
    project = project_of_warehouse(wanted)
    refreshes = Refresh.objects.filter(warehouse=wanted.warehouse[1] if wanted.warehouse else "")
    return refreshes.filter(project=project) if project else refreshes


def project_of_warehouse(wanted: DeliveryFilter) -> str:
    """Return the project of the filter's Warehouse; empty if it names none."""
    project = wanted.warehouse[0] if wanted.warehouse else None
    return project or wanted.project or ""
