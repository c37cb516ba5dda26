"""What is deleted, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from receivers.deliveries.retention import DELETED_AT_ONCE, Retention
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


def test_more_than_fit_a_transaction_are_deleted():
    old = timezone.now() - 11 * DAY
    store(*(delivery("shop", received_at=old + n * timedelta(seconds=1)) for n in range(DELETED_AT_ONCE + 2)))
    retention = Retention(10)
    assert retention.work()
    assert not retention.work()
    assert kept() == []


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
            ([], "say what to delete: --days, --body-days, or both"),
            (["--days", "0.1"], "--days must be at least 1: younger deliveries may have retries to come"),
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
