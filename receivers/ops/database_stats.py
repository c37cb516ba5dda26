"""The database and the work in progress, as the status page shows them. The cost is bounded for any size of log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import QuerySet

from receivers.kargo.refresh_outcomes import RefreshState
from receivers.models import Delivery, Outcome, Refresh, Replica, UnknownCall

COUNTED: Final = 10_000  # rows; beyond that the page shows "more than"
UNKNOWN_SHOWN: Final = 20  # sources of requests to unknown URLs, latest first
REPLICAS_SHOWN: Final = 50  # including those that ended within the last day

_SIZE: Final = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "postgresql": "SELECT pg_database_size(current_database())",
}
# SQLite numbers rows in the order of insertion, and the oldest are deleted first. PostgreSQL's estimate starts at -1.
_ROWS: Final = {
    "sqlite": "SELECT coalesce((SELECT max(rowid) FROM receivers_delivery) - "
    "(SELECT min(rowid) FROM receivers_delivery) + 1, 0)",
    "postgresql": "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'receivers_delivery'::regclass",
}


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The database. `size` is in bytes, `deliveries` an estimate, and `seconds` the time that these queries took."""

    vendor: str
    version: str
    size: int
    deliveries: int
    oldest: datetime | None
    seconds: float


@dataclass(frozen=True, slots=True)
class WorkInProgress:
    """Open and waiting refreshes and pending deliveries, each counted up to `COUNTED`."""

    open: int
    waiting: int
    pending: int


def database_facts() -> DatabaseFacts | str:
    """Return facts about the database, or its error. Three queries."""
    began = time.monotonic()
    try:
        connection.ensure_connection()
        version = ".".join(map(str, connection.get_database_version()))
        size, rows = _number(_SIZE[connection.vendor]), _number(_ROWS[connection.vendor])
        oldest = Delivery.objects.order_by("received_at").values_list("received_at", flat=True).first()
    except (DatabaseError, InterfaceError) as error:
        return str(error).strip().partition("\n")[0] or type(error).__name__
    seconds = time.monotonic() - began
    return DatabaseFacts(connection.display_name, version, size, rows, oldest, seconds)


def work_in_progress() -> WorkInProgress:
    """Count the work in progress. Three queries."""
    refreshes = Refresh.objects.filter(outcome="")
    return WorkInProgress(
        _counted(refreshes.exclude(state=RefreshState.WAITING)),
        _counted(Refresh.objects.filter(state=RefreshState.WAITING)),
        _counted(Delivery.objects.filter(outcome=Outcome.PENDING)),
    )


def unknown_url_requests() -> list[UnknownCall]:
    """Return the latest requests to URLs that never belonged to a receiver. One query."""
    return list(UnknownCall.objects.order_by("-last_at")[:UNKNOWN_SHOWN])


def replicas() -> list[Replica]:
    """Return the serving processes of the last day, the most recently seen first. One query."""
    return list(Replica.objects.order_by("-seen_at")[:REPLICAS_SHOWN])


def _number(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _counted(rows: QuerySet[Any]) -> int:
    return rows.order_by()[: COUNTED + 1].count()
