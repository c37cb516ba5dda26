"""Asks Warehouses to refresh: concurrent pushes share a patch, different Warehouses go side by side.

The annotation and what it does: Kargo's `api/v1alpha1/annotations.go` and its Warehouse controller.
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
from receivers.cluster.snapshot import WarehouseKey
from receivers.kargo.resources import REFRESH_ANNOTATION, WAREHOUSES, Resource, Warehouse
from receivers.refreshes.circuit_breaker import CircuitBreaker
from receivers.refreshes.tokens import Tokens, format_token

SENDERS: Final = 32  # patches under way at once, beside those that request threads send themselves
PATCH_TIMEOUT: Final = 5.0  # seconds of silence; an API server that takes longer is in trouble

SILENT: Final = "the Kubernetes API server does not answer; will be tried again"


class Patcher(Protocol):
    """The one verb of the Kubernetes service layer that sending needs."""

    def patch(
        self, resource: Resource, name: str, namespace: str | None, body: Mapping[str, Any], *, timeout: float
    ) -> object:
        """Apply a merge patch; give up after `timeout` seconds of silence. Raises `ClusterError`."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A Warehouse that was to be asked: `requested_at` says when, if the API server took it; else `error` says why not.

    `token` is what was written into the annotation, `discovered_before` the `discoveredAt` that the Warehouse had when
    it was asked, as far as we know. `retry_after` is how long the API server wants us to wait, in seconds; `gone`:
    there is no such Warehouse.
    """

    key: WarehouseKey
    requested_at: datetime | None = None
    token: str = ""
    discovered_before: str = ""
    error: str = ""
    retry_after: float = 0.0
    gone: bool = False


@dataclass(slots=True, eq=False)
class _Flight:
    """One patch of one Warehouse, and everybody who waits for it."""

    key: WarehouseKey
    landed: Future[Asked] = field(default_factory=Future)


@dataclass(slots=True)
class _Lane:
    """A Warehouse's patch under way, and the one that those share who came since it was sent."""

    under_way: _Flight
    next: _Flight | None = None


class RefreshSender:
    """Sends refreshes. Safe to call from any thread; start it before the first call.

    `cluster` gives the service layer (and may raise `ClusterError` while there is none); `known` gives a Warehouse as
    far as we know it; `patch_timeout` is how many seconds a patch may take.
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
        self._lanes: dict[WarehouseKey, _Lane] = {}
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="refresh")
        self._breaker = CircuitBreaker()

    def stop(self) -> None:
        """Send nothing more; what is under way may end."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    @property
    def paused(self) -> bool:
        """Say whether the API server is being left alone because it went silent."""
        return self._breaker.is_open()

    def ask(self, keys: Sequence[WarehouseKey], seconds: float) -> tuple[Asked, ...]:
        """Ask each of these Warehouses by a patch that is sent after this call began; wait `seconds` at most.

        Returns one `Asked` for each key, in order. Never raises: what goes wrong is in there.
        """
        if self.paused:
            return tuple(Asked(key, error=SILENT) for key in keys)
        deadline = time.monotonic() + seconds
        joined = [self._join(key) for key in keys]
        to_send = [flight for flight, is_ours in joined if is_ours]
        for flight in to_send[1:]:
            self._send_in_pool(flight)
        if to_send:
            # By this thread: most pushes match one Warehouse, and a hand-over would cost more than the patch.
            self._send(to_send[0])
        wait([flight.landed for flight, _ in joined], timeout=max(0.0, deadline - time.monotonic()))
        return tuple(_landed(flight, seconds) for flight, _ in joined)

    def _join(self, key: WarehouseKey) -> tuple[_Flight, bool]:
        """Return the flight to wait for, and whether the caller has to send it.

        A patch under way was sent before the caller came and may be handled before the pushed tag is there, so nobody
        boards it; all who come meanwhile share the next one.
        """
        with self._lock:
            lane = self._lanes.get(key)
            if lane is None:
                self._lanes[key] = lane = _Lane(_Flight(key))
                return lane.under_way, True
            if lane.next is None:
                lane.next = _Flight(key)
            return lane.next, False

    def _send_in_pool(self, flight: _Flight) -> None:
        try:
            self._pool.submit(self._send, flight)
        except RuntimeError:  # shut down: nobody will send it
            flight.landed.set_result(Asked(flight.key, error="kargoweb is stopping; will be tried again"))

    def _send(self, flight: _Flight) -> None:
        asked = self._patch(flight.key)
        with self._lock:
            lane = self._lanes[flight.key]
            following = lane.next
            if following is None:
                del self._lanes[flight.key]
            else:
                self._lanes[flight.key] = _Lane(following)
        if following is not None:
            self._send_in_pool(following)
        flight.landed.set_result(asked)

    def _patch(self, key: WarehouseKey) -> Asked:
        if self.paused:  # it went silent while this patch waited for its turn
            return Asked(key, error=SILENT)
        project, name = key
        try:
            warehouse = self._known(key)
            requested_at = timezone.now()
            token = format_token(self._tokens.make(warehouse.refresh_token if warehouse else ""))
            body = {"metadata": {"annotations": {REFRESH_ANNOTATION: token}}}
            self._cluster().patch(WAREHOUSES, name, project, body, timeout=self._patch_timeout)
        except ClusterError as error:
            self._breaker.record(timed_out=isinstance(error, TimedOut))
            retry_after = (error.retry_after or 0.0) if isinstance(error, Throttled) else 0.0
            gone = isinstance(error, NotFound) and not isinstance(error, NotInstalled)
            return Asked(key, error=str(error), retry_after=retry_after, gone=gone)
        except Exception as error:  # noqa: BLE001 - whoever waits must be woken, whatever happened
            return Asked(key, error=f"{type(error).__name__}: {error}")
        self._breaker.record(timed_out=False)
        return Asked(key, requested_at, token, warehouse.discovered_at if warehouse else "")


def _landed(flight: _Flight, seconds: float) -> Asked:
    if flight.landed.done():
        return flight.landed.result()
    return Asked(flight.key, error=f"the Kubernetes API server did not answer within {seconds:g} s")
