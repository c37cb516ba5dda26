"""What needs somebody, by project: what the navigation and the list of projects tell of it."""

from __future__ import annotations

from collections.abc import Mapping

from receivers.accounts.access import Access
from receivers.ops import runtime


def attention(access: Access) -> Mapping[str, int]:
    """Return how many things need somebody, by project ("" for the cluster), as far as they may be seen.

    Counted are findings that are at least a warning, and not muted. Projects where all is well are not in it. It is
    asked for on every page, and costs no query but after a silence, see `Health.latest`.
    """
    pressing, seen = runtime.current().health.latest().pressing, access.projects
    return {project: count for project, count in pressing.items() if seen is None or project in seen}
