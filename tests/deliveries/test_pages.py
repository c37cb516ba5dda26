"""Pages of the delivery list: each push once, filtered, with cursors."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection

from receivers.deliveries.bounded_scan import LOOKED_AT, PORTIONS
from receivers.deliveries.bulk_sql import insert
from receivers.deliveries.cluster_pushes import MOST_PROJECTS
from receivers.deliveries.delivery_page import InvalidCursor
from receivers.deliveries.filters import DeliveryFilter
from receivers.deliveries.outcomes import Tone, tone
from receivers.deliveries.pushes import count_pushes, push_page
from receivers.deliveries.querysets import MAX_PAGE_SIZE, MOST_REPEATS, delivery_log
from receivers.models import Origin, Outcome, Refresh
from tests.deliveries.rows import START, delivery, delivery_filter, store, unique_name

pytestmark = pytest.mark.usefixtures("database")


def ids(rows):
    return [row.pk for row in rows]


def pages(criteria, **options):
    """Return every page."""
    result = [delivery_log().page(criteria, **options)]
    while result[-1].next:
        result.append(delivery_log().page(criteria, after=result[-1].next, **options))
    return result


def test_pages_are_sorted_newest_first_without_gaps_or_duplicates():
    project = unique_name()
    # Several have the same time, so they are sorted by id.
    rows = store(*(delivery(project, seconds // 4) for seconds in range(25)))
    result = pages(DeliveryFilter(project=project), size=7)
    assert [len(page.rows) for page in result] == [7, 7, 7, 4]
    newest_first = sorted(rows, key=lambda row: (row.received_at, row.pk), reverse=True)
    assert [pk for page in result for pk in ids(page.rows)] == ids(newest_first)
    assert all(page.looked_to is None for page in result)


def test_a_page_that_ends_with_the_last_row_has_no_next_page():
    project = unique_name()
    store(delivery(project), delivery(project))
    assert delivery_log().page(DeliveryFilter(project=project), size=2).next == ""


def test_a_new_row_does_not_change_the_next_page():
    project = unique_name()
    rows = store(*(delivery(project, seconds) for seconds in range(4)))
    first = delivery_log().page(DeliveryFilter(project=project), size=2)
    store(delivery(project, 99))
    second = delivery_log().page(DeliveryFilter(project=project), size=2, after=first.next)
    assert ids(second.rows) == [rows[1].pk, rows[0].pk]


@pytest.mark.parametrize("cursor", ["x", "1-2", "-", "ffffffffffffffff-" + "0" * 32, "\x00"])
def test_an_invalid_cursor_is_an_error(cursor):
    with pytest.raises(InvalidCursor, match="start at the first page"):
        delivery_log().page(DeliveryFilter(), after=cursor)


def test_each_push_is_one_row_with_its_newest_delivery_and_a_count():
    project, push = unique_name(), uuid.uuid4()
    rows = store(*(delivery(project, seconds, push_id=push) for seconds in range(6)), delivery(project, 9))
    page = delivery_log().page(DeliveryFilter(project=project))
    assert [(row.pk, row.repeats) for row in page.rows] == [(rows[6].pk, 1), (rows[5].pk, 6)]
    assert len(delivery_log().page(DeliveryFilter(project=project), each_push_once=False).rows) == 7
    assert ids(delivery_log().of_push(push)) == ids(reversed(rows[:6]))


def test_each_receiver_of_a_push_has_a_row_and_a_count_of_its_own():
    """Readers may see only one of them: neither its row nor its count depends on the others."""
    project, other, push = unique_name(), unique_name(), uuid.uuid4()
    rows = store(
        delivery(project, 1, push_id=push),
        delivery(project, 2, push_id=push),
        delivery(project, 3, push_id=push, receiver="second"),
        delivery(other, 4, push_id=push),
    )
    page = delivery_log().page(DeliveryFilter(seen=frozenset({project})))
    assert [(row.pk, row.repeats) for row in page.rows] == [(rows[2].pk, 1), (rows[1].pk, 2)]
    assert [row.repeats for row in delivery_log().page(DeliveryFilter(project=other)).rows] == [1]
    assert ids(delivery_log().alike(rows[1])) == [rows[0].pk]


def test_the_newest_delivery_of_a_push_is_the_last_received_even_if_its_id_is_lower():
    """The ids from two processes are unordered within a millisecond, and their clocks may differ."""
    project, push = unique_name(), uuid.uuid4()
    later_key, earlier_key = (delivery(project, seconds).pk for seconds in (1, 2))
    earlier, later = store(
        delivery(project, 3, id=earlier_key, push_id=push),
        delivery(project, 4, id=later_key, push_id=push),
    )
    assert later.pk < earlier.pk
    page = delivery_log().page(DeliveryFilter(project=project))
    assert [(row.pk, row.repeats) for row in page.rows] == [(later.pk, 2)]
    assert ids(delivery_log().of_push(push)) == ids([later, earlier])


def test_the_deliveries_of_a_push_are_found_behind_any_number_of_newer_deliveries(store_many):
    project, push = unique_name(), uuid.uuid4()
    store(*(delivery(project, -3600 + n, push_id=push) for n in range(3)))
    store_many(*(delivery(unique_name(), n / 100) for n in range(LOOKED_AT + 1)))
    page = delivery_log().page(DeliveryFilter(push=push), each_push_once=False)
    assert [row.push_id for row in page.rows] == [push] * 3
    assert page.looked_to is None


def test_the_outcome_of_a_push_is_that_of_its_last_delivery():
    project, push = unique_name(), uuid.uuid4()
    store(
        delivery(project, 1, push_id=push, outcome=Outcome.FAILED),
        delivery(project, 2, push_id=push, outcome=Outcome.FREIGHT_CREATED),
    )
    failed = DeliveryFilter(project=project, outcomes=frozenset({Outcome.FAILED}))
    assert not delivery_log().page(failed).rows
    assert len(delivery_log().page(failed, each_push_once=False).rows) == 1


def test_repeats_are_counted_up_to_a_limit():
    project, push = unique_name(), uuid.uuid4()
    store(*(delivery(project, seconds, push_id=push) for seconds in range(MOST_REPEATS + 5)))
    (row,) = delivery_log().page(DeliveryFilter(project=project)).rows
    assert row.repeats == MOST_REPEATS


@pytest.fixture(scope="module")
def odd(database):
    """A delivery that differs from all others of its project in every field of the filter."""
    project = unique_name()
    row = delivery(
        project,
        500,
        receiver="odd",
        origin=Origin.TEST,
        outcome=Outcome.TAG_NOT_VISIBLE,
        status=207,
        repository=f"{project}/odd",
        tag="Odd-Tag",
        pusher="50%_off\\",
    )
    store(*(delivery(project, seconds, status=200) for seconds in range(20)), row)
    Refresh.objects.create(delivery=row, project=project, warehouse="odd")
    Refresh.objects.create(delivery=row, project=unique_name(), warehouse="odd")
    return row


@pytest.mark.parametrize(
    "values",
    [
        {"receiver": "odd"},
        {"origin": "test"},
        {"outcome": "tag_not_visible"},
        {"outcome": "bad"},
        {"status": "207"},
        {"repository": "{project}/odd"},
        {"repository": "{project}/odd", "tag": "Odd-Tag"},
        {"tag": "Odd-Tag"},
        {"warehouse": "odd"},
        {"warehouse": "{project}/odd"},
        {"since": "{before}"},
        {"since": "{then}", "until": "{then}"},
        {"text": "odd-t"},
        {"text": "%_OFF\\"},
    ],
    ids=str,
)
def test_every_filter_finds_the_delivery_that_differs(odd, values):
    times = {
        "then": odd.received_at.isoformat(),
        "before": (odd.received_at - timedelta(minutes=5)).isoformat(),
    }
    parameters = {name: value.format(project=odd.project, **times) for name, value in values.items()}
    page = delivery_log().page(delivery_filter(project=odd.project, **parameters))
    assert ids(page.rows) == [odd.pk]
    assert ids(delivery_log().filtered(delivery_filter(project=odd.project, **parameters))) == [odd.pk]


@pytest.mark.parametrize(
    "values", [{"status": "208"}, {"tag": "odd-tag"}, {"text": "%Y"}, {"until": "2026-02-01"}]
)
def test_a_filter_without_a_match_finds_nothing(odd, values):
    assert not delivery_log().page(delivery_filter(project=odd.project, **values)).rows


def test_the_project_cluster_selects_the_cluster_receivers():
    receiver = unique_name()
    (of_cluster, _) = store(delivery("", receiver=receiver), delivery("cluster", receiver=receiver))
    page = delivery_log().page(delivery_filter(project="cluster", receiver=receiver))
    assert ids(page.rows) == [of_cluster.pk]


def test_deliveries_with_different_outcomes_are_sorted_by_time():
    receiver = unique_name()
    failures = [outcome for outcome in Outcome if tone(outcome) is Tone.BAD]
    rows = store(
        *(delivery("", n, receiver=receiver, outcome=failures[n * 5 % len(failures)]) for n in range(30))
    )
    store(delivery("", 31, receiver=receiver, outcome=Outcome.FREIGHT_CREATED))
    result = pages(DeliveryFilter(outcomes=frozenset(failures), receiver=receiver), size=8)
    assert [pk for page in result for pk in ids(page.rows)] == ids(reversed(rows))


def test_failures_of_others_do_not_use_up_the_scan_limit_of_a_reader(store_many):
    own, other = unique_name(), unique_name()
    failed = {"outcome": Outcome.DISCOVERY_FAILED}
    [row] = store(delivery(own, -1, **failed))
    store_many(*(delivery(other, n, **failed) for n in range(LOOKED_AT + 10)))
    page = delivery_log().page(DeliveryFilter(outcomes=frozenset(failed.values()), seen=frozenset({own})))
    assert ids(page.rows) == [row.pk]


def test_a_page_stops_at_the_scan_limit_and_reports_its_position(store_many):
    project = unique_name()
    store(delivery(project, -1, tag="needle"))
    store_many(*(delivery(project, n) for n in range(LOOKED_AT + 10)))
    criteria = DeliveryFilter(project=project, tag="needle")
    first = delivery_log().page(criteria)
    assert not first.rows
    assert first.looked_to is not None
    assert first.looked_to > START
    second = delivery_log().page(criteria, after=first.next)
    assert [row.tag for row in second.rows] == ["needle"]
    assert second.looked_to is None


@pytest.mark.parametrize("tag", ["", "1"])
def test_the_pages_of_a_warehouse_have_the_deliveries_that_refreshed_it(tag):
    project = unique_name()
    count = PORTIONS[0] + 120
    rows = store(*(delivery("", n / 100, tag=f"{n % 2}") for n in range(count)))
    # The deliveries arrive within seconds. Their refreshes are in another order, each after its delivery.
    seconds = random.Random(1).sample(range(count), count)
    refresh_ids = [delivery("", max(n / 100, later / 100)).pk for n, later in enumerate(seconds)]
    insert(
        [
            Refresh(id=key, delivery=row, project=project, warehouse="w")
            for key, row in zip(refresh_ids, rows, strict=True)
        ]
    )
    insert([Refresh(delivery=row, project=project, warehouse="other") for row in rows[:3]])
    result = pages(DeliveryFilter(warehouse=(project, "w"), tag=tag), size=30)
    expected = [row for row in reversed(rows) if tag in {"", row.tag}]
    assert [pk for page in result for pk in ids(page.rows)] == ids(expected)


def test_later_pages_find_old_refreshes_of_a_warehouse():
    project = unique_name()
    count = sum(PORTIONS) + 150
    old_failure = {"outcome": Outcome.NOT_HANDLED, "tag": "old"}
    fields = [old_failure if n < 40 else {"outcome": Outcome.FREIGHT_CREATED} for n in range(count)]
    rows = store(*(delivery(project, n, **row_fields) for n, row_fields in enumerate(fields)))
    keys = [delivery("", n).pk for n in range(count)]
    refreshes = [
        Refresh(id=key, delivery=row, project=project, warehouse="w")
        for key, row in zip(keys, rows, strict=True)
    ]
    for start in range(0, count, 500):
        insert(refreshes[start : start + 500])
    result = pages(DeliveryFilter(warehouse=(project, "w")), size=400)
    assert [pk for page in result for pk in ids(page.rows)] == ids(reversed(rows))
    assert any(page.looked_to for page in result)
    failures = pages(
        DeliveryFilter(warehouse=(project, "w"), outcomes=frozenset({Outcome.NOT_HANDLED})), size=100
    )
    assert [pk for page in failures for pk in ids(page.rows)] == ids(reversed(rows[:40]))


def test_a_delivery_that_refreshed_a_warehouse_twice_is_shown_once():
    project = unique_name()
    [row] = store(delivery(""))
    insert([Refresh(delivery=row, project=project, warehouse="w") for _ in range(2)])
    assert ids(delivery_log().page(DeliveryFilter(warehouse=(project, "w"))).rows) == [row.pk]


def test_a_list_reads_no_large_column():
    project = unique_name()
    store(delivery(project, body=b"x" * 1000))
    (row,) = delivery_log().page(DeliveryFilter(project=project)).rows
    assert row.get_deferred_fields() == {"verdicts", "headers", "stored_body"}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"text": "nothing"},
        {"project": "p"},
        {"project": "p", "receiver": "r", "outcome": "bad"},
        {"repository": "r"},
        {"repository": "r", "tag": "t"},
        {"outcome": "failed"},
        {"warehouse": "unknown/unknown"},
        {"since": "2026-01-01", "until": "2026-04-01", "status": "5xx"},
    ],
    ids=str,
)
@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
)
def test_no_page_scans_or_sorts_the_whole_log(values):
    after = delivery_log().page(DeliveryFilter(), size=1).next or "5-" + "0" * 32
    assert_bounded(lambda: delivery_log().page(delivery_filter(**values), after=after), most=3)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"text": "app"},
        {"project": "p", "receiver": "r", "outcome": "bad"},
        {"repository": "example/app", "tag": "1.0.0"},
        {"outcome": "failed"},
        {"warehouse": "unknown/unknown"},
        {"since": "2026-01-01", "status": "2xx"},
    ],
    ids=str,
)
@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
)
def test_no_page_of_pushes_scans_or_sorts_the_whole_log(values):
    store(delivery(unique_name(), outcome=Outcome.FREIGHT_CREATED, warehouses=1))
    after = push_page(DeliveryFilter(), size=1).next or "5-" + "0" * 32
    wanted = delivery_filter(**values)
    assert_bounded(lambda: push_page(wanted, after=after), most=6)
    assert_bounded(lambda: count_pushes(wanted), most=8, from_the_start=True)


@pytest.mark.parametrize("outcome", ["pending", "refreshed", "failed", "bad"])
@pytest.mark.skipif(
    "connection.vendor != 'sqlite'", reason="plans of PostgreSQL depend on what is in the tables"
)
def test_few_deliveries_of_an_outcome_are_not_searched_for_in_the_whole_log(outcome):
    wanted = delivery_filter(outcome=outcome)
    for read in (
        lambda: push_page(wanted),
        lambda: count_pushes(wanted),
        lambda: delivery_log().page(wanted),
    ):
        assert not [step for plan in plans_of(read) for step in plan if "INDEX delivery_newest" in step]


def plans_of(read: Callable[[], object]) -> list[list[str]]:
    """Return the query plan of each statement that a function runs."""
    statements = []

    def record(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        read()
    plans = []
    for sql, params in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plans.append([row[3] for row in cursor.fetchall()])
    return plans


def assert_bounded(read: Callable[[], object], most: int, *, from_the_start: bool = False) -> None:
    """Assert that a function runs at most `most` statements, and that none reads or sorts a whole table.

    `from_the_start` allows statements with a limit to read an index of deliveries from its start.
    """
    statements = []

    def record(execute, sql, params, many, context):
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        read()
    assert len(statements) <= most
    for sql, params in statements:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            plan = [row[3] for row in cursor.fetchall()]
        limited = "INDEX delivery_" if from_the_start and "LIMIT" in sql else "none"
        assert not [step for step in plan if step.startswith("SCAN receivers") and limited not in step], plan
        if "repeats" not in sql:
            assert not [step for step in plan if step == "USE TEMP B-TREE FOR ORDER BY"], plan


class TestIds:
    def test_eight_characters_identify_a_delivery(self):
        (row,) = store(delivery(unique_name(), 10**8))
        assert ids(delivery_log().with_id(str(row.pk)[:8])) == [row.pk]
        assert ids(delivery_log().with_id(str(row.pk).upper())) == [row.pk]

    def test_all_ids_with_the_prefix_are_found(self):
        rows = store(*(delivery(unique_name(), 10**8 + 500 + n / 1000) for n in range(3)))
        matches = delivery_log().with_id(rows[0].pk.hex[:9])
        assert set(ids(rows)) <= set(ids(matches))

    @pytest.mark.parametrize("prefix", ["", "0123456", "g" * 8, "0" * 33, "0123456\x00"])
    def test_an_invalid_prefix_finds_nothing(self, prefix):
        assert not delivery_log().with_id(prefix).exists()


class TestVisibility:
    @pytest.mark.parametrize("others", [0, MOST_PROJECTS], ids=["each project scanned", "each row checked"])
    @pytest.mark.parametrize(
        "fields", [{}, {"outcome": "bad"}, {"repository": "example/app"}, {"text": "app"}]
    )
    def test_a_page_has_only_the_visible_projects(self, others, fields):
        first, second, hidden = unique_name(), unique_name(), unique_name()
        rows = store(
            *(delivery(name, n, outcome=Outcome.FAILED) for n, name in enumerate((first, second, hidden)))
        )
        seen = frozenset({first, second, *(unique_name() for _ in range(others))})
        criteria = replace(delivery_filter(**fields), seen=seen)
        visible = [pk for page in pages(criteria, size=MAX_PAGE_SIZE) for pk in ids(page.rows)]
        assert visible == [rows[1].pk, rows[0].pk]

    def test_an_invisible_push_is_not_found_by_its_id(self):
        [row] = store(delivery(unique_name(), outcome=Outcome.FAILED))
        criteria = DeliveryFilter(repository=row.repository, tag=row.tag, push=row.push_id)
        assert [pk for page in pages(criteria) for pk in ids(page.rows)] == [row.pk]
        assert not any(page.rows for page in pages(replace(criteria, seen=frozenset({"elsewhere"}))))
