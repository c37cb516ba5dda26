"""Reviews of users' permissions by the API server, for `receivers.accounts.kubernetes_access`."""

from __future__ import annotations

import logging
from typing import Final

from receivers.accounts.kubernetes_access import KubernetesAccess, ReviewFailed, ReviewSubject
from receivers.cluster.cache import ClusterCache
from receivers.cluster.errors import ClusterError, Forbidden, Unreachable
from receivers.kargo.resources import WAREHOUSES

log = logging.getLogger(__name__)

REVIEW_TIMEOUT: Final = 3.0  # seconds; someone waits for the page


def kubernetes_access(cache: ClusterCache, seconds: float) -> KubernetesAccess:
    """Return what asks the API server of the cache about users' access to Warehouses.

    Verdicts are valid for `seconds`.
    """

    def review(subject: ReviewSubject, verb: str, namespace: str | None) -> bool:
        try:
            return cache.cluster().may(
                subject.user, subject.groups, verb, WAREHOUSES, namespace, timeout=REVIEW_TIMEOUT
            )
        except ClusterError as error:
            log.warning("Cannot review the access of a user: %s", error)
            raise ReviewFailed(_reason(error)) from error

    def projects() -> list[str]:
        if not cache.ready:
            raise ReviewFailed("the initial cluster sync hasn't finished")
        return [project.name for project in cache.projects()]

    return KubernetesAccess(review, projects, seconds)


def _reason(error: ClusterError) -> str:
    """Return a reason for users, who need not know the addresses and accounts in the error."""
    match error:
        case Forbidden():
            return "kargoweb may not create SubjectAccessReviews"
        case Unreachable():
            return "the Kubernetes API does not respond"
    return "the Kubernetes API refused to review your access"
