"""The page of a push: what Docker Hub announced once, from there to the last Stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from receivers.accounts.access import Action, may
from receivers.deliveries import timeline
from receivers.deliveries.outcomes import NOT_EVALUATED, label
from receivers.deliveries.push_record import EarlierPush, PushRecord, find_push, newest_push, other_pushes
from receivers.deliveries.redelivery import refusal
from receivers.deliveries.timeline import RefreshTimeline
from receivers.kargo.matching import MatchResult
from receivers.models import Delivery, Origin, Outcome, Refresh
from receivers.web import kargo_links, live_fragments
from receivers.web.delivery_summary import sentence as to_sentence
from receivers.web.journey import journey
from receivers.web.page_view import PageRequest, page_view
from receivers.web.push_results import PushResults, push_results
from receivers.web.push_rows import State, state_of
from receivers.web.push_story import open_issues, push_sentence
from receivers.web.time_zone import zone_of
from receivers.web.way_out import ways_out

PART: Final = "push"
EVERY: Final = "2s"  # short, because people watch their push on its way
RETRIES_SHOWN: Final = 4  # Warehouses
MOST_SPLITS: Final = 8  # readings of an address in which it isn't clear where the repository ends
REGISTRY_PREFIX: Final = "docker.io/"


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """A delivery in the table of the page."""

    row: Delivery
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """Another push of the same tag. `stages` has the names of the Stages that hold its Freight now."""

    push: EarlierPush
    outcome: str
    freight: tuple[Refresh, ...]
    stages: tuple[str, ...]


@page_view
@require_safe
def push(request: PageRequest, push_id: UUID) -> HttpResponse:
    """Show a push, or for HTMX all of it if something has changed."""
    record = find_push(request.access, push_id)
    if record is None:
        raise Http404
    if (elsewhere := _belongs_to(request, record)) is not None:
        return elsewhere
    stages = request.runtime.stages
    results = push_results(record, stages)
    part = live_fragments.render_fragment(request, "pushes/_push.html", _content(request, record, results))
    ended = _has_ended(record, results)
    if request.htmx.target == PART:
        return live_fragments.respond(request, part, every=EVERY, ended=ended)
    name = f"{record.first.repository}:{record.first.tag}" if record.first.tag else record.first.repository
    return render(
        request, "pushes/detail.html", {"record": record, "name": name, "part": part, "ended": ended}
    )


@page_view
@require_safe
def push_by_name(request: PageRequest, repository: str, tag: str) -> HttpResponse:
    """Redirect to the newest push of a tag that the user may see."""
    found = newest_push(request.access, _readings(f"{repository}/{tag}"))
    if found is None:
        raise Http404
    return redirect("push", found)


def _readings(path: str) -> list[tuple[str, str]]:
    """Return (repository, tag) for each way to read a path: a repository has slashes, and a tag could have some."""
    parts = path.removeprefix(REGISTRY_PREFIX).split("/")
    splits = range(len(parts) - 1, 0, -1)[:MOST_SPLITS]
    return [("/".join(parts[:at]), "/".join(parts[at:])) for at in splits]


def _belongs_to(request: PageRequest, record: PushRecord) -> HttpResponseRedirect | None:
    """Return a redirect if this is no push: a redelivery belongs to its original, the rest has a page as a delivery."""
    first = record.first
    if not first.repository:
        return redirect(first)
    if first.origin == Origin.REDELIVERY and first.original_id:
        original = Delivery.objects.filter(pk=first.original_id).only("push_id", "project").first()
        if original and original.push_id and original.project == first.project:
            return redirect("push", original.push_id)
    return None


def _has_ended(record: PushRecord, results: PushResults) -> bool:
    """Say whether nothing more will happen: without Stages to follow, once the refreshes have ended."""
    if results.follows_stages and results.with_freight:
        return False
    return all(timeline.has_ended(row, ()) for row in record.deliveries) and all(
        refresh.outcome for refresh in record.refreshes
    )


def _content(request: PageRequest, record: PushRecord, results: PushResults) -> dict[str, Any]:
    zone = zone_of(request)
    decisive, first = record.decisive, record.first
    digests = dict.fromkeys(refresh.digest for refresh in reversed(record.refreshes) if refresh.digest)
    issues = open_issues(results)
    history = other_pushes(request.access, record)
    return {
        "record": record,
        "first": first,
        "decisive": decisive,
        "sentence": push_sentence(record, results, zone),
        "results": results,
        "digest": next(iter(digests), ""),
        "journey": journey(request.access, record, results),
        "issues": issues,
        "issues_title": _issues_title(results),
        "ways_out": ways_out(request.access, record, request.runtime.cache),
        "deliveries": [DeliveryLine(row, state_of(row), _reason(row, record)) for row in record.deliveries],
        "verdicts": record.verdicts,
        "matches": sum(verdict["result"] == MatchResult.MATCH for verdict in record.verdicts),
        "not_evaluated": decisive.outcome in NOT_EVALUATED,
        "several_projects": len({verdict["project"] for verdict in record.verdicts}) > 1,
        "retries": _retries(results),
        "history": _history(request, history),
        "docker_hub": kargo_links.docker_hub_url(first.repository, first.tag),
        "kargo": _kargo_url(results),
        "link": request.build_absolute_uri(reverse("push", args=[record.push_id])),
        "may_redeliver": _may_redeliver(request, decisive),
        "live": not _has_ended(record, results),
    }


def _issues_title(results: PushResults) -> str:
    if any(result.has_stages for result in results.shown):
        return "Not in production yet"
    return "No Freight yet" if any(result.is_open for result in results.shown) else "Why there is no Freight"


def _reason(row: Delivery, record: PushRecord) -> str:
    """Return why a delivery has its outcome."""
    if row.reason:
        # With several Warehouses, it starts with the name of one.
        return row.reason if row.warehouses > 1 else to_sentence(row.reason)
    own = (refresh for refresh in record.refreshes if refresh.delivery_id == row.pk)
    return to_sentence(next((refresh.reason for refresh in own if refresh.outcome == row.outcome), ""))


def _retries(results: PushResults) -> list[RefreshTimeline]:
    """Return the timelines of refreshes that were retried, or will be."""
    retried = [
        attempt
        for result in results.shown
        for attempt in result.attempts
        if attempt.next_attempt_at or attempt.failed_requests or attempt.attempts > 1 or attempt.retries
    ]
    return [
        timeline.refresh_timeline(refresh, refresh.requested_at or timezone.now())
        for refresh in retried[:RETRIES_SHOWN]
    ]


def _history(request: PageRequest, pushes: Sequence[EarlierPush]) -> list[HistoryLine]:
    stages = request.runtime.stages
    lines = []
    for other in pushes:
        names: list[str] = []
        if stages is not None:
            for refresh in other.freight:
                names += stages.where_is(refresh.project, [refresh.freight]).get(refresh.freight, ())
        lines.append(HistoryLine(other, label(other.outcome), other.freight, tuple(dict.fromkeys(names))))
    return lines


def _kargo_url(results: PushResults) -> str:
    """Return the address in Kargo's UI: of the Freight if there is one, of the project if there is one."""
    freight = results.with_freight
    if len(freight) == 1:
        return kargo_links.freight_url(freight[0].project, freight[0].refresh.freight)
    projects = {result.project for result in results.shown}
    return kargo_links.project_url(projects.pop()) if len(projects) == 1 else ""


def _may_redeliver(request: HttpRequest, row: Delivery) -> bool:
    return (
        row.outcome != Outcome.PENDING
        and may(request.user, Action.REDELIVER, row.project)
        and not refusal(row)
    )
