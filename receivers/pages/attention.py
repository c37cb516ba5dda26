"""What needs somebody, by project. The one place where the pages learn of it: health checks plug in here."""

from __future__ import annotations

from collections.abc import Mapping

from receivers import runtime
from receivers.access import Access
from receivers.rules.resources import ReceiverConfig


def attention(access: Access) -> Mapping[str, int]:
    """Return how many things need somebody, by project ("" for the cluster), as far as they may be seen.

    Projects where all is well are not in it. No query: it is asked for on every page.
    """
    seen = access.projects
    counts = {
        config.project: unpublished(config)
        for config in runtime.current().mirror.configs()
        if seen is None or config.project in seen
    }
    return {project: count for project, count in counts.items() if count}


def unpublished(config: ReceiverConfig) -> int:
    """Return how many receivers have no URL."""
    published = {url.name for url in config.published}
    return sum(receiver.name not in published for receiver in config.receivers)
