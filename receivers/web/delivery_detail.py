"""The page of one delivery: result, timeline, matching, request and response; and its redelivery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Action, may, require_permission
from receivers.deliveries import timeline, visibility
from receivers.deliveries.outcomes import NOT_EVALUATED
from receivers.deliveries.push_names import push_name, reference_word
from receivers.deliveries.redelivery import WORTHWHILE, NotRedeliverable, redeliver, refusal
from receivers.kargo.matching import MatchResult
from receivers.models import Delivery, Outcome
from receivers.web import live_fragments
from receivers.web.action_rows import action_rows
from receivers.web.body_difference import BodyChange, body_changes
from receivers.web.body_preview import preview
from receivers.web.curl import curl_command
from receivers.web.delivery_summary import summarize
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_rows import state_of
from receivers.web.time_zone import zone_of


@dataclass(frozen=True, slots=True)
class BodyDifference:
    """The fields of the body that differ from those of the repository's push before."""

    previous: Delivery
    changes: tuple[BodyChange, ...]


PART: Final = "story"
EVERY: Final = "2s"  # short, because the user is waiting for the result


@page_view
@require_safe
def delivery(request: PageRequest, pk: UUID) -> HttpResponse:
    """Show a delivery, or for HTMX the part that changes until all its refreshes have ended."""
    row = _visible_delivery(request, pk)
    details = visibility.details(request.access, row)
    ended = timeline.has_ended(row, details.refreshes)
    part = live_fragments.render_fragment(
        request, "deliveries/_result.html", _result(request, details) | {"ended": ended}
    )
    if request.htmx.target == PART:
        return live_fragments.respond(request, part, every=EVERY, ended=ended)
    return render(
        request, "deliveries/detail.html", _context(request, details) | {"part": part, "ended": ended}
    )


@page_view
@require_POST
def redeliver_one(request: PageRequest, pk: UUID) -> HttpResponse:
    """Redeliver a delivery and redirect to the new one, or show why that is impossible."""
    row = _visible_delivery(request, pk)
    require_permission(request, Action.REDELIVER, row.project)
    try:
        new = redeliver(row, request.user.get_username())
    except NotRedeliverable as error:
        messages.error(request, f"This delivery can't be redelivered: {error}.")
        return redirect(row)
    audit.record_about(request, Action.REDELIVER, row, f"as {new.pk}")
    messages.success(request, "Redelivered to the current Warehouses. This is the new delivery.")
    return redirect(new)


def _visible_delivery(request: PageRequest, pk: UUID) -> Delivery:
    row = visibility.find(request.access, pk)
    if row is None:
        raise Http404
    return row


def _result(request: PageRequest, details: visibility.DeliveryDetails) -> dict[str, Any]:
    row = details.delivery
    timelines = [timeline.refresh_timeline(refresh, row.received_at) for refresh in details.refreshes]
    return {
        "delivery": row,
        "details": details,
        "name": _name(row),
        "reference": reference_word(row),
        "state": state_of(row),
        "summary": summarize(row, details.refreshes, zone_of(request)),
        "beginning": timeline.request_timeline(row),
        "timelines": timelines,
        "left_out": max(0, row.warehouses - len(timelines)),
        "not_evaluated": row.outcome in NOT_EVALUATED,
        "verdicts": details.verdicts,
        "several_projects": not row.project,
        "actions": action_rows(row),
        "matches": sum(verdict["result"] == MatchResult.MATCH for verdict in details.verdicts),
        "body": preview(row),
        "curl": curl_command(row),
        "difference": None if details.reduced else _difference(request, row),
    }


def _context(request: PageRequest, details: visibility.DeliveryDetails) -> dict[str, Any]:
    row = details.delivery
    return {
        "delivery": row,
        "name": _name(row),
        "details": details,
        "curl": curl_command(row),
        "may_redeliver": may(request.user, Action.REDELIVER, row.project),
        # A pending delivery has usually ended by the time the user presses the button.
        "refusal": "" if row.outcome == Outcome.PENDING else refusal(row),
        "helps": row.outcome in WORTHWHILE and all(refresh.outcome for refresh in details.refreshes),
    }


def _name(row: Delivery) -> str:
    return push_name(row.repository, row.tag) if row.repository else ""


def _difference(request: PageRequest, row: Delivery) -> BodyDifference | None:
    previous = visibility.previous_of_repository(request.access, row) if row.stored_bytes else None
    changes = body_changes(previous.body, row.body) if previous else None
    return BodyDifference(previous, tuple(changes)) if previous and changes is not None else None
