"""Corrects refreshes that ended without Freight when Freight is created late: by Kargo an hour later, or manually."""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

from django.db.models import Q
from django.utils import timezone

from receivers.cluster.client import KubernetesClient
from receivers.cluster.errors import ClusterError
from receivers.deliveries.bounded_scan import CLOCK_SKEW
from receivers.deliveries.log_writer import LogWriter, Write
from receivers.kargo.artifacts import Freight, decode_freight
from receivers.kargo.refresh_outcomes import RefreshOutcome
from receivers.kargo.resources import FREIGHTS, WarehouseKey
from receivers.models import Origin, Refresh, first_id
from receivers.refreshes.attempts import refresh_request, tracked_refresh
from receivers.refreshes.history import end_refresh
from receivers.refreshes.rollup import update_deliveries

log = logging.getLogger(__name__)

CORRECTED_WITHIN: Final = timedelta(days=30)  # of the end; later Freight has another cause
MAX_DURATION: Final = timedelta(
    days=3
)  # of a refresh from its creation to its end: a day of retries, and timeouts
CATCH_UP_PERIOD: Final = timedelta(days=1)  # before a restart of the watch; longer than a usual downtime
MAX_PROJECTS: Final = 200  # in one catch-up; each costs a list of its Freight
BATCH: Final = 100  # pieces of Freight in one query
MAX_REFRESHES: Final = 2_000  # that one batch is compared with, the newest ones
MAX_PENDING: Final = 10_000  # pieces of Freight; more than arrive during a restart of the database
COMPARE_AGAIN_SECONDS: Final = (
    10.0  # in which the end of a refresh, decided before the Freight was seen, gets stored
)
WRITE_SECONDS: Final = 10.0  # for one write; the Freight stays pending if it takes longer

_NOT_CORRECTED: Final = (
    "",
    RefreshOutcome.FREIGHT_CREATED,
    RefreshOutcome.ALREADY_CURRENT,
    RefreshOutcome.TEST_PASSED,
)
_WIDE_COLUMNS: Final = ("delivery__stored_body", "delivery__headers", "delivery__verdicts")


class LateFreightMatcher:
    """Compares new Freight with refreshes that have ended. Every serving process does so; all write the same."""

    def __init__(
        self,
        cluster: Callable[[], KubernetesClient],
        writer: LogWriter,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._writer = writer
        self._clock = clock
        self._pending: deque[Freight] = deque(maxlen=MAX_PENDING)
        # What was compared once, with the time at which it is compared again.
        self._compared: deque[tuple[float, Freight]] = deque(maxlen=MAX_PENDING)
        self._catch_ups: list[float] = []

    def on_freight(self, freight: Freight) -> None:
        """Remember new Freight for the next call of `work`."""
        self._pending.append(freight)

    def on_restart(self) -> None:
        """Remember that the watch may have missed Freight."""
        now = self._clock()
        self._catch_ups = [now, now + COMPARE_AGAIN_SECONDS]

    def work(self) -> bool:
        """Compare the pending Freight, and once more what was compared `COMPARE_AGAIN_SECONDS` ago.

        A refresh may end without Freight just before its Freight is seen, and be stored just after the comparison.
        Always returns False: nothing is left.
        """
        now = self._clock()
        if any(at <= now for at in self._catch_ups):
            self._catch_up()
            # Only after it succeeded; a restart of the watch may have planned more meanwhile.
            self._catch_ups = [at for at in self._catch_ups if at > now]
        while self._pending:
            batch = list(islice(self._pending, BATCH))
            self.correct(batch)
            # Only after the write, so that Freight stays pending if the write fails.
            for _ in batch:
                self._compared.append((now + COMPARE_AGAIN_SECONDS, self._pending.popleft()))
        while due := [freight for at, freight in islice(self._compared, BATCH) if at <= now]:
            self.correct(due)
            for _ in due:
                self._compared.popleft()
        return False

    def correct(self, freight: Sequence[Freight]) -> None:
        """Correct every refresh that led to one of these pieces of Freight. Raises `NotStored` or DatabaseError."""
        now, changed = timezone.now(), []
        by_warehouse: dict[WarehouseKey, list[Freight]] = defaultdict(list)
        for piece in freight:
            by_warehouse[piece.project, piece.warehouse].append(piece)
        for row in _ended_without_freight(by_warehouse, now):
            candidates = by_warehouse[row.project, row.warehouse]
            created = next((piece for piece in candidates if _led_to(row, piece)), None)
            if created is not None:
                text = f"Freight {created.alias or created.name} was created late"
                end_refresh(row, RefreshOutcome.FREIGHT_CREATED, text, created, now)
                changed.append(row)
        if changed:
            then = partial(update_deliveries, {row.delivery_id for row in changed})
            self._writer.submit(Write(updates=changed, then=(then,))).wait(WRITE_SECONDS)

    def _catch_up(self) -> None:
        """Compare all Freight of projects in which refreshes ended recently without Freight."""
        since = timezone.now() - CATCH_UP_PERIOD
        recent = (
            Refresh.objects.filter(pk__gte=first_id(since - MAX_DURATION), ended_at__gte=since)
            .exclude(outcome__in=_NOT_CORRECTED)
            .values_list("project", "warehouse")
            .distinct()
        )
        warehouses: dict[str, set[str]] = {}
        for project, warehouse in recent:
            warehouses.setdefault(project, set()).add(warehouse)
        for project in sorted(warehouses)[:MAX_PROJECTS]:
            for page in self._freight_of(project):
                self.correct([piece for piece in page if piece.warehouse in warehouses[project]])

    def _freight_of(self, project: str) -> Iterable[Sequence[Freight]]:
        try:
            for page in self._cluster().list_pages(FREIGHTS, project, limit=BATCH, item=decode_freight):
                yield page.items
        except ClusterError as error:
            log.warning(
                "failed to list the Freight of %s; its refreshes are not corrected: %s", project, error
            )


def _ended_without_freight(freight: Mapping[WarehouseKey, Sequence[Freight]], now: datetime) -> list[Refresh]:
    """Return refreshes of these Warehouses that ended without Freight and whose tag one of these pieces holds."""
    artifacts = [artifact for pieces in freight.values() for piece in pieces for artifact in piece.artifacts]
    # The chart version 1.0.0+x is the tag 1.0.0_x in an OCI registry.
    tags = {tag for artifact in artifacts for tag in (artifact.tag, artifact.tag.replace("+", "_"))}
    projects, warehouses = ({key[position] for key in freight} for position in (0, 1))
    # By id, which carries the time of creation and has an index: the log may cover years.
    oldest = first_id(now - CORRECTED_WITHIN - MAX_DURATION)
    ended = (
        Refresh.objects.filter(project__in=projects, warehouse__in=warehouses, delivery__tag__in=tags)
        .filter(pk__gte=oldest, ended_at__gte=now - CORRECTED_WITHIN)
        .exclude(outcome__in=_NOT_CORRECTED)
        .select_related("delivery")
        .order_by("-pk")[:MAX_REFRESHES]
    )
    return [row for row in ended.defer(*_WIDE_COLUMNS) if (row.project, row.warehouse) in freight]


def _led_to(row: Refresh, freight: Freight) -> bool:
    """Say whether the Freight holds what was pushed, was created since, and cannot be the result of a later push."""
    request = refresh_request(tracked_refresh(row, row.delivery))
    if freight.created_at is None or freight.created_at < request.since:
        return False
    if freight.holds(request.push, row.digest) is None:
        return False
    # A digest identifies the content, but a tag alone may have moved to other content.
    return bool(row.digest) or not _was_pushed_again(row, freight.created_at)


def _was_pushed_again(row: Refresh, until: datetime) -> bool:
    """Say whether another push of the same tag came later but before `until`, so that the Freight may be its own."""
    received_at = row.delivery.received_at
    # Ids only bound the scan of the index: ids from two processes do not tell which row was created first.
    created = Refresh.objects.filter(pk__gte=first_id(received_at - CLOCK_SKEW))
    of_tag = created.filter(project=row.project, warehouse=row.warehouse, delivery__tag=row.delivery.tag)
    later = Q(delivery__received_at__gt=received_at) | Q(delivery__received_at=received_at, pk__gt=row.pk)
    other_push = of_tag.exclude(delivery__push_id=row.delivery.push_id).exclude(delivery__origin=Origin.TEST)
    return other_push.filter(later, delivery__received_at__lte=until).exists()
