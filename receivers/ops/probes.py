"""What Kubernetes asks: is the process alive, and can it take pushes; and what Prometheus asks."""

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
    """`GET /healthz`: 200 with no body while the process serves requests, whatever it depends on."""
    return HttpResponse(b"", content_type=responses.CONTENT_TYPE)


@require_safe
def readiness(request: HttpRequest) -> HttpResponse:
    """`GET /readyz`: 200 if pushes can be taken, else 503; in both cases JSON that says what is and what is missing.

    They can be taken while the database is away, for they are kept on disk meanwhile; but not before it has ever been
    there, as when nobody has migrated it. Nothing is asked for this: whoever waits with a database that does not answer
    cannot say so. Anybody may ask, so names and errors are left to the status page and the log.
    """
    here = runtime.current()
    cache, spool = here.cache, here.spool
    problem = here.database_problem()
    ready = cache.ready and (not problem or (here.database_seen and spool.has_room))
    body: dict[str, Any] = {
        "ready": ready,
        "database": "away" if problem else "ok",
        "spool": {"deliveries": len(spool), "room": spool.has_room},
        "mirror": {kind: all(known) for kind, known in _synced(cache).items()},
    }
    return JsonResponse(body, status=200 if ready else 503)


def _synced(cache: ClusterCache) -> Mapping[str, list[bool]]:
    """Return by kind whether its objects are known, in each namespace."""
    found: dict[str, list[bool]] = defaultdict(list)
    for one in cache.freshness():
        found[one.resource.kind].append(one.synced)
    return found


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """`GET /metrics`: Prometheus' text format. 404 unless `KARGOWEB_METRICS` is set: the port may be a public one."""
    if not settings.KARGOWEB.metrics:
        raise Http404
    return HttpResponse(runtime.current().metrics.text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
