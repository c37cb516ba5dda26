"""The number of problems that need action, for the navigation and the project list.

Urgent findings and warnings count unless they are muted; those with the same cause count once. Every page calls this;
it runs no query unless the last report has expired, see `HealthMonitor.report`.
"""

from __future__ import annotations

from collections.abc import Mapping

from receivers.accounts.access import Access
from receivers.health.monitor import HealthMonitor


def action_counts(health: HealthMonitor, access: Access) -> Mapping[str, int]:
    """Return the number of problems by visible project ("" for the cluster). Projects without any are left out."""
    return {project: len(causes) for project, causes in _visible_causes(health, access).items()}


def action_count(health: HealthMonitor, access: Access) -> int:
    """Return the number of visible problems; one that concerns several projects counts once."""
    return len(frozenset().union(*_visible_causes(health, access).values()))


def _visible_causes(health: HealthMonitor, access: Access) -> Mapping[str, frozenset[str]]:
    causes, visible = health.report().causes_by_project, access.projects
    return {
        project: of_project for project, of_project in causes.items() if visible is None or project in visible
    }
