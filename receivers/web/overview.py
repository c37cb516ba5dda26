"""The overview: whether all is well, the figures, what needs action, and the last failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from receivers.cluster.cache import ClusterCache
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.outcomes import Tone, headline_of, tone
from receivers.deliveries.push_names import request_name
from receivers.deliveries.querysets import delivery_log
from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity
from receivers.health.provider_pages import PROVIDERS
from receivers.health.report import HealthReport
from receivers.kargo.coverage import is_official_image, kinds_of_provider
from receivers.kargo.scopes import scope_name
from receivers.models import Delivery, Origin, Outcome, ReceiverUrl
from receivers.web import live_fragments
from receivers.web.delivery_summary import sentence
from receivers.web.figure_view import FigureView, figure_view, open_problems
from receivers.web.finding_rows import subject_url
from receivers.web.links import push_url, pushes_url, receiver_page_url
from receivers.web.page_view import PageRequest, page_view

EVERY: Final = "5s"
PROBLEMS_SHOWN: Final = 5  # causes; *Needs action* has all of them
FAILURES_SHOWN: Final = 5
WAITING_SHOWN: Final = 5
BAD: Final = frozenset(outcome for outcome in Outcome if tone(outcome) is Tone.BAD)

JOURNEY: Final = (
    {"kind": "Docker Hub", "who": "example/repo:1.2.3", "what": "pushed by your CI"},
    {"kind": "Receiver", "who": "kargo-demo/dockerhub", "what": "saved, then answered"},
    {"kind": "Warehouse", "who": "example", "what": "refreshed within milliseconds"},
    {"kind": "Freight", "who": "calm-lemur", "what": "created by Kargo"},
    {"kind": "Stages", "who": "test, uat, prod", "what": "promoted by Kargo"},
)
"""An example of what a push goes through."""


@dataclass(frozen=True, slots=True)
class HealthLine:
    """The answer of the page: a sentence, and the icon and color that go with it."""

    tone: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the user may see of the cluster, and the last push."""

    objects: str
    sync: str
    last: Delivery | None


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A cause that needs action; `others` counts the further findings with the same cause."""

    finding: Finding
    key: str
    url: str
    tone: Tone
    others: int

    @property
    def title(self) -> str:
        """Return the title of the check and the name of the subject."""
        return f"{self.finding.check.label}, {self.finding.name}"


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A push that failed."""

    url: str
    repository: str
    tag: str
    headline: str
    reason: str
    kind: str
    receiver: str
    at: datetime


@dataclass(frozen=True, slots=True)
class WaitingRow:
    """A receiver without a push. `kind` is empty if the receiver is gone."""

    kind: str
    name: str
    url: str
    repositories: str


@page_view
@require_safe
def overview(request: PageRequest) -> HttpResponse:
    """Show the overview, or the way to the first push; for HTMX its content if it has changed."""
    report = request.runtime.health.report()
    last = _last_push(request)
    figures = figure_view(request)
    context = _context(request, report, figures, last)
    first_start = last is None and not figures.pushes and _is_new(request)
    name = "_first_start" if first_start else "_overview"
    part = live_fragments.render_fragment(request, f"overview/{name}.html", context)
    if request.htmx.target == "overview":
        return live_fragments.respond(request, part, every=EVERY)
    page = "first_start" if first_start else "overview"
    return render(request, f"overview/{page}.html", {"part": part, "every": EVERY})


def _context(
    request: PageRequest, report: HealthReport, figures: FigureView, last: Delivery | None
) -> dict[str, Any]:
    visible, cache = request.access.projects, request.runtime.cache
    problems = open_problems(report, visible)
    open_, muted = report.open_and_muted(visible)
    causes = Counter(finding.mute_key for finding in open_)
    waiting = [finding for finding in (*open_, *muted) if finding.check is Check.NO_PUSH_YET]
    return {
        "health": health_line(problems, ready=cache.ready, current=cache.is_current),
        "facts": _facts(request, last),
        "figures": figures,
        "problems": [_problem_row(finding, causes) for finding in problems[:PROBLEMS_SHOWN]],
        "problems_count": len(problems),
        "muted": len({finding.mute_key for finding in muted}),
        "failures": _failures(request),
        "failures_url": pushes_url(outcome=Tone.BAD.value),
        "waiting": [_waiting_row(finding, cache) for finding in waiting[:WAITING_SHOWN]],
        "waiting_count": len(waiting),
        "waiting_more": -WAITING_SHOWN,
        "ready": cache.ready,
        "stops": JOURNEY,
        "receivers": waiting,
        "new_receiver_url": reverse("new-receiver"),
    }


def health_line(problems: Sequence[Finding], *, ready: bool, current: bool) -> HealthLine:
    """Return the sentence on the health of what a user sees.

    `ready` says whether the cluster was read, and `current` whether what was read is still in sync with it. If not,
    the line cannot say that all is well.
    """
    if not ready:
        return HealthLine("open", "The cluster is being read. Deliveries are complete.")
    if not problems and not current:
        return HealthLine("open", "kargoweb is not in sync with the cluster.")
    if not problems:
        return HealthLine("good", "All is well.")
    count = "1 problem needs" if len(problems) == 1 else f"{len(problems)} problems need"
    urgent = any(finding.severity is Severity.URGENT for finding in problems)
    others = "Everything else is healthy." if current else "kargoweb is not in sync with the cluster."
    return HealthLine("bad" if urgent else "open", f"{count} action. {others}")


def _facts(request: PageRequest, last: Delivery | None) -> Facts:
    visible, cache = request.access.projects, request.runtime.cache
    projects = {project.name for project in cache.projects() if visible is None or project.name in visible}
    receivers = sum(
        len(config.receivers) for config in cache.configs() if visible is None or config.project in visible
    )
    warehouses = sum(visible is None or warehouse.project in visible for warehouse in cache.warehouses())
    objects = (
        f"{_counted(receivers, 'receiver')} and {_counted(warehouses, 'Warehouse')}"
        f" in {_counted(len(projects), 'project')}"
    )
    return Facts(
        objects, "In sync with the cluster" if cache.is_current else "Not in sync with the cluster", last
    )


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _problem_row(finding: Finding, causes: Counter[str]) -> ProblemRow:
    return ProblemRow(
        finding,
        finding.key,
        subject_url(finding),
        Tone.BAD if finding.severity is Severity.URGENT else Tone.OPEN,
        causes[finding.mute_key] - 1,
    )


def _last_push(request: PageRequest) -> Delivery | None:
    wanted = DeliveryFilter(origin=Origin.PUSH, seen=request.access.projects)
    page = delivery_log().page(wanted, size=1, each_push_once=False)
    return next(iter(page.rows), None)


def _failures(request: PageRequest) -> list[FailureRow]:
    wanted = DeliveryFilter(outcomes=BAD, origin=Origin.PUSH, seen=request.access.projects)
    return [_failure(row) for row in delivery_log().page(wanted, size=FAILURES_SHOWN).rows]


def _failure(row: Delivery) -> FailureRow:
    repository, tag = request_name(row)
    return FailureRow(
        push_url(row.push_id) if row.push_id else row.get_absolute_url(),
        repository,
        tag,
        headline_of(row),
        sentence(row.reason),
        row.kind,
        row.receiver_name,
        row.received_at,
    )


def _waiting_row(finding: Finding, cache: ClusterCache) -> WaitingRow:
    config = cache.config(finding.project)
    kinds = {receiver.name: receiver.kind for receiver in config.receivers} if config else {}
    kind = kinds.get(finding.name, "")
    return WaitingRow(
        kind,
        f"{scope_name(finding.project)}/{finding.name}",
        receiver_page_url(finding.project, finding.name),
        _to_register(finding.project, kind, cache),
    )


def _to_register(project: str, kind: str, cache: ClusterCache) -> str:
    """Return where the URL of a receiver is to be registered."""
    if kind == "generic":
        return "Its actions select what to refresh."
    repositories = {
        subscription.repository
        for warehouse in cache.warehouses(project or None)
        for subscription in warehouse.subscriptions
        if kind in kinds_of_provider(subscription) and not is_official_image(subscription)
    }
    if not repositories:
        where = f"in {project}" if project else "in any project"
        provider = PROVIDERS[kind].name if kind in PROVIDERS else kind
        return f"No Warehouse {where} subscribes to a {provider} repository."
    count = len(repositories)
    return f"{count} {'repository' if count == 1 else 'repositories'} to register."


def _is_new(request: PageRequest) -> bool:
    """Say whether nothing is known of earlier receivers: with some, their history is more useful than a welcome."""
    visible = request.access.projects
    urls = ReceiverUrl.objects.all() if visible is None else ReceiverUrl.objects.filter(project__in=visible)
    return not urls.filter(retired_at__isnull=False).exists()
