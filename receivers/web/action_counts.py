"""The number of findings that need action, for the navigation and the project list.

Urgent findings and warnings count unless they are muted. Every page calls this; it runs no query unless the last report
has expired, see `HealthMonitor.report`.
"""

from __future__ import annotations

from collections.abc import Mapping

from receivers.accounts.access import Access
from receivers.health.monitor import HealthMonitor


def action_counts(health: HealthMonitor, access: Access) -> Mapping[str, int]:
    """Return the number of findings by visible project ("" for the cluster). Projects without any are left out."""
    return {project: len(keys) for project, keys in _visible_keys(health, access).items()}


def action_count(health: HealthMonitor, access: Access) -> int:
    """Return the number of visible findings; one that concerns several projects counts once."""
    return len(frozenset().union(*_visible_keys(health, access).values()))


def _visible_keys(health: HealthMonitor, access: Access) -> Mapping[str, frozenset[str]]:
    keys, visible = health.report().action_keys, access.projects
    return {
        project: of_project for project, of_project in keys.items() if visible is None or project in visible
    }
