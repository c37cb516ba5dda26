"""What the status page tells of the database and of the work in it. Bounded, whatever the size of the log."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import DatabaseError, InterfaceError, connection
from django.db.models import QuerySet

from receivers.kargo.outcomes import RefreshState
from receivers.models import Delivery, Outcome, Refresh, Replica, UnknownCall

COUNTED: Final = 10_000  # rows; more is told as "more than"
UNKNOWN_SHOWN: Final = 20  # sources of unknown calls, the latest first
REPLICAS_SHOWN: Final = 50  # the dead ones of the last day among them

_SIZE: Final = {
    "sqlite": "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    "postgresql": "SELECT pg_database_size(current_database())",
}
# SQLite numbers rows in their order and the oldest are deleted first; PostgreSQL keeps an estimate, -1 at first.
_ROWS: Final = {
    "sqlite": "SELECT coalesce((SELECT max(rowid) FROM receivers_delivery) - "
    "(SELECT min(rowid) FROM receivers_delivery) + 1, 0)",
    "postgresql": "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'receivers_delivery'::regclass",
}


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The database: `size` in bytes, `deliveries` is an estimate, `seconds` is how long it took to answer all this."""

    vendor: str
    version: str
    size: int
    deliveries: int
    oldest: datetime | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Work:
    """What is under way, counted up to `COUNTED`."""

    open: int
    waiting: int
    pending: int


def database_facts() -> DatabaseFacts | str:
    """Return what is known of the database, or what keeps it from answering. Three queries."""
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


def work() -> Work:
    """Return how much is under way. Three queries."""
    refreshes = Refresh.objects.filter(outcome="")
    return Work(
        _counted(refreshes.exclude(state=RefreshState.WAITING)),
        _counted(Refresh.objects.filter(state=RefreshState.WAITING)),
        _counted(Delivery.objects.filter(outcome=Outcome.PENDING)),
    )


def unknown_calls() -> list[UnknownCall]:
    """Return the latest calls of URLs that never were a receiver's. One query."""
    return list(UnknownCall.objects.order_by("-last_at")[:UNKNOWN_SHOWN])


def replicas() -> list[Replica]:
    """Return the serving processes that were alive within the last day, the latest sign of life first. One query."""
    return list(Replica.objects.order_by("-seen_at")[:REPLICAS_SHOWN])


def _number(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        row = cursor.fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _counted(rows: QuerySet[Any]) -> int:
    return rows.order_by()[: COUNTED + 1].count()
