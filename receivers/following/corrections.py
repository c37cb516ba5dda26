"""Corrects stories that have ended without Freight when Freight comes after all: an hour later, or made by hand."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Final

from receivers.cluster.client import Cluster
from receivers.cluster.errors import ClusterError
from receivers.following.closing import close_deliveries
from receivers.following.story import Followed, end
from receivers.log_writer import LogWriter, Write
from receivers.models import Refresh
from receivers.rules.artifacts import Freight, decode_freight
from receivers.rules.outcomes import RefreshOutcome
from receivers.rules.resources import FREIGHTS
from receivers.tokens import utc_now

log = logging.getLogger(__name__)

CORRECTED_FOR: Final = timedelta(days=30)  # after the end; what comes later is another story
CAUGHT_UP_FOR: Final = timedelta(
    days=1
)  # when events may have been missed: longer than anybody leaves us down
PROJECTS_CAUGHT_UP: Final = 200  # each costs a list of its Freight
STORIES: Final = 500  # of one Warehouse that one piece of Freight is compared with, the newest ones
WAITING: Final = 10_000  # pieces of Freight; more than come while the database is restarted
WRITE_SECONDS: Final = 10.0  # for the database; what is not written by then is tried again

_AS_GOOD_AS_IT_GETS: Final = ("", RefreshOutcome.FREIGHT, RefreshOutcome.ALREADY_CURRENT)
_WIDE: Final = ("delivery__body", "delivery__headers", "delivery__verdicts")


class Corrector:
    """Compares new Freight with stories that have ended. Every serving process does; all write the same."""

    def __init__(self, cluster: Callable[[], Cluster], writer: LogWriter) -> None:
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
            self._catch_up()
        while self._waiting:
            self.correct(self._waiting[0])
            self._waiting.popleft()  # only now: what could not be stored is tried again
        return False

    def correct(self, freight: Freight) -> None:
        """End every story well that this Freight is the end of. Raises `NotStored` or DatabaseError."""
        now = utc_now()
        tags = {spelling for one in freight.artifacts for spelling in (one.tag, one.tag.replace("+", "_"))}
        ended = (
            Refresh.objects.filter(project=freight.project, warehouse=freight.warehouse)
            .filter(ended_at__gte=now - CORRECTED_FOR, delivery__tag__in=tags)
            .exclude(outcome__in=_AS_GOOD_AS_IT_GETS)
            .select_related("delivery")
            .order_by("-pk")[:STORIES]
        )
        changed = [row for row in ended.defer(*_WIDE) if _is_end_of(row, freight)]
        for row in changed:
            name = freight.alias or freight.name
            end(row, RefreshOutcome.FREIGHT, f"Freight {name} holds it, and came late", freight, now)
        if changed:
            then = partial(close_deliveries, {row.delivery_id for row in changed})
            self._writer.submit(Write(updates=changed, then=(then,))).wait(WRITE_SECONDS)

    def _catch_up(self) -> None:
        """Compare all Freight of projects that have stories which ended lately without any."""
        recent = (
            Refresh.objects.filter(ended_at__gte=utc_now() - CAUGHT_UP_FOR)
            .exclude(outcome__in=_AS_GOOD_AS_IT_GETS)
            .values_list("project", "warehouse")
            .distinct()
        )
        warehouses: dict[str, set[str]] = {}
        for project, warehouse in recent:
            warehouses.setdefault(project, set()).add(warehouse)
        for project in sorted(warehouses)[:PROJECTS_CAUGHT_UP]:
            for freight in self._freight_of(project):
                if freight.warehouse in warehouses[project]:
                    self.correct(freight)

    def _freight_of(self, project: str) -> Iterable[Freight]:
        try:
            for page in self._cluster().list_pages(FREIGHTS, project, item=decode_freight):
                yield from page.items
        except ClusterError as error:
            log.warning(
                "the Freight of %s cannot be listed, and stories stay as they are: %s", project, error
            )


def _is_end_of(row: Refresh, freight: Freight) -> bool:
    request = Followed.of(row, row.delivery).request
    made_since = freight.created_at is not None and freight.created_at >= request.since
    return made_since and freight.holds(request.push, row.digest) is not None
