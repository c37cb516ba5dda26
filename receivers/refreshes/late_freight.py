"""Corrects stories that have ended without Freight when Freight comes after all: an hour later, or made by hand."""

from __future__ import annotations

import logging
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
from receivers.cluster.snapshot import WarehouseKey
from receivers.deliveries.bounded_scan import CLOCK_SKEW
from receivers.deliveries.log_writer import LogWriter, Write
from receivers.kargo.artifacts import Freight, decode_freight
from receivers.kargo.outcomes import RefreshOutcome
from receivers.kargo.resources import FREIGHTS
from receivers.models import Refresh, first_id
from receivers.refreshes.history import Followed, end
from receivers.refreshes.rollup import close_deliveries

log = logging.getLogger(__name__)

CORRECTED_FOR: Final = timedelta(days=30)  # after the end; what comes later is another story
LONGEST_STORY: Final = timedelta(days=3)  # from being asked to the end: a day of trying, and patience
CAUGHT_UP_FOR: Final = timedelta(
    days=1
)  # when events may have been missed: longer than anybody leaves us down
PROJECTS_CAUGHT_UP: Final = 200  # each costs a list of its Freight
AT_ONCE: Final = 100  # pieces of Freight in one query
STORIES: Final = 2_000  # that they are compared with, the newest ones
WAITING: Final = 10_000  # pieces of Freight; more than come while the database is restarted
WRITE_SECONDS: Final = 10.0  # for the database; what is not written by then is tried again

_AS_GOOD_AS_IT_GETS: Final = ("", RefreshOutcome.FREIGHT_CREATED, RefreshOutcome.ALREADY_CURRENT)
_WIDE: Final = ("delivery__body", "delivery__headers", "delivery__verdicts")


class Corrector:
    """Compares new Freight with stories that have ended. Every serving process does; all write the same."""

    def __init__(self, cluster: Callable[[], KubernetesClient], writer: LogWriter) -> None:
        self._cluster = cluster
        self._writer = writer
        self._waiting: deque[Freight] = deque(maxlen=WAITING)
        self._missed_some = False

    def note_freight(self, freight: Freight) -> None:
        """Take note of new Freight; it is compared soon."""
        self._waiting.append(freight)

    def note_restart(self) -> None:
        """Take note that some Freight may have come unseen."""
        self._missed_some = True

    def work(self) -> bool:
        """Compare what has come. Returns whether there is more."""
        if self._missed_some:
            self._missed_some = False
            try:
                self._catch_up()
            except Exception:
                self._missed_some = True
                raise
        while self._waiting:
            some = list(islice(self._waiting, AT_ONCE))
            self.correct(some)
            for _ in some:
                self._waiting.popleft()  # only now: what could not be stored is tried again
        return False

    def correct(self, freight: Sequence[Freight]) -> None:
        """End every story well that one of these is the end of. Raises `NotStored` or DatabaseError."""
        now, changed = timezone.now(), []
        by_warehouse: dict[WarehouseKey, list[Freight]] = defaultdict(list)
        for one in freight:
            by_warehouse[one.project, one.warehouse].append(one)
        for row in _ended_otherwise(by_warehouse, now):
            made = next(
                (one for one in by_warehouse[row.project, row.warehouse] if _is_end_of(row, one)), None
            )
            if made is not None:
                text = f"Freight {made.alias or made.name} holds it, and came late"
                end(row, RefreshOutcome.FREIGHT_CREATED, text, made, now)
                changed.append(row)
        if changed:
            then = partial(close_deliveries, {row.delivery_id for row in changed})
            self._writer.submit(Write(updates=changed, then=(then,))).wait(WRITE_SECONDS)

    def _catch_up(self) -> None:
        """Compare all Freight of projects that have stories which ended lately without any."""
        recent = (
            Refresh.objects.filter(pk__gte=first_id(timezone.now() - CAUGHT_UP_FOR - LONGEST_STORY))
            .filter(ended_at__gte=timezone.now() - CAUGHT_UP_FOR)
            .exclude(outcome__in=_AS_GOOD_AS_IT_GETS)
            .values_list("project", "warehouse")
            .distinct()
        )
        warehouses: dict[str, set[str]] = {}
        for project, warehouse in recent:
            warehouses.setdefault(project, set()).add(warehouse)
        for project in sorted(warehouses)[:PROJECTS_CAUGHT_UP]:
            for page in self._freight_of(project):
                self.correct([one for one in page if one.warehouse in warehouses[project]])

    def _freight_of(self, project: str) -> Iterable[Sequence[Freight]]:
        try:
            for page in self._cluster().list_pages(FREIGHTS, project, limit=AT_ONCE, item=decode_freight):
                yield page.items
        except ClusterError as error:
            log.warning(
                "the Freight of %s cannot be listed, and stories stay as they are: %s", project, error
            )


def _ended_otherwise(freight: Mapping[WarehouseKey, Sequence[Freight]], now: datetime) -> list[Refresh]:
    """Return stories of these Warehouses that ended without Freight and are about a tag that is in some now."""
    artifacts = [artifact for pieces in freight.values() for one in pieces for artifact in one.artifacts]
    tags = {spelling for one in artifacts for spelling in (one.tag, one.tag.replace("+", "_"))}
    projects, warehouses = ({key[at] for key in freight} for at in (0, 1))
    ended = (
        Refresh.objects.filter(project__in=projects, warehouse__in=warehouses, delivery__tag__in=tags)
        # By id, which is of the time when it was made: the log may be years long.
        .filter(pk__gte=first_id(now - CORRECTED_FOR - LONGEST_STORY), ended_at__gte=now - CORRECTED_FOR)
        .exclude(outcome__in=_AS_GOOD_AS_IT_GETS)
        .select_related("delivery")
        .order_by("-pk")[:STORIES]
    )
    return [row for row in ended.defer(*_WIDE) if (row.project, row.warehouse) in freight]


def _is_end_of(row: Refresh, freight: Freight) -> bool:
    request = Followed.of(row, row.delivery).request
    if freight.created_at is None or freight.created_at < request.since:
        return False
    if freight.holds(request.push, row.digest) is None:
        return False
    return bool(row.digest) or not _was_pushed_again(row, freight.created_at)


def _was_pushed_again(row: Refresh, until: datetime) -> bool:
    """Say whether another push of the same tag came later but before `until`, so that the Freight may be its own."""
    received_at = row.delivery.received_at
    # Ids bound the scan of the index and nothing else: two processes give no order to the ids of one millisecond.
    created = Refresh.objects.filter(pk__gte=first_id(received_at - CLOCK_SKEW))
    of_tag = created.filter(project=row.project, warehouse=row.warehouse, delivery__tag=row.delivery.tag)
    later = Q(delivery__received_at__gt=received_at) | Q(delivery__received_at=received_at, pk__gt=row.pk)
    other_push = of_tag.exclude(delivery__push_id=row.delivery.push_id)
    return other_push.filter(later, delivery__received_at__lte=until).exists()
