"""All that was found at one moment, with what people have muted of it, and how a page puts it in order."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from receivers.health.finding import Finding, Severity

PRESSING: Final = frozenset({Severity.URGENT, Severity.WARNING})
"""What is counted as needing somebody; a note does not."""


@dataclass(frozen=True, slots=True)
class Muted:
    """Who muted a finding, when, and what he said about it."""

    user: str
    at: datetime
    note: str


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one check and severity; there is at least one."""

    severity: Severity
    check: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """The findings at a moment, most urgent first, and those muted by key. Make it with `of`.

    `pressing` counts what is not muted and at least a warning, by project ("" for the cluster); `by_key` and
    `by_project` find findings.
    """

    at: datetime
    findings: tuple[Finding, ...]
    mutes: Mapping[str, Muted]
    by_key: Mapping[str, Finding] = field(default_factory=dict)
    by_project: Mapping[str, tuple[Finding, ...]] = field(default_factory=dict)
    pressing: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, at: datetime, findings: tuple[Finding, ...], mutes: Mapping[str, Muted]) -> Look:
        """Return a look with its indexes, so that nobody who reads it has to go through all findings."""
        by_project: dict[str, list[Finding]] = defaultdict(list)
        for one in findings:
            by_project[one.project].append(one)
        look = cls(
            at,
            findings,
            {},
            by_key={one.key: one for one in findings},
            by_project={project: tuple(several) for project, several in by_project.items()},
        )
        return look.with_mutes(mutes)

    def with_mutes(self, mutes: Mapping[str, Muted]) -> Look:
        """Return the same findings with other mutes."""
        pressing = Counter(
            one.project for key, one in self.by_key.items() if one.severity in PRESSING and key not in mutes
        )
        return replace(self, mutes=mutes, pressing=pressing)

    def of_project(self, project: str) -> tuple[Finding, ...]:
        """Return the findings of one project ("" for the cluster), muted ones among them."""
        return self.by_project.get(project, ())

    def seen_by(self, projects: Collection[str] | None) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
        """Return what is not muted and what is, of these projects or (None) of all and the cluster."""
        visible = [
            (key, one) for key, one in self.by_key.items() if projects is None or one.project in projects
        ]
        return (
            tuple(one for key, one in visible if key not in self.mutes),
            tuple(one for key, one in visible if key in self.mutes),
        )


def grouped(findings: Iterable[Finding]) -> tuple[Group, ...]:
    """Return findings by severity and check, most urgent first, then those with most findings; their order is kept."""
    found: dict[tuple[Severity, str], list[Finding]] = defaultdict(list)
    for one in findings:
        found[one.severity, one.check].append(one)
    order = sorted(found, key=lambda key: (key[0].rank, -len(found[key]), key[1]))
    return tuple(Group(*key, tuple(found[key])) for key in order)
