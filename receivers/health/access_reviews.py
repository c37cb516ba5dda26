"""Reviews of kargoweb's own permissions by the API server: requested in the background while a page shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.utils import timezone

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.health.rbac import RequiredPermission

REVIEW_INTERVAL_SECONDS: Final = 60.0  # permissions rarely change, and a round takes about thirty requests
RETRY_SECONDS: Final = 5.0  # after the API server didn't respond
IDLE_SECONDS: Final = 30.0  # reviews stop this long after the last viewer; the page polls every few seconds
ROUND_TIMEOUT_SECONDS: Final = 30.0  # enough for a thousand reviews of 30 ms each
MAX_REVIEWS: Final = 1_000  # per round; enough for a hundred namespaces


@dataclass(frozen=True, slots=True)
class AccessReviewResults:
    """The permissions reviewed so far; `error` says why some weren't. `version` is the API server's version."""

    at: datetime
    allowed: Mapping[RequiredPermission, bool] = field(default_factory=dict)
    version: str = ""
    error: str = ""

    @property
    def missing(self) -> tuple[RequiredPermission, ...]:
        """Return the permissions that are denied."""
        return tuple(permission for permission, allowed in self.allowed.items() if not allowed)


class AccessReviews:
    """Reviews kargoweb's permissions. Only one thread may call `work`; `latest` is thread-safe and never blocks."""

    def __init__(
        self, cluster: Callable[[], KubernetesClient], required: Sequence[RequiredPermission]
    ) -> None:
        self.required = tuple(required)
        self._cluster = cluster
        self._latest: AccessReviewResults | None = None
        self._due = 0.0
        self._requested_at = -IDLE_SECONDS

    def latest(self) -> AccessReviewResults | None:
        """Return the latest results, or None before the first round. While requested, they are a minute old at most."""
        self._requested_at = time.monotonic()
        return self._latest

    def work(self) -> bool:
        """Run a round of reviews if one is due and the results were requested recently."""
        now = time.monotonic()
        if now - self._requested_at < IDLE_SECONDS and now >= self._due:
            self._latest = self._review(now + ROUND_TIMEOUT_SECONDS)
            self._due = time.monotonic() + (RETRY_SECONDS if self._latest.error else REVIEW_INTERVAL_SECONDS)
        return False

    def _review(self, deadline: float) -> AccessReviewResults:
        """Review one permission after the other, and stop at the first error: the next would only time out too."""
        allowed: dict[RequiredPermission, bool] = {}
        version = error = ""
        try:
            cluster = self._cluster()
            version = cluster.version()
            for permission in self.required[:MAX_REVIEWS]:
                allowed[permission] = cluster.can_i(
                    permission.verb, permission.resource, permission.namespace, permission.subresource
                )
                if time.monotonic() > deadline:
                    break
        except ClusterError as problem:
            error = str(problem)
        if not error and len(allowed) < len(self.required):
            error = f"{len(self.required) - len(allowed)} permissions were not reviewed: there are too many"
        return AccessReviewResults(timezone.now(), allowed, version, error)
