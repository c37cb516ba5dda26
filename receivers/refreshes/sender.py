"""Requests refreshes: concurrent requests for a Warehouse share a patch; Warehouses are patched in parallel.

Source of the annotation and its effect: Kargo's `api/v1alpha1/annotations.go` and its Warehouse controller.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from django.utils import timezone

from kargoweb import tracing
from receivers.cluster.errors import (
    ClusterError,
    KubeconfigError,
    NotFound,
    NotInstalled,
    Throttled,
    TimedOut,
    Unreachable,
)
from receivers.kargo.resources import REFRESH_ANNOTATION, WAREHOUSES, Resource, Warehouse, WarehouseKey
from receivers.refreshes.attempts import Attempt
from receivers.refreshes.circuit_breaker import CircuitBreaker
from receivers.refreshes.refresh_tokens import Tokens, format_token
from receivers.refreshes.work_queue import WorkQueue

MAX_PATCHES: Final = 16  # in parallel, beside those that request threads send themselves
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
class RequestResult:
    """The result of one request to refresh a Warehouse.

    `attempt` is the accepted patch; None if the API server did not accept it, and `error` then says why. `retry_after`
    is how many seconds the API server asked to wait. `gone`: the Warehouse does not exist. `unreachable`: the API
    server did not respond.
    """

    key: WarehouseKey
    attempt: Attempt | None = None
    error: str = ""
    retry_after: float = 0.0
    gone: bool = False
    unreachable: bool = False


@dataclass(slots=True, eq=False)
class _SingleFlightCall:
    """One patch of one Warehouse, and the result for all who wait for it."""

    key: WarehouseKey
    result: Future[RequestResult] = field(default_factory=Future)
    traceparent: str = field(default_factory=tracing.traceparent)
    """Of the first who waits for it: another thread may send it."""


@dataclass(slots=True)
class _WarehouseCalls:
    """The call in progress for a Warehouse, and the next one, which all share who came since it was sent."""

    current: _SingleFlightCall
    next: _SingleFlightCall | None = None


class RefreshSender:
    """Requests refreshes. Safe to call from any thread.

    `cluster` returns the Kubernetes client (and may raise `ClusterError` while there is none); `known` returns a
    Warehouse from the cache; `queue` learns of every attempt before Kargo can, so that it misses no answer;
    `patch_timeout` is how many seconds a patch may take.
    """

    def __init__(
        self,
        cluster: Callable[[], Patcher],
        known: Callable[[WarehouseKey], Warehouse | None],
        queue: WorkQueue,
        patch_timeout: float = PATCH_TIMEOUT,
    ) -> None:
        self._cluster = cluster
        self._known = known
        self._queue = queue
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

    def request(self, keys: Sequence[WarehouseKey], seconds: float) -> tuple[RequestResult, ...]:
        """Refresh each of these Warehouses by a patch that is sent after this call began; wait at most `seconds`.

        Returns one result for each key, in order. Never raises: errors are part of the result.
        """
        if self.paused:
            return tuple(RequestResult(key, error=CIRCUIT_OPEN, unreachable=True) for key in keys)
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
            call.result.set_result(RequestResult(call.key, error=error))

    def _send(self, call: _SingleFlightCall) -> None:
        project, warehouse = call.key
        attributes = {"kargoweb.project": project, "kargoweb.warehouse": warehouse}
        with tracing.span(
            "refresh Warehouse", tracing.Kind.CLIENT, parent=call.traceparent, attributes=attributes
        ) as span:
            result = self._request(call.key)
            if result.attempt is None:
                span.fail(_error_type(result))
        with self._lock:
            following = self._calls[call.key].next
            if following is None:
                del self._calls[call.key]
            else:
                self._calls[call.key] = _WarehouseCalls(following)
        # Before the result is published: those who wait for the next patch should not wait for this thread's callers.
        if following is not None:
            self._send_in_pool(following)
        call.result.set_result(result)

    def _request(self, key: WarehouseKey) -> RequestResult:
        if self.paused:  # the circuit opened while this patch waited for its turn
            return RequestResult(key, error=CIRCUIT_OPEN, unreachable=True)
        attempt = None
        try:
            attempt = self._new_attempt(key)
            self._queue.begin(attempt)
            self._patch(attempt)
        except Exception as error:  # noqa: BLE001 - all who wait for this call must get a result
            if attempt is not None:
                self._queue.discard(attempt)
            return self._failure(key, error)
        self._breaker.record(timed_out=False)
        return RequestResult(key, attempt)

    def _failure(self, key: WarehouseKey, error: Exception) -> RequestResult:
        if not isinstance(error, ClusterError):
            return RequestResult(key, error=f"{type(error).__name__}: {error}")
        self._breaker.record(timed_out=isinstance(error, TimedOut))
        retry_after = (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0
        gone = isinstance(error, NotFound) and not isinstance(error, NotInstalled)
        unreachable = isinstance(error, Unreachable | KubeconfigError)
        return RequestResult(
            key, error=str(error), retry_after=retry_after, gone=gone, unreachable=unreachable
        )

    def _new_attempt(self, key: WarehouseKey) -> Attempt:
        warehouse = self._known(key)
        requested_at = timezone.now()
        token_time = self._tokens.create(warehouse.refresh_token if warehouse else "")
        discovered_before = warehouse.discovered_at if warehouse else ""
        return Attempt(key, format_token(token_time), token_time, requested_at, discovered_before)

    def _patch(self, attempt: Attempt) -> None:
        project, name = attempt.key
        body = {"metadata": {"annotations": {REFRESH_ANNOTATION: attempt.token}}}
        self._cluster().patch(WAREHOUSES, name, project, body, timeout=self._patch_timeout)


def _error_type(result: RequestResult) -> str:
    """Return why a request failed, as an identifier: the message may contain addresses."""
    if result.gone:
        return "not_found"
    return "unreachable" if result.unreachable else "rejected"


def _result(call: _SingleFlightCall, seconds: float) -> RequestResult:
    if call.result.done():
        return call.result.result()
    error = f"the Kubernetes API server did not respond within {seconds:g} s"
    return RequestResult(call.key, error=error, unreachable=True)
