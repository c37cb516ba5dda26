"""The quotas of stored bodies: what is dropped, and what stays."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from receivers.deliveries import body_quota
from receivers.deliveries.body_quota import BodyQuota, fair_limit, stored_bytes
from receivers.deliveries.redelivery import NotRedeliverable, redeliver, redeliver_all
from receivers.kargo.scopes import CLUSTER_SCOPE
from receivers.models import Delivery, Outcome
from tests.clusters import PATIENCE
from tests.deliveries.rows import delivery, delivery_filter, failed_delivery, store, unique_name

SIZE = 1_000
BODY = b"x" * SIZE


@pytest.fixture(autouse=True)
def no_other_bodies(database):
    """Leave out the bodies of other tests: a quota counts all there are."""
    Delivery.objects.filter(stored_bytes__gt=0).delete()


def stored_rows(count, project=None, **fields):
    """Store deliveries with a body, the oldest first; return them."""
    project = project or unique_name()
    return store(
        *(
            delivery(project, n, **({"outcome": Outcome.NO_MATCH, "body": BODY} | fields))
            for n in range(count)
        )
    )


def kept(rows):
    """Return which of these deliveries still have their body, by position."""
    bodies = dict(Delivery.objects.filter(pk__in=[row.pk for row in rows]).values_list("pk", "stored_body"))
    return [number for number, row in enumerate(rows) if bodies[row.pk]]


def drop(**limits):
    """Let a quota work until it has nothing more to drop; return it."""
    quota = BodyQuota(**({"per_receiver": 0, "total": 0} | limits))
    while quota.work():
        pass
    return quota


def test_the_oldest_bodies_beyond_the_quota_are_dropped_and_the_rows_kept():
    rows = stored_rows(5)
    quota = drop(per_receiver=3 * SIZE)
    assert kept(rows) == [2, 3, 4]
    dropped = Delivery.objects.get(pk=rows[0].pk)
    assert (dropped.body, dropped.body_size, dropped.stored_bytes, dropped.body_dropped) == (
        b"",
        SIZE,
        0,
        True,
    )
    assert (dropped.repository, dropped.outcome) == ("example/app", Outcome.NO_MATCH)
    assert (quota.stored, quota.dropped, quota.dropped_from) == (5 * SIZE, 2, f"{rows[0].project}/hook")
    assert quota.dropped_at


def test_nothing_is_dropped_within_the_quota_or_without_one():
    rows = stored_rows(3)
    assert drop(per_receiver=3 * SIZE, total=3 * SIZE).dropped == drop().dropped == 0
    assert kept(rows) == [0, 1, 2]


def test_each_receiver_has_a_quota_of_its_own():
    project = unique_name()
    busy, other = stored_rows(4, project), stored_rows(2, project, receiver="other")
    cluster = stored_rows(3, CLUSTER_SCOPE)
    drop(per_receiver=2 * SIZE)
    assert [kept(rows) for rows in (busy, other, cluster)] == [[2, 3], [0, 1], [1, 2]]


def test_the_receivers_that_store_most_lose_bodies_first():
    quiet, busy, busiest = stored_rows(1), stored_rows(5), stored_rows(9)
    drop(total=9 * SIZE)
    assert [len(kept(rows)) for rows in (quiet, busy, busiest)] == [1, 4, 4]


def test_both_quotas_hold_together():
    rows = [stored_rows(6), stored_rows(6), stored_rows(1)]
    drop(per_receiver=4 * SIZE, total=7 * SIZE)
    assert [len(kept(of_one)) for of_one in rows] == [3, 3, 1]


def test_a_body_that_is_needed_to_finish_its_delivery_stays():
    pending = stored_rows(3, outcome=Outcome.PENDING)
    ended = stored_rows(3, pending[0].project, receiver="hook")
    drop(per_receiver=SIZE, total=SIZE)
    assert (kept(pending), kept(ended)) == ([0, 1, 2], [2])


def test_many_bodies_are_dropped_in_short_transactions(monkeypatch):
    monkeypatch.setattr(body_quota, "DROPPED_AT_ONCE", 4)
    monkeypatch.setattr(body_quota, "BYTES_AT_ONCE", 3 * SIZE)
    monkeypatch.setattr(body_quota, "MOST_TRANSACTIONS", 2)
    rows = stored_rows(20)
    quota = BodyQuota(per_receiver=SIZE, total=0)
    assert (quota.work(), quota.dropped) == (True, 6)
    while quota.work():
        pass
    assert kept(rows) == [19]


def test_two_processes_drop_no_more_than_one():
    rows = stored_rows(400)
    barrier = threading.Barrier(2)

    def work(_):
        barrier.wait(PATIENCE)
        dropped = drop(per_receiver=200 * SIZE).dropped
        connection.close()
        return dropped

    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(work, range(2)))
    assert (sum(counts), kept(rows)) == (200, list(range(200, 400)))


def test_a_delivery_without_its_body_cannot_be_redelivered():
    project = unique_name()
    rows = store(failed_delivery(project, 1, tag="1"), failed_delivery(project, 2, tag="2"))
    drop(per_receiver=2)
    reason = "its body was dropped because of its age or the quota for stored bodies"
    with pytest.raises(NotRedeliverable, match=reason):
        redeliver(Delivery.objects.get(pk=rows[0].pk), "ada")
    batch = redeliver_all(delivery_filter(project=project, outcome="failed"), "ada")
    assert list(batch.refused) == [(rows[0], reason)]
    assert [row.original_id for row in batch.deliveries] == [rows[1].pk]


@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
)
def test_the_sums_are_read_from_the_index_alone():
    project = unique_name()
    stored_rows(50, project)
    statements = []

    def record(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        assert stored_bytes() == {(project, "hook"): 50 * SIZE}
        drop(per_receiver=49 * SIZE)
    selects = [(sql, params) for sql, params in statements if sql.startswith("SELECT")]
    assert selects
    for sql, params in selects:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = "\n".join(row[3] for row in cursor.fetchall())
        assert "delivery_with_body" in plan, plan
        if "SUM" in sql:
            assert "COVERING INDEX" in plan, plan


@pytest.mark.parametrize(
    ("sizes", "total", "limit"),
    [([1, 5, 9], 9, 4), ([1, 5, 9], 15, 15), ([], 5, 5), ([4, 4], 7, 3), ([9], 5, 5), ([5, 9, 1], 1, 0)],
)
def test_the_limit_that_keeps_a_sum_is_the_highest(sizes, total, limit):
    assert fair_limit(sizes, total) == limit
    assert sum(min(size, limit) for size in sizes) <= total
