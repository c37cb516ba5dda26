"""The single writer of the delivery log."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
)
from django.utils import timezone

from receivers.deliveries.log_writer import CAPACITY, LogWriter, NotStored, Write, is_unavailable
from receivers.models import Delivery, Outcome, Refresh, storable
from tests.clusters import PATIENCE, until


def delivery(**fields) -> Delivery:
    return Delivery(received_at=timezone.now(), receiver="hook", kind="dockerhub", **fields)


def test_wait_returns_after_the_commit(writer):
    row = delivery(path="/x")
    writer.submit(Write(inserts=[row])).wait(PATIENCE)
    assert Delivery.objects.get(pk=row.pk).path == "/x"


def test_many_threads_can_write_concurrently(writer):
    rows = [delivery() for _ in range(300)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda row: writer.submit(Write(inserts=[row])).wait(PATIENCE), rows))
    assert Delivery.objects.filter(pk__in=[row.pk for row in rows]).count() == 300


def test_an_invalid_row_does_not_affect_other_rows(writer):
    first, invalid, last = delivery(), delivery(), delivery()
    invalid.received_at = None  # type: ignore[assignment]  # no database accepts it
    writes = [writer.submit(Write(inserts=[row])) for row in (first, invalid, last)]
    writes[0].wait(PATIENCE)
    writes[2].wait(PATIENCE)
    with pytest.raises(NotStored, match="refused the row"):
        writes[1].wait(PATIENCE)


def test_an_update_keeps_the_related_rows(writer):
    row = delivery()
    writer.submit(Write(inserts=[row, Refresh(delivery=row, project="p", warehouse="w")])).wait(PATIENCE)
    row.outcome = Outcome.NO_MATCH
    writer.submit(Write(updates=[row])).wait(PATIENCE)
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.NO_MATCH
    assert Delivery.objects.get(pk=row.pk).refreshes.count() == 1


def test_perhaps_inserts_only_missing_rows(writer):
    row, errors = delivery(path="/first"), list[Exception | None]()
    writer.submit(Write(inserts=[row])).wait(PATIENCE)
    duplicate, other = delivery(pk=row.pk, path="/second"), delivery(path="/other")
    refresh = Refresh(delivery=other, project="p", warehouse="w")
    writer.submit(Write(perhaps=[duplicate, other], inserts=[refresh], when_done=errors.append)).wait(
        PATIENCE
    )
    assert Delivery.objects.get(pk=row.pk).path == "/first"
    assert Delivery.objects.get(pk=other.pk).refreshes.count() == 1
    assert errors == [None]


def test_when_done_receives_the_error_of_a_rejected_row(writer):
    row, errors = delivery(), list[Exception | None]()
    writer.submit(Write(inserts=[row])).wait(PATIENCE)
    with pytest.raises(NotStored):
        writer.submit(Write(inserts=[delivery(pk=row.pk)], when_done=errors.append)).wait(PATIENCE)
    assert isinstance(errors[0], IntegrityError)
    assert not writer.stuck


def test_a_full_queue_rejects_writes_immediately(database):
    writer = LogWriter()
    for _ in range(CAPACITY):
        writer.submit(Write())
    with pytest.raises(NotStored, match="can't keep up"):
        writer.submit(Write())


def test_stop_commits_the_queued_writes(database):
    writer = LogWriter()
    writes = [writer.submit(Write(inserts=[delivery()])) for _ in range(10)]
    writer.start()
    writer.stop()
    for write in writes:
        write.wait(0)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite locks the whole database")
def test_while_the_database_is_locked_waits_time_out_and_updates_stay_queued(writer):
    row = delivery()
    writer.submit(Write(inserts=[row])).wait(PATIENCE)
    row.outcome = Outcome.REFRESHED
    lock = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    update = writer.submit(Write(updates=[row], can_wait=True))
    with pytest.raises(NotStored, match="did not respond within"):
        update.wait(0.1)
    until("the writer is stuck", lambda: writer.stuck)
    lock.execute("ROLLBACK")
    lock.close()
    update.wait(30)
    assert Delivery.objects.get(pk=row.pk).outcome == Outcome.REFRESHED
    assert not writer.stuck


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite locks the whole database")
def test_a_write_whose_wait_timed_out_is_stored_unchanged_or_not_at_all(writer):
    in_progress, queued = delivery(), delivery()
    lock = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    for row in (in_progress, queued):
        with pytest.raises(NotStored, match="did not respond within"):
            writer.submit(Write(inserts=[row])).wait(0.2)
        row.outcome = Outcome.REFRESHED
    lock.execute("ROLLBACK")
    lock.close()
    writer.submit(Write(inserts=[delivery()])).wait(30)
    assert [stored.outcome for stored in Delivery.objects.filter(pk__in=[in_progress.pk, queued.pk])] == [
        Outcome.PENDING
    ]


@pytest.mark.parametrize(
    ("error", "unavailable"),
    [
        (OperationalError("database is locked"), True),
        (InterfaceError("connection already closed"), True),
        (InternalError("cannot execute INSERT in a read-only transaction"), True),
        (ProgrammingError("relation does not exist"), True),
        (DatabaseError("database disk image is malformed"), True),
        (DataError("out of range"), False),
        (IntegrityError("UNIQUE constraint failed"), False),
        (ValueError("a string literal cannot contain NUL"), False),
    ],
    ids=repr,
)
def test_an_error_is_caused_by_the_database_or_by_the_row(error, unavailable):
    assert is_unavailable(error) == unavailable


def test_text_is_truncated_and_has_no_nul_character():
    assert storable("a\x00b") == "a\N{REPLACEMENT CHARACTER}b"
    assert storable("x" * 300, 10) == "x" * 9 + "…"
