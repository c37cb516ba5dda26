"""The project list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django import forms
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access, Action
from receivers.deliveries import statistics
from receivers.deliveries.form_fields import ShortTextField
from receivers.kargo.scopes import CLUSTER_SCOPE, ReceiverKey
from receivers.models import Delivery, ReceiverUrl
from receivers.ops.runtime import Runtime
from receivers.web import live_fragments
from receivers.web.action_counts import action_counts
from receivers.web.charts import Chart, stacked
from receivers.web.page_view import PageRequest, page_view

PAGE_SIZE: Final = 50  # projects; a longer list is slow to read, and there is a search
SORTS: Final = (("name", "By name"), ("last", "By last delivery"), ("attention", "By need for action"))
EVERY: Final = "5s"
CHARTED: Final = ("delivery in 24 h", "deliveries in 24 h")


class ProjectListForm(forms.Form):
    """The search and the order of the list. An unknown order is that by name."""

    q = ShortTextField(
        label="Search",
        required=False,
        widget=forms.SearchInput(
            {"placeholder": "Search projects", "autocomplete": "off", "data-search": True}
        ),
    )
    sort = forms.ChoiceField(choices=SORTS, required=False)


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """The facts about a project that need no query. `name` is empty for the cluster receivers.

    `receivers` are their names, and `kinds` what they are, each once.
    """

    name: str
    receivers: tuple[str, ...]
    kinds: tuple[str, ...]
    warehouses: int
    action_count: int


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project with its statistics. `median` is the seconds from push to Freight, None if there was no Freight."""

    project: ProjectSummary
    chart: Chart
    median: float | None
    last: Delivery | None


@page_view
@require_safe
def projects(request: PageRequest) -> HttpResponse:
    """Show the project list, or for HTMX its rows if they have changed."""
    form = ProjectListForm(request.GET, auto_id="projects-%s")
    form.full_clean()
    query, sort = form.cleaned_data.get("q"), form.cleaned_data.get("sort", "")
    summaries = [] if query is None else _matching(project_summaries(request.runtime, request.access), query)
    shown = Paginator(_sorted(summaries, sort), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "rows": _rows(shown.object_list),
        "page": shown,
        "form": form,
        "ready": request.runtime.cache.ready,
    }
    set_up = {
        "may_set_up": request.access.projects_with(Action.TEST_FIRE) != frozenset(),
        "may_set_up_cluster": request.access.may(Action.TEST_FIRE, CLUSTER_SCOPE),
    }
    part = live_fragments.render_fragment(request, "projects/_list.html", context | set_up)
    if request.htmx.target == "projects":
        return live_fragments.respond(request, part, every=EVERY)
    return render(request, "projects/list.html", {"part": part, "every": EVERY, "form": form} | set_up)


def project_summaries(runtime: Runtime, access: Access) -> list[ProjectSummary]:
    """Return the cluster receivers (if there are any) and the visible projects, by name."""
    cache, visible = runtime.cache, access.projects
    configs = {config.project: config for config in cache.configs()}
    names = {project.name for project in cache.projects()} | configs.keys()
    if not cache.ready:  # the history is available without the cluster
        names |= set(ReceiverUrl.objects.values_list("project", flat=True).distinct())
    if visible is not None:
        names &= visible
    counts = action_counts(runtime.health, access)
    return [
        ProjectSummary(
            name,
            tuple(receiver.name for receiver in configs[name].receivers) if name in configs else (),
            tuple(sorted({receiver.kind for receiver in configs[name].receivers})) if name in configs else (),
            len(cache.warehouses(name)) if name else 0,
            counts.get(name, 0),
        )
        for name in sorted(names)
    ]


def _matching(summaries: Iterable[ProjectSummary], query: str) -> list[ProjectSummary]:
    text = query.lower()
    return [project for project in summaries if text in (project.name or "cluster receivers")]


def _sorted(summaries: list[ProjectSummary], sort: str) -> list[ProjectSummary]:
    if sort == "attention":
        return sorted(summaries, key=lambda project: -project.action_count)
    if sort == "last":
        times: dict[str, float] = {}
        for (project, _), row in statistics.last_deliveries(None, _receivers(summaries)).items():
            times[project] = max(times.get(project, 0.0), row.received_at.timestamp())
        return sorted(summaries, key=lambda project: -times.get(project.name, 0.0))
    return summaries


def _receivers(summaries: Iterable[ProjectSummary]) -> list[ReceiverKey]:
    return [(project.name, receiver) for project in summaries for receiver in project.receivers]


def _rows(summaries: Iterable[ProjectSummary]) -> list[ProjectRow]:
    """Add the statistics. Five queries at most, regardless of the number of projects."""
    shown = list(summaries)
    names = [project.name for project in shown]
    last: dict[str, Delivery] = {}
    by_receiver = statistics.last_deliveries(names, _receivers(shown))
    for (project, _), row in by_receiver.items():
        if project not in last or row.received_at > last[project].received_at:
            last[project] = row
    tones = statistics.hourly_tones(by_receiver.keys(), timezone.now())
    medians = statistics.push_to_freight(names)
    return [
        ProjectRow(
            summary,
            stacked(tones.get(summary.name, []), *CHARTED),
            medians.get(summary.name),
            last.get(summary.name),
        )
        for summary in shown
    ]
