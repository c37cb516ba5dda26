"""Findings: what a check reports, how urgent it is, and how to fix it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, TypedDict, Unpack

from django.db import models

from receivers.deliveries.redaction import redact
from receivers.health.checks import Check
from receivers.kargo.resources import Condition, WarehouseKey

KEY_LENGTH: Final = 32  # hexadecimal characters: 128 bits, so keys don't collide
MAX_MESSAGE_LENGTH: Final = 500  # characters of a condition's message, which may cover all receivers
WAREHOUSES_NAMED: Final = 10  # in a sentence; a dead controller may have thousands


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
    CONTROLLER = "controller", "controller"
    CLUSTER = "cluster", "cluster"


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem, or a fact worth knowing.

    `project` is empty for cluster receivers and for the cluster itself. `warehouses` are those that share a problem of
    the cluster; readers of their projects see the finding, too (`reduced_to`). `reason` is a sentence that includes the
    values, `remedy` says what to do, and `command` is a shell command that helps (empty if there is none). `identity`
    is what makes two findings of the same check and subject different: when it changes, so does the key. With
    `common_cause`, `identity` names a cause that several subjects of a project may share, so they are muted together.
    No field contains a credential.
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
    warehouses: tuple[WarehouseKey, ...] = ()
    common_cause: bool = False

    @property
    def key(self) -> str:
        """Return 32 hexadecimal characters that stay the same until the finding changes materially."""
        return _key(self.severity, self.check, self.project, self.subject, self.name, self.identity)

    @property
    def mute_key(self) -> str:
        """Return the key of a mute of this finding: `key`, or that of the cause it shares with others."""
        return _key(self.severity, self.check, self.project, self.identity) if self.common_cause else self.key

    @property
    def projects(self) -> frozenset[str]:
        """Return the projects that the finding is about; "" stands for the cluster."""
        return frozenset(project for project, _ in self.warehouses) or frozenset({self.project})

    @property
    def affected(self) -> str:
        """Return a sentence that names the Warehouses that share the problem, or counts most; empty if none do."""
        if not self.warehouses:
            return ""
        names = ["/".join(key) for key in self.warehouses[:WAREHOUSES_NAMED]]
        others = len(self.warehouses) - len(names)
        noun = "1 Warehouse" if len(self.warehouses) == 1 else f"{len(self.warehouses)} Warehouses"
        return f"Affects {noun}: {', '.join(names)}{f' and {others} more' if others else ''}."

    def reduced_to(self, projects: Collection[str] | None) -> Finding | None:
        """Return what readers of these projects (None: everything) may see of the finding; None if nothing."""
        if projects is None or self.project in projects:
            return self
        visible = tuple(key for key in self.warehouses if key[0] in projects)
        return replace(self, warehouses=visible) if visible else None

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
            "warehouses": ["/".join(key) for key in self.warehouses],
            "key": self.key,
        }


def _key(*parts: str) -> str:
    return sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:KEY_LENGTH]


class FindingOptions(TypedDict, total=False):
    """The optional fields of a `Finding`, which documents them."""

    identity: str
    command: str
    warehouses: tuple[WarehouseKey, ...]
    common_cause: bool


@dataclass(frozen=True, slots=True)
class FindingFactory:
    """Creates the findings about one receiver, Warehouse or other part of the cluster."""

    subject: Subject
    project: str
    name: str

    def urgent(self, check: Check, reason: str, remedy: str, **options: Unpack[FindingOptions]) -> Finding:
        """Return an urgent finding."""
        return self.create(Severity.URGENT, check, reason, remedy, **options)

    def warning(self, check: Check, reason: str, remedy: str, **options: Unpack[FindingOptions]) -> Finding:
        """Return a warning."""
        return self.create(Severity.WARNING, check, reason, remedy, **options)

    def note(self, check: Check, reason: str, remedy: str, **options: Unpack[FindingOptions]) -> Finding:
        """Return a note."""
        return self.create(Severity.NOTE, check, reason, remedy, **options)

    def create(
        self, severity: Severity, check: Check, reason: str, remedy: str, **options: Unpack[FindingOptions]
    ) -> Finding:
        """Return a finding of that severity."""
        return Finding(severity, check, self.project, self.subject, self.name, reason, remedy, **options)


def condition_message(condition: Condition) -> str:
    """Return the message of a condition for a sentence: cut off, without credentials and its final dot."""
    return redact(condition.message)[:MAX_MESSAGE_LENGTH].rstrip(".")


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
