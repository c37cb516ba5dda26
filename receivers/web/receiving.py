"""Where pushes are received, for the pages of a process that receives none (`KARGOWEB_ROLE=dashboard`)."""

from __future__ import annotations

from typing import Final

from django.conf import settings

from receivers.accounts.access import Access, Action
from receivers.cluster.cache import ClusterCache
from receivers.health.reachability import split_url

HOSTS_NAMED: Final = 3


def receives_pushes() -> bool:
    """Say whether this process serves receiver URLs."""
    return bool(settings.KARGOWEB.role != "dashboard")


def receiving_hosts(cache: ClusterCache, access: Access) -> list[str]:
    """Return the hosts of the published URLs of the receivers that the user may see, `HOSTS_NAMED` at most."""
    hosts = {
        parts.netloc.rpartition("@")[2]
        for config in cache.configs()
        if access.may(Action.SEE, config.project)
        for published in config.published
        if (parts := split_url(published.url)) and parts.netloc
    }
    return sorted(hosts)[:HOSTS_NAMED]
