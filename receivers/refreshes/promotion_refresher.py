"""Refreshes Promotions that wait for a pull request, as soon as it is closed.

They are listed when they are needed: pull requests are closed rarely, and most clusters have none to wait for. Source:
Kargo's `pkg/webhook/external/refresh.go`, which sets the same annotation as for Warehouses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils import timezone

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError, NotFound
from receivers.kargo.promotion_targets import PromotionTarget, decode_target, waiting_for
from receivers.kargo.resources import REFRESH_ANNOTATION, WarehouseKey
from receivers.kargo.stages import PROMOTIONS
from receivers.refreshes.refresh_tokens import format_token

PATCH_TIMEOUT: Final = 5.0  # seconds without a response


@dataclass(frozen=True, slots=True)
class PromotionResult:
    """The Promotions that were to be refreshed, those of them that were not, and the first error.

    `retry_after` is how many seconds the API server asked to wait; None if nothing failed, or nothing that may succeed
    without another permission.
    """

    keys: tuple[WarehouseKey, ...]
    failed: tuple[WarehouseKey, ...] = ()
    error: str = ""
    retry_after: float | None = None


class PromotionRefresher:
    """Finds and refreshes Promotions. `namespaces` are those that kargoweb is limited to; empty means all."""

    def __init__(self, cluster: Callable[[], KubernetesClient], namespaces: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._namespaces = namespaces

    def in_scope(self, project: str) -> Iterator[PromotionTarget]:
        """Yield the Promotions of a project, or of all if it is empty. Raises `ClusterError`."""
        for namespace in (project,) if project else self._namespaces or (None,):
            for page in self._cluster().list_pages(PROMOTIONS, namespace, item=decode_target):
                yield from page.items

    def refresh_waiting(self, url: str, project: str) -> PromotionResult:
        """Refresh the Promotions of a project that wait for this pull request. Raises `ClusterError` from the list."""
        return self.refresh(waiting_for(url, self.in_scope(project)) if url else ())

    def refresh(self, keys: Collection[WarehouseKey]) -> PromotionResult:
        """Refresh these Promotions. Never raises: errors are part of the result."""
        failed, error = [], ""
        retry_after: float | None = None
        for project, name in keys:
            annotation = {REFRESH_ANNOTATION: format_token(timezone.now())}
            patch = {"metadata": {"annotations": annotation}}
            try:
                self._cluster().patch(PROMOTIONS, name, project, patch, timeout=PATCH_TIMEOUT)
            except NotFound:
                pass  # it was deleted meanwhile
            except ClusterError as problem:
                failed.append((project, name))
                error = error or str(problem)
                if problem.transient:
                    retry_after = max(retry_after or 0.0, problem.retry_after or 0.0)
        return PromotionResult(tuple(keys), tuple(failed), error, retry_after)
