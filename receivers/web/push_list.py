"""The list of pushes: one row for what Docker Hub announced once, with its outcome and where it got to."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from receivers.deliveries import visibility
from receivers.deliveries.pushes import PushPage, count_pushes, push_page
from receivers.web import list_page
from receivers.web.filter_form import FilterForm
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_rows import push_row
from receivers.web.time_zone import zone_of


@page_view
@require_safe
def pushes(request: PageRequest) -> HttpResponse:
    """Show a page of pushes, or for HTMX the rows if they have changed."""
    return list_page.respond(request, list_page.PUSHES, lambda form, after: _rows(request, form, after))


def _rows(request: PageRequest, form: FilterForm, after: str) -> dict[str, Any]:
    wanted = visibility.limited(form.wanted, request.access) if form.wanted else None
    page = push_page(wanted, after=after, size=list_page.PAGE_SIZE) if wanted else PushPage(())
    zone, stages = zone_of(request), getattr(request.runtime, "stages", None)
    rows = [push_row(entry, request.access, stages, zone) for entry in page.rows]
    return {
        "days": list_page.by_day(request, rows, lambda row: row.received_at),
        "next": page.next,
        "looked_to": list_page.to_the_second(page.looked_to),
        "count": count_pushes(wanted) if wanted else None,
    }
