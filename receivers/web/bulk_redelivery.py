"""Redelivery of all deliveries that match a filter: confirmation, rate and progress."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from django import forms
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Action, require_permission
from receivers.deliveries import visibility
from receivers.deliveries.filters import DeliveryFilter, read_moment
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.redelivery import HIGHEST_RATE, LOWEST_RATE, RATE, RedeliveryBatch, redeliver_all
from receivers.models import Delivery, Origin
from receivers.web import live_fragments
from receivers.web.filter_form import FilterForm
from receivers.web.page_view import PageRequest, page_view
from receivers.web.time_zone import zone_of

PART: Final = "progress"
EVERY: Final = "2s"
SHOWN: Final = 20  # deliveries listed on the confirmation page


class RateForm(forms.Form):
    """How fast to redeliver."""

    rate = forms.FloatField(
        label="Deliveries per second",
        initial=f"{RATE:g}",
        min_value=LOWEST_RATE,
        max_value=HIGHEST_RATE,
        widget=forms.TextInput({"inputmode": "decimal"}),
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"),
            f"must be a number from {LOWEST_RATE:g} to {HIGHEST_RATE:g}",
        ),
    )


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def redeliver_many(request: PageRequest) -> HttpResponse:
    """Show what would be redelivered on GET. On POST, start the redelivery and redirect to its progress."""
    sending = request.method == "POST"
    form = FilterForm(request.POST if sending else request.GET, zone_of(request))
    if form.wanted is None:
        return redirect(f"{reverse('deliveries')}?{form.query}")
    wanted = _allowed(request, form.wanted)
    rate_form = RateForm(request.POST if sending else None)
    rate = rate_form.cleaned_data["rate"] if rate_form.is_valid() else RATE
    if rate_form.is_valid():
        batch = redeliver_all(wanted, request.user.get_username(), rate=rate)
        if batch.deliveries:
            return _sent(request, form, batch, rate)
    # Deliveries that arrive after the user has read the number are not part of it.
    until = wanted.until or timezone.now()
    plan = redeliver_all(replace(wanted, until=until), "", dry_run=True)
    context = _plan(form, plan) | {
        "until": until.isoformat(),
        "rate": rate_form["rate"],
        "lasts": len(plan.originals) / rate,
    }
    return render(request, "deliveries/redeliver.html", context)


@page_view
@require_safe
def redelivered(request: PageRequest) -> HttpResponse:
    """Show the progress of a bulk redelivery, or for HTMX its counts."""
    at = _moment(request.GET.get("at", ""))
    rows = Delivery.objects.filter(received_at=at, origin=Origin.REDELIVERY)
    if request.access.projects is not None:
        rows = rows.filter(project__in=request.access.projects)
    counted = rows.values("outcome").annotate(n=Count("pk"), last=Max("due_at")).order_by("outcome")
    context = _progress(list(counted), at)
    if not context["total"]:
        raise Http404
    part = live_fragments.render_fragment(request, "deliveries/_redelivery_progress.html", context)
    if request.htmx.target == PART:
        return live_fragments.respond(request, part, every=EVERY, ended=not context["open"])
    return render(
        request, "deliveries/redelivering.html", {"part": part, "every": EVERY, "at": at, **context}
    )


def _allowed(request: PageRequest, wanted: DeliveryFilter) -> DeliveryFilter:
    """Return the filter, limited to projects in which the user may redeliver.

    Raise PermissionDenied or Http404 if there are none.
    """
    if wanted.project is not None:
        require_permission(request, Action.REDELIVER, wanted.project)
    limited = visibility.limited(wanted, request.access, Action.REDELIVER)
    if limited.seen == frozenset():
        raise PermissionDenied
    return limited


def _sent(request: PageRequest, form: FilterForm, batch: RedeliveryBatch, rate: float) -> HttpResponse:
    count = len(batch.deliveries)
    audit.record(
        request,
        Action.REDELIVER,
        project=(form.wanted.project if form.wanted else "") or "",
        detail=f"{count} at {rate:g} a second: {form.query or 'all'}",
    )
    at = batch.deliveries[0].received_at
    return redirect(f"{reverse('redelivered')}?{urlencode({'at': at.isoformat()})}")


def _plan(form: FilterForm, plan: RedeliveryBatch) -> dict[str, Any]:
    return {
        "form": form,
        "plan": plan,
        "shown": plan.originals[:SHOWN],
        "hidden": max(0, len(plan.originals) - SHOWN),
        "succeeded": sum(tone(original.outcome) is Tone.GOOD for original in plan.originals),
        "only_bad": form.replaced(outcome=Tone.BAD.value),
        "refused": Counter(reason for _, reason in plan.refused).most_common(),
    }


def _moment(text: str) -> datetime:
    try:
        return read_moment(text)
    except ValueError:
        raise Http404 from None


def _progress(counted: list[Mapping[str, Any]], at: datetime) -> dict[str, Any]:
    """Return the counts by outcome. Deliveries still waiting for their turn count as open."""
    total = sum(row["n"] for row in counted)
    left = sum(row["n"] for row in counted if tone(row["outcome"]) is Tone.OPEN)
    query = {"origin": Origin.REDELIVERY.value, "since": at.isoformat(), "until": at.isoformat()}
    link = f"{reverse('deliveries')}?{urlencode(query)}"
    return {
        "counted": [
            (row["outcome"], row["n"], f"{link}&{urlencode({'outcome': row['outcome']})}") for row in counted
        ],
        "total": total,
        "open": left,
        "done": total - left,
        "list": link,
    }
