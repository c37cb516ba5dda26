"""The findings that need action, most urgent first, grouped by check; and one finding, with its mute form."""

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
from receivers.kargo.scopes import CLUSTER_SCOPE_NAME, parse_scope
from receivers.ops import runtime
from receivers.web import live_fragments
from receivers.web.finding_rows import FindingRow, finding_row

# Findings of a check shown before "Show all": a dead shard has one for each of its Warehouses.
FEW: Final = 3
PAGE_SIZE: Final = 50  # findings on a page that shows all findings of one check
MUTED_SHOWN: Final = 100  # muted findings; they are muted so that nobody has to read them
EVERY: Final = "5s"


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """The filter in the address; an empty value means all. With a `check`, all its findings are shown, paginated."""

    project: str
    severity: str
    check: str

    @classmethod
    def parse(cls, query: Mapping[str, str]) -> FindingFilter:
        """Read the parameters of an address. An unknown value matches nothing, which the page says."""
        return cls(*(query.get(name, "").strip() for name in ("project", "severity", "check")))

    def matching(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return the findings that match, in their order."""
        project = parse_scope(self.project)
        return [
            finding
            for finding in findings
            if (not self.project or finding.project == project)
            and (not self.severity or finding.severity == self.severity)
            and (not self.check or finding.check == self.check)
        ]

    @property
    def is_empty(self) -> bool:
        """Return True if nothing is filtered."""
        return not (self.project or self.severity or self.check)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The findings of one check and severity, and the rows that are shown."""

    group: FindingGroup
    rows: list[FindingRow]


@page_view
@require_safe
def needs_action(request: Any) -> HttpResponse:
    """Show the visible findings, or for HTMX the list if it has changed."""
    finding_filter, report = FindingFilter.parse(request.GET), runtime.current().health.report()
    open_, muted = report.open_and_muted(request.access.projects)
    part = live_fragments.render_fragment(
        request, "health/_needs_action.html", _list(request, finding_filter, report, open_)
    )
    if request.htmx.target == "attention":
        return live_fragments.respond(request, part, every=EVERY)
    matching_muted = finding_filter.matching(muted)
    context = {
        "part": part,
        "every": EVERY,
        "filter": finding_filter,
        "cluster_word": CLUSTER_SCOPE_NAME,
        "projects": _project_choices(finding_filter, (*open_, *muted)),
        "severities": list(Severity),
        "muted": [finding_row(finding, report, request.access) for finding in matching_muted[:MUTED_SHOWN]],
        "muted_count": len(matching_muted),
        "title": check_title(finding_filter.check) if finding_filter.check else "",
    }
    return render(request, "health/needs_action.html", context)


def _project_choices(finding_filter: FindingFilter, findings: Iterable[Finding]) -> list[str]:
    """Return the projects with findings ("" for the cluster), and the filtered one even if it has none."""
    projects = {finding.project for finding in findings}
    if finding_filter.project:
        projects.add(parse_scope(finding_filter.project))
    return sorted(projects)


def _list(
    request: Any, finding_filter: FindingFilter, report: HealthReport, open_: Sequence[Finding]
) -> Mapping[str, Any]:
    matching = finding_filter.matching(open_)
    page = Paginator(matching, PAGE_SIZE).get_page(request.GET.get("page")) if finding_filter.check else None
    groups = group_findings(matching if page is None else page.object_list)
    limit = FEW if page is None else PAGE_SIZE
    return {
        "groups": [
            GroupRow(
                group,
                [finding_row(finding, report, request.access) for finding in group.findings[:limit]],
            )
            for group in groups
        ],
        "page": page,
        "filtered": not finding_filter.is_empty,
        "report": report,
        "ready": runtime.current().cache.ready,
    }


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def finding(request: Any, key: str) -> HttpResponse:
    """Show one finding, at an address that can be shared; POST mutes or unmutes it.

    Return 404 for a finding that is resolved, has changed, or is not visible to the user.
    """
    report = runtime.current().health.report()
    target = report.by_key.get(key)
    if target is None or not may(request.user, Action.SEE, target.project):
        return render(request, "health/finding_gone.html", status=404)
    if request.method == "POST":
        require_permission(request, Action.MUTE, target.project)
        _change(request, target, unmute="unmute" in request.POST)
        return redirect("attention")
    context = {"row": finding_row(target, report, request.access), "title": target.check.label}
    return render(request, "health/finding.html", context)


def _change(request: Any, target: Finding, *, unmute: bool) -> None:
    if unmute:
        mutes.unmute(target.key)
    else:
        mutes.mute(target, request.user.get_username(), request.POST.get("note", "").strip())
    did = "unmute" if unmute else Action.MUTE
    audit.record(request, did, project=target.project, detail=f"{target.check} of {target.name}")
    runtime.current().health.reload_mutes()
    messages.success(request, "Unmuted." if unmute else "Muted until it changes.")
