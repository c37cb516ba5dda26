"""The list of deliveries: newest first, live, filtered by the parameters in the address."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access
from receivers.deliveries import visibility
from receivers.deliveries.cluster_pushes import reduced_projects
from receivers.deliveries.delivery_page import DeliveryPage
from receivers.deliveries.pushes import PushCount, refreshes_by_delivery
from receivers.deliveries.querysets import delivery_log
from receivers.models import Delivery
from receivers.web import list_page
from receivers.web.filter_form import FilterForm
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_rows import DeliveryRow, delivery_row
from receivers.web.time_zone import zone_of

PAGE_SIZE: Final = list_page.PAGE_SIZE


@page_view
@require_safe
def deliveries(request: PageRequest) -> HttpResponse:
    """Show a page of deliveries, or for HTMX the rows if they have changed."""
    return list_page.respond(request, list_page.DELIVERIES, lambda form, after: _rows(request, form, after))


def listed(form: FilterForm, access: Access, after: str, size: int = PAGE_SIZE) -> DeliveryPage:
    """Return a page of the visible deliveries that match. Raise `InvalidCursor` if `after` is not a cursor."""
    if form.wanted is None:
        return DeliveryPage(())
    wanted = visibility.limited(form.wanted, access)
    return delivery_log().page(wanted, after=after, size=size, each_push_once=False)


def _rows(request: PageRequest, form: FilterForm, after: str) -> dict[str, Any]:
    page = listed(form, request.access, after)
    return {
        "days": list_page.by_day(request, _described(request, form, page.rows), lambda row: row.received_at),
        "next": page.next,
        "looked_to": list_page.to_the_second(page.looked_to),
        "count": _count(request, form, page, after),
    }


def _count(request: PageRequest, form: FilterForm, page: DeliveryPage, after: str) -> PushCount | None:
    if form.wanted is None:
        return None
    if page.next or after:
        return list_page.counted(form, visibility.limited(form.wanted, request.access))
    return PushCount(0, len(page.rows))


def _described(request: PageRequest, form: FilterForm, rows: tuple[Delivery, ...]) -> list[DeliveryRow]:
    if not rows or form.wanted is None:
        return []
    projects = reduced_projects(visibility.limited(form.wanted, request.access))
    refreshes = refreshes_by_delivery(rows, projects or None)
    zone = zone_of(request)
    return [delivery_row(row, refreshes.get(row.pk, ()), request.access, zone) for row in rows]
