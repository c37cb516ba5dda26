"""Sends the events of Warehouses to Kubernetes, where `kubectl describe warehouse` shows them.

They are Events of the core group, as those of Kargo's controllers. Pushes to one Warehouse that fail for the same
reason share an Event, which counts them and has the sentence about the newest one. Its name and its count are the same
whichever replica sends it and however often, so nothing is reported twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Min, QuerySet
from django.urls import reverse
from django.utils import timezone

from receivers.cluster.cache import ClusterCache
from receivers.cluster.errors import AlreadyExists, ClusterError, Forbidden, NotFound, Unreachable
from receivers.kargo.resources import EVENTS, WAREHOUSES, Warehouse
from receivers.models import NAME_LENGTH, WarehouseEvent
from receivers.refreshes.retry_policy import seconds_to_next_request

log = logging.getLogger(__name__)

COMPONENT: Final = "kargoweb"
MOST_REQUESTS: Final = 20  # Events in one round, of which there is one per second
MOST_ROWS: Final = 1_000  # in one round
SERIES: Final = timedelta(hours=1)
"""An Event without news for this long is not continued: by default, Kubernetes deletes it then."""

NO_NEWS: Final = timedelta(days=1)  # after which an event that couldn't be sent is given up
MESSAGE_LENGTH: Final = 1_024  # bytes, the limit of the Events API
ID_LENGTH: Final = 33  # of a dot and an id, at the end of a name

Key = tuple[str, str, str, bool]
"""Project and name of a Warehouse, the reason, and whether it recovered."""


@dataclass(frozen=True, slots=True)
class _Series:
    """The events that share an Event: those that are not sent yet, in order, and what was sent before."""

    name: str
    unsent: Sequence[WarehouseEvent]
    sent: int
    first_at: datetime

    @property
    def newest(self) -> WarehouseEvent:
        return self.unsent[-1]


class EventSender:
    """Sends what is due. `is_on_duty` says whether this replica is the one that does so."""

    def __init__(self, cache: ClusterCache, is_on_duty: Callable[[], bool], base_url: str) -> None:
        self._cache = cache
        self._is_on_duty = is_on_duty
        self._base_url = base_url

    def work(self) -> bool:
        """Send what is due, `MOST_REQUESTS` Events at most. Return whether there may be more to send now."""
        due = WarehouseEvent.objects.filter(due_at__lte=timezone.now()).order_by("due_at")
        keys = list(dict.fromkeys(_key(event) for event in due[:MOST_ROWS]))
        if not keys or not self._cache.ready or not self._is_on_duty():
            return False
        for key in keys[:MOST_REQUESTS]:
            try:
                self._send(key)
            except Unreachable:
                break  # the others would wait for the same timeout
        return False

    def _send(self, key: Key) -> None:
        """Send the unsent events of a series. Raises `Unreachable` after it has planned the next attempt."""
        now = timezone.now()
        rows = _of(key).filter(due_at__isnull=False)
        rows.filter(at__lt=now - NO_NEWS).update(due_at=None)
        unsent = list(rows.order_by("at", "pk")[:MOST_ROWS])
        if not unsent:
            return
        ids = [event.pk for event in unsent]
        project, name, _, _ = key
        warehouse = self._cache.warehouse(project, name)
        if warehouse is None:
            WarehouseEvent.objects.filter(pk__in=ids).update(due_at=None)
            return
        series = _series(key, unsent)
        try:
            self._write(warehouse, series)
        except ClusterError as error:
            self._plan(unsent, error, now)
            if isinstance(error, Unreachable):
                raise
            return
        WarehouseEvent.objects.filter(pk__in=ids).update(name=series.name, due_at=None)

    def _write(self, warehouse: Warehouse, series: _Series) -> None:
        cluster = self._cache.cluster()
        body = self._event(warehouse, series)
        news = {name: body[name] for name in ("message", "count", "lastTimestamp")}
        try:
            if series.sent:
                cluster.patch(EVENTS, series.name, warehouse.project, news)
                return
        except NotFound:  # Kubernetes has deleted it
            pass
        try:
            cluster.create(EVENTS, body, warehouse.project)
        except AlreadyExists:  # it was sent, but the process ended before it could store so
            cluster.patch(EVENTS, series.name, warehouse.project, news)

    def _event(self, warehouse: Warehouse, series: _Series) -> dict[str, Any]:
        newest, count = series.newest, series.sent + len(series.unsent)
        prefix = f"{count} pushes; the newest: " if count > 1 else ""
        link = f" {self._base_url}{reverse('push', args=[newest.push_id])}"
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": series.name, "namespace": warehouse.project},
            "involvedObject": {
                "apiVersion": WAREHOUSES.api_version,
                "kind": WAREHOUSES.kind,
                "namespace": warehouse.project,
                "name": warehouse.name,
                "uid": warehouse.uid,
                "resourceVersion": warehouse.resource_version,
            },
            "type": "Normal" if newest.recovered else "Warning",
            "reason": _camel_case(newest.reason),
            "message": _clipped(prefix + newest.text, MESSAGE_LENGTH - len(link.encode())) + link,
            "count": count,
            "firstTimestamp": _time(series.first_at),
            "lastTimestamp": _time(newest.at),
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": COMPONENT,
        }

    def _plan(self, unsent: Sequence[WarehouseEvent], error: ClusterError, now: datetime) -> None:
        attempts = max(event.attempts for event in unsent) + 1
        # Without its namespace or with an invalid body, there is nothing to wait for.
        final = not error.transient and not isinstance(error, Forbidden)
        seconds = None if final else seconds_to_next_request(attempts, error.retry_after or 0.0)
        log.warning("the Event of Warehouse %s failed (attempt %d): %s", unsent[0], attempts, error)
        WarehouseEvent.objects.filter(pk__in=[event.pk for event in unsent]).update(
            attempts=attempts, due_at=None if seconds is None else now + timedelta(seconds=seconds)
        )


def _of(key: Key) -> QuerySet[WarehouseEvent]:
    project, warehouse, reason, recovered = key
    return WarehouseEvent.objects.filter(
        project=project, warehouse=warehouse, reason=reason, recovered=recovered
    )


def _key(event: WarehouseEvent) -> Key:
    return event.project, event.warehouse, event.reason, event.recovered


def _series(key: Key, unsent: Sequence[WarehouseEvent]) -> _Series:
    """Return the series that the unsent events continue, or a new one. Its name follows from the oldest of them."""
    last = _of(key).exclude(name="").order_by("-at").first()
    if last is not None and unsent[0].at - last.at < SERIES:
        before = _of(key).filter(name=last.name)
        first_at = before.aggregate(first=Min("at"))["first"]
        return _Series(last.name, unsent, before.count(), first_at)
    oldest = unsent[0]
    head = oldest.warehouse[: NAME_LENGTH - ID_LENGTH].rstrip("-.")
    return _Series(f"{head}.{oldest.pk.hex}", unsent, 0, oldest.at)


def _camel_case(code: str) -> str:
    return "".join(word.capitalize() for word in code.split("_"))


def _clipped(text: str, size: int) -> str:
    """Return the text, cut to `size` bytes of UTF-8."""
    data = text.encode()
    return text if len(data) <= size else f"{data[: size - 3].decode(errors='ignore')}…"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
