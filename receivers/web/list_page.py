"""What the lists of pushes and of deliveries share: filters, views, days, and what is around the rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final, Generic, TypeVar

from django.core.cache import cache
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone

from receivers.accounts.access import Action
from receivers.deliveries.delivery_page import InvalidCursor
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.pushes import PushCount, count_pushes
from receivers.web import live_fragments, local_times
from receivers.web.filter_form import PRESETS, FilterForm, tidy
from receivers.web.page_view import PageRequest
from receivers.web.saved_views import current_view, view_tabs
from receivers.web.time_zone import zone_of

PAGE_SIZE: Final = 50  # rows; enough to find a recent one without a filter
EVERY: Final = "3s"  # polling interval; short enough to feel live

COUNT_SECONDS: Final = 15
"""A count reads more rows than a page, and a list asks for it every three seconds."""

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class ListKind:
    """One of the lists. `page` is its URL name and the id of its live part; the others are templates."""

    page: str
    title: str
    columns: str
    row: str


PUSHES: Final = ListKind("pushes", "Pushes", "pushes/_columns.html", "pushes/_row.html")
DELIVERIES: Final = ListKind("deliveries", "Deliveries", "deliveries/_columns.html", "deliveries/_row.html")


@dataclass(frozen=True, slots=True)
class Day(Generic[Row]):
    """The rows of one day in the reader's zone."""

    title: str
    rows: tuple[Row, ...]


def respond(
    request: PageRequest, kind: ListKind, rows: Callable[[FilterForm, str], dict[str, Any]]
) -> HttpResponse:
    """Return a list, or for HTMX its rows if they have changed.

    `rows` returns the context of the rows for a filter and a cursor. It may raise `InvalidCursor`.
    """
    form = FilterForm(request.GET, zone_of(request))
    query = None if request.htmx else tidy(form, request.GET)
    if query is not None:
        return redirect(_address(kind.page, query))
    after = request.GET.get("after", "")
    try:
        context = rows(form, after)
    except InvalidCursor:
        return redirect(_address(kind.page, form.query))
    context |= {
        "form": form,
        "kind": kind,
        "after": after,
        "list_url": reverse(kind.page),
        "sees_all": request.access.projects is None,
    }
    part = live_fragments.render_fragment(request, "deliveries/_list.html", context)
    if request.htmx.target == kind.page:
        return live_fragments.respond(request, part, every=EVERY)
    form.offer(request.runtime.cache, request.access)
    tabs = view_tabs(request, kind.page, form.query)
    context |= {
        "part": part,
        "every": EVERY,
        "live": not after and form.wanted is not None,
        "may_redeliver": request.access.projects_with(Action.REDELIVER) != frozenset(),
        "saved": tabs,
        "current_view": current_view(tabs),
        "presets": PRESETS,
        "lists": [
            (other.title, _address(other.page, form.query), other is kind) for other in (PUSHES, DELIVERIES)
        ],
    }
    return render(request, "deliveries/list_page.html", context)


def by_day(
    request: PageRequest, rows: Iterable[Row], received_at: Callable[[Row], datetime]
) -> list[Day[Row]]:
    """Group rows, which are sorted by time, by the day in the reader's zone."""
    zone = zone_of(request)
    today = timezone.now().astimezone(zone).date()

    def day_of(row: Row) -> date:
        return received_at(row).astimezone(zone).date()

    return [
        Day(local_times.day_title(day, today), tuple(of_day)) for day, of_day in groupby(rows, key=day_of)
    ]


def counted(form: FilterForm, wanted: DeliveryFilter) -> PushCount:
    """Return how much a filter selects, for a list with more than one page; a moment old, as the list asks often."""
    readable = sorted(wanted.seen) if wanted.seen is not None else None
    text = json.dumps([form.query, str(form.zone), readable])
    key = f"push-count-{hashlib.sha256(text.encode()).hexdigest()}"
    count: PushCount | None = cache.get(key)
    if count is None:
        count = count_pushes(wanted)
        cache.set(key, count, COUNT_SECONDS)
    return count


def to_the_second(at: datetime | None) -> datetime | None:
    """Return a time without the rest of its second.

    Where a search stopped advances with every new delivery, which alone must not make the rows look changed.
    """
    return at.replace(microsecond=0) if at else None


def _address(page: str, query: str) -> str:
    return f"{reverse(page)}{'?' if query else ''}{query}"
