"""Findings as pages show them: with a link to what they are about, and to where they are muted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse

from receivers.accounts.access import Access, Action
from receivers.health.checks import Check
from receivers.health.finding import Finding, Subject
from receivers.health.report import HealthReport, Muted
from receivers.web.links import project_url

# Told by the state of a receiver and by the steps beside it.
TOLD_BY_THE_STATE: Final = frozenset({Check.NO_PUSH_YET, Check.UNSUPPORTED_KIND})


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding; `url` leads to what it is about, `muted` says who muted it, None if nobody did."""

    finding: Finding
    key: str
    url: str
    muted: Muted | None
    may_mute: bool


def finding_row(finding: Finding, report: HealthReport, access: Access) -> FindingRow:
    """Return a finding of a report as somebody sees it."""
    return FindingRow(
        finding,
        finding.key,
        about_url(finding),
        report.mutes.get(finding.key),
        access.may(Action.MUTE, finding.project),
    )


def about_url(finding: Finding) -> str:
    """Return the address of what a finding is about: a receiver, a Warehouse, or the state of the installation."""
    if finding.subject is Subject.CLUSTER:
        return reverse("status")
    if finding.subject is Subject.RECEIVER:
        return f"{project_url(finding.project)}#receiver-{finding.name}"
    which = urlencode({"warehouse": finding.name})
    return f"{project_url(finding.project)}?{which}#warehouse-{finding.name}"


Of = tuple[Subject, str]
"""What a finding of a project is about, and its name."""


def by_subject(report: HealthReport, access: Access, project: str) -> Mapping[Of, list[FindingRow]]:
    """Return the findings of a project by what they are about, without what a page of it says anyway."""
    found: dict[Of, list[FindingRow]] = {}
    for one in _untold(report.for_project(project)):
        found.setdefault((one.subject, one.name), []).append(finding_row(one, report, access))
    return found


def _untold(findings: Iterable[Finding]) -> Iterable[Finding]:
    return (one for one in findings if one.check not in TOLD_BY_THE_STATE)
