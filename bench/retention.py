"""`python -m bench.retention COUNT`: how long writers wait while old deliveries are deleted from a log of COUNT.

Fills the database of the settings, which must be empty and migrated, and deletes the oldest fifth of it, as a serving
process does, for `BENCH_SECONDS` at most. Meanwhile, a thread stores a delivery every few milliseconds, as a push does.
Prints how long it waited with and without the deletion, and how long the transactions took.

Python writes the first deliveries. The database multiplies them, before it has indexes: ten million would take Python
an hour. They need 2 KB each.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kargoweb.settings")
django.setup()

from django.db import connection, models, transaction
from django.utils import timezone

from bench.history import DAYS, fill
from receivers.deliveries.log_writer import LogWriter, Write
from receivers.deliveries.retention import YIELD_SECONDS, Retention
from receivers.models import Delivery, Refresh

BASE = 20_000  # deliveries that Python writes
STORE_EVERY = 0.02  # seconds
QUIET_SECONDS = 15.0  # of measuring without a deletion
SHARE = 5  # one in so many deliveries is deleted
MOST_SECONDS = float(os.environ.get("BENCH_SECONDS", "120"))  # of deleting; the rest is extrapolated
WAITED = 60.0  # seconds; longer than any limit


def main(count: int) -> None:
    """Fill the log, measure, and print."""
    started = time.monotonic()
    fill_log(count)
    print(
        f"{Delivery.objects.count():,} deliveries written in {time.monotonic() - started:.0f} s", flush=True
    )
    print(f"{'':26}{'median':>10}{'p99':>10}{'longest':>10}   (ms)")
    with Writer() as quiet:
        time.sleep(QUIET_SECONDS)
    print(line("a write, quiet", quiet.seconds), flush=True)
    with Writer() as busy:
        deleted, seconds, transactions = delete(timezone.now() - timedelta(days=DAYS - DAYS / SHARE))
    print(line("a write, while deleting", busy.seconds))
    print(line("a transaction that deletes", transactions))
    rate = deleted / seconds
    print(f"{deleted:,} deliveries deleted in {seconds:.0f} s: {rate:,.0f} per second")
    print(f"a million take {1_000_000 / rate / 60:.0f} minutes")


class Writer:
    """Stores deliveries in a thread, and notes how long each took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._writer = LogWriter()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._writer.start()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._writer.stop(WAITED)

    def _run(self) -> None:
        while not self._stopped.wait(STORE_EVERY):
            now = timezone.now()
            row = Delivery(received_at=now, project="bench", receiver="hook", kind="dockerhub", ended_at=now)
            row.outcome, row.body = "no_match", b"x" * 1_200
            started = time.monotonic()
            self._writer.submit(Write(inserts=[row])).wait(WAITED)
            self.seconds.append(time.monotonic() - started)


def delete(before: datetime) -> tuple[int, float, list[float]]:
    """Delete what is older; return the number, the seconds, and the seconds of each transaction."""
    age = timezone.now() - before
    retention = Retention(age / timedelta(days=1))
    oldest = Delivery.objects.count()
    transactions: list[float] = []
    started, unfinished = time.monotonic(), True
    while unfinished and time.monotonic() - started < MOST_SECONDS:
        at = time.monotonic()
        unfinished = retention.work()
        transactions.append(time.monotonic() - at)
        time.sleep(YIELD_SECONDS)
    seconds = time.monotonic() - started
    written = Delivery.objects.filter(project="bench").count()
    return oldest + written - Delivery.objects.count(), seconds, transactions


def line(name: str, seconds: Sequence[float]) -> str:
    """Return a row of the table."""
    ordered = sorted(seconds)
    values = (ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)], ordered[-1])
    return f"{name:26}" + "".join(f"{value * 1_000:10.1f}" for value in values)


def fill_log(count: int) -> None:
    """Write `count` deliveries, rounded to `BASE`, most of them with a refresh."""
    fill(min(count, BASE))
    copies = count // BASE - 1
    if copies < 1:
        return
    # Old deliveries have lost their bodies to the quotas.
    Delivery.objects.update(stored_body=b"", stored_bytes=0)
    indexes = [(model, index) for model in (Delivery, Refresh) for index in model._meta.indexes]
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.remove_index(model, index)
    with transaction.atomic():
        multiply(Delivery, copies, {"id", "push_id"}, {"received_at", "ended_at"})
        multiply(Refresh, copies, {"id", "delivery_id"}, {"ended_at"})
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.add_index(model, index)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def multiply(model: type[models.Model], copies: int, ids: set[str], times: set[str]) -> None:
    """Insert `copies` copies of all rows, with other ids, and with times that spread over the same days."""
    postgres = connection.vendor == "postgresql"
    numbers = (
        f"SELECT n FROM generate_series(1, {copies}) AS n"
        if postgres
        else f"WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {copies}) SELECT n FROM c"
    )
    columns = [str(field.column) for field in model._meta.concrete_fields]
    values = ", ".join(
        copied(column, postgres, is_id=column in ids, is_time=column in times, parts=copies + 1)
        for column in columns
    )
    names = ", ".join(f'"{column}"' for column in columns)
    table = model._meta.db_table
    parameters = [timezone.now()] * values.count("%s")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, ({numbers}) AS c", parameters
        )
        if times:  # the originals become the newest part
            changes = ", ".join(
                f'"{name}" = '
                + copied(name, postgres, is_id=False, is_time=True, parts=copies + 1).replace("n *", "0 *")
                for name in times
            )
            where = "substr(id::text, 1, 3) = '019'" if postgres else "substr(id, 1, 3) = '019'"
            cursor.execute(
                f"UPDATE {table} SET {changes} WHERE {where}", [timezone.now()] * changes.count("%s")
            )


def copied(column: str, postgres: bool, *, is_id: bool, is_time: bool, parts: int) -> str:
    """Return the SQL of a column of a copy. Ids of the same part are together, and older parts come first."""
    if is_id and postgres:
        return (
            f"(lpad(to_hex(16000000 - n), 8, '0') || substr(replace(\"{column}\"::text, '-', ''), 9))::uuid"
        )
    if is_id:
        return f"printf('%08x', 16000000 - n) || substr(\"{column}\", 9)"
    if is_time and postgres:
        return f"(%s - ((%s - \"{column}\") + n * interval '{DAYS} days') / {parts})"
    if is_time:
        days = f'((julianday(%s) - julianday("{column}")) + n * {DAYS}) / {parts}'
        return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f000', julianday(%s) - {days})"
    return f'"{column}"'


if __name__ == "__main__":
    main(int(sys.argv[1]))
