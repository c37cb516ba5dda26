"""One delivery: what came of it and why, all about it, and sending it again. Its address is there to be shared."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Action, may, page_view, require_permission
from receivers.deliveries import timeline, visibility
from receivers.deliveries.redelivery import NotRedeliverable, redeliver, refusal
from receivers.kargo.matching import MatchResult
from receivers.models import Delivery, Outcome
from receivers.web import live_fragments
from receivers.web.body_preview import shown
from receivers.web.delivery_summary import answered

PART: Final = "story"
EVERY: Final = "2s"  # somebody waits for it


@page_view
@require_safe
def delivery(request: Any, pk: UUID) -> HttpResponse:
    """Show a delivery; for HTMX only what changes until its story has ended."""
    found = _found(request, pk)
    told = visibility.details(request.access, found)
    ended = timeline.has_ended(found, told.refreshes)
    part = live_fragments.render_fragment(request, "deliveries/_result.html", _story(told))
    if request.htmx.target == PART:
        return live_fragments.respond(request, part, every=EVERY, ended=ended)
    return render(request, "deliveries/detail.html", _context(request, told) | {"part": part, "ended": ended})


@page_view
@require_POST
def again(request: Any, pk: UUID) -> HttpResponse:
    """Have a delivery sent again and lead to the new one; say why where that cannot be."""
    found = _found(request, pk)
    require_permission(request, Action.REDELIVER, found.project)
    try:
        new = redeliver(found, request.user.get_username())
    except NotRedeliverable as error:
        messages.error(request, f"This delivery cannot be sent again: {error}.")
        return redirect("delivery", pk)
    audit.record_about(request, Action.REDELIVER, found, f"as {new.pk}")
    messages.success(request, "Sent again, to the Warehouses that there are today. This is the new delivery.")
    return redirect("delivery", new.pk)


def _found(request: Any, pk: UUID) -> Delivery:
    found = visibility.find(request.access, pk)
    if found is None:
        raise Http404
    return found


def _story(told: visibility.DeliveryDetails) -> dict[str, Any]:
    found = told.delivery
    lines = [timeline.line(one, found.received_at) for one in told.refreshes]
    return {
        "delivery": found,
        "answered": answered(found, told.refreshes),
        "beginning": timeline.beginning(found),
        "lines": lines,
        "left_out": max(0, found.warehouses - len(lines)),
        "verdicts": told.verdicts,
        "matches": sum(one["result"] == MatchResult.MATCH for one in told.verdicts),
    }


def _context(request: Any, told: visibility.DeliveryDetails) -> dict[str, Any]:
    found = told.delivery
    return {
        "delivery": found,
        "told": told,
        "body": shown(bytes(found.body), found.outcome),
        "may_redeliver": may(request.user, Action.REDELIVER, found.project),
        # What is still being worked on has ended by the time somebody presses.
        "refusal": "" if found.outcome == Outcome.PENDING else refusal(found, len(found.body)),
        "link": request.build_absolute_uri(),
    }
