"""What is around every page: navigation, the theme, and what everybody has to know about the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.urls import NoReverseMatch, reverse

from receivers.accounts.access import Access, Action, access_of
from receivers.cluster.cache import ClusterCache
from receivers.ops import runtime
from receivers.web.attention_counts import attention
from receivers.web.theme import theme_of


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of the navigation: the name of its address, its title, its icon, and what it takes to see it."""

    name: str
    title: str
    icon: str
    action: Action = Action.SEE
    everywhere: bool = False


NAVIGATION: Final = (
    Page("home", "Projects", "squares-2x2"),
    Page("cluster", "Cluster receivers", "globe-alt", everywhere=True),
    Page("deliveries", "Deliveries", "inbox-stack"),
    Page("attention", "Needs attention", "bell-alert"),
    Page("status", "Status", "heart", everywhere=True),
    Page("audit", "Audit", "clipboard-document-list", Action.READ_AUDIT_LOG, everywhere=True),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the navigation as somebody sees it. `count` is None where nothing is counted."""

    page: Page
    url: str
    current: bool
    count: int | None


@dataclass(frozen=True, slots=True)
class Trouble:
    """The cluster cannot be read: since when (None: it never could), and why, each reason once."""

    since: datetime | None
    reasons: tuple[str, ...]
    ready: bool


def shell(request: Any) -> dict[str, Any]:
    """Return what `base.html` needs. A context processor; adds no query but that for the user and his groups."""
    context: dict[str, Any] = {"theme": theme_of(request)}
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return context
    access = access_of(user)
    cache = runtime.current().cache
    return context | {
        "access": access,
        "navigation": [] if access.is_empty else navigation(request, access),
        "trouble": None if access.is_empty else trouble(cache, access),
    }


def navigation(request: Any, access: Access) -> list[Entry]:
    """Return the pages that somebody may open; those that have no address in this installation are left out."""
    match = getattr(request, "resolver_match", None)
    current = match.url_name if match else ""
    entries = []
    for page in NAVIGATION:
        if page.everywhere and not access.may(page.action):
            continue
        try:
            url = reverse(page.name)
        except NoReverseMatch:
            continue
        count = sum(attention(access).values()) if page.name == "attention" else None
        entries.append(Entry(page, url, page.name == current, count))
    return entries


def trouble(cache: ClusterCache, access: Access) -> Trouble | None:
    """Return what is wrong with the view of the cluster, None if nothing is.

    The reasons name namespaces, which are projects, and are for those who see all of them.
    """
    if cache.is_current:
        return None
    faults = [one for one in cache.freshness() if one.error]
    since = min((one.failing_since for one in faults if one.failing_since), default=None)
    reasons = dict.fromkeys(one.error for one in faults if access.may(Action.SEE))
    return Trouble(datetime.fromtimestamp(since, UTC) if since else None, tuple(reasons), cache.ready)
