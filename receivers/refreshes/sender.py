"""Requests refreshes: concurrent requests for a Warehouse share a patch; Warehouses are patched in parallel.

Source of the annotation and its effect: Kargo's `api/v1alpha1/annotations.go` and its Warehouse controller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from django.utils import timezone

from receivers.cluster.errors import ClusterError, NotFound, NotInstalled, Throttled, TimedOut
from receivers.kargo.resources import REFRESH_ANNOTATION, WAREHOUSES, Resource, Warehouse, WarehouseKey
from receivers.refreshes.circuit_breaker import CircuitBreaker
from receivers.refreshes.tokens import Tokens, format_token

MAX_PATCHES: Final = 32  # in parallel, beside those that request threads send themselves
PATCH_TIMEOUT: Final = 5.0  # seconds without a response

CIRCUIT_OPEN: Final = "the Kubernetes API server is not responding; the request will be retried"


class Patcher(Protocol):
    """The one verb of the Kubernetes client that a refresh needs."""

    def patch(
        self, resource: Resource, name: str, namespace: str | None, body: Mapping[str, Any], *, timeout: float
    ) -> object:
        """Apply a merge patch; give up after `timeout` seconds without a response. Raises `ClusterError`."""
        ...


@dataclass(frozen=True, slots=True)
class RefreshAttempt:
    """The result of one request to refresh a Warehouse.

    `requested_at` is the time of the patch, None if the API server did not accept it; `error` then says why. `token`
    is the value of the annotation. `discovered_before` is the Warehouse's `discoveredAt` at that time, as far as the
    cache knows. `retry_after` is how many seconds the API server asked to wait. `gone`: the Warehouse does not exist.
    """

    key: WarehouseKey
    requested_at: datetime | None = None
    token: str = ""
    discovered_before: str = ""
    error: str = ""
    retry_after: float = 0.0
    gone: bool = False


@dataclass(slots=True, eq=False)
class _SingleFlightCall:
    """One patch of one Warehouse, and the result for all who wait for it."""

    key: WarehouseKey
    result: Future[RefreshAttempt] = field(default_factory=Future)


@dataclass(slots=True)
class _WarehouseCalls:
    """The call in progress for a Warehouse, and the next one, which all share who came since it was sent."""

    current: _SingleFlightCall
    next: _SingleFlightCall | None = None


class RefreshSender:
    """Requests refreshes. Safe to call from any thread.

    `cluster` returns the Kubernetes client (and may raise `ClusterError` while there is none); `known` returns a
    Warehouse from the cache; `patch_timeout` is how many seconds a patch may take.
    """

    def __init__(
        self,
        cluster: Callable[[], Patcher],
        known: Callable[[WarehouseKey], Warehouse | None],
        patch_timeout: float = PATCH_TIMEOUT,
    ) -> None:
        self._cluster = cluster
        self._known = known
        self._patch_timeout = patch_timeout
        self._tokens = Tokens()
        self._lock = threading.Lock()
        self._calls: dict[WarehouseKey, _WarehouseCalls] = {}
        self._pool = ThreadPoolExecutor(MAX_PATCHES, thread_name_prefix="refresh")
        self._breaker = CircuitBreaker()

    def stop(self) -> None:
        """Send no more patches; those in progress may finish."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def paused(self) -> bool:
        """Say whether the circuit is open because the API server does not respond."""
        return self._breaker.is_open()

    def request(self, keys: Sequence[WarehouseKey], seconds: float) -> tuple[RefreshAttempt, ...]:
        """Refresh each of these Warehouses by a patch that is sent after this call began; wait at most `seconds`.

        Returns one `RefreshAttempt` for each key, in order. Never raises: errors are part of the result.
        """
        if self.paused:
            return tuple(RefreshAttempt(key, error=CIRCUIT_OPEN) for key in keys)
        deadline = time.monotonic() + seconds
        joined = [self._join(key) for key in keys]
        to_send = [call for call, is_ours in joined if is_ours]
        for call in to_send[1:]:
            self._send_in_pool(call)
        if to_send:
            # In this thread: most pushes match one Warehouse, and handing it over would cost more than the patch.
            self._send(to_send[0])
        wait([call.result for call, _ in joined], timeout=max(0.0, deadline - time.monotonic()))
        return tuple(_result(call, seconds) for call, _ in joined)

    def _join(self, key: WarehouseKey) -> tuple[_SingleFlightCall, bool]:
        """Return the call to wait for, and whether the caller has to send it.

        Kargo may handle the patch in progress before the pushed tag is in the registry, because that patch was sent
        before the push. So a new caller never joins it. All callers that come in the meantime share the next patch.
        """
        with self._lock:
            calls = self._calls.get(key)
            if calls is None:
                self._calls[key] = calls = _WarehouseCalls(_SingleFlightCall(key))
                return calls.current, True
            if calls.next is None:
                calls.next = _SingleFlightCall(key)
            return calls.next, False

    def _send_in_pool(self, call: _SingleFlightCall) -> None:
        try:
            self._pool.submit(self._send, call)
        except RuntimeError:  # the pool is shut down
            error = "kargoweb is shutting down; the request will be retried"
            call.result.set_result(RefreshAttempt(call.key, error=error))

    def _send(self, call: _SingleFlightCall) -> None:
        attempt = self._patch(call.key)
        with self._lock:
            following = self._calls[call.key].next
            if following is None:
                del self._calls[call.key]
            else:
                self._calls[call.key] = _WarehouseCalls(following)
        # Before the result is published: those who wait for the next patch should not wait for this thread's callers.
        if following is not None:
            self._send_in_pool(following)
        call.result.set_result(attempt)

    def _patch(self, key: WarehouseKey) -> RefreshAttempt:
        if self.paused:  # the circuit opened while this patch waited for its turn
            return RefreshAttempt(key, error=CIRCUIT_OPEN)
        project, name = key
        try:
            warehouse = self._known(key)
            requested_at = timezone.now()
            token = format_token(self._tokens.create(warehouse.refresh_token if warehouse else ""))
            body = {"metadata": {"annotations": {REFRESH_ANNOTATION: token}}}
            self._cluster().patch(WAREHOUSES, name, project, body, timeout=self._patch_timeout)
        except ClusterError as error:
            self._breaker.record(timed_out=isinstance(error, TimedOut))
            retry_after = (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0
            gone = isinstance(error, NotFound) and not isinstance(error, NotInstalled)
            return RefreshAttempt(key, error=str(error), retry_after=retry_after, gone=gone)
        except Exception as error:  # noqa: BLE001 - all who wait for this call must get a result
            return RefreshAttempt(key, error=f"{type(error).__name__}: {error}")
        self._breaker.record(timed_out=False)
        return RefreshAttempt(key, requested_at, token, warehouse.discovered_at if warehouse else "")


def _result(call: _SingleFlightCall, seconds: float) -> RefreshAttempt:
    if call.result.done():
        return call.result.result()
    error = f"the Kubernetes API server did not respond within {seconds:g} s"
    return RefreshAttempt(call.key, error=error)
