"""The page of a push: what Docker Hub announced once, from there to the last Stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final
from uuid import UUID

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_safe

from receivers.accounts.access import Action, may
from receivers.cluster.stage_watch import StageWatch
from receivers.deliveries import timeline
from receivers.deliveries.outcomes import NOT_EVALUATED, label
from receivers.deliveries.push_names import changed_files, push_name, reference_word, what_was_pushed
from receivers.deliveries.push_record import EarlierPush, PushRecord, find_push, newest_push, other_pushes
from receivers.deliveries.redelivery import refusal
from receivers.deliveries.stored_names import stored_artifacts
from receivers.deliveries.timeline import RefreshTimeline
from receivers.kargo.matching import MatchResult
from receivers.kargo.stage_states import StageState
from receivers.models import Delivery, Origin, Outcome, Refresh
from receivers.web import kargo_links, live_fragments
from receivers.web.journey import journey
from receivers.web.page_view import PageRequest, page_view
from receivers.web.phrases import Part, Phrase, listed, phrase
from receivers.web.push_results import PushResults, push_results
from receivers.web.push_rows import State, reason_of, state_of
from receivers.web.push_story import open_issues, push_sentence
from receivers.web.time_zone import zone_of
from receivers.web.way_out import ways_out

PART: Final = "push"
EVERY: Final = "2s"  # short, because people watch their push on its way
DELIVERIES_SHOWN: Final = 25  # the newest; the list has all of them
VERDICTS_SHOWN: Final = 50  # more than a person reads
RETRIES_SHOWN: Final = 4  # Warehouses
HISTORY_FOLLOWED: Final = 4  # other pushes of a tag of which the page says in which Stages they are or were
MOST_SPLITS: Final = 8  # readings of an address in which it isn't clear where the repository ends
LONG_SENTENCE: Final = 160  # characters from which on the sentence is set in smaller type
REGISTRY_PREFIX: Final = "docker.io/"


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """A delivery in the table of the page."""

    row: Delivery
    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """Another push of the same tag. `where` says in which Stages its Freight is or was, after a comma."""

    push: EarlierPush
    outcome: str
    where: Phrase
    is_later: bool


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
    name = push_name(record.first.repository, record.first.tag)
    return render(
        request, "pushes/detail.html", {"record": record, "name": name, "part": part, "ended": ended}
    )


@page_view
@require_safe
def push_by_name(request: PageRequest, repository: str, tag: str) -> HttpResponse:
    """Redirect to the newest push of a tag that the user may see."""
    readings = _readings(f"{repository}/{tag}")
    newest = newest_push(
        request.access, (stored for named in readings for stored in stored_artifacts(*named))
    )
    if newest is None:
        raise Http404
    return redirect("push", newest)


def _readings(path: str) -> list[tuple[str, str]]:
    """Return (repository, tag) for each way to read a path: a repository has slashes, and a tag could have some."""
    parts = path.removeprefix(REGISTRY_PREFIX).split("/")
    splits = range(len(parts) - 1, 0, -1)[:MOST_SPLITS]
    return [("/".join(parts[:at]), "/".join(parts[at:])) for at in splits]


def _belongs_to(request: PageRequest, record: PushRecord) -> HttpResponseRedirect | None:
    """Return a redirect if this isn't a push: a redelivery to its original, others to their delivery."""
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
    if results.follows_stages and not all(result.deleted for result in results.with_freight):
        return False
    return all(timeline.has_ended(row, ()) for row in record.deliveries) and all(
        refresh.outcome for refresh in record.refreshes
    )


def _content(request: PageRequest, record: PushRecord, results: PushResults) -> dict[str, Any]:
    zone = zone_of(request)
    decisive, first = record.decisive, record.first
    digests = dict.fromkeys(refresh.digest for refresh in reversed(record.refreshes) if refresh.digest)
    issues = open_issues(results)
    sentence = push_sentence(record, results, zone)
    history = _history(request, record)
    return {
        "record": record,
        "first": first,
        "decisive": decisive,
        "sentence": sentence,
        "is_long": sum(len(piece.text) for piece in sentence) > LONG_SENTENCE,
        "results": results,
        "digest": next(iter(digests), ""),
        "journey": journey(request.access, record, results),
        "issues": issues,
        "issues_title": _issues_title(results),
        "ways_out": ways_out(request.access, record, request.runtime.cache),
        "results_pending": any(not each.looked for each in results.shown)
        or any(each.journey is not None and not each.journey.complete for each in results.shown),
        "left_out": max(0, len(record.deliveries) - DELIVERIES_SHOWN),
        "deliveries": [_line(row, record, zone) for row in record.deliveries[-DELIVERIES_SHOWN:]],
        "verdicts": _verdicts(record),
        "all_verdicts": len(record.verdicts),
        "matches": sum(verdict["result"] == MatchResult.MATCH for verdict in record.verdicts),
        "not_evaluated": decisive.outcome in NOT_EVALUATED,
        "several_projects": len({verdict["project"] for verdict in record.verdicts}) > 1,
        "retries": _retries(results),
        "history": history,
        "pushed_again": next((line.push for line in history if line.is_later), None),
        "reference": reference_word(first),
        "what": what_was_pushed(first),
        "changed_files": changed_files(first),
        "pushed_url": kargo_links.pushed_url(
            first.kind, first.repository, first.tag, str(first.details.get("commit", ""))
        ),
        "kargo": _kargo_url(results),
        "link": request.build_absolute_uri(reverse("push", args=[record.push_id])),
        "may_redeliver": _may_redeliver(request, decisive),
        "live": not _has_ended(record, results),
    }


def _issues_title(results: PushResults) -> str:
    if any(result.has_stages for result in results.shown):
        return "Not in production yet"
    return "No Freight yet" if any(result.is_open for result in results.shown) else "Why there is no Freight"


def _verdicts(record: PushRecord) -> list[Mapping[str, Any]]:
    """Return the most informative verdicts."""
    order = {result.value: place for place, result in enumerate(MatchResult)}
    return sorted(record.verdicts, key=lambda verdict: order[verdict["result"]])[:VERDICTS_SHOWN]


def _line(row: Delivery, record: PushRecord, zone: tzinfo) -> DeliveryLine:
    own = [refresh for refresh in record.refreshes if refresh.delivery_id == row.pk]
    return DeliveryLine(row, state_of(row), reason_of(row, own, zone))


def _retries(results: PushResults) -> list[RefreshTimeline]:
    """Return the timelines of Warehouses whose refresh was retried or will be: of the delivery with most attempts."""
    longest = (max(result.attempts, key=lambda refresh: refresh.attempts) for result in results.shown)
    retried = [
        refresh
        for refresh in longest
        if refresh.next_attempt_at or refresh.failed_requests or refresh.attempts > 1 or refresh.retries
    ]
    return [
        timeline.refresh_timeline(refresh, refresh.requested_at or timezone.now())
        for refresh in retried[:RETRIES_SHOWN]
    ]


def _history(request: PageRequest, record: PushRecord) -> list[HistoryLine]:
    stages = request.runtime.stages
    lines = []
    for number, other in enumerate(other_pushes(request.access, record)):
        where = phrase()
        if stages is not None and number < HISTORY_FOLLOWED:
            where = _where(stages, other.freight)
        is_later = other.received_at > record.first.received_at
        lines.append(HistoryLine(other, label(other.outcome), where, is_later))
    return lines


def _where(stages: StageWatch, refreshes: Sequence[Refresh]) -> Phrase:
    """Return in which Stages the Freight of an earlier push is or was, as far as that is in memory."""
    known = [
        refresh
        for refresh in refreshes
        if stages.freight_by_alias_or_name(refresh.freight, [refresh.project], most=1)
    ]
    journeys = [stages.journey(refresh.project, refresh.warehouse, refresh.freight) for refresh in known]
    nodes = [node for journey in journeys if journey for node in journey.nodes]
    live = [node.name for node in nodes if node.progress.is_live]
    parts: list[Part] = ["live in " + listed(live, "and")] if live else []
    for node in nodes:
        if node.progress.state is StageState.REPLACED:
            until = phrase(" until ", node.progress.until) if node.progress.until else phrase()
            parts.append(phrase(f"in {node.name}", until))
    return phrase(*(piece for part in parts for piece in (", ", part)))


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
