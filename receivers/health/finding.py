"""Findings: what a check reports, how urgent it is, and how to fix it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from django.db import models

from receivers.health.checks import Check

KEY_LENGTH: Final = 32  # hexadecimal characters: 128 bits, so keys don't collide


class Severity(StrEnum):
    """How urgent a finding is, most urgent first."""

    URGENT = "urgent"
    """Pushes are lost, or they can't become Freight."""

    WARNING = "warning"
    """Pushes work, but later or less safely than they should; or something is probably wrong."""

    NOTE = "note"
    """Good to know; no action is needed."""

    @property
    def rank(self) -> int:
        """Return 0 for the most urgent severity, and higher numbers for the others."""
        return _RANKS[self]


_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Subject(models.TextChoices):
    """The type of object a finding is about; the label is how sentences spell it."""

    RECEIVER = "receiver", "receiver"
    WAREHOUSE = "warehouse", "Warehouse"
    CLUSTER = "cluster", "cluster"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, or a fact worth knowing.

    `project` is empty for cluster receivers and for the cluster itself. `reason` is a sentence that includes the
    values, `remedy` says what to do, and `command` is a shell command that helps (empty if there is none). `identity`
    is what makes two findings of the same check and subject different: when it changes, so does the key. No field
    contains a credential.
    """

    severity: Severity
    check: Check
    project: str
    subject: Subject
    name: str
    reason: str
    remedy: str
    identity: str = ""
    command: str = ""

    @property
    def key(self) -> str:
        """Return 32 hexadecimal characters that stay the same until the finding changes materially."""
        parts = (self.severity, self.check, self.project, self.subject, self.name, self.identity)
        return sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:KEY_LENGTH]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the key as plain JSON values."""
        return {
            "severity": self.severity.value,
            "check": self.check.value,
            "project": self.project,
            "subject": self.subject.value,
            "name": self.name,
            "reason": self.reason,
            "remedy": self.remedy,
            "command": self.command,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True)
class FindingFactory:
    """Creates the findings about one receiver, Warehouse or other part of the cluster."""

    subject: Subject
    project: str
    name: str

    def urgent(
        self, check: Check, reason: str, remedy: str, *, command: str = "", identity: str = ""
    ) -> Finding:
        """Return an urgent finding."""
        return self.create(Severity.URGENT, check, reason, remedy, command=command, identity=identity)

    def warning(
        self, check: Check, reason: str, remedy: str, *, command: str = "", identity: str = ""
    ) -> Finding:
        """Return a warning."""
        return self.create(Severity.WARNING, check, reason, remedy, command=command, identity=identity)

    def note(
        self, check: Check, reason: str, remedy: str, *, command: str = "", identity: str = ""
    ) -> Finding:
        """Return a note."""
        return self.create(Severity.NOTE, check, reason, remedy, command=command, identity=identity)

    def create(
        self,
        severity: Severity,
        check: Check,
        reason: str,
        remedy: str,
        *,
        command: str = "",
        identity: str = "",
    ) -> Finding:
        """Return a finding of that severity."""
        return Finding(
            severity, check, self.project, self.subject, self.name, reason, remedy, identity, command
        )


def most_urgent_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings by severity, then by project, subject, name and check, so the order is stable."""
    return tuple(
        sorted(
            findings,
            key=lambda finding: (
                finding.severity.rank,
                finding.project,
                finding.subject,
                finding.name,
                finding.check,
            ),
        )
    )
