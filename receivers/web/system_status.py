"""Status: how well the cluster is known, what we may do in it, the database, the work under way, the configuration."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final

import django
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from kargoweb import VERSION
from receivers.accounts.access import Action, may, page_view, require_permission
from receivers.cluster.reflector import Freshness
from receivers.health.access_reviews import AccessReviewResults, AccessReviews
from receivers.health.rbac import RequiredPermission, rbac_manifest
from receivers.ops import database_stats, runtime
from receivers.refreshes.leases import LEASE_DURATION
from receivers.web import live_fragments

EVERY: Final = "5s"
ROWS_SHOWN: Final = 100  # kinds and namespaces that are watched; those that fail come first


@dataclass(frozen=True, slots=True)
class FreshnessRow:
    """A kind of object, as far as it is known. `state` is a word with its `tone`."""

    kind: str
    namespace: str
    objects: int | None
    contact: datetime | None
    since: datetime | None
    state: str
    tone: str
    error: str


@dataclass(frozen=True, slots=True)
class PermissionRow:
    """The verbs that are needed on a type in a namespace, or (empty) everywhere, and those of them that are missing."""

    what: str
    group: str
    namespace: str
    verbs: str
    missing: str
    unknown: bool
    optional: str


@page_view
@require_safe
def status(request: Any) -> HttpResponse:
    """Show it to whoever sees everything; configuration, addresses and names of hosts only to admins."""
    require_permission(request, Action.SEE, "")
    here, privileged = runtime.current(), may(request.user, Action.READ_CONFIGURATION, "")
    part = live_fragments.render_fragment(request, "ops/_status.html", _changing(here))
    if request.htmx.target == "status":
        return live_fragments.respond(request, part, every=EVERY)
    context = {
        "part": part,
        "every": EVERY,
        "database": database_stats.database_facts(),
        "versions": _versions(here.access_reviews.latest()),
        "replicas": _replicas(),
        "privileged": privileged,
        "unknown": database_stats.unknown_calls() if privileged else [],
        "settings": settings.KARGOWEB.told if privileged else (),
    }
    return render(request, "ops/status.html", context)


def _changing(here: runtime.Runtime) -> Mapping[str, Any]:
    reviews = here.access_reviews.latest()
    missing = reviews.missing if reviews else ()
    return {
        "freshness": freshness_rows(here),
        "ready": here.cache.ready,
        "reviews": reviews,
        "permissions": permission_rows(here.access_reviews, reviews)[:ROWS_SHOWN],
        "missing": missing,
        "rbac": rbac_manifest(missing),
        "work": database_stats.work(),
        "here": here,
    }


def freshness_rows(here: runtime.Runtime) -> list[FreshnessRow]:
    """Return what is watched, what fails first; the heartbeats of Kargo's controllers, which are read, come last."""
    watched = [_fresh(one, counted=True) for one in here.cache.freshness()]
    watched += [_fresh(one, counted=False) for one in here.freight.freshness()]
    watched.sort(key=lambda row: row.tone != "bad")
    return [*watched[:ROWS_SHOWN], _heartbeats(here)]


def _fresh(one: Freshness, *, counted: bool) -> FreshnessRow:
    state, tone = ("in step", "good") if one.synced else ("being read", "open")
    if one.error:
        state, tone = "failing", "bad"
    return FreshnessRow(
        one.resource.kind,
        one.namespace,
        one.objects if counted else None,
        _moment(one.contact),
        _moment(one.failing_since),
        state,
        tone,
        one.error,
    )


def _heartbeats(here: runtime.Runtime) -> FreshnessRow:
    known, error = here.heartbeats.known(), here.heartbeats.error
    state, tone = ("read", "good") if known else ("none", "plain")
    if known is None:
        state, tone = ("not read", "plain") if error else ("being read", "open")
    return FreshnessRow(
        "Heartbeats of controllers",
        "",
        len(known) if known is not None else None,
        None,
        None,
        state,
        tone,
        error,
    )


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def permission_rows(access_reviews: AccessReviews, results: AccessReviewResults | None) -> list[PermissionRow]:
    """Return what is needed, by type and namespace, what is missing first."""
    answers = results.allowed if results else {}

    def key(permission: RequiredPermission) -> tuple[str, str, str]:
        return permission.namespace, permission.resource.group, permission.resource_name

    rows = [
        _permission(list(several), answers)
        for _, several in groupby(sorted(access_reviews.required, key=key), key)
    ]
    return sorted(rows, key=lambda row: (not row.missing, bool(row.optional)))


def _permission(several: list[RequiredPermission], answers: Mapping[RequiredPermission, bool]) -> PermissionRow:
    one = several[0]
    return PermissionRow(
        one.resource_name,
        one.resource.group,
        one.namespace,
        _verbs(several),
        _verbs(need for need in several if answers.get(need) is False),
        unknown=any(need not in answers for need in several),
        optional=one.optional,
    )


def _verbs(several: Iterable[RequiredPermission]) -> str:
    return ", ".join(need.verb for need in several)


def _versions(reviews: AccessReviewResults | None) -> Mapping[str, str]:
    return {
        "kargoweb": VERSION,
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "Kubernetes": (reviews.version if reviews else "") or "not known yet",
    }


def _replicas() -> list[Mapping[str, Any]]:
    now = timezone.now()
    return [{"replica": one, "alive": now - one.seen_at < LEASE_DURATION} for one in database_stats.replicas()]
