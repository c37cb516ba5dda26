"""The health report: all findings at one moment, which of them are muted, and how pages group them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from receivers.health.checks import Check
from receivers.health.finding import Finding, Severity

NEEDS_ACTION: Final = frozenset({Severity.URGENT, Severity.WARNING})
"""The severities that are counted as needing action; notes are not."""


@dataclass(frozen=True, slots=True)
class Muted:
    """Who muted a finding, when, and the reason they gave (may be empty)."""

    user: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """The findings of one check and severity, grouped by cause; there is at least one."""

    severity: Severity
    check: Check
    causes: tuple[tuple[Finding, ...], ...]


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The findings at one moment, most urgent first, and the mutes by finding key. Create it with `build`.

    `causes_by_project` has the causes of the unmuted urgent findings and warnings (their `mute_key`) by project
    ("" for the cluster), each under every project that it concerns; `by_key` and `by_project` are indexes.
    """

    at: datetime
    findings: tuple[Finding, ...]
    mutes: Mapping[str, Muted]
    by_key: Mapping[str, Finding] = field(default_factory=dict)
    by_project: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    causes_by_project: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def build(cls, at: datetime, findings: tuple[Finding, ...], mutes: Mapping[str, Muted]) -> HealthReport:
        """Return a report with its indexes, so that readers don't have to scan all findings."""
        by_project: dict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            for project in {finding.project} | finding.projects:
                if reduced := finding.reduced_to({project}):
                    by_project[project].append(reduced)
        report = cls(
            at,
            findings,
            {},
            by_key={finding.key: finding for finding in findings},
            by_project={project: tuple(in_project) for project, in_project in by_project.items()},
        )
        return report.with_mutes(mutes)

    def with_mutes(self, mutes: Mapping[str, Muted]) -> HealthReport:
        """Return the same findings with other mutes."""
        causes: dict[str, set[str]] = defaultdict(set)
        for finding in self.by_key.values():
            if finding.severity in NEEDS_ACTION and finding.mute_key not in mutes:
                for project in {finding.project} | finding.projects:
                    causes[project].add(finding.mute_key)
        frozen = {project: frozenset(of_project) for project, of_project in causes.items()}
        return replace(self, mutes=mutes, causes_by_project=frozen)

    def for_project(self, project: str) -> tuple[Finding, ...]:
        """Return the findings of one project ("" for the cluster), including muted ones."""
        return self.by_project.get(project, ())

    def open_and_muted(
        self, projects: Collection[str] | None
    ) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Return the unmuted and the muted findings of these projects; None means all projects and the cluster."""
        reduced = (finding.reduced_to(projects) for finding in self.by_key.values())
        visible = [finding for finding in reduced if finding is not None]
        return (
            tuple(finding for finding in visible if finding.mute_key not in self.mutes),
            tuple(finding for finding in visible if finding.mute_key in self.mutes),
        )

    def find(self, key: str, projects: Collection[str] | None) -> Finding | None:
        """Return the finding with a key, as far as readers of these projects (None: everything) may see it."""
        finding = self.by_key.get(key)
        return finding.reduced_to(projects) if finding else None

    def with_same_cause(self, finding: Finding) -> tuple[Finding, ...]:
        """Return the findings that are muted together with one, which is one of them."""
        return tuple(other for other in self.findings if other.mute_key == finding.mute_key)


def group_by_cause(findings: Iterable[Finding]) -> list[tuple[Finding, ...]]:
    """Group findings by what causes them; groups and findings keep their order."""
    causes: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        causes[finding.mute_key].append(finding)
    return [tuple(of_cause) for of_cause in causes.values()]


def group_findings(findings: Iterable[Finding]) -> tuple[FindingGroup, ...]:
    """Group findings by severity and check: most urgent first, then most causes first. Each group keeps their order."""
    groups: dict[tuple[Severity, Check], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.check].append(finding)
    grouped = [FindingGroup(*key, tuple(group_by_cause(of_check))) for key, of_check in groups.items()]
    return tuple(sorted(grouped, key=lambda group: (group.severity.rank, -len(group.causes), group.check)))
