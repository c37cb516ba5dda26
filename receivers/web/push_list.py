"""The list of pushes: one row for what Docker Hub announced once, with its outcome and where it got to."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from receivers.deliveries import visibility
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.pushes import PushCount, PushPage, push_page
from receivers.web import list_page
from receivers.web.filter_form import FilterForm
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_rows import push_rows
from receivers.web.time_zone import zone_of


@page_view
@require_safe
def pushes(request: PageRequest) -> HttpResponse:
    """Show a page of pushes, or for HTMX the rows if they have changed."""
    return list_page.respond(request, list_page.PUSHES, lambda form, after: _rows(request, form, after))


def _rows(request: PageRequest, form: FilterForm, after: str) -> dict[str, Any]:
    wanted = visibility.limited(form.wanted, request.access) if form.wanted else None
    page = push_page(wanted, after=after, size=list_page.PAGE_SIZE) if wanted else PushPage(())
    rows = push_rows(page.rows, request.runtime.stages, zone_of(request))
    return {
        "days": list_page.by_day(request, rows, lambda row: row.received_at),
        "next": page.next,
        "looked_to": list_page.to_the_second(page.looked_to),
        "count": _count(form, wanted, page, after) if wanted else None,
    }


def _count(form: FilterForm, wanted: DeliveryFilter, page: PushPage, after: str) -> PushCount:
    if page.next or after:
        return list_page.counted(form, wanted)
    return PushCount(len(page.rows), sum(len(entry.deliveries) for entry in page.rows))
