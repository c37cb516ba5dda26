"""The liveness and readiness probes for Kubernetes, and the metrics endpoint for Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from receivers.cluster.cache import ClusterCache
from receivers.kargo import responses
from receivers.ops import runtime


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """`GET /healthz`: 200 with an empty body while the process serves requests, whatever its dependencies do."""
    return HttpResponse(b"", content_type=responses.CONTENT_TYPE)


@require_safe
def readiness(request: HttpRequest) -> HttpResponse:
    """`GET /readyz`: 200 if pushes are accepted, else 503, with JSON that says what is ready and what isn't.

    Pushes are accepted while the database is unavailable, because the spool keeps them on disk, but not before the
    database was available once: it may not be migrated. They are also accepted while the API server is unavailable: the
    delivery is stored, and the refresh waits. The probe runs no query, so a database that hangs can't delay
    it. It is public: names and errors are only on the status page and in the log.
    """
    process = runtime.current()
    cache, spool = process.cache, process.spool
    problem = process.database_problem()
    ready = cache.ready and (not problem or (process.database_seen and spool.has_room))
    body: dict[str, Any] = {
        "ready": ready,
        "database": "away" if problem else "ok",
        "cluster": "ok" if cache.is_responding else "away",
        "spool": {"deliveries": len(spool), "room": spool.has_room},
        "mirror": {kind: all(known) for kind, known in _synced(cache).items()},
    }
    return JsonResponse(body, status=200 if ready else 503)


def _synced(cache: ClusterCache) -> Mapping[str, list[bool]]:
    """Return by kind whether the cache is in sync, for each namespace."""
    by_kind: dict[str, list[bool]] = defaultdict(list)
    for watch in cache.freshness():
        by_kind[watch.resource.kind].append(watch.synced)
    return by_kind


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`GET /metrics`: Prometheus' text format. 404 unless `KARGOWEB_METRICS` is set, for the port may be public."""
    if not settings.KARGOWEB.metrics:
        raise Http404
    return HttpResponse(runtime.current().metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
