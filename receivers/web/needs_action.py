"""What needs action, most urgent first, grouped by check, one row a cause; and one finding, with its mute form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from receivers.accounts import audit
from receivers.accounts.access import Action, require_permission
from receivers.deliveries.form_fields import OpenSelect, ShortTextField
from receivers.health import mutes
from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity
from receivers.health.report import FindingGroup, HealthReport, group_by_cause, group_findings
from receivers.kargo.scopes import scope_name
from receivers.web import live_fragments
from receivers.web.finding_rows import FindingRow, cause_row, finding_row
from receivers.web.page_view import PageRequest, page_view

FEW: Final = 3  # causes of a check shown before "Show all"
PAGE_SIZE: Final = 50  # causes on a page that shows all findings of one check
MUTED_SHOWN: Final = 100  # muted causes; they are muted because they need no attention
EVERY: Final = "5s"
MOST_SELECTED: Final = 500  # findings muted with one request


class FindingFilterForm(forms.Form):
    """The filter in the address; a blank field selects all. With a `check`, all its findings are shown, paginated.

    It offers the projects that have `findings`, and the selected one even if it has none.
    """

    project = ShortTextField(required=False)
    severity = forms.ChoiceField(
        choices=[("", "All severities"), *((severity, severity) for severity in Severity)],
        required=False,
        widget=OpenSelect,
        error_messages={"invalid_choice": f"must be one of {', '.join(Severity)}"},
    )
    check = forms.TypedChoiceField(
        choices=Check,
        coerce=Check,
        empty_value=None,
        required=False,
        widget=forms.HiddenInput,
        error_messages={"invalid_choice": "“%(value)s” doesn't exist"},
    )

    def __init__(self, data: Mapping[str, str], findings: Iterable[Finding]) -> None:
        super().__init__(data, auto_id="%s")
        projects = sorted({project for finding in findings for project in finding.projects})
        names = ((scope_name(project), project or "Cluster") for project in projects)
        self.fields["project"].widget = OpenSelect(choices=[("", "All projects"), *names])

    def matching(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return the findings that match, in their order; none if a value is invalid."""
        if not self.is_valid():
            return []
        project, severity, check = (self.cleaned_data[name] for name in ("project", "severity", "check"))
        return [
            finding
            for finding in findings
            if (not project or project in map(scope_name, finding.projects))
            and (not severity or finding.severity == severity)
            and (not check or finding.check == check)
        ]


class MuteForm(forms.Form):
    """The reason for a mute, or `unmute` to end it."""

    note = ShortTextField(
        label="Reason",
        required=False,
        widget=forms.TextInput({"placeholder": "reason (optional)", "autocomplete": "off"}),
    )
    unmute = forms.BooleanField(required=False)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """The findings of one check and severity, and the rows that are shown, one for each cause."""

    group: FindingGroup
    rows: list[FindingRow]


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def needs_action(request: PageRequest) -> HttpResponse:
    """Show the visible findings, or for HTMX the list if it has changed; POST mutes the selected ones."""
    report = request.runtime.health.report()
    if request.method == "POST":
        _mute_selected(request, report)
        return redirect("attention")
    open_, muted = report.open_and_muted(request.access.projects)
    form = FindingFilterForm(request.GET, (*open_, *muted))
    part = live_fragments.render_fragment(
        request, "health/_needs_action.html", _list(request, form, report, open_)
    )
    if request.htmx.target == "attention":
        return live_fragments.respond(request, part, every=EVERY)
    matching_muted = group_by_cause(form.matching(muted))
    context = {
        "part": part,
        "every": EVERY,
        "form": form,
        "muted": [cause_row(findings, report, request.access) for findings in matching_muted[:MUTED_SHOWN]],
        "muted_count": len(matching_muted),
        "check": form.cleaned_data.get("check"),
        "may_mute": any(request.access.may(Action.MUTE, finding.project) for finding in open_),
        "mute_form": MuteForm(),
    }
    return render(request, "health/needs_action.html", context)


def _mute_selected(request: PageRequest, report: HealthReport) -> None:
    """Mute the findings whose keys were posted, as far as they still exist and the user may mute them."""
    form = MuteForm(request.POST)
    keys = dict.fromkeys(request.POST.getlist("key")[:MOST_SELECTED])
    targets = [target for key in keys if (target := report.find(key, request.access.projects))]
    muted = [target for target in targets if request.access.may(Action.MUTE, target.project)]
    if not form.is_valid():
        messages.error(request, f"{form.fields['note'].label} {form.errors['note'][0]}.")
        return
    if not keys:
        messages.error(request, "Select the findings to mute.")
        return
    for target in muted:
        mutes.mute(target, request.user.get_username(), form.cleaned_data["note"])
        audit.record(request, Action.MUTE, project=target.project, detail=f"{target.check} of {target.name}")
    request.runtime.health.reload_mutes()
    if muted:
        what = "1 finding" if len(muted) == 1 else f"{len(muted)} findings"
        messages.success(request, f"Muted {what} until {'it changes' if len(muted) == 1 else 'they change'}.")
    if left := len(keys) - len(muted):
        messages.error(request, f"{left} of the selected findings have changed, or you can't mute them.")


def _list(
    request: PageRequest, form: FindingFilterForm, report: HealthReport, open_: Sequence[Finding]
) -> Mapping[str, Any]:
    matching = form.matching(open_)
    of_one_check = form.cleaned_data.get("check") is not None
    page = None
    if of_one_check:
        page = Paginator(group_by_cause(matching), PAGE_SIZE).get_page(request.GET.get("page"))
        matching = list(chain.from_iterable(page.object_list))
    limit = FEW if page is None else PAGE_SIZE
    return {
        "groups": [
            GroupRow(
                group,
                [cause_row(findings, report, request.access) for findings in group.causes[:limit]],
            )
            for group in group_findings(matching)
        ],
        "page": page,
        "filtered": form.has_changed(),
        "report": report,
        "ready": request.runtime.cache.ready,
    }


@page_view
@require_http_methods(["GET", "HEAD", "POST"])
def finding(request: PageRequest, key: str) -> HttpResponse:
    """Show one finding, at an address that can be shared; POST mutes or unmutes it.

    Return 404 for a finding that is resolved, has changed, or is not visible to the user.
    """
    report = request.runtime.health.report()
    target = report.find(key, request.access.projects)
    if target is None:
        return render(request, "health/finding_gone.html", status=404)
    form = MuteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        require_permission(request, Action.MUTE, target.project)
        if form.is_valid():
            _change(request, target, len(report.with_same_cause(target)), **form.cleaned_data)
            return redirect("attention")
    context = {
        "row": finding_row(target, report, request.access),
        "title": target.check.label,
        "form": form,
        "same_cause": len(report.with_same_cause(target)),
    }
    return render(request, "health/finding.html", context)


def _change(request: PageRequest, target: Finding, count: int, *, note: str, unmute: bool) -> None:
    """Mute or unmute a finding and those of the same cause, `count` in all."""
    if unmute:
        mutes.unmute(target)
    else:
        mutes.mute(target, request.user.get_username(), note)
    did = "unmute" if unmute else Action.MUTE
    audit.record(request, did, project=target.project, detail=f"{target.check} of {target.name}")
    request.runtime.health.reload_mutes()
    what = "" if count == 1 else f" {count} findings of the same cause"
    until = "it changes" if count == 1 else "they change"
    messages.success(request, f"Unmuted{what}." if unmute else f"Muted{what} until {until}.")
