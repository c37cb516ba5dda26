"""The delivery list: newest first, live, filtered by the parameters in the address."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access, Action
from receivers.deliveries import visibility
from receivers.deliveries.pagination import DeliveryPage, InvalidCursor
from receivers.deliveries.querysets import delivery_log
from receivers.web import live_fragments
from receivers.web.filter_form import FilterForm, tidy
from receivers.web.page_view import PageRequest, page_view

PAGE_SIZE: Final = 50  # rows; enough to find a recent delivery without a filter
EVERY: Final = "3s"  # polling interval; short enough to feel live
PART: Final = "deliveries"
NAMES_OFFERED: Final = 200  # projects suggested in the filter; more is slow on a phone


@page_view
@require_safe
def deliveries(request: PageRequest) -> HttpResponse:
    """Show a page of deliveries, or for HTMX the rows if they have changed."""
    form = FilterForm(request.GET)
    query = None if request.htmx else tidy(form, request.GET)
    if query is not None:
        return redirect(f"{reverse('deliveries')}{'?' if query else ''}{query}")
    after = request.GET.get("after", "")
    sees_all = request.access.projects is None
    try:
        page = listed(form, request.access, after)
    except InvalidCursor:
        return redirect(f"{reverse('deliveries')}?{form.query}")
    part = live_fragments.render_fragment(
        request, "deliveries/_list.html", _rows(form, page, after) | {"sees_all": sees_all}
    )
    if request.htmx.target == PART:
        return live_fragments.respond(request, part, every=EVERY)
    context = {
        "form": form,
        "part": part,
        "every": EVERY,
        "live": not after and form.wanted is not None,
        "may_redeliver": request.access.projects_with(Action.REDELIVER) != frozenset(),
        "projects": offered_projects(request),
    }
    return render(request, "deliveries/list.html", context)


def listed(form: FilterForm, access: Access, after: str, size: int = PAGE_SIZE) -> DeliveryPage:
    """Return a page of the visible deliveries that match. Raise `InvalidCursor` if `after` is not a cursor."""
    if form.wanted is None:
        return DeliveryPage(())
    wanted = visibility.limited(form.wanted, access)
    return delivery_log().page(wanted, after=after, size=size, each_push_once=form.each_push_once)


def _rows(form: FilterForm, page: DeliveryPage, after: str) -> dict[str, Any]:
    return {
        "deliveries": page.rows,
        "next": page.next,
        "looked_to": _to_the_second(page.looked_to),
        "form": form,
        "after": after,
    }


def _to_the_second(at: datetime | None) -> datetime | None:
    # It advances with every new delivery, which alone must not make the fragment look changed.
    return at.replace(microsecond=0) if at else None


def offered_projects(request: PageRequest) -> list[str]:
    """Return the names of visible projects to choose from, at most `NAMES_OFFERED`."""
    projects = request.access.projects
    if projects is None:
        projects = frozenset(project.name for project in request.runtime.cache.projects())
    return sorted(projects)[:NAMES_OFFERED]
