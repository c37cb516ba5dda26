"""The layout of every page: navigation, theme, and the warning shown while the cluster is unreachable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from receivers.accounts.access import Access, Action, access_of
from receivers.cluster.cache import ClusterCache
from receivers.health.monitor import HealthMonitor
from receivers.ops.middleware import runtime_of
from receivers.web.action_counts import action_count
from receivers.web.receiving import receives_pushes, receiving_hosts
from receivers.web.theme import look_of
from receivers.web.time_zone import zone_of


@dataclass(frozen=True, slots=True)
class NavigationTarget:
    """A page in the navigation: its URL name, title and icon, and the permission it requires.

    `everywhere` means that the permission must not be limited to some projects.
    """

    name: str
    title: str
    icon: str
    action: Action = Action.SEE
    everywhere: bool = False


NAVIGATION: Final = (
    NavigationTarget("home", "Overview", "overview"),
    NavigationTarget("projects", "Projects", "projects"),
    NavigationTarget("pushes", "Pushes", "pushes"),
    NavigationTarget("attention", "Needs action", "action"),
    NavigationTarget("status", "Status", "status", everywhere=True),
)
"""The links in the header."""

MORE: Final = (
    NavigationTarget("deliveries", "All deliveries", "rows"),
    NavigationTarget("cluster", "Cluster receivers", "globe", everywhere=True),
    NavigationTarget("alerts", "Alerts", "send", Action.MANAGE_ALERTS),
    NavigationTarget("audit", "Audit log", "audit", Action.READ_AUDIT_LOG, everywhere=True),
)
"""The links in the account menu."""


@dataclass(frozen=True, slots=True)
class NavigationItem:
    """A link of the navigation as one user sees it. `count` is None where nothing is counted."""

    target: NavigationTarget
    url: str
    current: bool
    count: int | None


@dataclass(frozen=True, slots=True)
class ClusterProblem:
    """The cluster is unreachable: since when (None if it never was reachable), and the distinct reasons.

    `ready` is False until the first sync has finished.
    """

    since: datetime | None
    reasons: tuple[str, ...]
    ready: bool


def layout(request: HttpRequest) -> dict[str, Any]:
    """Return the context of `base.html`. A context processor; its only query is for the user and their groups."""
    context: dict[str, Any] = look_of(request) | {"zone": zone_of(request)}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return context
    access = access_of(user)
    runtime = runtime_of(request)
    return context | {
        "access": access,
        "access_problem": "" if access.is_empty else access.problem,
        "navigation": [] if access.is_empty else navigation(NAVIGATION, request, access, runtime.health),
        "more": [] if access.is_empty else navigation(MORE, request, access, runtime.health),
        "receives_pushes": receives_pushes(),
        "receiving_hosts": partial(receiving_hosts, runtime.cache, access),
        "cluster_problem": None if access.is_empty else cluster_problem(runtime.cache, access),
    }


def navigation(
    targets: Iterable[NavigationTarget], request: HttpRequest, access: Access, health: HealthMonitor
) -> list[NavigationItem]:
    """Return links to those pages that the user may open, without those that this installation has no address for."""
    match = getattr(request, "resolver_match", None)
    current = match.url_name if match else ""
    items = []
    for target in targets:
        nowhere = access.projects_with(target.action) == frozenset()
        if nowhere or (target.everywhere and not access.may(target.action)):
            continue
        try:
            url = reverse(target.name)
        except NoReverseMatch:
            continue
        count = action_count(health, access) if target.name == "attention" else None
        items.append(NavigationItem(target, url, target.name == current, count))
    return items


def cluster_problem(cache: ClusterCache, access: Access) -> ClusterProblem | None:
    """Return why cluster data may be out of date, or None if it is current.

    The reasons contain namespaces, which are names of projects, so only users who see all projects get them.
    """
    if cache.is_current:
        return None
    failing = [watch for watch in cache.freshness() if watch.error]
    since = min((watch.failing_since for watch in failing if watch.failing_since), default=None)
    reasons = dict.fromkeys(watch.error for watch in failing if access.may(Action.SEE))
    return ClusterProblem(datetime.fromtimestamp(since, UTC) if since else None, tuple(reasons), cache.ready)
