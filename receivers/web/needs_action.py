"""Needs attention: all that is unhealthy, most urgent first, by check; and one finding, where it is muted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from receivers.accounts import audit
from receivers.accounts.access import Action, may, page_view, require_permission
from receivers.health import mutes
from receivers.health.checks import check_title
from receivers.health.finding import Finding, Severity
from receivers.health.report import FindingGroup, HealthReport, group_findings
from receivers.ops import runtime
from receivers.web import live_fragments
from receivers.web.finding_rows import FindingRow, finding_row

FEW: Final = (
    3  # findings of a check that are shown at once; a dead shard gives one for each of its Warehouses
)
PAGE_SIZE: Final = 50  # findings of a check that somebody wants to see all of
MUTED_SHOWN: Final = 100  # of those muted: they are muted for nobody to read them
CLUSTER: Final = "-"  # stands for the cluster in a filter; no project can have that name
EVERY: Final = "5s"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address asks for; empty means all. `check` asks for all findings of one, by pages."""

    project: str
    severity: str
    check: str

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Filters:
        """Read a query. What is unknown finds nothing, and the page says so."""
        return cls(*(asked.get(name, "").strip() for name in ("project", "severity", "check")))

    def matching(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return those that are asked for, in their order."""
        project = "" if self.project == CLUSTER else self.project
        return [
            one
            for one in findings
            if (not self.project or one.project == project)
            and (not self.severity or one.severity == self.severity)
            and (not self.check or one.check == self.check)
        ]

    @property
    def is_empty(self) -> bool:
        """Say whether all is asked for."""
        return not (self.project or self.severity or self.check)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The findings of one check and severity, of which some are shown."""

    group: FindingGroup
    title: str
    rows: list[FindingRow]


@page_view
@require_safe
def needs_attention(request: Any) -> HttpResponse:
    """List what is unhealthy and may be seen; for HTMX only the list, if it has changed."""
    asked, report = Filters.of(request.GET), runtime.current().health.report()
    open_, muted = report.open_and_muted(request.access.projects)
    part = live_fragments.render_fragment(request, "health/_needs_action.html", _list(request, asked, report, open_))
    if request.htmx.target == "attention":
        return live_fragments.respond(request, part, every=EVERY)
    of_muted = asked.matching(muted)
    context = {
        "part": part,
        "every": EVERY,
        "asked": asked,
        "projects": sorted({one.project for one in (*open_, *muted)} | ({asked.project} - {"", CLUSTER})),
        "severities": list(Severity),
        "muted": [finding_row(one, report, request.access) for one in of_muted[:MUTED_SHOWN]],
        "muted_count": len(of_muted),
        "title": check_title(asked.check) if asked.check else "",
    }
    return render(request, "health/needs_action.html", context)


def _list(request: Any, asked: Filters, report: HealthReport, open_: Sequence[Finding]) -> Mapping[str, Any]:
    found = asked.matching(open_)
    shown = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page")) if asked.check else None
    groups = group_findings(found if shown is None else shown.object_list)
    few = FEW if shown is None else PAGE_SIZE
    return {
        "groups": [
            GroupRow(
                group,
                group.check.label,
                [finding_row(one, report, request.access) for one in group.findings[:few]],
            )
            for group in groups
        ],
        "page": shown,
        "filtered": not asked.is_empty,
        "report": report,
        "ready": runtime.current().cache.ready,
    }


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def finding(request: Any, key: str) -> HttpResponse:
    """Show one finding, under an address that can be passed on; POST mutes it, or takes that back.

    What is gone, has changed or may not be seen is 404 alike.
    """
    report = runtime.current().health.report()
    found = report.by_key.get(key)
    if found is None or not may(request.user, Action.SEE, found.project):
        return render(request, "health/finding_gone.html", status=404)
    if request.method == "POST":
        require_permission(request, Action.MUTE, found.project)
        _change(request, found, unmute="unmute" in request.POST)
        return redirect("attention")
    context = {"row": finding_row(found, report, request.access), "title": found.check.label}
    return render(request, "health/finding.html", context)


def _change(request: Any, found: Finding, *, unmute: bool) -> None:
    if unmute:
        mutes.unmute(found.key)
    else:
        mutes.mute(found, request.user.get_username(), request.POST.get("note", "").strip())
    did = "unmute" if unmute else Action.MUTE
    audit.record(request, did, project=found.project, detail=f"{found.check} of {found.name}")
    runtime.current().health.reload_mutes()
    messages.success(request, "Unmuted." if unmute else "Muted until it changes.")
