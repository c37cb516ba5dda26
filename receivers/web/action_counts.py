"""The number of findings that need action, for the navigation and the project list."""

from __future__ import annotations

from collections.abc import Mapping

from receivers.accounts.access import Access
from receivers.health.monitor import HealthMonitor


def action_counts(health: HealthMonitor, access: Access) -> Mapping[str, int]:
    """Return the number of findings that need action by project ("" for the cluster), limited to what is visible.

    Urgent findings and warnings count unless they are muted. Projects without any are left out. Every page calls
    this; it runs no query unless the last report has expired, see `HealthMonitor.report`.
    """
    counts, visible = health.report().action_counts, access.projects
    return {project: count for project, count in counts.items() if visible is None or project in visible}
