"""The deliveries: newest first, live, filtered by what stands in the address."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access, Action, page_view
from receivers.deliveries import visibility
from receivers.deliveries.pagination import DeliveryPage, InvalidCursor
from receivers.deliveries.querysets import delivery_log
from receivers.ops import runtime
from receivers.web import live_fragments
from receivers.web.filter_form import FilterForm, read_form, tidy

PAGE_SIZE: Final = 50  # rows; what somebody looks for is among them, or he filters
EVERY: Final = "3s"  # between two looks; a person who waits for a push does not notice
PART: Final = "deliveries"
NAMES_OFFERED: Final = 200  # projects that the field for one suggests; more is slow on a phone


@page_view
@require_safe
def deliveries(request: Any) -> HttpResponse:
    """List a page of deliveries; for HTMX only the rows, if they have changed."""
    query = None if request.htmx else tidy(request.GET)
    if query is not None:
        return redirect(f"{reverse('deliveries')}{'?' if query else ''}{query}")
    form = read_form(request.GET)
    after = request.GET.get("after", "")
    sees_all = request.access.projects is None
    try:
        found = listed(form, request.access, after)
    except InvalidCursor:
        return redirect(f"{reverse('deliveries')}?{form.query}")
    part = live_fragments.part(
        request, "deliveries/_list.html", _rows(form, found, after) | {"sees_all": sees_all}
    )
    if request.htmx.target == PART:
        return live_fragments.answer(request, part, every=EVERY)
    context = {
        "form": form,
        "part": part,
        "every": EVERY,
        "live": not after and form.wanted is not None,
        "may_redeliver": request.access.projects_with(Action.REDELIVER) != frozenset(),
        "projects": offered_projects(request.access),
    }
    return render(request, "deliveries/list.html", context)


def listed(form: FilterForm, access: Access, after: str, size: int = PAGE_SIZE) -> DeliveryPage:
    """Return a page of what the form asks for, as far as it may be seen. Raises `InvalidCursor`."""
    if form.wanted is None:
        return DeliveryPage(())
    wanted = visibility.limited(form.wanted, access)
    return delivery_log().page(wanted, after=after, size=size, each_push_once=not form.every)


def _rows(form: FilterForm, found: DeliveryPage, after: str) -> dict[str, Any]:
    return {
        "deliveries": found.rows,
        "next": found.next,
        "looked_to": _to_the_second(found.looked_to),
        "form": form,
        "after": after,
    }


def _to_the_second(at: datetime | None) -> datetime | None:
    # It moves on with every delivery that comes; the list has not changed because of that.
    return at.replace(microsecond=0) if at else None


def offered_projects(access: Access) -> list[str]:
    """Return names of projects for people to choose from, as far as they may be seen, `NAMES_OFFERED` at most."""
    if access.projects is not None:
        return sorted(access.projects)[:NAMES_OFFERED]
    return sorted(one.name for one in runtime.current().cache.projects())[:NAMES_OFFERED]
