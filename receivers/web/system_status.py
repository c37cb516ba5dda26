"""Status: cluster sync, permissions, work in progress, database, serving processes, configuration."""

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
from receivers.accounts.access import Action, may, require_permission
from receivers.cluster.kargo_version import KargoVersion, VersionSource
from receivers.cluster.reflector import Freshness
from receivers.health.access_reviews import AccessReviewResults, AccessReviews
from receivers.health.rbac import RequiredPermission, rbac_manifest
from receivers.kargo.resources import FREIGHTS
from receivers.kargo.stages import STAGES
from receivers.ops import database_stats, runtime
from receivers.refreshes.leases import LEASE_DURATION
from receivers.web import live_fragments
from receivers.web.page_view import PageRequest, page_view

EVERY: Final = "5s"
ROWS_SHOWN: Final = 100  # kinds and namespaces; failing ones come first


@dataclass(frozen=True, slots=True)
class SyncRow:
    """The sync state of one kind of object in one namespace (empty means all); `tone` is that of the `state`."""

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
    """The verbs required on a resource in a namespace (empty means all), and which of them are missing."""

    resource: str
    group: str
    namespace: str
    verbs: str
    missing: str
    unknown: bool
    optional: str


@page_view
@require_safe
def status(request: PageRequest) -> HttpResponse:
    """Show the status page to users who see everything. Only admins see configuration, addresses and host names."""
    require_permission(request, Action.SEE, "")
    process, privileged = request.runtime, may(request.user, Action.READ_CONFIGURATION, "")
    part = live_fragments.render_fragment(request, "ops/_status.html", _live_context(process))
    if request.htmx.target == "status":
        return live_fragments.respond(request, part, every=EVERY)
    context = {
        "part": part,
        "every": EVERY,
        "database": database_stats.database_facts(),
        "versions": _versions(process.access_reviews.latest(), process.kargo_version.latest()),
        "replicas": _replicas(),
        "privileged": privileged,
        "unknown": database_stats.unknown_url_requests() if privileged else [],
        "settings": settings.KARGOWEB.settings if privileged else (),
    }
    return render(request, "ops/status.html", context)


def _live_context(process: runtime.Runtime) -> Mapping[str, Any]:
    reviews = process.access_reviews.latest()
    missing = reviews.missing if reviews else ()
    sync, permissions = sync_rows(process), permission_rows(process.access_reviews, reviews)
    return {
        "problems": _problems(process, sync, permissions),
        "syncing": not process.cache.ready,
        "sync_rows": sync,
        "failing": sum(row.tone == "bad" for row in sync),
        "reviews": reviews,
        "permissions": permissions[:ROWS_SHOWN],
        "missing_required": sum(bool(row.missing) and not row.optional for row in permissions),
        "missing": missing,
        "rbac": rbac_manifest(missing),
        "work": database_stats.work_in_progress(),
        "tracked": len(process.tracker),
        "queued_writes": len(process.writer),
        "spool": process.spool,
        "bodies": process.body_quota,
    }


def _problems(process: runtime.Runtime, sync: list[SyncRow], permissions: list[PermissionRow]) -> list[str]:
    """Return what does not work, as clauses of the verdict at the top of the page."""
    problems = []
    if failing := [row.kind for row in sync if row.tone == "bad"]:
        problems.append(f"The watch of {', '.join(dict.fromkeys(failing))} fails.")
    if missing := sum(bool(row.missing) and not row.optional for row in permissions):
        problems.append(
            f"Required permissions are missing on {missing} resource type{'s' if missing > 1 else ''}."
        )
    if process.spool.problem:
        problems.append("Deliveries can't be saved to disk while the database is unavailable.")
    elif len(process.spool):
        problems.append("The database is unavailable, and deliveries wait on disk.")
    return problems


def sync_rows(process: runtime.Runtime) -> list[SyncRow]:
    """Return the watched kinds, failing ones first. Controller heartbeats, which are polled, come last."""
    watched = [_sync_row(watch, counted=True) for watch in process.cache.freshness()]
    watched += [_sync_row(watch, counted=False) for watch in process.freight.freshness()]
    if process.stages is not None:
        watched += [
            _sync_row(watch, counted=watch.resource is STAGES)
            for watch in process.stages.freshness()
            if watch.resource is not FREIGHTS  # has a row already
        ]
    watched.sort(key=lambda row: row.tone != "bad")
    return [*watched[:ROWS_SHOWN], _heartbeats(process)]


def _sync_row(watch: Freshness, *, counted: bool) -> SyncRow:
    state, tone = ("in sync", "good") if watch.synced else ("syncing", "open")
    if watch.error:
        state, tone = "failing", "bad"
    return SyncRow(
        watch.resource.kind,
        watch.namespace,
        watch.objects if counted else None,
        _moment(watch.contact),
        _moment(watch.failing_since),
        state,
        tone,
        watch.error,
    )


def _heartbeats(process: runtime.Runtime) -> SyncRow:
    known, error = process.heartbeats.latest(), process.heartbeats.error
    state, tone = ("in sync", "good") if known else ("none", "plain")
    if known is None:
        state, tone = ("unavailable", "plain") if error else ("syncing", "open")
    return SyncRow(
        "Controller heartbeats",
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


def permission_rows(
    access_reviews: AccessReviews, results: AccessReviewResults | None
) -> list[PermissionRow]:
    """Return the required permissions by resource and namespace, missing ones first."""
    answers = results.allowed if results else {}

    def key(permission: RequiredPermission) -> tuple[str, str, str]:
        return permission.namespace, permission.resource.group, permission.resource_name

    rows = [
        _permission(list(several), answers)
        for _, several in groupby(sorted(access_reviews.required, key=key), key)
    ]
    return sorted(rows, key=lambda row: (not row.missing, bool(row.optional)))


def _permission(
    several: list[RequiredPermission], answers: Mapping[RequiredPermission, bool]
) -> PermissionRow:
    first = several[0]
    return PermissionRow(
        first.resource_name,
        first.resource.group,
        first.namespace,
        _verbs(several),
        _verbs(need for need in several if answers.get(need) is False),
        unknown=any(need not in answers for need in several),
        optional=first.optional,
    )


def _verbs(several: Iterable[RequiredPermission]) -> str:
    return ", ".join(need.verb for need in several)


def _versions(reviews: AccessReviewResults | None, kargo: KargoVersion | None) -> Mapping[str, str]:
    return {
        "kargoweb": VERSION,
        "Kargo": _kargo_version(kargo) if kargo else "unknown",
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "Kubernetes": (reviews.version if reviews else "") or "unknown",
    }


def _kargo_version(kargo: KargoVersion) -> str:
    """Return the version of Kargo, as far as it is known, and where it is known from."""
    version = kargo.version or kargo.rules.versions
    return f"{version} ({_SOURCES[kargo.source]})"


_SOURCES: Final = {
    VersionSource.SETTING: "set with KARGOWEB_KARGO_VERSION",
    VersionSource.DEPLOYMENT: "from its Deployment",
    VersionSource.SCHEMA: "from the schemas of its resource types",
    VersionSource.ASSUMED: "assumed; set KARGOWEB_KARGO_VERSION if it is earlier",
}


def _replicas() -> list[Mapping[str, Any]]:
    now = timezone.now()
    return [
        {"replica": replica, "alive": now - replica.seen_at < LEASE_DURATION}
        for replica in database_stats.replicas()
    ]
