"""What a check has found: how urgent it is, whom it is about, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

KEY_LENGTH: Final = 32  # hexadecimal characters of a hash; no two findings of a cluster ever share them


class Severity(StrEnum):
    """How urgent a finding is, most urgent first."""

    URGENT = "urgent"
    """Pushes are lost, or Freight cannot come of them."""

    WARNING = "warning"
    """It works, later or less safely than it should; or something is likely to be wrong."""

    NOTE = "note"
    """Good to know; nothing has to be done."""

    @property
    def rank(self) -> int:
        """Return 0 for the most urgent, more for what can wait."""
        return _RANKS[self]


_RANKS: Final = {severity: rank for rank, severity in enumerate(Severity)}


class Subject(StrEnum):
    """What a finding is about."""

    RECEIVER = "receiver"
    WAREHOUSE = "Warehouse"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or good to know.

    `check` is the stable short name of the check; `project` is empty for cluster receivers and the cluster itself;
    `reason` is a sentence with the values, `remedy` says what to do, and `command` is the line to paste into a shell
    for it, empty where there is none. `matter` is what makes it this finding: when it changes, it is another one,
    although the check is the same. No field holds a credential.
    """

    severity: Severity
    check: str
    project: str
    subject: Subject
    name: str
    reason: str
    remedy: str
    matter: str = ""
    command: str = ""

    @property
    def key(self) -> str:
        """Return 32 hexadecimal characters that stay the same until the finding changes materially."""
        parts = (self.severity, self.check, self.project, self.subject, self.name, self.matter)
        return sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:KEY_LENGTH]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields and the key as plain JSON values."""
        return {
            "severity": self.severity.value,
            "check": self.check,
            "project": self.project,
            "subject": self.subject.value,
            "name": self.name,
            "reason": self.reason,
            "remedy": self.remedy,
            "command": self.command,
            "key": self.key,
        }


@dataclass(frozen=True, slots=True)
class About:
    """Makes the findings about one receiver, Warehouse or other part of the cluster."""

    subject: Subject
    project: str
    name: str

    def urgent(self, check: str, reason: str, remedy: str, *, command: str = "", matter: str = "") -> Finding:
        """Return an urgent finding."""
        return self.found(Severity.URGENT, check, reason, remedy, command=command, matter=matter)

    def warning(
        self, check: str, reason: str, remedy: str, *, command: str = "", matter: str = ""
    ) -> Finding:
        """Return a warning."""
        return self.found(Severity.WARNING, check, reason, remedy, command=command, matter=matter)

    def note(self, check: str, reason: str, remedy: str, *, command: str = "", matter: str = "") -> Finding:
        """Return a note."""
        return self.found(Severity.NOTE, check, reason, remedy, command=command, matter=matter)

    def found(
        self, severity: Severity, check: str, reason: str, remedy: str, *, command: str = "", matter: str = ""
    ) -> Finding:
        """Return a finding of that severity; `check` is told after the subject: `receiver.absent`."""
        name = f"{self.subject}.{check}"
        return Finding(severity, name, self.project, self.subject, self.name, reason, remedy, matter, command)


def most_urgent_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings by urgency, then by project, subject and name, so that the order is always the same."""
    return tuple(
        sorted(findings, key=lambda one: (one.severity.rank, one.project, one.subject, one.name, one.check))
    )
