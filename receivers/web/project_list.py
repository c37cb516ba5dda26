"""Projects: all that one may see, at one look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from receivers.accounts.access import Access, page_view
from receivers.deliveries import statistics
from receivers.models import ReceiverUrl
from receivers.ops import runtime
from receivers.web import live_fragments
from receivers.web.attention_counts import attention
from receivers.web.charts import Chart, stacked

PAGE_SIZE: Final = 50  # projects; more is slow to read, and one can search
SORTS: Final = {"name": "By name", "last": "By last delivery", "attention": "What needs attention first"}
EVERY: Final = "5s"
CHARTED: Final = "deliveries in 24 h"


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a project without asking the log. `name` is empty for the cluster receivers."""

    name: str
    receivers: tuple[str, ...]
    warehouses: int
    attention: int


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project with what the log says of it. `median` is in seconds, None if nothing became Freight."""

    summary: Summary
    chart: Chart
    median: float | None
    last: Mapping[str, Any] | None


@page_view
@require_safe
def projects(request: Any) -> HttpResponse:
    """List the projects; for HTMX only the rows, if they have changed."""
    query = request.GET.get("q", "").strip()
    sort = request.GET.get("sort", "") if request.GET.get("sort", "") in SORTS else "name"
    summaries = _sorted(_matching(_summaries(request.access), query), sort)
    shown = Paginator(summaries, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "rows": _rows(shown.object_list),
        "page": shown,
        "query": query,
        "sort": sort,
        "ready": runtime.current().cache.ready,
    }
    part = live_fragments.part(request, "projects/_list.html", context)
    if request.htmx.target == "projects":
        return live_fragments.answer(request, part, every=EVERY)
    return render(
        request, "projects/list.html", {"part": part, "every": EVERY, "query": query, "sort": sort, "sorts": SORTS}
    )


def _summaries(access: Access) -> list[Summary]:
    """Return the cluster receivers (if there are any) and the projects that may be seen, by name."""
    cache = runtime.current().cache
    configs = {config.project: config for config in cache.configs()}
    names = {project.name for project in cache.projects()} | configs.keys()
    if not cache.ready:  # the history can be read nevertheless
        names |= set(ReceiverUrl.objects.values_list("project", flat=True).distinct())
    if access.projects is not None:
        names &= access.projects
    counts = attention(access)
    return [
        Summary(
            name,
            tuple(one.name for one in configs[name].receivers) if name in configs else (),
            len(cache.warehouses(name)) if name else 0,
            counts.get(name, 0),
        )
        for name in sorted(names)
    ]


def _matching(summaries: Iterable[Summary], query: str) -> list[Summary]:
    wanted = query.lower()
    return [one for one in summaries if wanted in (one.name or "cluster receivers")]


def _sorted(summaries: list[Summary], sort: str) -> list[Summary]:
    if sort == "attention":
        return sorted(summaries, key=lambda one: -one.attention)
    if sort == "last":
        times: dict[str, float] = {}
        for (project, _), row in statistics.last_deliveries(None, _receivers(summaries)).items():
            times[project] = max(times.get(project, 0.0), row["received_at"].timestamp())
        return sorted(summaries, key=lambda one: -times.get(one.name, 0.0))
    return summaries


def _receivers(summaries: Iterable[Summary]) -> list[statistics.ReceiverKey]:
    return [(one.name, receiver) for one in summaries for receiver in one.receivers]


def _rows(summaries: Iterable[Summary]) -> list[ProjectRow]:
    """Add what the log says. Five queries at most, however many projects there are."""
    shown = list(summaries)
    names = [one.name for one in shown]
    last: dict[str, Mapping[str, Any]] = {}
    by_receiver = statistics.last_deliveries(names, _receivers(shown))
    for (project, _), row in by_receiver.items():
        if project not in last or row["received_at"] > last[project]["received_at"]:
            last[project] = row
    tones = statistics.hourly_tones(by_receiver.keys(), timezone.now())
    medians = statistics.push_to_freight(names)
    return [
        ProjectRow(one, stacked(tones.get(one.name, []), CHARTED), medians.get(one.name), last.get(one.name))
        for one in shown
    ]
