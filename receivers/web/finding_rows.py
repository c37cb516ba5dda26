"""Findings as pages show them, with a link to their subject and to the page that mutes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.urls import reverse

from receivers.accounts.access import Access, Action
from receivers.health.checks import Check
from receivers.health.finding import Finding, Subject
from receivers.health.report import HealthReport, Muted
from receivers.web.links import project_url

# The state badge of a receiver and the text below it say the same.
SHOWN_BY_STATE: Final = frozenset({Check.NO_PUSH_YET, Check.UNSUPPORTED_KIND})

OTHERS_NAMED: Final = 20  # an expired credential has a finding for each of its Warehouses


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding. `url` is the address of its subject; `muted` says who muted it, None if it is not muted.

    `others` has the findings with the same cause that the row stands for, too.
    """

    finding: Finding
    key: str
    url: str
    muted: Muted | None
    may_mute: bool
    others: tuple[Finding, ...] = ()

    @property
    def title(self) -> str:
        """Return the title of the check and the name of the subject."""
        return f"{self.finding.check.label}, {self.finding.name}"

    @property
    def others_named(self) -> list[tuple[str, str]]:
        """Return the first of the others: the name of the subject and its address."""
        return [(finding.name, subject_url(finding)) for finding in self.others[:OTHERS_NAMED]]

    @property
    def others_left(self) -> int:
        """Return how many of the others are not named."""
        return max(0, len(self.others) - OTHERS_NAMED)

    @property
    def action(self) -> str:
        """Return the text of the link to the finding's own page."""
        if not self.may_mute:
            return "Link"
        return "Unmute" if self.muted else "Mute"


def finding_row(
    finding: Finding, report: HealthReport, access: Access, others: tuple[Finding, ...] = ()
) -> FindingRow:
    """Return a finding of a report as this user sees it, alone or for `others` of the same cause."""
    return FindingRow(
        finding,
        finding.key,
        subject_url(finding),
        report.mutes.get(finding.mute_key),
        access.may(Action.MUTE, finding.project),
        others,
    )


def cause_row(findings: tuple[Finding, ...], report: HealthReport, access: Access) -> FindingRow:
    """Return one row for the findings of one cause, of which there is at least one."""
    first, *others = findings
    return finding_row(first, report, access, tuple(others))


def subject_url(finding: Finding) -> str:
    """Return the address of a finding's subject: a receiver, a (controller's first) Warehouse, or the status page."""
    if finding.subject is Subject.CLUSTER:
        return reverse("status")
    if finding.subject is Subject.RECEIVER:
        return f"{project_url(finding.project)}#receiver-{finding.name}"
    project, name = next(iter(finding.warehouses), (finding.project, finding.name))
    return f"{project_url(project)}?{urlencode({'warehouse': name})}#warehouse-{name}"


SubjectKey = tuple[Subject, str]
"""The type and the name of an object in a project that findings are about."""


def by_subject(report: HealthReport, access: Access, project: str) -> Mapping[SubjectKey, list[FindingRow]]:
    """Return the findings of a project by subject, without those that its page shows as a state anyway."""
    rows: dict[SubjectKey, list[FindingRow]] = {}
    for finding in report.for_project(project):
        if finding.check not in SHOWN_BY_STATE:
            row = finding_row(finding, report, access)
            rows.setdefault((finding.subject, finding.name), []).append(row)
    return rows
