"""What is deleted, and when."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from receivers.deliveries.retention import FIRST_BATCH, SMALLEST_BATCH, TRANSACTION_SECONDS, Retention, Sweep
from receivers.models import Delivery, Outcome
from tests.commands.running import run, run_process
from tests.databases import temporary_database
from tests.deliveries.rows import delivery, store

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def empty_log(database: None) -> Iterator[None]:
    """A database of this test alone, because retention counts everything."""
    with temporary_database():
        yield


def received(days_ago: float, **fields: Any) -> Delivery:
    at = timezone.now() - days_ago * DAY
    ended: dict[str, Any] = {"outcome": Outcome.FREIGHT_CREATED, "ended_at": at}
    row = delivery("shop", received_at=at, **(ended | fields))
    row.body = b'{"push_data":{}}'
    store(row)
    return row


def kept() -> list[object]:
    return list(Delivery.objects.order_by("-received_at").values_list("pk", flat=True))


def work(retention: Retention) -> None:
    while retention.work():
        pass


def test_old_deliveries_are_deleted():
    received(11)
    young = received(9)
    work(Retention(10))
    assert kept() == [young.pk]


def old_deliveries(count: int) -> list[Delivery]:
    old = timezone.now() - 11 * DAY
    return store(*(delivery("shop", received_at=old + n * timedelta(seconds=1)) for n in range(count)))


def test_more_than_fit_a_transaction_are_deleted():
    old_deliveries(FIRST_BATCH + 2)
    retention = Retention(10)
    assert retention.work()
    assert not retention.work()
    assert kept() == []


def test_deliveries_that_come_late_are_deleted_in_the_next_round():
    old_deliveries(FIRST_BATCH + 2)
    retention = Retention(10)
    assert retention.work()
    received(20)  # before the place where the next transaction starts
    work(retention)
    assert len(kept()) == 1
    work(retention)
    assert kept() == []


def test_a_transaction_that_takes_long_makes_the_next_one_smaller():
    sizes: list[int] = []

    def change(ids: Sequence[UUID]) -> None:
        sizes.append(len(ids))
        ends = time.monotonic() + TRANSACTION_SECONDS
        while time.monotonic() < ends:
            pass

    rows = old_deliveries(2 * FIRST_BATCH)
    sweep = Sweep("changed", change)
    for _ in range(3):
        sweep.work(Delivery.objects.filter(received_at__lte=rows[-1].received_at))
    assert sizes == [FIRST_BATCH, FIRST_BATCH // 2, SMALLEST_BATCH]


def test_two_processes_delete_each_delivery_once():
    rows = old_deliveries(3 * FIRST_BATCH)
    (young,) = store(delivery("shop"))
    deleted: list[UUID] = []

    def sweep_all() -> None:
        def change(ids: Sequence[UUID]) -> None:
            deleted.extend(ids)
            Delivery.objects.filter(pk__in=ids).delete()

        sweep = Sweep("deleted", change)
        sweep.work(Delivery.objects.filter(received_at__lt=young.received_at))
        while sweep.more:
            sweep.work(Delivery.objects.filter(received_at__lt=young.received_at))
        connection.close()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(sweep_all) for _ in range(2)]:
            future.result()
    assert set(deleted) == {row.pk for row in rows}
    assert kept() == [young.pk]
    if connection.vendor == "postgresql":
        assert len(deleted) == len(rows)


def test_bodies_are_dropped_before_their_deliveries():
    old, young = received(3), received(1)
    pending = received(3, outcome=Outcome.PENDING, ended_at=None)
    retention = Retention(10, keep_body_days=2)
    work(retention)
    rows = Delivery.objects.in_bulk()
    assert rows[old.pk].body_dropped
    assert rows[young.pk].body == rows[pending.pk].body == b'{"push_data":{}}'
    # Later searches start where the last one ended.
    late = received(3)
    work(retention)
    assert not Delivery.objects.get(pk=late.pk).body_dropped
    work(Retention(10, keep_body_days=2))
    assert Delivery.objects.get(pk=late.pk).body_dropped


def test_the_newest_deliveries_and_open_ones_are_kept():
    rows = [received(number) for number in range(5)]
    waiting = received(6, outcome=Outcome.REFRESHED, ended_at=None)
    work(Retention(10, keep_deliveries=3))
    assert kept() == [rows[0].pk, rows[1].pk, rows[2].pk, waiting.pk]


def test_fewer_deliveries_than_may_be_kept_are_all_kept():
    rows = [received(number) for number in range(2)]
    work(Retention(10, keep_deliveries=3))
    assert kept() == [row.pk for row in rows]


class TestCommand:
    def test_it_deletes_what_is_older(self):
        received(40), received(30)
        young = received(5)
        out = run("prune", "--days", "29", "--body-days", "3", "--dry-run").out
        assert out == "Would delete 2 deliveries and 3 bodies.\n"
        assert len(kept()) == 3
        assert run("prune", "--days", "29", "--body-days", "3").out == "Deleted 2 deliveries and 3 bodies.\n"
        assert kept() == [young.pk]
        assert Delivery.objects.get(pk=young.pk).body_dropped

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ([], "Give --days, --body-days, or both"),
            (["--days", "0.1"], "--days must be at least 1: younger deliveries may still be retried"),
            (["--body-days", "0"], "--body-days must be above 0"),
        ],
    )
    def test_options_that_would_lose_something_are_an_error(self, options, sentence):
        done = run_process("manage.py", "prune", *options)
        assert (done.code, done.err) == (3, f"CommandError: {sentence}\n")


def test_the_whole_log_is_exported_as_lines_of_json():
    rows = [received(number / 100) for number in range(450)]
    received(1, outcome=Outcome.FAILED)
    lines = [line for line in run("export", "--outcome", "good").out.splitlines() if line]
    assert len(lines) == len(rows)
    assert str(rows[0].pk) in lines[0]
