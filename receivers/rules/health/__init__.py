"""What is wrong with receivers and Warehouses, as far as that can be said from what is known: pure checks.

Every check is a function from plain values to a `Finding` or None; what is not known is never a finding.
"""

from receivers.rules.health.cluster import local_installation, unreadable
from receivers.rules.health.finding import Finding, Severity, Subject, most_urgent_first
from receivers.rules.health.look import Group, Look, Muted, grouped
from receivers.rules.health.reach import is_local
from receivers.rules.health.receivers import ReceiverFacts, SecretState, orphaned_calls, receiver_findings
from receivers.rules.health.subscribed import covered_projects, is_official, on_docker_hub
from receivers.rules.health.warehouses import (
    Heartbeat,
    MissedPushes,
    WarehouseFacts,
    warehouse_findings,
)

__all__ = [
    "Finding",
    "Group",
    "Heartbeat",
    "Look",
    "MissedPushes",
    "Muted",
    "ReceiverFacts",
    "SecretState",
    "Severity",
    "Subject",
    "WarehouseFacts",
    "covered_projects",
    "grouped",
    "is_local",
    "is_official",
    "local_installation",
    "most_urgent_first",
    "on_docker_hub",
    "orphaned_calls",
    "receiver_findings",
    "unreadable",
    "warehouse_findings",
]
